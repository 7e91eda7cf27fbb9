package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hone/loop"
)

// world is a space with every kind of factor.
func world() *loop.Space {
	return &loop.Space{Name: "parts", Version: 1, Factors: []loop.Factor{
		{Name: "light", Kind: loop.Categorical, Levels: []loop.Level{{Name: "low", Target: 0.5}, {Name: "day <1>", Target: 0.5}}},
		{Name: "distance", Kind: loop.Numeric, Levels: []loop.Level{{Name: "[0,5)", Target: 0.5, High: 5}, {Name: "[5,10)", Target: 0.5, Low: 5, High: 10}}},
		{Name: "glove", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "no", Target: 0.5}, {Name: "yes", Target: 0.5}}},
		{Name: "glove_colour", Kind: loop.Categorical, Levels: []loop.Level{{Name: "blue", Target: 1}}, When: &loop.LevelSet{Factor: 2, Levels: []int{1}}},
	}, Derived: []loop.Derived{{Name: "visible", Levels: []string{"no", "yes"}, Otherwise: 1,
		Rules: []loop.DerivedRule{{When: []loop.LevelSet{{Factor: 0, Levels: []int{0}}}, Level: 0}}}}}
}

func someUnit(first uint64, count int) Unit {
	u := Unit{ID: fmt.Sprintf("first.1-t0-0-%d-%d", first, count), Campaign: "first", CampaignSeed: 7, Space: world()}
	for i := range uint64(count) {
		s := Sample{Index: first + i, Seed: 1<<63 + first + i, Scenario: loop.Scenario{Codes: []loop.Code{0, 1, 1, 0}, Fractions: []uint32{0, 1 << 31, 0, 0}}}
		if i%2 == 1 {
			s.Scenario.Codes = []loop.Code{1, 0, 0, loop.Absent}
		}
		u.Samples = append(u.Samples, s)
	}
	return u
}

// makeUnit makes a unit and returns its samples in the order of their indices.
func makeUnit(ctx context.Context, g *Generator, u Unit) (samples []string, err error) {
	made := map[uint64]string{}
	err = g.Make(ctx, u, func(index uint64, members []loop.Member) error {
		for _, m := range members {
			made[index] += m.Ext + "=" + string(m.Bytes) + ";"
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, s := range u.Samples {
		samples = append(samples, made[s.Index])
	}
	return samples, nil
}

// isRight makes a unit and checks every byte of it.
func isRight(t *testing.T, g *Generator, first uint64) {
	t.Helper()
	got, err := makeUnit(t.Context(), g, someUnit(first, 4))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range got {
		want := "map[distance:7.5 glove:yes glove_colour:blue light:low]"
		if i%2 == 1 {
			want = "map[distance:2.5 glove:no light:day <1>]"
		}
		if want := fmt.Sprintf("a.txt=seed %d;b.txt=%s;", 1<<63+first+uint64(i), want); s != want {
			t.Errorf("sample %d is %s, not %s", i, s, want)
		}
	}
}

func open(t *testing.T, p *program) *Generator {
	t.Helper()
	g, err := OpenGenerator(t.Context(), p.options)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGeneratorMakesUnits(t *testing.T) {
	p := newProgram(t, "right")
	p.options.Processes = 3
	g := open(t, p)
	if d, want := g.Describe(), (loop.Generator{Name: "parts", Version: "1", Deterministic: true}); d != want {
		t.Errorf("describes itself as %+v, not %+v", d, want)
	}
	var wg sync.WaitGroup
	for i := range uint64(12) {
		wg.Go(func() { isRight(t, g, 4*i) })
	}
	wg.Wait()
	if n := len(p.processes()); n > 3 {
		t.Errorf("%d processes for 3", n)
	}
	if units, _ := filepath.Glob(filepath.Join(p.options.Dir, "*", "*")); len(units) > 0 {
		t.Errorf("directories of units that are over: %v", units)
	}
	// A unit larger than the pipe, which is answered while it is still written.
	if samples, err := makeUnit(t.Context(), g, someUnit(1<<32-600, 512)); err != nil || len(samples) != 512 {
		t.Errorf("%d of 512 samples: %v", len(samples), err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	p.gone(t)
	if _, err := makeUnit(t.Context(), g, someUnit(0, 1)); !errors.Is(err, errClosed) {
		t.Errorf("made after the end: %v", err)
	}
}

func TestGeneratorThatDoesWrong(t *testing.T) {
	for _, c := range []struct {
		mode string
		rule Rule
		says string // part of the error
	}{
		{"garbage", RuleMessages, "Loading model: 100%"},
		{"an empty line", RuleMessages, `got ""`},
		{"a list", RuleMessages, "[1,2]"},
		{"another type", RuleMessages, `type "progress"`},
		{"another field", RuleMessages, `unknown field "file"`},
		{"two objects", RuleMessages, ""},
		{"not UTF-8", RuleMessages, "not UTF-8"},
		{"a line without end", RuleMessages, "lines of at most 1048576 bytes"},
		{"deep", RuleMessages, ""},
		{"huge number", RuleMessages, "1e400"},
		{"negative index", RuleMessages, "-1"},
		{"index beyond 64 bits", RuleMessages, "18446744073709551616"},
		{"wrong index", RuleIndices, "index 1008, which was not asked for"},
		{"no index", RuleIndices, "one without an index"},
		{"too few", RuleIndices, `"done" before index 8`},
		{"too many", RuleIndices, "index 12, which was not asked for"},
		{"twice", RuleIndices, "index 8 a second time"},
		{"another count", RuleIndices, "samples 4, got 5"},
		{"no count", RuleIndices, "samples 4, got none"},
		{"no output", RuleOutputs, "sample 8 without it"},
		{"a bad member", RuleFiles, "../c"},
		{"above", RuleFiles, `"../secret"`},
		{"above and back", RuleFiles, "a path below dir"},
		{"absolute", RuleFiles, "a path below dir"},
		{"empty path", RuleFiles, "a path below dir"},
		{"a link", RuleFiles, "a symbolic link"},
		{"a link within", RuleFiles, "a symbolic link"},
		{"through a link", RuleFiles, "up/passwd"},
		{"a pipe", RuleFiles, "a named pipe"},
		{"a device", RuleFiles, "null"},
		{"a directory", RuleFiles, "a directory"},
		{"no file", RuleFiles, "no such file"},
		{"unreadable", RuleFiles, "y/y"},
		{"2 GiB", RuleFiles, "of 2147483648 bytes"},
		{"65 MiB in two", RuleFiles, "at most 67108864 bytes in a sample"},
		{"one file for all", RuleFiles, `"a" a second time`},
		{"dies", RuleAlive, "exit status 3"},
		{"is killed", RuleAlive, "signal: killed"},
		{"kills its group", RuleAlive, "signal: killed"},
		{"no end", RuleAlive, "exit status 0"},
		{"hangs", RuleTime, "within 300ms"},
		{"hangs and ignores SIGTERM", RuleTime, "within 300ms"},
		{"closes stdout", RuleAlive, "although the program lives"},
		{"leaves a child with the pipes", RuleAlive, "exit status 0"},
		{"lets a child go with the pipes", RuleAlive, "exit status 0"},
		{"failed", RuleMade, "no such asset: glove_7"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			p := newProgram(t, c.mode)
			if c.rule == RuleTime {
				p.options.UnitTimeout = 300 * time.Millisecond
			}
			g := open(t, p)
			_, err := makeUnit(t.Context(), g, someUnit(8, 4))
			if err == nil {
				t.Fatal("nothing was found wrong")
			}
			breach := breachOf(t, err)
			if breach.Rule != c.rule || !strings.Contains(err.Error(), c.says) {
				t.Errorf("breach of %s, not %s:\n%v\nshould speak of %s", breach.Rule, c.rule, err, c.says)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r == 0xFFFD || r < ' ' && r != '\n' }) || len(err.Error()) > 4096 {
				t.Errorf("an error that nobody can read: %q", err)
			}
			if c.mode == "dies" && !strings.Contains(err.Error(), "CUDA out of memory") {
				t.Errorf("the last words are missing: %v", err)
			}
			p.options.UnitTimeout = time.Minute
			g.pool.o.UnitTimeout = time.Minute
			isRight(t, g, 100)
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			p.gone(t)
		})
	}
}

// What is unusual and yet allowed.
func TestGeneratorThatIsOdd(t *testing.T) {
	for _, mode := range []string{"floods stderr", "read-only directories", "closes stdin", "ends after the unit", "talks on", "ignores the end"} {
		t.Run(mode, func(t *testing.T) {
			p := newProgram(t, mode)
			said := &counter{}
			p.options.Logger = slog.New(said)
			g := open(t, p)
			isRight(t, g, 0)
			if mode == "ends after the unit" || mode == "talks on" {
				// That the process is gone does not mean that the pool knows.
				await(t, "that it is noticed", func() bool { return g.pool.strayed() != nil })
			}
			if mode != "closes stdin" { // which cannot be asked again
				isRight(t, g, 100)
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			p.gone(t)
			if n := said.count(); n > 100*linesASecond {
				t.Errorf("%d lines in the log", n)
			}
		})
	}
}

// counter counts log lines.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *counter) WithGroup(string) slog.Handler            { return c }
func (c *counter) Handle(context.Context, slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return nil
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func TestGeneratorThatDoesNotStart(t *testing.T) {
	for _, c := range []struct {
		mode, command string
		rule          Rule
		says          []string
	}{
		{mode: "exits at start", rule: RuleAlive, says: []string{"exit status 3", "no module named torch"}},
		{mode: "never answers", rule: RuleTime, says: []string{"--start-timeout"}},
		{mode: "no version", rule: RuleDescription, says: []string{"version"}},
		{mode: "old protocol", rule: RuleDescription, says: []string{"protocol 1, got protocol 2"}},
		{command: "hone-has-no-such-program --x", rule: RuleAlive, says: []string{"exit status 127", "not found", "/bin/sh"}},
		{command: "echo 'hello world'", rule: RuleMessages, says: []string{"hello world"}},
		{command: "cat", rule: RuleMessages, says: []string{`type "describe"`}},
		{command: "cat >/dev/null; echo '", rule: RuleAlive, says: []string{"exit status 2"}},
	} {
		t.Run(c.mode+c.command, func(t *testing.T) {
			p := newProgram(t, c.mode).always()
			if c.command != "" {
				p.options.Command = c.command
			}
			if c.rule == RuleTime {
				p.options.StartTimeout = 300 * time.Millisecond
			}
			_, err := OpenGenerator(t.Context(), p.options)
			if err == nil {
				t.Fatal("it started")
			}
			if breach := breachOf(t, err); breach.Rule != c.rule {
				t.Errorf("breach of %s: %v", breach.Rule, err)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v\ndoes not speak of %s", err, s)
				}
			}
			p.gone(t)
		})
	}
}

func TestGeneratorThatBecomesAnother(t *testing.T) {
	p := newProgram(t, "another version").always()
	g := open(t, p)
	pid := p.processes()[0]
	isRight(t, g, 0)
	if number, err := strconv.Atoi(pid); err != nil || syscall.Kill(number, syscall.SIGKILL) != nil {
		t.Fatalf("kill %s: %v", pid, err)
	}
	await(t, "that its end is noticed", func() bool { return g.pool.strayed() != nil })
	_, err := makeUnit(t.Context(), g, someUnit(0, 4))
	if breach := breachOf(t, err); breach.Rule != RuleDescription || !strings.Contains(err.Error(), "start Hone's process again") {
		t.Errorf("breach of %s: %v", breach.Rule, err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	p.gone(t)
}

// A program that fails again and again is started ever more rarely.
func TestPausesGrow(t *testing.T) {
	p := newProgram(t, "dies").always()
	g := open(t, p)
	began := time.Now()
	for range 4 {
		if _, err := makeUnit(t.Context(), g, someUnit(0, 1)); err == nil {
			t.Fatal("it did not die")
		}
	}
	// 100 + 200 + 400 ms lie between the four.
	if took := time.Since(began); took < 700*time.Millisecond {
		t.Errorf("four failures within %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := makeUnit(ctx, g, someUnit(0, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who does not want to wait: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	p.gone(t)
}

// Whoever gives a unit up gets away at once; the process is kept if it can be.
func TestGiveUp(t *testing.T) {
	t.Run("the program finishes", func(t *testing.T) {
		p := newProgram(t, "right")
		g := open(t, p)
		before := p.processes()
		refusal := errors.New("the disk is full")
		if err := g.Make(t.Context(), someUnit(0, 4), func(uint64, []loop.Member) error { return refusal }); !errors.Is(err, refusal) {
			t.Errorf("%v", err)
		}
		isRight(t, g, 0)
		if after := p.processes(); !slices.Equal(before, after) {
			t.Errorf("process %v was not kept: %v", before, after)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		p.gone(t)
	})
	t.Run("the program hangs", func(t *testing.T) {
		p := newProgram(t, "hangs")
		g := open(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		began := time.Now()
		if _, err := makeUnit(ctx, g, someUnit(0, 4)); !errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		p.gone(t)
	})
}

// What an earlier process left is swept; what another one is using is not.
func TestSweep(t *testing.T) {
	p := newProgram(t, "right")
	left := filepath.Join(p.options.Dir, "units-old", "u3", "dir")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(left, 0o500); err != nil {
		t.Fatal(err)
	}
	one := open(t, p)
	two := open(t, p)
	isRight(t, one, 0)
	isRight(t, two, 0)
	if entries, _ := os.ReadDir(p.options.Dir); len(entries) != 2 {
		t.Errorf("%v in the directory of two", entries)
	}
	if err := errors.Join(one.Close(), two.Close()); err != nil {
		t.Error(err)
	}
	p.gone(t)
}

// kill -9 of the process that keeps a program, here a child of the test, leaves
// nothing of the program, nor of what it has started.
func TestNothingOutlivesUs(t *testing.T) {
	p := newProgram(t, "right")
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), holdEnv+"=export "+tokenEnv+"="+p.token+"; sleep 1000 & "+p.options.Command, holdDirEnv+"="+p.options.Dir)
	holder.Stderr = os.Stderr
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the program and its child", func() bool { return len(p.processes()) >= 2 })
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // it was killed
	await(t, "the end of the program and its child", func() bool { return len(p.processes()) == 0 })
}
