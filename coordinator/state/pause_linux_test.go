package state

import (
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// worked is how long this thread has had a processor.
func worked() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pauses are how long Apply waits for a snapshot, then takes for the longest of the
// entries after it, and for the longest while it is written; quiet is the longest
// without one. Each is the median of several times, in processor time of this thread,
// what the collector has it do included: what else the machine does counts for little.
func pauses(s *State, snapshots, entries int) (snapshot, after, during, quiet time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := rand.New(rand.NewPCG(5, 6))
	one := func() time.Duration {
		e := busy(s, r, 20, 20)
		start := worked()
		s.Apply(e)
		return worked() - start
	}
	longest := func() (most time.Duration) {
		for range entries {
			most = max(most, one())
		}
		return most
	}
	longest() // what was never touched is warmed up
	var all [4][]time.Duration
	for range snapshots {
		all[3] = append(all[3], longest())
		runtime.GC()
		start := worked()
		frozen := s.Snapshot()
		all[0] = append(all[0], worked()-start)
		all[1] = append(all[1], longest())
		written := make(chan error)
		go func() { written <- frozen.Encode(io.Discard) }()
		var most time.Duration
		for range 10 {
			most = max(most, longest())
		}
		if err := <-written; err != nil {
			panic(err)
		}
		all[2] = append(all[2], most)
	}
	for i := range all {
		slices.Sort(all[i])
	}
	middle := snapshots / 2
	return all[0][middle], all[1][middle], all[2][middle], all[3][middle]
}

// C23: 1e8 committed indices, 2^20 keys in each generation, 10,000 references.
func BenchmarkSnapshot(b *testing.B) {
	for _, shape := range []string{"run", "random"} {
		b.Run(shape, func(b *testing.B) {
			s := loaded(b, 100_000_000, RememberedKeys, 10_000, shape == "random")
			for b.Loop() {
				snapshot, after, during, quiet := pauses(s, 9, 20)
				b.ReportMetric(float64(snapshot.Microseconds()), "µs/snapshot")
				b.ReportMetric(float64(after.Microseconds()), "µs/after")
				b.ReportMetric(float64(during.Microseconds()), "µs/during")
				b.ReportMetric(float64(quiet.Microseconds()), "µs/quiet")
			}
		})
	}
}
