package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
)

// A canary by commands as they are typed, beside a real server and a worker: a round
// has two arms, what the models fail is counted by arm from the analysts' tables, and
// what was decided replays to the byte, also when the canary has ended (I4).
func TestCanaryByCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server and a worker")
	}
	c := newCrew(t, patient(t, 3*time.Minute))
	c.worker("w1", 2)
	c.start("server", "w1")
	c.put(shapes.SpaceDocument, nil, nil)
	write := func(name, text string) string {
		path := filepath.Join(c.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	type typed struct {
		command string
		code    int
		want    []string // parts of what is printed
	}
	run := func(all ...typed) {
		t.Helper()
		for _, x := range all {
			code, text := c.hone(strings.Split(x.command, " ")...)
			flat := strings.Join(strings.Fields(text), " ")
			if code != x.code {
				t.Errorf("hone %s: exit code %d, want %d\n%s", x.command, code, x.code, text)
			}
			for _, want := range x.want {
				if !strings.Contains(flat, want) {
					t.Errorf("hone %s prints\n%s\nwithout %q", x.command, text, want)
				}
			}
		}
	}
	careful := write("careful.yaml", "name: careful\nstrategy: target\n")
	bold := write("bold.yaml", "name: careful\nstrategy: uniform\n")
	campaign := write("c.yaml", "name: c\nspace: shapes\npolicy: careful\ngenerator: shapes\nseed: 7\nsamples: 600\nrounds: 3\n"+
		"evaluation: {target: 20, mixture: 160}\nlearn_from: [{model_line: net, eval_set: c.eval}]\nprice: {gpu_hour: 3600, currency: EUR}\n")
	run(
		typed{"policy put " + bold + " --canary 10%", 4, nil}, // there is nothing beside it
		typed{"policy put " + careful, 0, []string{"policy careful@1 created"}},
		typed{"policy canary careful", 0, []string{"No campaign has tried a canary of policy careful"}},
		typed{"policy put " + bold + " --canary much", 2, nil},
		typed{"policy put " + bold + " --canary 70%", 1, nil},
		typed{"policy put " + bold + " --canary 50% --author ann --reason bolder", 0, []string{"policy careful@2 created", "nobody tries it yet", "compare: hone policy canary careful"}},
		typed{"policy pin careful --where light=low --share 10% --reason night", 4, nil},
		typed{"campaign create " + campaign, 0, nil},
	)
	published := func(n int) {
		t.Helper()
		c.await(fmt.Sprint("round ", n), func() bool {
			round, err := c.client.Round(c.ctx, "c", n, 2*time.Second)
			return err == nil && round.State == api.RoundPublished
		})
	}
	published(1)
	run(
		typed{"campaign show c", 0, []string{"policy careful@1", "canary careful@2 on 50.0% of each round"}},
		typed{"round show c 1", 0, []string{"DOMAIN NUMBER ARM SLICE", "train 0 stable everything 50.0% 100", "train 1 canary everything 50.0% 100", "evaluation 2 canary everything 50.0% 80 mixture"}},
		typed{"round explain c 1", 0, []string{"The round has two arms: 100 samples to train on are decided by version 2 of the policy, the canary, by strategy uniform; all others by version 1."}},
		typed{"policy canary careful", 0, []string{"Campaign c tried careful@2 on 50.0% of 1 rounds beside careful@1; the canary is running.", "cannot be told: a sealed model was evaluated on 0 samples",
			"nothing here says which of them made it better or worse", "hone experiment create"}},
	)

	// The model fails on what the canary makes, and here and there on the rest. Each
	// sample has two rows, which are not two samples.
	r, err := c.client.Round(c.ctx, "c", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	arm := map[int]bool{}
	for _, k := range r.Decision.Components {
		if k.Domain == "evaluation" {
			arm[k.Number] = k.Canary
		}
	}
	var outcomes bytes.Buffer
	rows, failed := int64(0), map[bool]int{}
	for row, err := range c.client.Manifest(c.ctx, "c.eval", 1) {
		if err != nil {
			t.Fatal(err)
		}
		correct := !arm[row.Component]
		if row.Index%10 == 0 {
			correct = !correct
		}
		if !correct && row.Component > 0 {
			failed[arm[row.Component]]++
		}
		for range 2 {
			fmt.Fprintf(&outcomes, "{\"sample\":%q,\"correct\":%t}\n", row.Digest, correct)
			rows++
		}
	}
	o := api.OutcomesOptions{Space: "shapes", Model: "net@1", EvalSet: "c.eval@1"}
	if posted, err := c.client.PostOutcomes(c.ctx, o, strings.NewReader(outcomes.String())); err != nil || posted.Accepted != rows {
		t.Fatalf("%+v, %v", posted, err)
	}
	if _, err := c.client.SealModel(c.ctx, "net", "1", rows); err != nil {
		t.Fatal(err)
	}
	published(2)
	code, text := c.hone("policy", "canary", "careful@2", "--campaign", "c", "--output", "json")
	var out api.CanaryComparison
	if err := json.Unmarshal([]byte(text), &out); code != 0 || err != nil || len(out.Campaigns) != 1 || len(out.Campaigns[0].Rounds) != 2 {
		t.Fatalf("%d, %v: %s", code, err, text)
	}
	first := out.Campaigns[0].Rounds[0]
	if s, k := first.Stable, first.Canary; s.Evaluated != 80 || k.Evaluated != 80 || s.Failures != float64(failed[false]) || k.Failures != float64(failed[true]) || failed[true] != 72 || failed[false] != 8 ||
		s.Samples != 100 || k.Accepted != 100 || s.Cost == nil || k.Cost.GPUSeconds <= 0 || *k.Cost.Money <= 0 || s.Effective != 1 || k.Effective >= .99 || first.Above == nil || first.Above.Lower < .6 {
		t.Errorf("%+v, %v", first, failed)
	}
	if last := out.Campaigns[0].Rounds[1]; last.Above != nil || last.Canary.Evaluated != 0 {
		t.Errorf("a round that no model was evaluated on: %+v", last)
	}
	run(
		typed{"policy canary careful", 0, []string{"1 canary 100 100", "90.0% of 80", "all stable 200", "The models fail on 90.0% of what the canary makes and on 10.0% of what the stable version does: +80.0 percentage points, with 95 % confidence"}},
		typed{"policy canary careful --campaign none", 3, nil},
		typed{"policy canary none", 3, nil},
		typed{"policy promote careful --author bob --reason more", 0, []string{"policy careful@3 created", "the canary careful@2 is tried no more", "campaign c follows careful@1; from its next round on it can follow this: hone campaign policy c careful@3"}},
		typed{"policy promote careful", 4, nil},
		typed{"policy withdraw careful", 4, nil},
		typed{"policy history careful", 0, []string{"canary: 50% of each round; strategy target → uniform", "canary removed"}},
		typed{"policy diff careful 1 2", 0, []string{"KEY careful@1 careful@2", "canary 50% of each round"}},
		typed{"campaign policy c careful", 0, []string{"policy careful@3"}},
	)
	c.replays("c", 2)
	c.check()
}
