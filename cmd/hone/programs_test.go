package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hone/api"
	"hone/loop"
	"hone/program"
)

const (
	exampleGenerator = "sh ../../examples/programs/generator.sh"
	exampleGate      = "sh ../../examples/programs/gate.sh"
)

// moodyGate cannot tell until there is a file, and writes down that it was asked.
const moodyGate = `while read -r line; do
	case $line in
	'{"type":"describe"'*) echo '{"type":"description","protocol":1,"version":"1"}' ;;
	*)
		echo asked >>"$2"
		if [ -e "$1" ]; then
			index=${line#*'"index":'}
			echo "{\"type\":\"verdict\",\"index\":${index%%,*},\"accepted\":true}"
			echo '{"type":"done","samples":1}'
		else
			echo '{"type":"failed","error":"the model is still being trained"}'
		fi ;;
	esac
done`

const greySpace = `name: parts
factors:
  - {name: light, kind: categorical, levels: {low: 0.3, day: 0.7}}
  - {name: distance, kind: numeric, edges: [0, 5, 10], target: [0.5, 0.5]}
  - {name: glove, kind: categorical, levels: {"yes": 0.5, "no": 0.5}}
  - {name: glove_colour, kind: categorical, when: {glove: ["yes"]}, levels: {blue: 0.5, orange: 0.5}}
`

// A campaign by programs in shell, with a gate that cannot tell for a while and
// a kill -9 of everybody on the way, comes out exact; and nothing that was
// started outlives who started it.
func TestCampaignByPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	c := newCrew(t, patient(t, 3*time.Minute))
	mood, asked, script := c.data("mood"), c.data("asked"), c.data("moody.sh")
	if err := os.WriteFile(script, []byte(moodyGate), 0o600); err != nil {
		t.Fatal(err)
	}
	token := "HONE_TEST_TOKEN=" + filepath.Base(c.dir) + time.Now().Format("150405.000000")
	marked := func(args ...string) *exec.Cmd {
		cmd := exec.Command(honeBinary(t), args...)
		cmd.Env = append(os.Environ(), token)
		return cmd
	}
	c.commands["server"] = func() *exec.Cmd {
		return marked("serve", "--data", c.data("server"), "--listen", strings.TrimPrefix(c.server, "http://"), "--verbose",
			"--gate-cmd", "grey="+exampleGate, "--gate-cmd", "moody=sh '"+script+"' '"+mood+"' '"+asked+"'")
	}
	c.commands["worker"] = func() *exec.Cmd {
		return marked("work", "--server", c.server, "--name", "worker", "--slots", "2", "--data", c.data("worker"), "--verbose",
			"--generator-cmd", "grey="+exampleGenerator)
	}
	calls := func() int {
		b, _ := os.ReadFile(asked)
		return bytes.Count(b, []byte("\n"))
	}
	c.start("server", "worker")
	c.put([]byte(greySpace), []string{eagerPolicy}, []string{`name: grey
space: parts
policy: eager
generator: grey
samples: 200
gates: [grey, moody]
unit_size: 20
`})
	c.await("the gate to have failed again and again", func() bool { return calls() >= 20 })
	if now, err := c.client.Campaign(c.ctx, "grey"); err != nil || now.Committed+now.Rejected+now.Abandoned > 0 {
		t.Errorf("something was made of samples that no gate has judged: %+v, %v", now.Counts, err)
	}
	c.kill("server", "worker")
	c.await("the programs to be gone", func() bool { return marks(token) == 0 })

	if err := os.WriteFile(mood, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.start("server", "worker")
	c.await("the campaign's dataset", func() bool {
		_, err := c.client.Dataset(c.ctx, "grey", 1)
		return err == nil
	})
	now, err := c.client.Campaign(c.ctx, "grey")
	if err != nil || now.State != api.CampaignDone || now.Committed != 200 || now.Rejected != 0 || now.Abandoned != 0 {
		t.Errorf("the campaign ends with %+v, %v", now.Counts, err)
	}
	var digests []loop.Digest
	for row, err := range c.client.Manifest(c.ctx, "grey", 1) {
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, row.Digest)
	}
	slices.SortFunc(digests, func(a, b loop.Digest) int { return bytes.Compare(a[:], b[:]) })
	if len(slices.Compact(digests)) != 200 {
		t.Errorf("%d samples differ, of 200", len(slices.Compact(digests)))
	}
	for sample, err := range c.client.Samples(c.ctx, digests) {
		if err != nil {
			t.Fatal(err)
		}
		if len(sample.Members) != 2 || !bytes.HasPrefix(sample.Members[0].Bytes, []byte("P2\n16 16\n255\n")) || !json.Valid(sample.Members[1].Bytes) {
			t.Fatalf("a sample that no generator made: %+v", sample.Members)
		}
	}
	for _, name := range []string{"worker", "server"} {
		p := c.up[name]
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := p.wait(c.ctx, t); code != exitOK {
			t.Errorf("%s ended with exit code %d", name, code)
		}
		if left, err := os.ReadDir(filepath.Join(c.data(name), "programs")); err != nil || len(left) > 0 {
			t.Errorf("%s left %v, %v", name, left, err)
		}
	}
	if n := marks(token); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// marks counts the processes that have something in their environment.
func marks(what string) (n int) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(what+"\x00")) {
			n++
		}
	}
	return n
}

// What cannot be run is said at once, with the program's own last words.
func TestProgramsThatDoNotStart(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"work", "--generator-cmd", "parts=echo 'no module named torch' >&2; exit 3"}, exitFailure, []string{"generator parts", "exit status 3", "no module named torch"}},
		{[]string{"work", "--generator-cmd", "parts=hone-has-no-such-program"}, exitFailure, []string{"exit status 127", "not found"}},
		{[]string{"work", "--generator-cmd", "parts"}, exitUsage, []string{`NAME="CMD ..."`}},
		{[]string{"work", "--generator-cmd", "a name=cat"}, exitUsage, []string{`NAME="CMD ..."`}},
		{[]string{"work", "--generator-cmd", "shapes=cat"}, exitUsage, []string{`"shapes" already`}},
		{[]string{"work", "--generator-cmd", "grey=" + exampleGenerator, "--generator-cmd", "grey=" + exampleGenerator}, exitUsage, []string{`"grey" already`}},
		{[]string{"work", "--unit-timeout", "0s"}, exitUsage, []string{"--unit-timeout"}},
		{[]string{"serve", "--listen", "127.0.0.1:0", "--gate-cmd", "sharp=echo '{}'"}, exitFailure, []string{"gate sharp", `"description"`}},
		{[]string{"serve", "--listen", "127.0.0.1:0", "--gate-cmd", "blank=cat"}, exitUsage, []string{`"blank" already`}},
	} {
		code, out, errs := hone(t, "", append(c.args, "--data", dir)...)
		if code != c.code || out != "" {
			t.Errorf("%q ends with %d and %q", c.args, code, out)
		}
		for _, s := range c.says {
			if !strings.Contains(errs, s) {
				t.Errorf("%q says\n%sand not %s", c.args, errs, s)
			}
		}
	}
}

func TestGeneratorAndGateCheck(t *testing.T) {
	for _, args := range [][]string{
		{"generator", "check", "--builtin", "shapes"},
		{"generator", "check", "sh", "../../examples/programs/generator.sh"},
		{"generator", "check", "--space", "../../examples/shapes/space.yaml", exampleGenerator},
		{"gate", "check", "--generator-cmd", exampleGenerator, exampleGate},
		{"gate", "check", exampleGate}, // it sends back what it does not know
	} {
		code, out, errs := hone(t, "", append(args, "--output", "json")...)
		var findings []program.Finding
		if err := json.Unmarshal([]byte(out), &findings); err != nil || code != exitOK || errs != "" || len(findings) < 7 {
			t.Errorf("%q ends with %d:\n%s%s(%v)", args, code, out, errs, err)
		}
		if code, out, _ := hone(t, "", args...); code != exitOK || strings.Contains(out, "FAIL") || strings.Count(out, "\n") < len(findings) {
			t.Errorf("%q ends with %d:\n%s", args, code, out)
		}
	}
	code, out, errs := hone(t, "", "generator", "check", "echo", "Loading  model", "--output", "table")
	if code != exitFailure || !strings.Contains(out, "FAIL") || !strings.Contains(out, "Loading  model") || !strings.Contains(errs, "1 of 1 checks failed") {
		t.Errorf("what prints garbage: %d\n%s%s", code, out, errs)
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"needs CMD", []string{"generator", "check"}},
		{"there is shapes", []string{"generator", "check", "--builtin", "circles"}},
		{"takes no CMD", []string{"generator", "check", "--builtin", "shapes", "cat"}},
	} {
		if code, _, errs := hone(t, "", c.args...); code != exitUsage || !strings.Contains(errs, c.says) {
			t.Errorf("%q ends with %d: %s", c.args, code, errs)
		}
	}
}
