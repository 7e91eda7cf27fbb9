package gpuworker

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"hone/loop"
)

// idlers is how many idle workers are connected; HONE_IDLERS says another number,
// e.g. 10000, which needs as many file descriptors in each of two processes.
const idlers = 1000

// maxIdle is what an idle worker may cost the server, in bytes: it is 11,000 (and
// 16,600 under the race detector), and 10,000 of them are to take 200 MB.
const maxIdle = 17_000

// TestIdleWorkers holds what an idle worker costs the server. The workers are in
// a process of their own, or they would be counted.
func TestIdleWorkers(t *testing.T) {
	n := idlers
	if given, err := strconv.Atoi(os.Getenv("HONE_IDLERS")); err == nil {
		n = given
	}
	s := serve(t, newDesk(), "127.0.0.1:0", func(o *HubOptions) { o.Dispatcher, o.Logger = parked{}, nil })
	before := inUse()
	workers := exec.Command(os.Args[0])
	workers.Env = append(os.Environ(), "HONE_TEST_IDLERS="+strconv.Itoa(n), "HONE_TEST_ADDRESS="+s.addr)
	workers.Stderr = os.Stderr
	hold, err := workers.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	ready, err := workers.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := workers.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = hold.Close()
		_ = workers.Wait()
	}()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		t.Fatal("the workers did not connect:", err)
	}
	s.hub.mu.Lock()
	open := len(s.hub.open)
	s.hub.mu.Unlock()
	if open != n {
		t.Fatalf("%d workers are connected, want %d", open, n)
	}
	each := (inUse() - before) / uint64(n)
	t.Logf("%d workers: %d bytes each, %d goroutines, resident %s", n, each, runtime.NumGoroutine(), resident())
	if each > maxIdle {
		t.Errorf("an idle worker costs %d bytes, want %d at most", each, maxIdle)
	}
}

// inUse is what is in use, garbage aside, in bytes.
func inUse() uint64 {
	for range 3 { // stacks shrink a step at a time
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func resident() string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(size)
		}
	}
	return "unknown"
}

// parked is a dispatcher that has nothing to do.
type parked struct{}

func (parked) Join(_ context.Context, w loop.Worker) (string, context.Context, error) {
	return w.Name, context.Background(), nil
}

func (parked) Next(ctx context.Context, _ string, _ int) ([]loop.Lease, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (parked) Definition(context.Context, string, int) (loop.Definition, error) {
	return loop.Definition{}, loop.ErrNotFound
}

func (parked) Leave(string, error) {}

// idle connects so many workers that ask for work and are given none, until its
// stdin ends.
func idle(n int, address string) error {
	dialer := websocket.Dialer{Subprotocols: []string{Subprotocol}, ReadBufferSize: 512, WriteBufferSize: 512, HandshakeTimeout: time.Minute}
	var connected sync.WaitGroup
	errs := make(chan error, n)
	turn := make(chan struct{}, 64)
	for i := range n {
		connected.Add(1)
		go func() {
			defer connected.Done()
			turn <- struct{}{}
			defer func() { <-turn }()
			conn, response, err := dialer.Dial("ws://"+address+"/v1/workers", nil)
			if err != nil {
				errs <- err
				return
			}
			response.Body.Close()
			for _, f := range []frame{helloOf(fmt.Sprintf("w%d", i)), {Credit: &credit{3}}} {
				if err := conn.WriteMessage(websocket.BinaryMessage, encode(f)); err != nil {
					errs <- err
					return
				}
			}
			if _, _, err := conn.ReadMessage(); err != nil { // the welcome
				errs <- err
				return
			}
			go func() {
				for {
					if _, _, err := conn.ReadMessage(); err != nil { // answers pings
						return
					}
				}
			}()
		}()
	}
	connected.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	fmt.Print(".")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return nil
}
