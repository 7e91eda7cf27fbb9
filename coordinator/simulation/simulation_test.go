package simulation

import (
	"errors"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// seedsInShort is how many seeds the short form plays: some seconds.
const seedsInShort = 200

// Whatever goes wrong, nothing that was acknowledged is lost or counts twice, and in
// the end everything is done (I1 to I7). HONE_SIMULATION=10m plays seeds that nobody
// has seen for as long, HONE_SIMULATION=5000 so many from the first on, and
// HONE_SIMULATION_SEED=N that one.
func TestSimulation(t *testing.T) {
	if text := os.Getenv("HONE_SIMULATION_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("HONE_SIMULATION_SEED: %v", err)
		}
		outcome, err := Run(seed)
		t.Logf("%+v", outcome)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	first, goes := uint64(0), func(played uint64) bool { return played < seedsInShort }
	text := os.Getenv("HONE_SIMULATION")
	if seeds, err := strconv.ParseUint(text, 10, 64); err == nil {
		goes = func(played uint64) bool { return played < seeds }
	} else if text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("HONE_SIMULATION: %v", err)
		}
		until := time.Now().Add(d)
		first, goes = uint64(time.Now().UnixNano()), func(uint64) bool { return time.Now().Before(until) }
	}
	began := time.Now()
	sum, failure := playAll(first, goes)
	t.Logf("%d seeds from %d on in %v: %d steps, %d entries, %d faults, %d samples committed and %d of them taken back, %d posts; %v went by",
		sum.seeds, first, time.Since(began).Round(time.Millisecond), sum.Steps, sum.Entries, sum.Faults, sum.Committed, sum.Revoked, sum.Posted,
		sum.Time.Round(time.Minute))
	if failure != nil {
		t.Fatalf("HONE_SIMULATION_SEED=%d, the %d. seed: %v", failure.Seed, failure.Seed-first+1, failure)
	}
}

type sum struct {
	Outcome
	seeds int
}

// playAll plays seeds one after another on all processors, for as long as there is
// neither a failure nor an end. Of several failures it returns that of the least seed.
func playAll(first uint64, goes func(played uint64) bool) (sum sum, least *Failure) {
	sum.Met = make(map[string]int)
	var next atomic.Uint64
	var failed atomic.Bool
	var mu sync.Mutex
	var players sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		players.Go(func() {
			for {
				played := next.Add(1) - 1
				if failed.Load() || !goes(played) {
					return
				}
				o, err := Run(first + played)
				mu.Lock()
				sum.seeds++
				sum.Steps += o.Steps
				sum.Entries += o.Entries
				sum.Faults += o.Faults
				sum.Committed += o.Committed
				sum.Revoked += o.Revoked
				sum.Posted += o.Posted
				sum.Time += o.Time
				for what, times := range o.Met {
					sum.Met[what] += times
				}
				if failure, is := errors.AsType[*Failure](err); is {
					failed.Store(true)
					if least == nil || failure.Seed < least.Seed {
						least = failure
					}
				}
				mu.Unlock()
			}
		})
	}
	players.Wait()
	return sum, least
}

// A seed that failed fails again in the same way: equal seeds play equally, to the
// last step.
func TestSeedsReplay(t *testing.T) {
	for seed := range uint64(10) {
		a, errA := Run(seed)
		b, errB := Run(seed)
		if !reflect.DeepEqual(a, b) || (errA == nil) != (errB == nil) {
			t.Errorf("seed %d came to %+v, then to %+v", seed, a, b)
		}
	}
}

// The seeds of the short form meet everything that goes wrong here: a simulation in
// which it does not come about proves nothing.
func TestShortFormMeetsAll(t *testing.T) {
	sum, failure := playAll(0, func(played uint64) bool { return played < seedsInShort/2 })
	if failure != nil {
		t.Fatal(failure)
	}
	for _, what := range []string{
		"a snapshot is restored", "another's snapshot is installed", "a deposed leader hears of it", "a deposed leader settles nothing",
		"a lease expires", "the bytes of a unit are gone", "a delivery is refused", "garbage is deleted", "an entry comes when nobody waits for it",
		"a command is refused as stale", "a command is refused as conflict", "a command is refused as epoch closed",
		"a sample is committed", "a sample is rejected", "a sample is a duplicate", "a sample is stale", "a sample is closed",
		"a sample is taken back", "a revoke comes too late", "a published version gets an advisory",
		"a round is opened once more", "a quota is cut", "a version is published once more", "what is open is given up",
		"a campaign is paused", "a campaign is running", "a campaign is closed", "a campaign is extended",
		"a campaign ends done", "a campaign ends done_short", "a campaign ends closed",
		"a proposal is approved", "a proposal is rejected", "an epoch is closed", "a version is raised", "a post is a duplicate", "a key is used for another body", "parts are compacted",
	} {
		if sum.Met[what] == 0 {
			t.Errorf("it never came about that %s", what)
		}
	}
	t.Logf("%d seeds: %v", sum.seeds, sum.Met)
}
