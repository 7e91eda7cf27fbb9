package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hone/api"
)

// TestMain lets this test binary play other roles too, so that they can be killed
// like any process: the training job of the tests, say.
func TestMain(m *testing.M) {
	for variable, play := range roles {
		if text := os.Getenv(variable); text != "" {
			os.Exit(play(text))
		}
	}
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// roles are what the test binary does instead of running tests, by the variable
// of the environment that asks for it, with whose value it is called.
var roles = map[string]func(text string) (code int){trainingJobEnv: trainingJobMain}

// built is the program as users have it, built once per run of the tests, with
// the race detector if the tests have it.
var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func honeBinary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "hone-built-"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "hone")
		args := []string{"build", "-tags", "duckdb_arrow", "-o", built.path}
		if raceDetector() {
			args = append(args, "-race")
		}
		if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// process is a child that runs. Its output is written to a file, line by line
// told to whoever listens, and kept in so far as it went to stdout.
type process struct {
	name string
	cmd  *exec.Cmd
	// done is closed when it has ended; code is its exit code then, -1 if a signal
	// ended it.
	done   chan struct{}
	code   int
	stdout bytes.Buffer
}

// launch starts a child with its output in DIR/NAME.log, and ends it with the
// test. told may be nil; it is called with every line of output.
func launch(t *testing.T, dir, name string, cmd *exec.Cmd, told func(line string)) *process {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	log := &lineWriter{to: file, told: func(line string) {
		// Whoever is killed cannot complain by an exit code.
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || line == "WARNING: DATA RACE" {
			t.Errorf("%s: %s", name, line)
		}
		if told != nil {
			told(line)
		}
	}}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&p.stdout, log), log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = cmd.Wait() // the code says it
		p.code = cmd.ProcessState.ExitCode()
		fmt.Fprintf(file, "--- %s\n", cmd.ProcessState)
		file.Close()
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // or it has ended already
	<-p.done
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// wait waits for the end of the process and returns its exit code.
func (p *process) wait(ctx context.Context, t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
		return p.code
	case <-ctx.Done():
		// Every goroutine's stack goes to the log.
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		<-p.done
		t.Fatalf("%s did not end", p.name)
		return -1
	}
}

// lineWriter passes bytes on, and whole lines to told. It is safe for concurrent
// use, as stdout and stderr are.
type lineWriter struct {
	mu   sync.Mutex
	to   io.Writer
	told func(line string)
	rest []byte
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, b...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			break
		}
		w.rest = rest
		w.told(string(line))
	}
	return w.to.Write(b)
}

// patient is a context within which something that takes seconds must have
// happened: minutes, since the machine may be busy, but before the test binary's
// own deadline, which would tell nothing and leave children behind.
func patient(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	at := time.Now().Add(limit)
	if deadline, ok := t.Deadline(); ok && deadline.Add(-20*time.Second).Before(at) {
		at = deadline.Add(-20 * time.Second)
	}
	ctx, cancel := context.WithDeadline(t.Context(), at)
	t.Cleanup(cancel)
	return ctx
}

// crew is a server, its workers and training jobs, each a process that can be
// killed and started again with the same directories.
type crew struct {
	t      *testing.T
	ctx    context.Context
	dir    string
	server string // URL
	client *api.Client
	// told is called with every line that one of the crew writes; it may be nil.
	told func(name, line string)

	mu       sync.Mutex
	commands map[string]func() *exec.Cmd
	up       map[string]*process
	mourned  map[string]bool // who may have ended
	failure  error
}

// newCrew has a server, which is not started yet.
func newCrew(t *testing.T, ctx context.Context) *crew {
	t.Helper()
	address := freeAddress(t)
	c := crewOf(t, ctx, "http://"+address)
	c.commands["server"] = func() *exec.Cmd {
		return exec.Command(honeBinary(t), "serve", "--data", c.data("server"), "--listen", address, "--verbose")
	}
	return c
}

// crewOf is a crew of nobody yet, who will find their server at that URL.
func crewOf(t *testing.T, ctx context.Context, server string) *crew {
	t.Helper()
	dir := t.ArtifactDir() // kept with -artifacts
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		if dir, err = os.MkdirTemp(dir, "crew-"); err != nil {
			t.Fatal(err)
		}
	}
	c := &crew{t: t, ctx: ctx, dir: dir, server: server, client: api.New(server),
		commands: map[string]func() *exec.Cmd{}, up: map[string]*process{}, mourned: map[string]bool{}}
	t.Cleanup(func() {
		if t.Failed() {
			c.complain()
		}
	})
	return c
}

// freeAddress is a loopback address below the range from which outgoing
// connections take their ports: nobody else gets it while the server is dead.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := "127.0.0.1:" + strconv.Itoa(20000+rand.IntN(10000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("there is no free port")
	return ""
}

func (c *crew) data(name string) string { return filepath.Join(c.dir, name) }

// worker adds a worker, which is not started yet.
func (c *crew) worker(name string, slots int) {
	c.commands[name] = func() *exec.Cmd {
		return exec.Command(honeBinary(c.t), "work", "--server", c.server, "--name", name,
			"--slots", strconv.Itoa(slots), "--data", c.data(name), "--verbose")
	}
}

func (c *crew) start(names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.mu.Lock()
		command := c.commands[name]()
		c.mourned[name] = false
		p := launch(c.t, c.dir, name, command, func(line string) {
			if c.told != nil {
				c.told(name, line)
			}
		})
		c.up[name] = p
		c.mu.Unlock()
		go func() {
			<-p.done
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.up[name] == p && !c.mourned[name] && p.code != 0 && c.failure == nil && c.ctx.Err() == nil {
				c.failure = fmt.Errorf("%s ended by itself with %s", name, p.cmd.ProcessState)
			}
		}()
	}
}

// kill is kill -9 for all of them at once.
func (c *crew) kill(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		c.mourned[name] = true
		_ = c.up[name].cmd.Process.Kill() // or it has ended already
	}
	for _, name := range names {
		<-c.up[name].done
	}
}

// await waits until something holds, which nobody tells us of: it looks again
// and again.
func (c *crew) await(what string, holds func() bool) {
	c.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		c.check()
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			c.t.Fatalf("in vain: %s", what)
		}
	}
}

// check fails the test if one of the crew has ended by itself.
func (c *crew) check() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		c.t.Fatal(c.failure)
	}
}

// complain shows the ends of the logs, and where all of it is.
func (c *crew) complain() {
	logs, _ := filepath.Glob(filepath.Join(c.dir, "*.log"))
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		lines = lines[max(0, len(lines)-25):]
		c.t.Logf("%s ends:\n%s", filepath.Base(path), strings.Join(lines, "\n"))
	}
	c.t.Logf("everything is in %s (kept with go test -artifacts)", c.dir)
}

// put puts documents, which may be retried while the server is on its way up.
func (c *crew) put(space []byte, policy, campaigns []string) {
	c.t.Helper()
	_, err := c.client.PutSpace(c.ctx, space)
	for _, document := range policy {
		_, e := c.client.PutPolicy(c.ctx, []byte(document), api.Because{})
		err = errors.Join(err, e)
	}
	for _, document := range campaigns {
		_, e := c.client.CreateCampaign(c.ctx, []byte(document))
		err = errors.Join(err, e)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}
