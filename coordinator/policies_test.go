package coordinator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hone/api"
)

// asked sends a request that must be answered, and reads the answer.
func asked[T any](w *world, method, path, body string) (out T) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.must(method, path, body)), &out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// refused sends a request that must be refused.
func (w *world) refused(status int, want, method, path, body string) {
	w.t.Helper()
	if answer := w.request(method, path, body); answer.Code != status || !strings.Contains(answer.Body.String(), want) {
		w.t.Errorf("%s %s %s: %d %s, want %d with %q", method, path, body, answer.Code, answer.Body, status, want)
	}
}

const commented = "# ours\nname: plain\nstrategy: uniform # the control\n"

// An engineer tunes a policy: every edit is a version with its author, reason and
// difference, and the document keeps its comments.
func TestPolicyIsTuned(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/policies?author=ann&reason=to+begin+with", commented)
		pin := asked[api.PolicyEdited](w, "POST", "/v1/policies/plain/pin", `{"slice":{"light":"low"},"share":0.1,"author":"bob","reason":"night shift","expires":"2030-12-31"}`)
		line := "  - {slice: {light: low}, share: 0.1, author: bob, reason: night shift, expires: 2030-12-31}\n"
		if want := "--- plain@1\n+++ plain@2\n@@ -1,3 +1,6 @@\n # ours\n name: plain\n strategy: uniform # the control\n+\n+pins:\n+" + line; pin.Version != 2 || pin.Diff.Text != want ||
			len(pin.Diff.Changes) != 1 || pin.Diff.Changes[0].String() != "pins[light=low]: 10% by bob (night shift), until 2030-12-31" {
			t.Errorf("%+v", pin)
		}
		if d := asked[api.Definition](w, "GET", "/v1/policies/plain", ""); d.Document != commented+"\npins:\n"+line {
			t.Errorf("the document is %q", d.Document)
		}
		// The same again, as a client that heard no answer sends it, changes nothing,
		// whatever it expected; another edit that expects what is gone is refused.
		if again := asked[api.PolicyEdited](w, "POST", "/v1/policies/plain/pin", `{"slice":{"light":"low"},"share":0.1,"author":"bob","reason":"night shift","expires":"2030-12-31","expected":1}`); again.Version != 2 || again.Created || again.Diff.Text != "" {
			t.Errorf("again: %+v", again)
		}
		w.refused(409, "version 2 of policy \\\"plain\\\" is the latest, not 1", "POST", "/v1/policies/plain/unpin", `{"slice":{"light":"low"},"expected":1}`)
		w.refused(409, "somebody was faster", "POST", "/v1/policies?expected=1", commented+"floor: 0.5\n")
		w.refused(404, "light=high is not pinned (there is light=low)", "POST", "/v1/policies/plain/unpin", `{"slice":{"light":"high"}}`)
		w.refused(404, "there is no policy", "POST", "/v1/policies/none/pin", `{"slice":{"light":"high"},"share":0.1}`)
		w.refused(422, "it lies inside what bans[0] bans", "POST", "/v1/policies/plain/ban", `{"slice":{"light":"low"},"reason":"broken"}`)
		w.refused(422, "share", "POST", "/v1/policies/plain/pin", `{"slice":{"light":"low"},"share":1.5}`)
		w.refused(422, "is not a day", "POST", "/v1/policies/plain/ban", `{"slice":{"light":"high"},"expires":"soon"}`)
		w.refused(422, "1999-12-31 is over", "POST", "/v1/policies/plain/ban", `{"slice":{"light":"high"},"expires":"1999-12-31"}`)

		asked[api.PolicyEdited](w, "POST", "/v1/policies/plain/ban", `{"slice":{"glove":"worn"},"author":"ann","reason":"broken"}`)
		asked[api.PolicyEdited](w, "POST", "/v1/policies/plain/unpin", `{"slice":{"light":"low"},"author":"ann","expected":3}`)
		asked[api.PolicyEdited](w, "POST", "/v1/policies/plain/unban", `{"slice":{"glove":"worn"}}`)
		w.refused(409, "version 5, the latest, says what version 1 does", "POST", "/v1/policies/plain/rollback", `{"version":1,"reason":"back"}`)
		w.refused(404, "there is no version 9", "POST", "/v1/policies/plain/rollback", `{"version":9,"reason":"back"}`)
		back := asked[api.PolicyEdited](w, "POST", "/v1/policies/plain/rollback", `{"version":2,"author":"ann","reason":"it was better"}`)
		if back.Version != 6 || !back.Created || len(back.Diff.Changes) != 1 {
			t.Errorf("%+v", back)
		}

		diff := asked[api.PolicyDiff](w, "GET", "/v1/policies/plain/diff?from=2&to=6", "")
		if len(diff.Changes) != 0 || diff.Text != "" || diff.From != 2 || diff.To != 6 {
			t.Errorf("rolled back it differs: %+v", diff)
		}
		if diff := asked[api.PolicyDiff](w, "GET", "/v1/policies/plain/diff", ""); diff.From != 5 || diff.To != 6 || len(diff.Changes) != 1 {
			t.Errorf("%+v", diff)
		}
		history := asked[api.PolicyHistory](w, "GET", "/v1/policies/plain/history", "")
		var told []string
		for _, v := range history.Versions {
			told = append(told, fmt.Sprint(v.Version, " ", v.Author, " ", v.Reason, " ", v.Changes))
		}
		want := []string{"1 ann to begin with []", "2 bob night shift [pins[light=low]: 10% by bob (night shift), until 2030-12-31]",
			"3 ann broken [bans[glove=worn]: banned by ann (broken)]", "4 ann  [pins[light=low] removed]", "5   [bans[glove=worn] removed]",
			"6 ann it was better [pins[light=low]: 10% by bob (night shift), until 2030-12-31]"}
		if !slices.Equal(told, want) {
			t.Errorf("history %q, want %q", told, want)
		}
		w.restart()
		if again := asked[api.PolicyHistory](w, "GET", "/v1/policies/plain/history", ""); fmt.Sprint(again) != fmt.Sprint(history) {
			t.Errorf("after a restart: %+v", again)
		}
	})
}

// Edits at once all take effect, each a version of its own.
func TestPoliciesAreEditedAtOnce(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/policies", policyDocument)
		var editors sync.WaitGroup
		for i := range 5 {
			editors.Go(func() {
				body := fmt.Sprintf(`{"slice":{"light":"l%d"},"reason":"broken"}`, i)
				if answer := w.request("POST", "/v1/policies/plain/ban", body); answer.Code != 200 {
					t.Errorf("%d %s", answer.Code, answer.Body)
				}
			})
		}
		editors.Wait()
		if h := asked[api.PolicyHistory](w, "GET", "/v1/policies/plain/history", ""); len(h.Versions) != 6 {
			t.Errorf("%d versions", len(h.Versions))
		}
		if d := asked[api.Definition](w, "GET", "/v1/policies/plain", ""); strings.Count(d.Document, "broken") != 5 {
			t.Error(d.Document)
		}
	})
}

// A campaign follows the version that it was created with until it is told to
// follow another, from its next round on; one that it could not be decided by is
// refused (C15).
func TestCampaignAdoptsPolicy(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		session := w.learning("name: c\nseed: 7\nsamples: 300\nrounds: 3\nevaluation: {target: 20}\nlearn_from: [{model_line: net}]\n")
		pinned := asked[api.PolicyEdited](w, "POST", "/v1/policies/plain/pin", `{"slice":{"glove":"bare"},"share":0.3,"author":"ann","reason":"hands are new"}`)
		if len(pinned.Campaigns) != 1 || pinned.Campaigns[0] != (api.PolicyUser{Campaign: "c", Version: 1}) {
			t.Errorf("behind are %+v", pinned.Campaigns)
		}
		// A slip is said at once where somebody follows the policy, and else by whoever would.
		w.refused(422, `"slice.gloves"`, "POST", "/v1/policies/plain/pin", `{"slice":{"gloves":"bare"},"share":0.1}`)
		w.refused(422, `its levels are `, "POST", "/v1/policies/plain/ban", `{"slice":{"glove":"bar"}}`)
		slip := asked[api.PolicyPut](w, "POST", "/v1/policies", "name: plain\nstrategy: uniform\npins: [{slice: {gloves: bare}, share: 0.1}]\n")
		if len(slip.Campaigns) != 1 || !strings.Contains(slip.Campaigns[0].Refused, `campaign "c" cannot follow plain@3: space "lab" has no factor "gloves"`) {
			t.Errorf("behind are %+v", slip.Campaigns)
		}
		w.refused(422, `campaign \"c\" cannot follow plain@3: space \"lab\" has no factor \"gloves\"`, "POST", "/v1/campaigns/c/policy", `{}`)
		w.refused(404, "there is no version 9", "POST", "/v1/campaigns/c/policy", `{"version":9}`)
		w.refused(404, "there is no campaign", "POST", "/v1/campaigns/none/policy", `{"policy":"plain"}`)
		w.refused(409, "version", "POST", "/v1/campaigns/c/policy", `{"version":2,"expected":7}`)
		for range 2 { // sent again it changes nothing
			c := asked[api.Campaign](w, "POST", "/v1/campaigns/c/policy", `{"version":2,"author":"ann","reason":"hands"}`)
			if c.Policy != "plain@2" || c.Version != 2 || len(c.Amendments) != 1 || c.Amendments[0].Policy != "plain@2" || c.Amendments[0].Reason != "hands" {
				t.Fatalf("%+v", c)
			}
		}
		w.work(session, "ann")
		w.train("v2")
		for n, version := range []int{1, 1, 2} {
			r := asked[api.Round](w, "GET", fmt.Sprintf("/v1/campaigns/c/rounds/%d", n+1), "")
			if r.Decision.PolicyVersion != version {
				t.Errorf("round %d is by version %d, want %d", n+1, r.Decision.PolicyVersion, version)
			}
			var own *api.Component
			for i := range r.Decision.Components {
				if k := &r.Decision.Components[i]; k.Domain == "train" && k.Name == "glove=bare" {
					own = k
				}
			}
			switch {
			case (own != nil) != (version == 2):
				t.Errorf("round %d has %+v", n+1, own)
			case own != nil && (own.Quota != 30 || own.Reason.Pin == nil || own.Reason.Pin.Author != "ann" ||
				!strings.Contains(own.Reason.Sentence, "glove=bare is pinned at 30% by ann (hands are new)")):
				t.Errorf("the pin is %+v, %+v", own, own.Reason)
			}
			if replay := w.replay(n + 1); !replay.Identical {
				t.Errorf("round %d replays otherwise: %+v", n+1, replay)
			}
		}

	})
}

// What has expired holds no more in the rounds after its last day, and a replay
// goes by the day of its round (I4).
func TestPinExpires(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/spaces", spaceDocument)
		last := time.Now().UTC().Format(time.DateOnly)
		w.must("POST", "/v1/policies", "name: plain\nstrategy: uniform\npins: [{slice: {glove: bare}, share: 0.3, expires: "+last+"}]\n")
		w.must("POST", "/v1/campaigns", "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\n"+twoRounds)
		session := w.join("ann")
		w.work(session, "ann")
		w.pass(25 * time.Hour)
		w.train("v1")
		for n, want := range []int{1, 0} {
			r := asked[api.Round](w, "GET", fmt.Sprintf("/v1/campaigns/c/rounds/%d", n+1), "")
			pins := 0
			for _, k := range r.Decision.Components {
				if k.Reason != nil && k.Reason.Pin != nil {
					pins++
				}
			}
			if over := strings.Contains(strings.Join(r.Decision.Notes, " "), "The pin of glove=bare, until "+last+" is over"); pins != want || over != (want == 0) {
				t.Errorf("round %d: %d pins, %q", n+1, pins, r.Decision.Notes)
			}
			if replay := w.replay(n + 1); !replay.Identical {
				t.Errorf("round %d replays otherwise: %+v", n+1, replay)
			}
		}
	})
}
