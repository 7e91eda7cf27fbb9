package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
	"hone/report/reporttest"
)

// refused runs the program, which must end with that exit code and say so.
func refused(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	p := launch(t, t.TempDir(), "refused", exec.Command(honeBinary(t), args...), func(line string) { fmt.Fprintln(&out, line) })
	if got := p.wait(patient(t, time.Minute), t); got != code || !strings.Contains(out.String(), says) {
		t.Errorf("hone %s: exit code %d, want %d and %q:\n%s", strings.Join(args, " "), got, code, says, out.String())
	}
}

// A directory and an address belong to one server: another one is told so, and
// does the first no harm.
func TestTwoServersOnOneDirectory(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	c := newCrew(t, patient(t, 2*time.Minute))
	c.start("server")
	c.put(shapes.SpaceDocument, nil, nil)
	refused(t, exitFailure, "is in use by another process: stop that one, or choose another --data", "serve", "--data", c.data("server"), "--listen", "127.0.0.1:0")
	refused(t, exitConflict, "is taken, perhaps by a server that runs already", "serve", "--data", c.data("other"), "--listen", strings.TrimPrefix(c.server, "http://"))
	if _, err := c.client.ShowSpace(c.ctx, "shapes", 1); err != nil {
		t.Errorf("the first server has suffered: %v", err)
	}
	c.check()
	// The lock goes with its owner, however that ends.
	c.kill("server")
	c.start("server")
	if _, err := c.client.ShowSpace(c.ctx, "shapes", 1); err != nil {
		t.Errorf("started again: %v", err)
	}
}

// Without authentication only this machine is let in, but by express wish.
func TestListenBeyondLoopback(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	dir := t.TempDir()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		refused(t, exitUsage, "--insecure-listen", "serve", "--data", dir, "--listen", address)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("a server that was refused left %v, %v", left, err)
	}
	ready := make(chan struct{})
	p := launch(t, dir, "server", exec.Command(honeBinary(t), "serve", "--data", filepath.Join(dir, "data"), "--listen", "0.0.0.0:0", "--insecure-listen"),
		func(line string) {
			if strings.HasPrefix(line, "hone serves ") {
				close(ready)
			}
		})
	ctx := patient(t, time.Minute)
	select {
	case <-ready:
	case <-p.done:
		t.Fatalf("--insecure-listen: exit code %d", p.code)
	case <-ctx.Done():
		t.Fatal("--insecure-listen: the server was not ready in time")
	}
}

// SIGTERM stops a server while a worker is connected and makes samples, and
// while somebody waits for a round that does not end; then the worker.
func TestTerm(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server and a worker")
	}
	c := newCrew(t, patient(t, 2*time.Minute))
	connected := make(chan struct{}, 100)
	c.told = func(name, line string) {
		if name == "w1" && strings.Contains(line, "msg=connected") {
			connected <- struct{}{}
		}
	}
	working := func() {
		t.Helper()
		select {
		case <-connected:
		case <-c.ctx.Done():
			t.Fatal("the worker did not connect")
		}
	}
	c.worker("w1", 2)
	c.start("server")
	c.put(shapes.SpaceDocument, []string{eagerPolicy}, []string{strings.Replace(oneRoundDocument, "samples: 3000", "samples: 200000", 1)})
	c.start("w1")
	working()
	polled := make(chan error, 1)
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, c.server+"/v1/campaigns/one/rounds/1?wait=60s", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			answer.Body.Close()
		}
		polled <- err
	}()
	c.await("samples", func() bool {
		now, err := c.client.Campaign(c.ctx, "one")
		return err == nil && now.Committed >= 200
	})
	// The server ends within what it gives requests, and some time of a busy machine.
	began := time.Now()
	soon, cancel := context.WithTimeout(c.ctx, 30*time.Second)
	defer cancel()
	if err := c.up["server"].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := c.up["server"].wait(soon, t); code != exitOK {
		t.Errorf("the server: exit code %d", code)
	}
	t.Logf("the server stopped after %v", time.Since(began).Round(time.Millisecond))
	<-polled // whatever it heard, it does not hang
	// What was acknowledged is there when it is back, and so is the worker, by
	// itself. It delivers what it has, and ends too.
	c.start("server")
	now, err := c.client.Campaign(c.ctx, "one")
	if err != nil || now.Committed < 200 {
		t.Errorf("started again: %d committed, %v", now.Committed, err)
	}
	working()
	began = time.Now()
	if err := c.up["w1"].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := c.up["w1"].wait(c.ctx, t); code != exitOK {
		t.Errorf("the worker: exit code %d", code)
	}
	t.Logf("the worker stopped after %v", time.Since(began).Round(time.Millisecond))
	if held, err := os.ReadDir(filepath.Join(c.data("w1"), "held")); err != nil || len(held) > 0 {
		t.Errorf("the worker holds %v, %v", held, err)
	}
}

// Ctrl-C stops the demo at any moment, with all that it has started.
func TestDemoInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts demos")
	}
	moments := []string{"", "Hone runs on", "samples made", "LOOP ROUND", "uniform, round 1"}
	if raceDetector() {
		moments = moments[:3] // until then nothing was learned, for which it takes minutes
	}
	for _, when := range moments {
		t.Run(strings.Trim("after "+when, " "), func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(honeBinary(t), "demo", "--quick")
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell's job
			now := make(chan struct{})
			var once sync.Once
			p := launch(t, t.ArtifactDir(), "demo", cmd, func(line string) {
				if strings.Contains(line, when) {
					once.Do(func() { close(now) })
				}
			})
			if when != "" {
				select {
				case <-now:
				case <-p.done:
					t.Fatalf("the demo ended before: exit code %d", p.code)
				}
			}
			if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			code := p.wait(patient(t, 30*time.Second), t)
			// Before the program has come to itself, the signal just ends it.
			ended := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
			if code != exitInterrupted && !(when == "" && ended.Signaled() && ended.Signal() == syscall.SIGINT) {
				t.Errorf("exit code %d, want %d:\n%s", code, exitInterrupted, p.stdout.String())
			}
			if err := syscall.Kill(-p.cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("a child is left: %v", err)
			}
			t.Logf("stopped after %v", time.Since(began).Round(time.Millisecond))
		})
	}
}

// The small demo from end to end, as a script sees it: the last line of stdout
// is one object, and nothing else is on stdout. Another one beside it, with more
// workers, decides from the same evidence and publishes the same manifests (I4):
// its two arms have one seed, so whose sample comes first must not matter.
func TestDemoQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a demo to its end")
	}
	if raceDetector() {
		t.Skip("learning takes minutes under the race detector; the other tests have all else")
	}
	cmd := exec.Command(honeBinary(t), "demo", "--quick", "--output", "json", "--data", filepath.Join(t.TempDir(), "demo"))
	p := launch(t, t.ArtifactDir(), "demo", cmd, nil)
	twinDir := filepath.Join(t.TempDir(), "twin")
	twin := launch(t, t.ArtifactDir(), "twin", exec.Command(honeBinary(t), "demo", "--quick", "--output", "json", "--workers", "4", "--data", twinDir), nil)
	if code := p.wait(patient(t, 8*time.Minute), t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	text, ok := strings.CutSuffix(p.stdout.String(), "\n")
	if !ok || strings.Contains(text, "\n") {
		t.Fatalf("stdout is not one line: %q", p.stdout.String())
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var r demoResult
	if err := decoder.Decode(&r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	wanted := uint64(2 * quickDemo.rounds * quickDemo.samples)
	if s := r.Samples; r.Rounds != quickDemo.rounds || !s.QuotaExact || s.Requested != wanted || s.Committed != wanted || s.Abandoned != 0 ||
		s.DuplicateIndices != 0 || s.Replaced == 0 || s.Rejected < s.Replaced {
		t.Errorf("the accounting: %s", text)
	}
	if r.Dataset.Version != fmt.Sprintf("loop@%d", quickDemo.rounds) || uint64(r.Dataset.Samples) != wanted/2 || r.Dataset.Manifest.IsZero() {
		t.Errorf("the dataset: %s", text)
	}
	page, err := os.ReadFile(filepath.Join(p.cmd.Args[len(p.cmd.Args)-1], "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	reporttest.CheckPage(t, page)
	if pictures := bytes.Count(page, []byte("<img")); pictures < 20 || len(page) > 3<<20 {
		t.Errorf("the report has %d pictures and %d bytes", pictures, len(page))
	}
	// Everything is on disk as it says.
	dir := filepath.Join(p.cmd.Args[len(p.cmd.Args)-1], "server")
	judge := newChecker(t, filepath.Join(dir, "lake"), readHistory(t, dir))
	for _, campaign := range []string{armLoop, armUniform, examName} {
		judge.campaign(campaign, nil)
	}
	if code := twin.wait(patient(t, 8*time.Minute), t); code != exitOK {
		t.Fatalf("the twin's exit code is %d", code)
	}
	if ours, its := decided(t, dir), decided(t, filepath.Join(twinDir, "server")); !slices.Equal(ours, its) {
		t.Errorf("the same seed decided and published\n%s\nand\n%s", strings.Join(ours, "\n"), strings.Join(its, "\n"))
	}
	t.Logf("%.1f s", r.Elapsed)

	// And every round of it replays (I4).
	c := newCrew(t, patient(t, time.Minute))
	c.commands["server"] = func() *exec.Cmd {
		return exec.Command(honeBinary(t), "serve", "--data", filepath.Join(twinDir, "server"), "--listen", strings.TrimPrefix(c.server, "http://"))
	}
	c.start("server")
	for _, campaign := range []string{armLoop, armUniform} {
		c.replays(campaign, quickDemo.rounds)
	}
	c.simulates(armLoop, quickDemo.rounds)
}

// simulates holds that a campaign's own policy decides what was decided, and that
// another one, of which less is boosted, would find less that fails.
func (c *crew) simulates(campaign string, rounds int) {
	c.t.Helper()
	simulate := func(policy string, flags ...string) (s api.Simulation) {
		file := filepath.Join(c.t.TempDir(), "policy.yaml")
		if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
			c.t.Fatal(err)
		}
		code, text := c.hone(append([]string{"policy", "simulate", file, "--campaign", campaign, "--output", "json"}, flags...)...)
		if err := json.Unmarshal([]byte(text), &s); code != exitOK || err != nil {
			c.t.Fatalf("policy simulate %v: exit code %d, %v: %s", flags, code, err, text)
		}
		return s
	}
	same := simulate("name: hone\nstrategy: hone\n", "--replay")
	if len(same.Rounds) != rounds || len(same.Total.Slices) == 0 {
		c.t.Errorf("%d rounds of %d, with %d slices", len(same.Rounds), rounds, len(same.Total.Slices))
	}
	for _, k := range append(same.Total.Slices, api.SimulatedSlice{Quota: same.Total.Samples}) {
		if k.Quota.From != k.Quota.To {
			c.t.Errorf("replayed by the same policy, %s moves from %v to %v", k.Name, k.Quota.From, k.Quota.To)
		}
	}
	less := simulate("name: less\nshares: {boosted: 0.1}\n", "--rounds", "1")
	for _, y := range less.Rounds[0].Yields {
		if y.Refused != "" || y.Rows.Used != y.Rows.Total() || y.Difference == nil || y.Difference.Upper >= 0 {
			c.t.Errorf("less is boosted, and the yield is %+v", y)
		}
	}
	if code, text := c.hone("policy", "simulate", "-", "--campaign", "none"); code != exitFailure || text != "" { // an empty document
		c.t.Errorf("an empty document: exit code %d: %s", code, text)
	}
}

// replays holds that every round of a campaign comes to the same bytes again (I4).
func (c *crew) replays(campaign string, rounds int) {
	c.t.Helper()
	code, text := c.hone("round", "replay", campaign, "--output", "json")
	var list api.ReplayList
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		c.t.Fatalf("%v: %s", err, text)
	}
	if code != exitOK || len(list.Replays) != rounds {
		c.t.Errorf("%s: exit code %d, %d rounds of %d: %s", campaign, code, len(list.Replays), rounds, text)
	}
	for i, r := range list.Replays {
		if intact := map[bool]string{false: api.EvidenceNone, true: api.EvidenceIntact}[i > 0]; r.Round != i+1 || !r.Identical || r.Evidence != intact {
			c.t.Errorf("%s: %+v", campaign, r)
		}
	}
}

// decided names the evidence and the manifests of a server's lake, which are
// called by their digests.
func decided(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, pattern := range []string{"evidence/*/*/*.bin", "manifests/*/*/*.ndjson"} {
		found, err := filepath.Glob(filepath.Join(dir, "lake", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, path := range found {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names
}

// A server that stops does not wait for connections over which nothing was ever
// asked; clients leave some behind.
func TestStopWithUnusedConnections(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- serveHTTP(ctx, listener, http.NotFoundHandler(), func() {})
	}()
	var conns []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	// One that was used, so that those before it are known to be accepted.
	if answer, err := http.Get("http://" + listener.Addr().String()); err != nil {
		t.Fatal(err)
	} else {
		answer.Body.Close()
	}
	began := time.Now()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > shutdownGrace-time.Second {
		t.Errorf("stopping took %v", took)
	}
	for _, conn := range conns {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a connection is open still")
		}
	}
}
