package coordinator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

const askedRounds = twoRounds + "decide: propose\n"

func (w *world) proposals() (all []api.Proposal) {
	w.t.Helper()
	var list api.ProposalList
	if err := json.Unmarshal([]byte(w.must("GET", "/v1/campaigns/c/proposals", "")), &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Proposals
}

// standing is the last proposal.
func (w *world) standing() api.Proposal {
	w.t.Helper()
	all := w.proposals()
	if len(all) == 0 {
		w.t.Fatalf("nothing is proposed; waiting for %q", w.show("c").Waiting)
	}
	return all[len(all)-1]
}

func (w *world) preview(n int) (p api.Preview) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.must("GET", fmt.Sprintf("/v1/campaigns/c/rounds/%d/preview", n), "")), &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func ruleBody(p api.Proposal, author, more string) string {
	return fmt.Sprintf(`{"digest":%q,"author":%q,"reason":"because"%s}`, p.Digest, author, more)
}

// do asks for a ruling on a proposal and returns the status.
func (w *world) do(verb string, p api.Proposal, author, more string) int {
	w.t.Helper()
	path := fmt.Sprintf("/v1/campaigns/c/rounds/%d/%s", p.Round, verb)
	answer := w.request("POST", path, ruleBody(p, author, more))
	for try := 0; answer.Code == http.StatusServiceUnavailable && try < 50; try++ {
		answer = w.request("POST", path, ruleBody(p, author, more))
	}
	w.settle()
	return answer.Code
}

// C8: what is decided waits until somebody approves it, across a restart and for
// any time; what opens is what was seen. Amended it waits again; and it replays.
func TestProposeAmendApprove(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/spaces", spaceDocument)
		w.must("POST", "/v1/policies", eagerPolicy)
		w.must("POST", "/v1/campaigns", "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\n"+askedRounds)
		w.join("ann")
		first := w.standing()
		if c := w.show("c"); first.Round != 1 || first.State != api.ProposalWaiting || first.Author != "hone" || !strings.HasPrefix(c.Waiting, "approval of round 1, proposed at ") ||
			c.Proposal == nil || c.Proposal.Digest != first.Digest || c.Round != 0 {
			t.Fatalf("%+v, waiting for %q", first, c.Waiting)
		}
		w.pass(24 * time.Hour)
		w.restart()
		s := w.join("ann")
		w.check(exact)
		if units := w.work(s, "ann"); units != 0 || len(w.proposals()) != 1 {
			t.Fatalf("made %d units of what nobody approved; %d proposals", units, len(w.proposals()))
		}
		if code := w.do("approve", first, "ann", ""); code != 200 {
			t.Fatalf("approve: %d", code)
		}
		if r := w.decided(1); r == nil || r.Round.Digest() != first.Digest {
			t.Fatal("what opened is not what was proposed")
		}
		if code := w.do("approve", first, "ann", ""); code != 200 {
			t.Errorf("approved again: %d", code)
		}
		if code := w.do("reject", first, "bob", ""); code != 409 {
			t.Errorf("rejected afterwards: %d", code)
		}
		w.pass(3 * time.Second) // the reconnect window
		w.work(s, "ann")
		w.view.set(func(v *reading) { v.evidence = failing(40) })
		w.train("v1")

		second := w.standing()
		p := w.preview(2)
		if p.Standing != "proposed" || p.Digest != second.Digest || p.Guards == nil || p.Price.Training != 100 || p.Price.Evaluation != 20 || len(p.Slices) < 2 || len(p.Factors) != 2 {
			t.Fatalf("%+v", p)
		}
		// What is made has more of what is dark, as deployment has a quarter of it.
		if dark := p.Factors[0].Levels[0]; dark.Level != "low" || dark.From > .4 || dark.To < dark.From+.05 {
			t.Errorf("the factor that fails goes from %.3f to %.3f", dark.From, dark.To)
		}
		if from, to := sum(p.Slices); from < .999 || from > 1.001 || to < .999 || to > 1.001 {
			t.Errorf("shares sum to %v and %v", from, to)
		}
		low := `,"pins":[{"slice":{"light":"low"},"share":0.05}]`
		if code := w.do("amend", second, "ann", low); code != 200 {
			t.Fatalf("amend: %d", code)
		}
		if code := w.do("amend", second, "ann", low); code != 200 || len(w.proposals()) != 3 {
			t.Errorf("the same amendment again: %d, %d proposals", code, len(w.proposals()))
		}
		if code := w.do("approve", second, "bob", ""); code != 409 {
			t.Errorf("what was amended since is approved: %d", code)
		}
		third := w.standing()
		if third.Author != "ann" || third.Digest == second.Digest || len(third.Changes) == 0 {
			t.Fatalf("%+v", third)
		}
		if was := w.proposals()[1]; was.State != api.ProposalAmended || was.Ruling.Author != "ann" || was.Ruling.Reason != "because" {
			t.Errorf("%+v", was)
		}
		if code := w.do("amend", third, "bob", `,"bans":[{"slice":{"glove":"worn"}}]`); code != 200 {
			t.Fatalf("amend: %d", code)
		}
		fourth := w.standing()
		p = w.preview(2)
		if len(p.Guards.Pins) != 1 || p.Guards.Pins[0].Author != "ann" || len(p.Guards.Bans) != 1 || p.Guards.Bans[0].Author != "bob" {
			t.Errorf("the guard rails: %+v", p.Guards)
		}
		if code := w.do("approve", fourth, "bob", ""); code != 200 {
			t.Fatalf("approve: %d", code)
		}
		r := w.decided(2)
		if r.Round.Digest() != fourth.Digest {
			t.Fatal("what opened is not what was proposed")
		}
		own := uint64(0)
		for i := range r.Round.Components {
			if c := &r.Round.Components[i]; c.Domain == loop.Train && c.Slice.Equal(loop.Slice{{Factor: 0, Level: 0}}) {
				own = c.Quota
				if c.Reason.Pin == nil || c.Reason.Pin.Author != "ann" {
					t.Errorf("the round does not say who pinned: %+v", c.Reason)
				}
			}
		}
		if own != 5 {
			t.Errorf("%d samples of what was pinned at 5 of 100", own)
		}
		w.work(s, "ann")
		w.ends("c", "done", api.Counts{Requested: 200, Committed: 200})
		for n := 1; n <= 2; n++ {
			if r := w.replay(n); !r.Identical {
				t.Errorf("round %d: %+v", n, r)
			}
		}
	})
}

func sum(shares []api.ShareChange) (from, to float64) {
	for _, s := range shares {
		from += s.From
		to += s.To
	}
	return from, to
}

// C8: after a rejection a campaign waits for new evidence, another version of
// what it asks for, or somebody who asks; then it proposes again.
func TestRejectedRoundIsProposedAgain(t *testing.T) {
	for name, x := range map[string]struct {
		again  func(w *world)
		author string
		reason string
	}{
		"asked for": {func(w *world) { w.must("POST", "/v1/campaigns/c/propose", `{"author":"bob","reason":"labels mended"}`) }, "bob", "labels mended"},
		"extended":  {func(w *world) { w.steer("extend", `{"samples":1000,"rounds":5}`) }, "hone", "the campaign was extended, or follows another policy"},
		"new model": {func(w *world) { w.train("v2") }, "hone", "there is new evidence"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(t *testing.T, w *world) {
				w.must("POST", "/v1/spaces", spaceDocument)
				w.must("POST", "/v1/policies", eagerPolicy)
				w.must("POST", "/v1/campaigns", "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\n"+askedRounds)
				s := w.join("ann")
				w.do("approve", w.standing(), "ann", "")
				w.work(s, "ann")
				if answer := w.request("POST", "/v1/campaigns/c/propose", ""); answer.Code != 409 {
					t.Errorf("proposed before a model was sealed: %d", answer.Code)
				}
				w.view.set(func(v *reading) { v.evidence = failing(40) })
				w.train("v1")
				n := len(w.proposals())
				if code := w.do("reject", w.standing(), "ann", ""); code != 200 {
					t.Fatalf("reject: %d", code)
				}
				w.pass(time.Hour)
				w.restart()
				if c := w.show("c"); c.Waiting != "new evidence, or somebody to ask for another proposal of round 2: the last was rejected by ann (because)" || len(w.proposals()) != n {
					t.Fatalf("waiting for %q, %d proposals", c.Waiting, len(w.proposals()))
				}
				if p := w.preview(2); p.Standing != "imagined" || p.Proposal == nil || p.Proposal.State != api.ProposalRejected {
					t.Errorf("%+v", p)
				}
				x.again(w)
				p := w.standing()
				if p.State != api.ProposalWaiting || p.Serial != n+1 || p.Author != x.author || p.Reason != x.reason {
					t.Fatalf("%+v", p)
				}
				if code := w.do("approve", p, "ann", ""); code != 200 || w.show("c").Round != 2 {
					t.Errorf("approve: %d", code)
				}
				w.check(counted)
			})
		})
	}
}

// What waits is proposed again, with what was amended, when the campaign is
// extended or a newer model is sealed; while the campaign is paused nothing opens.
func TestWaitingRoundIsProposedAgain(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/spaces", spaceDocument)
		w.must("POST", "/v1/policies", eagerPolicy)
		w.must("POST", "/v1/campaigns", "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\n"+askedRounds)
		if code := w.do("amend", w.standing(), "ann", `,"pins":[{"slice":{"light":"low"},"share":0.2}]`); code != 200 {
			t.Fatalf("amend: %d", code)
		}
		amended := w.standing()
		w.steer("pause", "")
		if code := w.do("approve", amended, "ann", ""); code != 409 {
			t.Errorf("approved while paused: %d", code)
		}
		w.refused(409, "paused: resume it first", "POST", "/v1/campaigns/c/rounds/1/amend", `{"digest":"`+amended.Digest.String()+`","bans":[{"slice":{"glove":"worn"}}]}`)
		w.refused(409, "paused: resume it first", "POST", "/v1/campaigns/c/propose", "{}")
		w.steer("resume", "")
		if p := w.standing(); p.Digest != amended.Digest || p.State != api.ProposalWaiting {
			t.Errorf("a pause left %+v", p)
		}
		w.steer("extend", `{"samples":400,"rounds":2}`)
		p := w.standing()
		w.must("POST", "/v1/policies", eagerPolicy+"floor: 0.3\n")
		w.must("POST", "/v1/campaigns/c/policy", "{}")
		if by := w.standing(); by.Serial != p.Serial+1 {
			t.Errorf("another policy, and still there waits %+v", by)
		} else if w.proposals()[p.Serial-1].State != api.ProposalReplaced {
			t.Error("two wait")
		}
		w.must("POST", "/v1/policies", eagerPolicy)
		w.must("POST", "/v1/campaigns/c/policy", "{}")
		if p.Serial != amended.Serial+1 || p.State != api.ProposalWaiting || p.Author != "hone" || w.proposals()[amended.Serial-1].State != api.ProposalReplaced {
			t.Fatalf("%+v", p)
		}
		if code := w.do("approve", amended, "ann", ""); code != 409 {
			t.Errorf("what was replaced is approved: %d", code)
		}
		p = w.standing()
		if code := w.do("approve", p, "ann", ""); code != 200 {
			t.Fatalf("approve: %d", code)
		}
		if b := w.decided(1).Budget; len(b.Pins) != 1 || b.Pins[0].Author != "ann" || b.Train != 200 {
			t.Errorf("opened with %+v", b)
		}
		s := w.join("ann")
		w.work(s, "ann")
		w.train("v1")
		w.steer("close", `{"author":"bob"}`)
		w.pass(time.Minute)
		if p := w.standing(); p.State != api.ProposalVoid || p.Ruling.Author != "bob" {
			t.Errorf("after closing: %+v", p)
		}
		if c := w.show("c"); !c.Ended() {
			t.Errorf("waiting for %q", c.Waiting)
		}
	})
}

// Nobody knows whether what they asked for has happened (C10): asked for again it
// is answered as it was, and happens once.
func TestProposalsWhereAnswersAreLost(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		turn := 0
		w.lose = func() loss {
			turn++
			return []loss{nothing, theAnswer, theCommand}[turn%3]
		}
		w.must("POST", "/v1/spaces", spaceDocument)
		w.must("POST", "/v1/policies", eagerPolicy)
		w.must("POST", "/v1/campaigns", "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\n"+askedRounds)
		w.pass(time.Minute)
		if code := w.do("amend", w.standing(), "ann", `,"pins":[{"slice":{"light":"low"},"share":0.2}]`); code != 200 {
			t.Fatalf("amend: %d", code)
		}
		w.pass(time.Minute)
		if n := len(w.proposals()); n != 2 {
			t.Errorf("%d proposals", n)
		}
		if code := w.do("approve", w.standing(), "ann", ""); code != 200 {
			t.Errorf("approve: %d", code)
		}
		w.node.View(func(s *state.State) {
			if n := len(s.Rounds("c")); n != 1 {
				t.Errorf("%d rounds", n)
			}
		})
		w.lose = nil
	})
}

// A campaign that decides by itself shows what it would decide now, and keeps
// nothing of it.
func TestPreviewOfWhatIsNotProposed(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		s := w.learning(twoRounds + "max_attempts: 2\n")
		w.work(s, "ann")
		w.steer("extend", `{"samples":300,"rounds":3}`)
		objects := len(w.store.objects)
		p := w.preview(3)
		if p.Standing != "imagined" || p.Proposal != nil || p.Price.Training != 100 || p.Guards == nil || len(w.store.objects) != objects || w.show("c").Round != 2 {
			t.Errorf("%+v; %d objects more", p, len(w.store.objects)-objects)
		}
		w.train("v2")
		if r := w.decided(3); r.Round.Digest() != p.Digest {
			t.Error("the same evidence gave another round than was shown (I4)")
		}
		for path, want := range map[string]int{"/v1/campaigns/c/rounds/3/preview": 409, "/v1/campaigns/c/rounds/4/preview": 404, "/v1/campaigns/none/rounds/1/preview": 404} {
			if answer := w.request("GET", path, ""); answer.Code != want {
				t.Errorf("%s: %d, want %d", path, answer.Code, want)
			}
		}
	})
}
