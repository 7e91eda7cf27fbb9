package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/api"
)

// snippets are the commands of a page, by the heading below which they stand: the
// lines of indented blocks that begin with one of the programs that a reader is told
// to run.
func snippets(t *testing.T, path string) map[string][]string {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines, heading := map[string][]string{}, ""
	for line := range strings.SplitSeq(string(page), "\n") {
		if text, ok := strings.CutPrefix(line, "## "); ok {
			heading = text
		}
		text, indented := strings.CutPrefix(line, "    ")
		if !indented {
			continue
		}
		switch first, _, _ := strings.Cut(text, " "); first {
		case "hone", "python3", "cd", "curl":
			lines[heading] = append(lines[heading], text)
			lines[""] = append(lines[""], text) // all of the page
		}
	}
	return lines
}

// reader types the commands of a page one after the other, as they are written,
// in a directory of its own. What serves until it is stopped gets a terminal of
// its own, as pages say.
type reader struct {
	t    *testing.T
	dir  string
	env  []string
	url  string
	runs []string // everything that was typed
}

func newReader(t *testing.T) *reader {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
	binary := honeBinary(t)
	r := &reader{t: t, dir: t.TempDir(), url: "http://" + freeAddress(t)}
	r.env = append(os.Environ(), "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HONE_SERVER="+r.url, "HONE_LISTEN="+strings.TrimPrefix(r.url, "http://"), "PYTHONDONTWRITEBYTECODE=1")
	return r
}

func (r *reader) command(line string) *exec.Cmd {
	c := exec.CommandContext(r.t.Context(), "/bin/sh", "-c", "exec "+line)
	c.Dir, c.Env = r.dir, r.env
	return c
}

func (r *reader) types(line string) {
	r.t.Helper()
	r.runs = append(r.runs, line)
	logs := r.t.TempDir()
	switch {
	case strings.HasPrefix(line, "cd "):
		r.dir = filepath.Join(r.dir, strings.Fields(line)[1])
	case strings.HasPrefix(line, "hone serve"):
		launch(r.t, logs, "serve", r.command(line), nil)
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
		defer cancel()
		client := api.New(r.url)
		client.Patience = time.Minute
		if _, err := client.Status(ctx); err != nil {
			r.t.Fatalf("%s: %v\n%s", line, err, r.logs(logs))
		}
	case strings.HasPrefix(line, "hone work"):
		launch(r.t, logs, "work", r.command(line), nil)
	default:
		// A pipe or a redirection is the shell's affair.
		c := r.command(line)
		c.Args[2] = strings.ReplaceAll(line, "localhost:7070", strings.TrimPrefix(r.url, "http://"))
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		c.Cancel = func() error { return c.Process.Kill() }
		if err := c.Run(); err != nil {
			r.t.Fatalf("$ %s\n%v\n%s", line, err, &out)
		}
		r.t.Logf("$ %s\n%s", line, &out)
	}
}

func (r *reader) logs(dir string) []byte {
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	var all []byte
	for _, f := range files {
		text, _ := os.ReadFile(f)
		all = append(all, text...)
	}
	return all
}

// TestStarter: whoever follows the starter's page, and types what it says,
// arrives.
func TestStarter(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a server, a worker and a training job in Python")
	}
	r := newReader(t)
	r.types("hone init task")
	r.types("cd task")
	page := snippets(t, filepath.Join(r.dir, "README.md"))[""]
	if len(page) < 12 {
		t.Fatalf("the page has only %q", page)
	}
	for _, line := range page {
		r.types(line)
	}
	campaign, err := api.New(r.url).Campaign(t.Context(), "parts-first")
	if err != nil || campaign.State != api.CampaignDone || campaign.Committed != campaign.Requested {
		t.Errorf("%v, %+v", err, campaign)
	}
	for _, made := range []string{"preview.html", "report.html", "parts-first/dataset.json"} {
		if info, err := os.Stat(filepath.Join(r.dir, made)); err != nil || info.Size() == 0 {
			t.Errorf("%s was not made: %v", made, err)
		}
	}
}

// TestReadme: so does whoever follows the README.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a server, a worker and a training job in Python")
	}
	r := newReader(t)
	// The reader stands in a clone of the repository.
	if err := os.CopyFS(filepath.Join(r.dir, "examples"), os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	// The photos of the page are the reader's own.
	photos := filepath.Join(r.dir, "task", "photos")
	if err := os.MkdirAll(photos, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"0001.jpg": "\xff\xd8\xff\xe0", "0001.json": `{"part": "nut", "light": "low"}`,
		"0002.jpg": "\xff\xd8\xff\xe1", "0002.json": `{"part": "bolt", "light": "day", "distance": 1.2}`,
	} {
		if err := os.WriteFile(filepath.Join(photos, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all := snippets(t, "../../README.md")
	page := slices.DeleteFunc(all[""], func(line string) bool { return slices.Contains(all[clusterHeading], line) })
	if len(page) < 15 {
		t.Fatalf("the page has only %q", page)
	}
	for _, line := range page {
		r.types(line)
	}
}

const clusterHeading = "Three servers, of which any one may be lost"

// TestReadmeCluster: and whoever starts three servers as the README says can kill
// whichever leads.
func TestReadmeCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("runs three servers and a worker")
	}
	r := newReader(t)
	page := snippets(t, "../../README.md")[clusterHeading]
	if len(page) < 8 {
		t.Fatalf("the page has only %q", page)
	}
	ports := strings.NewReplacer("127.0.0.1:7070", strings.TrimPrefix(r.url, "http://"), "127.0.0.1:7080", freeAddress(t), "127.0.0.1:7090", freeAddress(t))
	logs := t.TempDir()
	servers := map[string]*process{}
	client := api.New(ports.Replace("127.0.0.1:7070,127.0.0.1:7080,127.0.0.1:7090"))
	client.Patience = time.Minute
	voters := func() (leader string, healthy int) {
		c, err := client.Cluster(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range c.Members {
			if m.Healthy && (m.Role == "leader" || m.Role == "voter") {
				healthy++
			}
		}
		return c.Leader, healthy
	}
	await := func(healthy int) (leader string) {
		deadline := time.Now().Add(time.Minute)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ; time.Now().Before(deadline); <-tick.C {
			if who, n := voters(); n == healthy && servers[who].alive() {
				return who
			}
		}
		t.Fatalf("not %d healthy nodes after a minute\n%s", healthy, r.logs(logs))
		return ""
	}
	for _, line := range page {
		if name, ok := strings.CutPrefix(line, "hone serve --node "); ok {
			name, _, _ = strings.Cut(name, " ")
			servers[name] = launch(t, logs, name, r.command(ports.Replace(line)), nil)
			if name == "n1" {
				await(1)
			}
			continue
		}
		if strings.HasPrefix(line, "hone cluster status") {
			await(3)
		}
		r.types(ports.Replace(line))
	}
	leader := await(3)
	servers[leader].kill()
	if next := await(2); next == leader {
		t.Errorf("%s leads, and is dead", next)
	}
	status, err := client.Status(t.Context())
	if err != nil || status.Leader == leader {
		t.Errorf("%+v, %v", status, err)
	}
}

// What CI runs is what the README says: the test command and the first command.
func TestReadmeCommandsAreRun(t *testing.T) {
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("../../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	run := regexp.MustCompile(`\$tags|"`).ReplaceAllStringFunc(string(script), func(s string) string {
		return map[string]string{"$tags": "duckdb_arrow"}[s]
	})
	for _, command := range []string{"go run -tags duckdb_arrow ./cmd/hone demo", "go test -tags duckdb_arrow"} {
		if !bytes.Contains(page, []byte(command)) || !strings.Contains(run, command) {
			t.Errorf("README.md and .ci/run should both have %q", command)
		}
	}
}
