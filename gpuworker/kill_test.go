package gpuworker

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"hone/loop"
)

// TestMain lets the test binary be a worker of its own, which can be killed, or
// a thousand idle ones.
func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv("HONE_TEST_IDLERS")); err == nil {
		if err := idle(n, os.Getenv("HONE_TEST_ADDRESS")); err != nil {
			panic(err)
		}
		return
	}
	if url := os.Getenv("HONE_TEST_WORKER"); url != "" {
		a, err := NewAgent(AgentOptions{Server: url, Name: "w1", Dir: os.Getenv("HONE_TEST_DIR"), Slots: 2,
			Generators: []Generator{echo{}}, MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond})
		if err == nil {
			err = a.Run(context.Background())
		}
		panic(err)
	}
	os.Exit(m.Run())
}

// C9, I1, I2: a worker process that is killed at any moment, again and again,
// loses nothing that it has made and delivers nothing twice; the server finds
// its own connection dead and leases what was being made to whoever comes.
func TestKilledWorker(t *testing.T) {
	all := units(60, 5)
	d := newDesk(all...)
	hold := make(chan struct{})
	d.verdict = func(ctx context.Context, n int, v loop.Delivery) (loop.Standing, error, bool) {
		if n%7 == 3 { // some are never answered before the kill
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		return loop.Standing{}, nil, false
	}
	s := serve(t, d, "127.0.0.1:0", nil)
	dir := t.TempDir()
	for kills := 0; ; kills++ {
		worker := exec.Command(os.Args[0])
		worker.Env = append(os.Environ(), "HONE_TEST_WORKER="+s.url(), "HONE_TEST_DIR="+dir)
		if err := worker.Start(); err != nil {
			t.Fatal(err)
		}
		target := (kills + 1) * 10
		d.wait(t, "some deliveries", func() bool { return d.deliver >= target || len(d.committed) == 300 })
		if kills == 4 {
			close(hold)
			d.wait(t, "all committed", func() bool { return len(d.committed) == 300 })
		}
		_ = worker.Process.Kill()
		_ = worker.Wait()
		if kills == 4 {
			break
		}
	}
	d.wait(t, "its end", func() bool { return len(d.sessions) == 0 })
	d.wantCommitted(t, all)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.failed) != 0 {
		t.Errorf("failed: %v", d.failed)
	}
	announced := 0
	for _, holds := range d.holds[1:] {
		announced += len(holds)
	}
	if announced == 0 {
		t.Error("no unit was ever announced after a kill: the test has tested nothing")
	}
}
