package coordinator

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"hone/api"
)

const (
	boldPolicy  = "name: plain # bolder\nstrategy: hone\nminimum_rows: 100\nfloor: 1\nshares: {cap: 0.3}\n"
	fiveRounds  = "name: c\nseed: 7\nsamples: 1000\nrounds: 5\nevaluation: {target: 20, mixture: 30}\nlearn_from: [{model_line: net}]\n"
	tenPercent  = "/v1/policies?canary=0.1&author=ann&reason=bolder"
	plainRoutes = "/v1/policies/plain/"
)

// quotas are a round's training and mixture evaluation samples, of both arms.
func quotas(d *api.Decision) (train, mixture [2]uint64) {
	for _, k := range d.Components {
		arm := 0
		if k.Canary {
			arm = 1
		}
		switch {
		case k.Domain == "train":
			train[arm] += k.Quota
		case k.Source == "mixture":
			mixture[arm] += k.Quota
		}
	}
	return train, mixture
}

// A canary is tried beside the version that a campaign follows from its next round
// on, until it is promoted or withdrawn: rounds hold both arms and replay to the byte
// (I4), also on a node that was started again; whoever comes meanwhile is given the
// stable version.
func TestCanaryIsTried(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		session := w.learning(fiveRounds)
		put := asked[api.PolicyPut](w, "POST", tenPercent, boldPolicy)
		if put.Version != 2 || put.Canary != .1 || len(put.Campaigns) != 1 || put.Campaigns[0] != (api.PolicyUser{Campaign: "c", Version: 1}) {
			t.Errorf("%+v", put)
		}
		if again := asked[api.PolicyPut](w, "POST", tenPercent, boldPolicy); again.Version != 2 || again.Created {
			t.Errorf("sent again: %+v", again)
		}
		c := asked[api.Campaign](w, "GET", "/v1/campaigns/c", "")
		if c.Policy != "plain@1" || c.Canary == nil || *c.Canary != (api.Canary{Policy: "plain@2", Share: .1}) {
			t.Errorf("%+v", c)
		}
		// An edit would be of either of the two.
		for verb, body := range map[string]string{"pin": `{"slice":{"light":"low"},"share":0.1}`, "ban": `{"slice":{"light":"low"}}`, "unpin": `{"slice":{"light":"low"}}`, "unban": `{"slice":{"light":"low"}}`} {
			w.refused(409, "plain@2 is a canary, and an edit would end it", "POST", plainRoutes+verb, body)
		}
		if d := asked[api.Definition](w, "GET", "/v1/policies/plain", ""); d.Version != 1 || d.Versions != 2 {
			t.Errorf("shown is %+v", d)
		}
		w.must("POST", "/v1/campaigns", "name: later\nspace: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\nsamples: 100\n")
		first := asked[api.Round](w, "GET", "/v1/campaigns/later/rounds/1", "")
		if train, _ := quotas(first.Decision); first.Decision.PolicyVersion != 1 || first.Decision.Canary == nil || train != [2]uint64{90, 10} {
			t.Errorf("a campaign that begins now: %+v", first.Decision)
		}

		for _, version := range []string{"v2", "v3"} { // rounds 3 and 4 have two arms
			w.work(session, "ann")
			w.train(version)
		}
		if again := w.decided(2).Round; again.Canary != nil {
			t.Error("a round that was decided before has a canary")
		}
		r := asked[api.Round](w, "GET", "/v1/campaigns/c/rounds/4", "")
		train, mixture := quotas(r.Decision)
		if k := r.Decision.Canary; k == nil || k.PolicyVersion != 2 || k.Share != .1 || k.Quota != 20 || train != [2]uint64{180, 20} || mixture != [2]uint64{27, 3} || r.Decision.PolicyVersion != 1 {
			t.Errorf("round 4: %v, %v, %+v", train, mixture, r.Decision.Canary)
		}
		if k := w.decided(4).Round.Canary; k.Base == nil || k.Step <= 0 {
			t.Errorf("it has no base of its own: %+v", k)
		}
		w.must("GET", "/v1/campaigns/c/rounds/5/preview", "")
		simulated := asked[api.Simulation](w, "POST", "/v1/campaigns/c/simulate", `{"policy":"name: other\n","replay":true}`)
		if said := strings.Join(simulated.Unpredicted, " "); !strings.Contains(said, "Rounds with a canary (3 4) stand here as their stable policy alone") {
			t.Errorf("simulated: %s", said)
		}

		simulated = asked[api.Simulation](w, "POST", "/v1/campaigns/c/simulate", `{"policy":"name: other\n","rounds":1}`)
		if said := strings.Join(simulated.Unpredicted, " "); !strings.Contains(said, "what stands here as the current policy is plain@1 alone") {
			t.Errorf("simulated: %s", said)
		}

		promoted := asked[api.PolicyEdited](w, "POST", plainRoutes+"promote", `{"author":"bob","reason":"it finds more"}`)
		if promoted.Version != 3 || promoted.Ended != 2 || len(promoted.Campaigns) != 1 || len(promoted.Diff.Changes) != 1 || promoted.Diff.Changes[0].String() != "canary removed" || promoted.Diff.Text != "" {
			t.Errorf("%+v", promoted)
		}
		w.refused(409, "plain@3, the latest version, is no canary", "POST", plainRoutes+"promote", `{}`)
		w.refused(409, "plain@3, the latest version, is no canary", "POST", plainRoutes+"withdraw", `{}`)
		w.work(session, "ann")
		w.train("v4")
		w.restart()
		if last := w.decided(5).Round; last.Canary != nil || last.PolicyVersion != 1 {
			t.Errorf("after the canary: %+v", last.Canary)
		}
		for n := 1; n <= 5; n++ {
			if replay := w.replay(n); !replay.Identical {
				t.Errorf("round %d replays otherwise: %+v", n, replay)
			}
		}
		var told []string
		for _, v := range asked[api.PolicyHistory](w, "GET", "/v1/policies/plain/history", "").Versions {
			told = append(told, fmt.Sprint(v.Version, v.Author, v.Changes))
		}
		if want := "[1[] 2ann[canary: 10% of each round floor 0.2 → 1 shares.cap 0.15 → 0.3] 3bob[canary removed]]"; fmt.Sprint(told) != want {
			t.Errorf("the history is %v, want %s", told, want)
		}
		if diff := asked[api.PolicyDiff](w, "GET", "/v1/policies/plain/diff?from=1&to=2", ""); diff.Changes[0].String() != "canary: 10% of each round" || !strings.Contains(diff.Text, "+++ plain@2") {
			t.Errorf("%+v", diff)
		}
	})
}

// A campaign that tries no canaries, as the arms of an experiment, follows its policy
// alone, whether it begins before a canary or beside one; what it could not try is no
// reason to refuse the canary.
func TestCanaryLeavesAlone(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		const arm = "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\ncanaries: none\n"
		session := w.learning(fiveRounds + "canaries: none\n")
		put := asked[api.PolicyPut](w, "POST", tenPercent, boldPolicy+"bans: [{slice: {gloves: bare}}]\n")
		if put.Canary != .1 || len(put.Campaigns) != 0 {
			t.Errorf("%+v", put)
		}
		w.must("POST", "/v1/campaigns", arm+"name: later\nsamples: 100\n")
		w.must("POST", "/v1/policies", "name: other\n")
		w.must("POST", "/v1/campaigns/c/policy", `{"policy":"other"}`)
		w.must("POST", "/v1/campaigns/c/policy", `{"policy":"plain","version":1}`)
		for _, version := range []string{"v2", "v3"} {
			w.work(session, "ann")
			w.train(version)
		}
		if c := asked[api.Campaign](w, "GET", "/v1/campaigns/c", ""); c.Round != 4 || c.Canary != nil {
			t.Errorf("%+v", c)
		}
		if w.decided(4).Round.Canary != nil {
			t.Error("it tries a canary")
		}
		if r := asked[api.Round](w, "GET", "/v1/campaigns/later/rounds/1", ""); r.Decision.Canary != nil {
			t.Errorf("a campaign that begins now: %+v", r.Decision.Canary)
		}
	})
}

// What no campaign could try is refused where it is put, with whose it is.
func TestCanaryIsRefused(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.learning(fiveRounds)
		w.refused(422, `campaign \"c\" cannot try this beside plain@1: the canary: space \"lab\" has no factor \"gloves\"`, "POST", tenPercent, boldPolicy+"bans: [{slice: {gloves: bare}}]\n")
		w.refused(409, "plain@1, the stable version, says the same", "POST", tenPercent, "# other words\n"+eagerPolicy)
		w.refused(409, "no version yet that a canary could be tried beside", "POST", tenPercent, "name: new\n")
		w.refused(422, "canary", "POST", "/v1/policies?canary=0.6", boldPolicy)
		w.refused(422, "0.1% to 50%", "POST", "/v1/policies?canary=0.0001", boldPolicy)
		w.refused(409, "somebody was faster", "POST", tenPercent+"&expected=7", boldPolicy)
		w.refused(409, "is no canary", "POST", plainRoutes+"withdraw", `{}`)
		w.refused(404, "there is no policy", "POST", "/v1/policies/none/promote", `{}`)
		if h := asked[api.PolicyHistory](w, "GET", "/v1/policies/plain/history", ""); len(h.Versions) != 1 {
			t.Errorf("%+v", h)
		}
		// Withdrawn it is what it was; a version that says what the canary did is no canary.
		w.must("POST", tenPercent, boldPolicy)
		if end := asked[api.PolicyEdited](w, "POST", plainRoutes+"withdraw", `{"reason":"enough"}`); end.Version != 3 || end.Ended != 2 || len(end.Campaigns) != 0 {
			t.Errorf("withdrawn: %+v", end)
		}
		if diff := asked[api.PolicyDiff](w, "GET", "/v1/policies/plain/diff?from=1&to=3", ""); len(diff.Changes) != 0 || diff.Text != "" {
			t.Errorf("withdrawn it differs: %+v", diff)
		}
		w.must("POST", tenPercent, boldPolicy)
		if back := asked[api.PolicyEdited](w, "POST", plainRoutes+"rollback", `{"version":3,"reason":"enough"}`); back.Version != 5 || !back.Created {
			t.Errorf("rolled back to the stable version: %+v", back)
		}
	})
}

// A campaign that decides by proposals is proposed both arms, keeps what a person
// amended in each, and is proposed again when the canary ends.
func TestCanaryIsProposed(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/spaces", spaceDocument)
		w.must("POST", "/v1/policies", eagerPolicy)
		w.must("POST", "/v1/campaigns", "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\ndecide: propose\n"+twoRounds)
		before := asked[api.Preview](w, "GET", "/v1/campaigns/c/rounds/1/preview", "")
		if before.Standing != "proposed" || before.Decision.Canary != nil {
			t.Fatalf("%+v", before)
		}
		w.must("POST", tenPercent, boldPolicy)
		w.settle()
		tried := asked[api.Preview](w, "GET", "/v1/campaigns/c/rounds/1/preview", "")
		if train, _ := quotas(tried.Decision); tried.Standing != "proposed" || tried.Proposal.Serial != 2 || train != [2]uint64{90, 10} {
			t.Fatalf("%+v, %+v", tried.Proposal, tried.Decision.Canary)
		}
		w.must("POST", "/v1/campaigns/c/rounds/1/amend", fmt.Sprintf(`{"digest":%q,"author":"ann","pins":[{"slice":{"glove":"bare"},"share":0.5}]}`, tried.Digest))
		amended := asked[api.Preview](w, "GET", "/v1/campaigns/c/rounds/1/preview", "")
		pinned := map[bool]uint64{}
		for _, k := range amended.Decision.Components {
			if k.Name == "glove=bare" && k.Domain == "train" {
				pinned[k.Canary] += k.Quota
			}
		}
		if pinned[false] != 45 || pinned[true] != 5 {
			t.Errorf("the arms have %v of the pin", pinned)
		}
		w.must("POST", plainRoutes+"withdraw", `{}`)
		w.settle()
		after := asked[api.Preview](w, "GET", "/v1/campaigns/c/rounds/1/preview", "")
		if after.Standing != "proposed" || after.Proposal.Serial != 4 || after.Decision.Canary != nil || len(after.Guards.Pins) != 1 {
			t.Errorf("%+v, %+v", after.Proposal, after.Guards)
		}
		w.refused(409, "", "POST", "/v1/campaigns/c/rounds/1/approve", fmt.Sprintf(`{"digest":%q}`, amended.Digest))
		w.must("POST", "/v1/campaigns/c/rounds/1/approve", fmt.Sprintf(`{"digest":%q}`, after.Digest))
	})
}

// What was rejected is proposed again when a canary ends or begins: the campaign's
// policy has changed.
func TestCanaryIsRejected(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/spaces", spaceDocument)
		w.must("POST", "/v1/policies", eagerPolicy)
		w.must("POST", tenPercent, boldPolicy)
		w.must("POST", "/v1/campaigns", "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\ndecide: propose\n"+twoRounds)
		w.settle()
		for serial, put := range []string{"", plainRoutes + "withdraw", tenPercent} {
			switch put {
			case "":
			case tenPercent:
				w.must("POST", put, boldPolicy)
			default:
				w.must("POST", put, `{}`)
			}
			w.settle()
			p := asked[api.Preview](w, "GET", "/v1/campaigns/c/rounds/1/preview", "")
			if p.Standing != "proposed" || p.Proposal.Serial != serial+1 || (p.Decision.Canary != nil) != (serial != 1) {
				t.Fatalf("after %q: %+v, %+v", put, p.Proposal, p.Decision)
			}
			w.must("POST", "/v1/campaigns/c/rounds/1/reject", fmt.Sprintf(`{"digest":%q}`, p.Digest))
			w.restart()
		}
	})
}

// The arms are compared by what they were given, what was sent back, what it took and
// how the models fail on it; where too little is known that is said, and no number.
func TestCanaryIsCompared(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		session := w.learning(fiveRounds + "price: {gpu_hour: 3600, currency: EUR}\n")
		if none := asked[api.CanaryComparison](w, "GET", plainRoutes+"canary", ""); len(none.Campaigns) != 0 || !strings.Contains(none.Caveat, "hone experiment create") {
			t.Errorf("%+v", none)
		}
		w.must("POST", tenPercent, boldPolicy+"bans: [{slice: {light: low}}]\n")
		begun := asked[api.CanaryComparison](w, "GET", plainRoutes+"canary", "")
		if len(begun.Campaigns) != 1 || len(begun.Campaigns[0].Rounds) != 0 || !begun.Campaigns[0].Running || begun.Campaigns[0].Canary != 2 || begun.Campaigns[0].Stable != 1 {
			t.Errorf("%+v", begun)
		}
		for _, version := range []string{"v2", "v3"} {
			w.work(session, "ann")
			w.train(version)
		}
		w.work(session, "ann")
		var taken, failed [][]any
		for _, n := range []int{3, 4} {
			for _, k := range w.decided(n).Round.Components {
				number := []any{n, k.Number}
				switch {
				case k.Domain == 0 && k.Canary:
					taken = append(taken, append(number, 5, 10_000.))
				case k.Domain == 0:
					taken = append(taken, append(number, 10, 10_000.))
				case k.Source == "mixture" && k.Canary:
					failed = append(failed, append(number, 20, 18.))
				case k.Source == "mixture":
					failed = append(failed, append(number, 40, 4.))
				default: // of the target, which is of no arm
					failed = append(failed, append(number, 20, 20.))
				}
			}
		}
		w.view.set(func(v *reading) {
			v.tables = map[string]api.Table{"main.spaces": {Rows: [][]any{{"lab"}}}, "count(millis)": {Rows: taken}, "NOT o.correct": {Rows: failed}}
		})
		out := asked[api.CanaryComparison](w, "GET", plainRoutes+"canary?campaign=c", "")
		if len(out.Campaigns) != 1 || len(out.Campaigns[0].Rounds) != 2 {
			t.Fatalf("%+v", out)
		}
		trial := out.Campaigns[0]
		if last := trial.Rounds[1]; trial.Share != .1 || last.Round != 4 || fmt.Sprint(last.OnlyStable) != "[light=low]" || len(last.OnlyCanary) != 0 {
			t.Errorf("%+v", trial)
		}
		k, s := trial.Together.Canary, trial.Together.Stable
		if s.Samples != 360 || k.Samples != 40 || s.Accepted != 360 || k.Accepted != 40 || *k.RejectionRate != 0 || k.Cost.GPUSeconds != 2 || s.Cost.GPUSeconds != 1 || *k.Cost.Money != 2 || k.Cost.Currency != "EUR" ||
			k.Effective <= 0 || k.Effective > 1 || math.Abs(*k.FailureRate-.9) > 1e-12 || math.Abs(*s.FailureRate-.1) > 1e-12 {
			t.Errorf("together %+v, %+v", s, k)
		}
		if a := trial.Together.Above; a == nil || math.Abs(a.Expected-.8) > 1e-12 || a.Lower >= a.Expected || a.Lower < .6 || a.Upper <= a.Expected {
			t.Errorf("above by %+v: %s", a, trial.Together.Refused)
		}
		if r := trial.Rounds[0]; r.Above != nil || !strings.Contains(r.Refused, "at least 30 of each are needed") {
			t.Errorf("of too few it says %+v, %q", r.Above, r.Refused)
		}
		// What was tried is compared also when it has ended, by its version.
		w.must("POST", plainRoutes+"withdraw", `{}`)
		if ended := asked[api.CanaryComparison](w, "GET", plainRoutes+"canary?version=2", ""); len(ended.Campaigns) != 1 || ended.Campaigns[0].Running || len(ended.Campaigns[0].Rounds) != 2 {
			t.Errorf("%+v", ended)
		}
		w.refused(404, "there is no version 9", "GET", plainRoutes+"canary?version=9", "")
		w.refused(404, "there is no campaign", "GET", plainRoutes+"canary?campaign=none", "")
	})
}
