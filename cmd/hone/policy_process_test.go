package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
)

// A policy is tuned by commands as they are typed, beside a real server: each says
// what it changed, who is behind, and what to type next; and a round says whose
// pin it keeps.
func TestPolicyIsTunedByCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	c := newCrew(t, patient(t, 2*time.Minute))
	c.start("server")
	c.put(shapes.SpaceDocument, nil, nil)
	file := filepath.Join(c.dir, "careful.yaml")
	if err := os.WriteFile(file, []byte("name: careful # ours\nstrategy: uniform\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		typed string
		code  int
		want  []string // parts of what is printed
	}{
		{"policy put " + file + " --author ann --reason start", 0, []string{"policy careful@1 created\n"}},
		{"campaign create CAMPAIGN", 0, []string{"campaign c@1 created"}},
		{"policy pin careful --where light=low&scale=near --share 10% --author ann --reason night --expires 2030-12-31", 0, []string{
			" name: careful # ours\n", "+  - {slice: {light: low, scale: near}, share: 0.1, author: ann, reason: night, expires: 2030-12-31}\n", "policy careful@2 created\n",
			"campaign c follows careful@1; from its next round on it can follow this: hone campaign policy c careful@2\n"}},
		{"policy ban careful --where light=day --author bob --reason broken --expect 1", 4, nil},
		{"policy ban careful --where light=day --author bob --reason broken --expect 2", 0, []string{"policy careful@3 created"}},
		{"policy ban careful --where light=day", 2, nil},             // no reason
		{"policy ban careful --where light --reason broken", 2, nil}, // no level
		{"policy pin careful --where light=low --share 110% --reason night", 2, nil},
		{"policy pin careful --where light=low --share 0.2 --reason night --expires soon", 2, nil},
		{"policy pin careful --where light=low --share 90% --reason night", 1, nil},
		{"policy pin none --where light=low --share 10% --reason night", 3, nil},
		{"policy unpin careful --where light=low", 3, nil},
		{"policy unban careful --where light=day --author bob", 0, []string{"-  - {slice: {light: day}, author: bob, reason: broken}\n+bans: []\n", "policy careful@4 created"}},
		{"policy diff careful 1 3", 0, []string{"KEY", "careful@1", "careful@3", "pins[light=low ∧ scale=near]", "10% by ann (night), until 2030-12-31", "bans[light=day]"}},
		{"policy diff careful 1 2 --text", 0, []string{"--- careful@1\n+++ careful@2\n"}},
		{"policy diff careful 2 4", 0, []string{"careful@2 and careful@4 say the same.\n"}},
		{"policy diff careful 9", 3, nil},
		{"policy diff careful one", 2, nil},
		{"policy rollback careful 1", 2, nil}, // no reason
		{"policy rollback careful 3 --author ann --reason mended", 0, []string{"policy careful@5 created"}},
		{"policy rollback careful 3 --reason mended", 4, nil},
		{"policy history careful", 0, []string{"VERSION", "the first", "start", "pins[light=low ∧ scale=near]: 10% by ann (night), until 2030-12-31", "bans[light=day] removed", "mended"}},
		{"campaign policy c careful@2 --author ann --reason night", 0, []string{"careful@2", "to follow careful@2 by ann (night)"}},
		{"campaign policy c careful@9", 3, nil},
		{"campaign policy none careful", 3, nil},
	} {
		args := strings.Split(strings.Replace(x.typed, "CAMPAIGN", campaignFile(t, c.dir, "c"), 1), " ")
		code, text := c.hone(args...)
		if code != x.code {
			t.Errorf("hone %s: exit code %d, want %d\n%s", x.typed, code, x.code, text)
		}
		for _, want := range x.want {
			if !strings.Contains(text, want) {
				t.Errorf("hone %s prints\n%s\nwithout %q", x.typed, text, want)
			}
		}
	}

	code, text := c.hone("policy", "history", "careful", "--output", "json")
	var history api.PolicyHistory
	if err := json.Unmarshal([]byte(text), &history); code != 0 || err != nil || len(history.Versions) != 5 || history.Versions[1].Author != "ann" || len(history.Versions[3].Changes) != 1 {
		t.Errorf("%d, %v: %s", code, err, text)
	}
	// A campaign that begins now keeps the pin, and says whose it is.
	if code, text := c.hone("campaign", "create", campaignFile(t, c.dir, "d")); code != 0 {
		t.Fatal(text)
	}
	c.await("its first round", func() bool { return c.look("d").Round == 1 })
	code, text = c.hone("round", "explain", "d", "1")
	for _, want := range []string{"light=low ∧ scale=near: 10.0% of the mixture, 100 samples", "is pinned at 10% by ann (night), until 2030-12-31", "light=day is banned by bob (broken)"} {
		if flat := strings.Join(strings.Fields(text), " "); code != 0 || !strings.Contains(flat, want) {
			t.Errorf("%d: %s\nwithout %q", code, text, want)
		}
	}
}

func campaignFile(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name+".yaml")
	if err := os.WriteFile(path, []byte("name: "+name+"\nspace: shapes\npolicy: careful\ngenerator: shapes\nsamples: 2000\nrounds: 2\nlearn_from: [{model_line: net}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
