package coordinator

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

const (
	eagerPolicy = "name: plain\nstrategy: hone\nminimum_rows: 100\n"
	twoRounds   = "name: c\nseed: 7\nsamples: 200\nrounds: 2\nevaluation: {target: 20}\nlearn_from: [{model_line: net}]\n"
)

// failing is evidence in which what is dark fails.
func failing(dark int64) func(loop.EvidenceQuery) (loop.Evidence, error) {
	return func(loop.EvidenceQuery) (loop.Evidence, error) {
		var e loop.Evidence
		for light := range int64(2) {
			for glove := range loop.Code(2) {
				failures := 2 + (1-light)*dark
				e.Append(loop.Line{Codes: []loop.Code{loop.Code(light), glove}, Source: loop.SourceTarget, Origin: loop.Synthetic,
					Rows: 100, Failures: failures, Loss: failures * 1_000_000})
			}
		}
		e.Sort()
		return e, nil
	}
}

// learning runs a campaign up to its second round, which was decided from
// evidence.
func (w *world) learning(campaign string) (session string) {
	w.t.Helper()
	w.must("POST", "/v1/spaces", spaceDocument)
	w.must("POST", "/v1/policies", eagerPolicy)
	w.must("POST", "/v1/campaigns", "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\n"+campaign)
	session = w.join("ann")
	w.work(session, "ann")
	w.view.set(func(v *reading) { v.evidence = failing(40) })
	w.train("v1")
	return session
}

func (w *world) replay(n int) (r api.Replay) {
	w.t.Helper()
	text := w.must("POST", "/v1/campaigns/c/rounds/"+string(rune('0'+n))+"/replay", "")
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// I4: a past round replays to the same bytes, also when the campaign has been
// extended since; evidence that is altered or lost is said to be, and a round
// that comes out otherwise is shown with what differs.
func TestReplay(t *testing.T) {
	inWorld(t, Options{Build: "1.0"}, func(t *testing.T, w *world) {
		w.learning(twoRounds)
		w.steer("extend", `{"samples":1000,"rounds":5}`)
		w.restart()
		build := api.Build{Version: "1.0", Architecture: runtime.GOARCH}
		for n, evidence := range map[int]string{1: api.EvidenceNone, 2: api.EvidenceIntact} {
			r := w.replay(n)
			if !r.Identical || r.Replayed == nil || *r.Replayed != r.Digest || r.Evidence != evidence || r.Problem != "" || r.DecidedBy == nil || *r.DecidedBy != build {
				t.Errorf("round %d: %+v", n, r)
			}
		}
		if boosts(&w.decided(2).Round) == 0 {
			t.Fatal("nothing was boosted: there is little to compare")
		}
		if answer := w.request("POST", "/v1/campaigns/c/rounds/3/replay", ""); answer.Code != 404 {
			t.Errorf("a round that there is not: %d", answer.Code)
		}

		// As another build might have decided it.
		w.decided(2).Round.Components[0].Share -= 1 << 22
		if r := w.replay(2); r.Identical || len(r.Differences) != 1 || r.Differences[0].Field != "components[0].share" || r.ShareDistance != 1./1024 {
			t.Errorf("another share: %+v", r)
		}
		key := w.decided(2).EvidenceKey
		whole := w.store.objects[key]
		w.store.objects[key] = append([]byte("x"), whole...)
		if r := w.replay(2); r.Identical || r.Evidence != api.EvidenceAltered || r.Replayed != nil || !strings.Contains(r.Problem, "hashes to") {
			t.Errorf("altered evidence: %+v", r)
		}
		delete(w.store.objects, key)
		if r := w.replay(2); r.Identical || r.Evidence != api.EvidenceMissing || r.Replayed != nil {
			t.Errorf("lost evidence: %+v", r)
		}
	})
}

func (w *world) decided(n int) (d *loop.DecidedRound) {
	w.node.View(func(s *state.State) {
		round, _ := s.Round("c", n)
		d = round.Decided
	})
	return d
}
