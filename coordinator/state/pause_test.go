package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"hone/loop"
)

// loaded is a state as large as C23 speaks of: half of 2*committed indices are
// committed, as a run or at random, both generations of keys are full, and
// references parts are catalogued.
func loaded(t testing.TB, committed, keys, references int, random bool) *State {
	t.Helper()
	campaign := testCampaign("c", 1<<31-1, 1)
	s := newSized("cluster", keys)
	for _, c := range preparation(campaign) {
		answer[Event](t, s, c)
	}
	answer[RoundOpened](t, s, openRound(testRound("c", 1, 1<<31-1), nil, []uint64{uint64(2 * committed)}))
	r := rand.New(rand.NewPCG(1, 2))
	k := s.component("c", 1, loop.Train, 0)
	dense := make([]uint64, 2*committed/64)
	for i := range dense {
		switch {
		case random:
			dense[i] = r.Uint64()
		case i < len(dense)/2:
			dense[i] = ^uint64(0)
		}
	}
	k.committed = setOf(roaring.FromDense(dense, true))
	k.open.subtract(&k.committed)
	for i := range references {
		o := object("parts", 1, fmt.Sprint("reference", i), 4096)
		s.add(loop.Change{Part: newPart(loop.SampleParts, "lab", o, nil)})
	}
	for i := range 2 * keys {
		var u keyUse
		binary.BigEndian.PutUint64(u.key[:], uint64(i))
		u.sequence = 1
		s.keys.remember(u)
	}
	return s
}

// busy is a realistic entry: units units of 50 delivered from where the leader
// leases, open ones made anew among what is committed, a batch of posts.
func busy(s *State, r *rand.Rand, units, posts int) Entry {
	k := s.component("c", 1, loop.Train, 0)
	reserved := k.reserved
	commands := []Command{extension(1, reserved+uint64(units*50))}
	var made []loop.Unit
	for i := range units {
		made = append(made, unit("c", 1, 0, 0, int(reserved)+i*50, 50))
	}
	for range units {
		first := r.Uint64N(reserved / 2)
		made = append(made, s.OpenRuns("c", 1, loop.Train, 0, first, 1)...)
	}
	commands = append(commands, delivered(made...))
	for i := range posts {
		commands = append(commands, post(fmt.Sprint("post", s.Sequence(), i), "body", 4))
	}
	return Entry{At: s.Time() + 1, Commands: commands}
}

// C23: the first entry after a snapshot copies no more than it touches, however much
// there is. What is copied is what Apply would wait for.
func TestSnapshotCopiesLittle(t *testing.T) {
	for _, random := range []bool{false, true} {
		s := loaded(t, 40_000_000, 1<<16, 2000, random)
		r := rand.New(rand.NewPCG(5, 6))
		cost := func(snapshot bool) (bytes uint64) {
			e := busy(s, r, 20, 20)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var frozen *Frozen
			if snapshot {
				frozen = s.Snapshot()
			}
			s.Apply(e)
			runtime.ReadMemStats(&after)
			runtime.KeepAlive(frozen)
			return after.TotalAlloc - before.TotalAlloc
		}
		cost(false)
		// A pointer per leaf of three sets, and the leaves that 20 units touch.
		quiet, most := cost(false), cost(true)
		t.Logf("random %t: %d bytes quiet, %d after a snapshot", random, quiet, most)
		if most > quiet+2<<20 {
			t.Errorf("random %t: an entry allocates %d bytes, but %d after a snapshot", random, quiet, most)
		}
	}
}

// What it costs to write and read such a snapshot.
func BenchmarkRestore(b *testing.B) {
	for _, shape := range []string{"run", "random"} {
		b.Run(shape, func(b *testing.B) {
			s := loaded(b, 100_000_000, RememberedKeys, 10_000, shape == "random")
			var out bytes.Buffer
			start := time.Now()
			if err := s.Snapshot().Encode(&out); err != nil {
				b.Fatal(err)
			}
			encoding := time.Since(start)
			s = nil
			heap := func() float64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return float64(m.HeapAlloc) / 1e6
			}
			before := heap()
			b.ReportAllocs()
			for b.Loop() {
				r, err := Restore(bytes.NewReader(out.Bytes()))
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(heap()-before, "MB/state")
				runtime.KeepAlive(r)
				b.StartTimer()
			}
			b.ReportMetric(float64(encoding.Milliseconds()), "ms/encode")
			b.ReportMetric(float64(out.Len())/1e6, "MB")
		})
	}
}
