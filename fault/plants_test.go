//go:build faults

package fault_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/fault"
)

// simulation plays seeds until a promise is broken.
var simulation = catch{"coordinator/simulation", "TestSimulation"}

// catches say which test must fail while a bug is planted, and pass while none is.
var catches = map[string]catch{
	"accept a stale attempt":                     simulation,
	"acknowledge before apply":                   {"coordinator", "TestFailuresAreUnknown"},
	"admit a key of a closed epoch":              simulation,
	"answer a post before the log":               {"ingest", "TestAcknowledgedAfterAppend"},
	"answer committed instead of again":          {"coordinator", "TestStagingGone"},
	"assign instead of maximise reserved":        simulation,
	"change what a snapshot shares":              simulation,
	"compact what has changed":                   simulation,
	"count duplicates":                           simulation,
	"delete a key of the open epoch":             {"coordinator", "TestCommitWhileCollecting"},
	"forget a committed index's attempt":         simulation,
	"forget a sync":                              {"lake", "TestDurableWhenReturned"},
	"forget keys on restart":                     simulation,
	"forget what a worker held that left":        simulation,
	"iterate a map in Apply":                     simulation,
	"judge by the round that is open":            simulation,
	"lease below reserved too early":             {"coordinator", "TestRestartWithinReconnectWindow"},
	"lease what is in flight":                    simulation,
	"let an extension slip in":                   simulation,
	"let evidence go backwards":                  simulation,
	"publish revoked samples":                    simulation,
	"report a timed-out proposal as failed":      {"coordinator", "TestLostTerm"},
	"read without asking the others":             {"coordinator", "TestFront"},
	"reuse an index after failover":              simulation,
	"revoke without the attempt":                 simulation,
	"settle a unit by what a deposed leader has": {"coordinator", "TestDeposedLeaderSettlesNothing"},
	"skip the void bitmap":                       {"analytics", "TestVoid"},
	"sum the readings of a meter":                simulation,
	"trust a worker's digest":                    {"gate", "TestLies"},
	"write a version that is not in force":       {"coordinator", "TestRollingUpgrade"},
}

type catch struct{ folder, test string }

// run runs the test with a bug planted, in a process of its own.
func (c catch) run(t *testing.T, binary, plant string) (passed bool, output string, took time.Duration) {
	t.Helper()
	began := time.Now()
	command := exec.Command(binary, "-test.run=^"+c.test+"$", "-test.v", "-test.timeout=5m")
	command.Dir = filepath.Join("..", filepath.FromSlash(c.folder))
	command.Env = append(os.Environ(), "HONE_PLANT="+plant)
	if plant != "" { // it may take more seeds than the short form plays
		command.Env = append(command.Env, "HONE_SIMULATION=5000")
	}
	out, err := command.CombinedOutput()
	failed := strings.Contains(string(out), "\n--- FAIL: "+c.test)
	if passed = strings.Contains(string(out), "\n--- PASS: "+c.test); passed == failed || passed != (err == nil) {
		t.Errorf("with %q planted %s did neither pass nor fail: %v\n%s", plant, c.test, err, out)
	}
	return passed, string(out), time.Since(began)
}

// Every bug that can be planted is caught. The table that this prints says by what,
// and after how many seeds or how long.
func TestPlants(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(catches)), slices.Sorted(maps.Keys(fault.Plants)); !slices.Equal(got, want) {
		t.Fatalf("there are tests for %q, but the bugs are %q", got, want)
	}
	binaries := make(map[string]string)
	for _, c := range catches {
		if binaries[c.folder] != "" {
			continue
		}
		binary := filepath.Join(t.TempDir(), filepath.Base(c.folder)+".test")
		build := exec.Command("go", "test", "-c", "-tags", "faults,duckdb_arrow", "-o", binary, "./"+c.folder)
		build.Dir = ".."
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", build.Args, err, out)
		}
		binaries[c.folder] = binary
	}
	sound := make(map[catch]bool)
	var table strings.Builder
	for _, plant := range slices.Sorted(maps.Keys(catches)) {
		c := catches[plant]
		if !sound[c] {
			sound[c] = true
			if passed, out, _ := c.run(t, binaries[c.folder], ""); !passed {
				t.Fatalf("%s fails though nothing is planted:\n%s", c.test, out)
			}
		}
		passed, out, took := c.run(t, binaries[c.folder], plant)
		if passed {
			t.Errorf("nobody notices that %s: %s passes", fault.Plants[plant], c.test)
			continue
		}
		after, why := took.Round(10*time.Millisecond).String(), ""
		if m := bySeed.FindStringSubmatch(out); m != nil {
			after, why = m[1]+" seeds", m[2]
		}
		fmt.Fprintf(&table, "%-38s  %-42s  %9s  %.100s\n", plant, c.folder+" "+c.test, after, why)
	}
	t.Logf("\n%s", table.String())
}

// bySeed is how the simulation says which of its seeds has failed, and why.
var bySeed = regexp.MustCompile(`the (\d+)\. seed: (.*)`)
