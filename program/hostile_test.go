package program

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The environment of this test binary when it is the program of a test.
const (
	modeEnv  = "HONE_TEST_PROGRAM" // what it does wrong
	onceEnv  = "HONE_TEST_ONCE"    // a file: whoever creates it does wrong, all others do not
	tokenEnv = "HONE_TEST_TOKEN"   // by which the test finds its processes again
	// It may also be who keeps a program: of a command, with a directory.
	holdEnv, holdDirEnv = "HONE_TEST_HOLD", "HONE_TEST_HOLD_DIR"
)

func TestMain(m *testing.M) {
	if command := os.Getenv(holdEnv); command != "" {
		if _, err := OpenGenerator(context.Background(), Options{Name: "held", Command: command, Dir: os.Getenv(holdDirEnv)}); err != nil {
			panic(err)
		}
		select {}
	}
	if mode, ok := os.LookupEnv(modeEnv); ok {
		hostile(mode)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// question is a message of Hone, as far as the program of the tests looks at it.
type question struct {
	Type, ID, Dir string
	Samples       []struct {
		Index    uint64
		Seed     string
		Scenario map[string]any
		Files    map[string]string
	}
}

// hostile is a program: right in everything but for its mode.
func hostile(mode string) {
	if once := os.Getenv(onceEnv); once != "" {
		f, err := os.OpenFile(once, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			mode = "right"
		} else {
			f.Close()
		}
	}
	say := func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	switch mode {
	case "exits at start":
		fmt.Fprintln(os.Stderr, "no module named torch")
		os.Exit(3)
	case "never answers":
		hang()
	case "ignores the end":
		signal.Ignore(syscall.SIGTERM)
	case "starts a child that outlives it":
		if err := exec.Command("sleep", "1000").Start(); err != nil {
			panic(err)
		}
	case "floods stderr":
		go func() {
			for {
				fmt.Fprintln(os.Stderr, strings.Repeat("words, ", 100))
			}
		}()
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			if mode == "ignores the end" {
				hang()
			}
			return
		}
		var q question
		if err := json.Unmarshal(line, &q); err != nil {
			panic(err)
		}
		switch q.Type {
		case "describe":
			version := "1"
			if mode == "another version" {
				version = strconv.Itoa(os.Getpid())
			}
			if mode == "no version" {
				version = ""
			}
			if mode == "old protocol" {
				say(`{"type":"description","protocol":2,"version":"1"}`)
				continue
			}
			say(`{"type":"description","protocol":1,"version":%q,"outputs":["a.txt","b.txt"],"deterministic":true}`, version)
		case "judge":
			judgeAs(mode, &q, say)
		case "unit":
			makeAs(mode, &q, say)
			if mode == "failed" {
				mode = "right"
			}
		}
	}
}

// hang does nothing; the runtime would notice a select without cases.
func hang() { <-time.After(time.Hour) }

// makeAs makes a unit, doing something wrong on the way.
func makeAs(mode string, q *question, say func(string, ...any)) {
	path := func(name string) string { return filepath.Join(q.Dir, name) }
	write := func(name string, text string) string {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			panic(err)
		}
		return name
	}
	answer := func(index any, a, b string) {
		say(`{"type":"sample","index":%v,"files":{"a.txt":%q,"b.txt":%q}}`, index, a, b)
	}
	first := func(b string) { answer(q.Samples[0].Index, write("x", "x"), b) }
	switch mode {
	case "garbage":
		say("Loading model: 100%%|########| 12/12")
	case "an empty line":
		say("")
	case "a list":
		say("[1,2]")
	case "another type":
		say(`{"type":"progress","done":3}`)
	case "another field":
		say(`{"type":"sample","index":1,"file":{}}`)
	case "two objects":
		say(`{"type":"done","samples":1}{"type":"done","samples":1}`)
	case "not UTF-8":
		say("{\"type\":\"failed\",\"error\":\"\xff\xfe\"}")
	case "a line without end":
		os.Stdout.WriteString(`{"type":"failed","error":"` + strings.Repeat("long ", 1<<20))
	case "deep":
		say(strings.Repeat("[", 1<<19))
	case "huge number":
		answer("1e400", write("x", "x"), write("y", "y"))
	case "negative index":
		answer(-1, write("x", "x"), write("y", "y"))
	case "index beyond 64 bits":
		answer("18446744073709551616", write("x", "x"), write("y", "y"))
	case "wrong index":
		answer(q.Samples[0].Index+1000, write("x", "x"), write("y", "y"))
	case "no index":
		say(`{"type":"sample","files":{"a.txt":%q,"b.txt":%q}}`, write("x", "x"), write("y", "y"))
	case "no output":
		say(`{"type":"sample","index":%d,"files":{"a.txt":%q}}`, q.Samples[0].Index, write("x", "x"))
	case "a bad member":
		say(`{"type":"sample","index":%d,"files":{"a.txt":%q,"b.txt":%q,"../c":%q}}`, q.Samples[0].Index, write("x", "x"), write("y", "y"), write("z", "z"))
	case "failed":
		say(`{"type":"failed","error":"no such asset: glove_7"}`)
		return // and lives
	case "above":
		write("../secret", "secret")
		defer os.Remove(path("../secret"))
		first("../secret")
	case "above and back":
		first("../" + filepath.Base(q.Dir) + "/" + write("y", "y"))
	case "absolute":
		first(path(write("y", "y")))
	case "empty path":
		first("")
	case "a link":
		_ = os.Symlink("/etc/passwd", path("link"))
		first("link")
	case "a link within":
		_ = os.Symlink(write("y", "y"), path("link"))
		first("link")
	case "through a link":
		_ = os.Symlink("/etc", path("up"))
		first("up/passwd")
	case "a pipe":
		_ = syscall.Mkfifo(path("pipe"), 0o600)
		first("pipe")
	case "a device":
		_ = syscall.Mknod(path("null"), syscall.S_IFCHR|0o600, 1<<8|3) // needs rights
		first("null")
	case "a directory":
		_ = os.Mkdir(path("dir"), 0o700)
		first("dir")
	case "no file":
		first("nothing")
	case "unreadable":
		_ = os.Chmod(path(write("y", "y")), 0)
		first("y/y")
	case "2 GiB":
		write("big", "")
		_ = os.Truncate(path("big"), 2<<30)
		first("big")
	case "65 MiB in two":
		write("big", "")
		_ = os.Truncate(path("big"), 33<<20)
		write("bigger", "")
		_ = os.Truncate(path("bigger"), 32<<20)
		answer(q.Samples[0].Index, "big", "bigger")
	case "one file for all":
		for _, s := range q.Samples {
			answer(s.Index, write("a", "a"), write("b", "b"))
		}
	case "read-only directories":
		_ = os.Mkdir(path("dir"), 0o700)
		write("dir/x", "x")
		_ = os.Chmod(path("dir"), 0o500)
	case "dies":
		fmt.Fprintln(os.Stderr, "CUDA out of memory")
		os.Exit(3)
	case "is killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "kills its group":
		_ = syscall.Kill(0, syscall.SIGKILL)
	case "hangs", "never answers":
		hang()
	case "hangs and ignores SIGTERM":
		signal.Ignore(syscall.SIGTERM)
		hang()
	case "closes stdout":
		syscall.Close(1)
		hang()
	case "closes stdin":
		syscall.Close(0)
	case "leaves a child with the pipes":
		child := exec.Command("sleep", "1000")
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			panic(err)
		}
		os.Exit(0)
	case "lets a child go with the pipes":
		child := exec.Command("sleep", "3") // it cannot be found again: it must end by itself
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			panic(err)
		}
		os.Exit(0)
	case "too few":
		q.Samples = q.Samples[1:]
	}
	for i, s := range q.Samples {
		n, more := strconv.FormatUint(s.Index, 10), ""
		switch mode {
		case "not the same twice":
			more = strconv.FormatInt(time.Now().UnixNano(), 10)
		case "not the same elsewhere":
			more = strconv.Itoa(os.Getpid())
		case "not the same in another order":
			more = strconv.Itoa(i)
		case "no seed":
			s.Seed = "0"
		case "no absent factors":
			if s.Scenario["glove_colour"] == nil {
				say(`{"type":"failed","error":"sample %d: KeyError: 'glove_colour'"}`, s.Index)
				return
			}
		}
		answer(s.Index, write("a"+n, "seed "+s.Seed+more), write("b"+n, fmt.Sprint(s.Scenario)))
	}
	switch s := q.Samples[0]; mode {
	case "twice":
		answer(s.Index, write("y", "y"), write("z", "z"))
	case "too many":
		answer(s.Index+uint64(len(q.Samples)), write("y", "y"), write("z", "z"))
	case "no end":
		os.Exit(0)
	case "another count":
		say(`{"type":"done","samples":%d}`, len(q.Samples)+1)
		return
	case "no count":
		say(`{"type":"done"}`)
		return
	}
	say(`{"type":"done","samples":%d}`, len(q.Samples))
	switch mode {
	case "talks on":
		say("50 samples/s")
	case "ends after the unit":
		os.Exit(0)
	}
}

// judgeAs judges, doing something wrong on the way.
func judgeAs(mode string, q *question, say func(string, ...any)) {
	s := q.Samples[0]
	switch mode {
	case "no verdict":
	case "no reason":
		say(`{"type":"verdict","index":%d,"accepted":false}`, s.Index)
	case "neither":
		say(`{"type":"verdict","index":%d,"reason":"hm"}`, s.Index)
	case "the verdict of another":
		say(`{"type":"verdict","index":%d,"accepted":true}`, s.Index+1)
	case "two verdicts":
		say(`{"type":"verdict","index":%d,"accepted":true}`, s.Index)
		say(`{"type":"verdict","index":%d,"accepted":false,"reason":"no"}`, s.Index)
	case "a score of NaN":
		say(`{"type":"verdict","index":%d,"accepted":true,"scores":{"x":NaN}}`, s.Index)
	case "a score of 1e999":
		say(`{"type":"verdict","index":%d,"accepted":true,"scores":{"x":1e999}}`, s.Index)
	case "a nameless score":
		say(`{"type":"verdict","index":%d,"accepted":true,"scores":{"":1}}`, s.Index)
	case "failed":
		say(`{"type":"failed","error":"the model is busy"}`)
		return
	case "dies":
		fmt.Fprintln(os.Stderr, "CUDA out of memory")
		os.Exit(3)
	default:
		b, err := os.ReadFile(filepath.Join(q.Dir, s.Files["a.txt"]))
		if err != nil {
			panic(err)
		}
		if bytes.Contains(b, []byte("blank")) {
			say(`{"type":"verdict","index":%d,"accepted":false,"reason":"blank – all of it","scores":{"size":%d}}`, s.Index, len(b))
		} else {
			say(`{"type":"verdict","index":%d,"accepted":true,"scores":{"z":0.5,"size":%d}}`, s.Index, len(b))
		}
	}
	say(`{"type":"done","samples":1}`)
}

// program is a test's program: this binary, and what becomes of it.
type program struct {
	options    Options
	token      string
	goroutines int
	files      int
}

// newProgram is right after it has been wrong once, in its mode.
func newProgram(t *testing.T, mode string) *program {
	t.Helper()
	dir := t.TempDir()
	token := filepath.Base(dir) + strconv.FormatInt(time.Now().UnixNano(), 36)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{token: token, options: Options{
		Name: "parts", Dir: filepath.Join(dir, "units"), grace: 2 * time.Second, StartTimeout: time.Minute, UnitTimeout: time.Minute,
		Command: fmt.Sprintf("%s='%s' %s='%s' %s='%s' '%s'", modeEnv, mode, onceEnv, filepath.Join(dir, "once"), tokenEnv, token, self),
	}}
	p.goroutines, p.files = census()
	return p
}

// always makes the program wrong in every process.
func (p *program) always() *program {
	p.options.Command = strings.Replace(p.options.Command, onceEnv, "UNUSED", 1)
	return p
}

// gone fails the test if anything of the program is left.
func (p *program) gone(t *testing.T) {
	t.Helper()
	await(t, "the end of the program's processes", func() bool { return len(p.processes()) == 0 })
	goroutines, files := 0, 0
	await(t, "the end of its goroutines and files", func() bool {
		goroutines, files = census()
		return goroutines <= p.goroutines && files <= p.files
	})
	if left, err := os.ReadDir(p.options.Dir); err != nil || len(left) > 0 {
		t.Errorf("left in the directory of units: %v, %v", left, err)
	}
}

// processes are those that the program has started, itself included.
func (p *program) processes() (pids []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(tokenEnv+"="+p.token)) {
			pids = append(pids, strings.Split(path, "/")[2])
		}
	}
	return pids
}

func census() (goroutines, files int) {
	open, _ := os.ReadDir("/proc/self/fd")
	return runtime.NumGoroutine(), len(open)
}

// await looks again and again, for what nobody tells of.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("in vain: %s", what)
		}
	}
}

func breachOf(t *testing.T, err error) *Breach {
	t.Helper()
	breach, ok := errors.AsType[*Breach](err)
	if !ok {
		t.Fatalf("%v is no breach", err)
	}
	return breach
}
