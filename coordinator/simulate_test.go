package coordinator

import (
	"encoding/json"
	"strings"
	"testing"

	"hone/api"
)

func (w *world) simulate(campaign string, what api.Simulate) (s api.Simulation) {
	w.t.Helper()
	body, err := json.Marshal(what)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(w.must("POST", "/v1/campaigns/"+campaign+"/simulate", string(body))), &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// A campaign's own policy, replayed, decides what was decided; another one moves
// what it should, and neither leaves a trace.
func TestSimulate(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.learning(twoRounds)
		before, sequence := w.must("GET", "/v1/campaigns/c", ""), w.node.Sequence()

		same := w.simulate("c", api.Simulate{Policy: eagerPolicy, Replay: true})
		if len(same.Rounds) != 2 || len(same.Total.Slices) == 0 {
			t.Fatalf("%+v", same)
		}
		for _, k := range same.Total.Slices {
			if k.Quota.From != k.Quota.To || k.Samples.From != k.Samples.To || k.Quota.To == 0 {
				t.Errorf("%s moves from %v to %v by the same policy", k.Name, k.Quota.From, k.Quota.To)
			}
		}
		if y := same.Rounds[1].Yields; len(y) != 1 || y[0].Rows.Used != 400 || y[0].To == nil || y[0].Difference.Expected != 0 || y[0].ModelLine != "net" {
			t.Errorf("the yields of round 2 are %+v", y)
		}
		if y := same.Rounds[0].Yields; len(y) != 0 {
			t.Errorf("round 1 had no evidence, but yields %+v", y)
		}

		// The campaign has one more round than it was asked for: as if it went on.
		next := w.simulate("c", api.Simulate{Policy: "name: flat\nminimum_rows: 100\nshares: {boosted: 0}\n", Rounds: 2})
		if next.Replay || next.Candidate != "flat" || next.Current != "plain@1" || len(next.Rounds) != 2 || next.Rounds[0].Round != 3 || next.Rows != 400 {
			t.Fatalf("%+v", next)
		}
		if k := next.Total.Slices; len(k) == 0 || k[0].Quota.From == 0 || k[0].Quota.To >= k[0].Quota.From {
			t.Errorf("a policy without boosts takes nothing from %+v", k)
		}
		// What fails is made less, so that less of what is made fails.
		if d := next.Rounds[0].Yields[0].Difference; d == nil || d.Upper >= 0 {
			t.Errorf("the difference is %+v", d)
		}
		if n := next.Total.Samples; n.From != 200 || n.To != 200 {
			t.Errorf("two rounds of 100 samples are %+v", n)
		}
		if said := strings.Join(next.Unpredicted, " "); !strings.Contains(said, "if it were extended") || !strings.Contains(said, "is not predicted") {
			t.Errorf("it says of what it does not know: %s", said)
		}

		if after := w.must("GET", "/v1/campaigns/c", ""); after != before || w.node.Sequence() != sequence {
			t.Error("a simulation has changed the campaign")
		}
	})
}

// What cannot be simulated is refused, with the reason.
func TestSimulateRefuses(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/spaces", spaceDocument)
		w.must("POST", "/v1/policies", policyDocument)
		w.must("POST", "/v1/campaigns", "name: new\nspace: lab\npolicy: plain\ngenerator: shapes\nsamples: 10\nlearn_from: [{model_line: net}]\n")
		w.must("POST", "/v1/campaigns", "name: list\nspace: lab\ngenerator: shapes\nmake: [{where: {light: low}, count: 5}]\n")
		for name, x := range map[string]struct {
			campaign, body string
			status         int
			says           string
		}{
			"no such campaign":   {"none", `{"policy":"name: p"}`, 404, "there is no campaign"},
			"no evidence":        {"new", `{"policy":"name: p"}`, 409, "no version of what it learns from is sealed"},
			"not a policy":       {"new", `{"policy":"name: p\nstrategy: greedy"}`, 422, "2:11 strategy"},
			"a list":             {"list", `{"policy":"name: p"}`, 409, "no policy decides for it"},
			"too many rounds":    {"new", `{"policy":"name: p","rounds":21}`, 422, "rounds"},
			"without a policy":   {"new", `{}`, 422, "policy"},
			"what nobody knows":  {"new", `{"policy":"name: p","round":1}`, 422, "round"},
			"an empty document":  {"new", `{"policy":""}`, 422, ""},
			"a negative replay":  {"new", `{"policy":"name: p","replay":true,"rounds":-1}`, 422, "rounds"},
			"nothing to replay?": {"list", `{"policy":"name: p","replay":true}`, 409, "no policy decides for it"},
		} {
			answer := w.request("POST", "/v1/campaigns/"+x.campaign+"/simulate", x.body, "Content-Type", "application/json")
			if answer.Code != x.status || !strings.Contains(answer.Body.String(), x.says) {
				t.Errorf("%s: %d, want %d and %q: %s", name, answer.Code, x.status, x.says, answer.Body)
			}
		}
	})
}
