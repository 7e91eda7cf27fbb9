package coordinator

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

const threeRounds = "name: c\nseed: 7\nsamples: 90\nrounds: 3\nevaluation: {target: 20}\nlearn_from: [{model_line: net, task: detect, eval_set: c.eval}]\n"

// post appends rows of a model version's outcomes, as ingest does.
func (w *world) post(line, version, key string, rows int) {
	w.t.Helper()
	object, err := w.store.put("parts", w.coord.Epoch(), int64(rows), fmt.Append(nil, line, version, key, rows))
	if err != nil {
		w.t.Fatal(err)
	}
	posts := []loop.PostRows{{Post: loop.Post{Space: "lab", ModelLine: line, Version: version, Key: key,
		Body: sha256.Sum256([]byte(key))}, Rows: make([]loop.Outcome, rows)}}
	err = patiently(func() error {
		receipts, err := w.coord.Append(w.t.Context(), posts, object)
		if err == nil && (receipts[0].Err != nil || receipts[0].Accepted != int64(rows) && receipts[0].DuplicateOf == 0) {
			err = fmt.Errorf("%+v", receipts)
		}
		return err
	})
	if err != nil {
		w.t.Fatalf("append: %v", err)
	}
	w.settle()
}

// train posts a version's outcomes and seals it.
func (w *world) train(version string) {
	w.t.Helper()
	w.post("net", version, "of "+version, 5)
	w.must("POST", "/v1/models/net/"+version+"/seal", `{"rows":5}`)
}

func (w *world) round(name string, n int) (r api.Round) {
	w.t.Helper()
	answer := w.request("GET", fmt.Sprintf("/v1/campaigns/%s/rounds/%d", name, n), "")
	if answer.Code == 404 {
		return r
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &r); err != nil {
		w.t.Fatalf("%s: %v", answer.Body, err)
	}
	return r
}

// In sealed mode a round is decided when the one before it is published and a
// model version has been sealed since; its evidence is that of the newest sealed
// versions, as many as the policy's window (C8, C15).
func TestThreeRounds(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		// Before there is any campaign: these are the ages of the first round.
		w.must("POST", "/v1/spaces", spaceDocument)
		w.train("old1")
		w.train("old2")
		w.must("POST", "/v1/policies", "name: plain\nstrategy: uniform\nwindow: 3\n")
		w.must("POST", "/v1/campaigns", "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\n"+threeRounds)
		s := w.join("ann")
		for n := 1; n <= 3; n++ {
			if r := w.round("c", n); r.State != api.RoundOpen || r.Requested != 30 {
				t.Fatalf("round %d: %+v", n, r)
			}
			w.work(s, "ann")
			r := w.round("c", n)
			if r.State != api.RoundPublished || r.Dataset != fmt.Sprintf("c@%d", n) || r.EvalDataset != fmt.Sprintf("c.eval@%d", n) || r.Committed != 30 {
				t.Fatalf("round %d: %+v", n, r)
			}
			if next := w.round("c", n+1); next.Round != 0 {
				t.Fatalf("round %d is open though nothing was sealed", n+1)
			}
			if c := w.show("c"); n < 3 && c.Waiting != fmt.Sprintf("a sealed version of model line net, trained on c@%d", n) {
				t.Errorf("waiting for %q", c.Waiting)
			}
			w.check(exact)
			w.train(fmt.Sprint("v", n))
		}
		w.ends("c", "done", api.Counts{Requested: 90, Committed: 90})
		if c := w.show("c"); *c.Evaluation != (api.Counts{Requested: 60, Committed: 60}) {
			t.Errorf("evaluation: %+v", c.Evaluation)
		}
		want := [][]string{{"old2", "old1"}, {"v1", "old2", "old1"}, {"v2", "v1", "old2"}}
		if len(w.view.asked) != len(want) {
			t.Fatalf("evidence was asked for %d times", len(w.view.asked))
		}
		for n, q := range w.view.asked {
			var versions []string
			for age, m := range q.Models {
				if m.ModelLine != "net" || int(m.Age) != age || m.Task != "detect" || m.EvalSet != "c.eval" {
					t.Errorf("round %d asked for %+v", n+1, m)
				}
				versions = append(versions, m.Version)
			}
			if fmt.Sprint(versions) != fmt.Sprint(want[n]) || q.Space != "lab" {
				t.Errorf("round %d asked for the evidence of %v in %s, want %v", n+1, versions, q.Space, want[n])
			}
			// It holds all outcomes of the newest, and never goes back (C15).
			if r := w.round("c", n+1); q.AtLeast == 0 || r.Sequence < q.AtLeast || n > 0 && q.AtLeast <= w.view.asked[n-1].AtLeast {
				t.Errorf("round %d asked at least at %d and was decided at %d", n+1, q.AtLeast, r.Sequence)
			}
		}
		// The training version holds all rounds, the evaluation version its own.
		for name, lines := range map[string]int{"c/1": 30, "c/2": 60, "c/3": 90, "c.eval/1": 20, "c.eval/3": 20} {
			manifest := w.must("GET", "/v1/datasets/"+name+"/manifest", "")
			if got := strings.Count(manifest, "\n") - 1; got != lines {
				t.Errorf("%s has %d samples, want %d", name, got, lines)
			}
		}
	})
}

// A version that was sealed before the round was published does not advance it,
// neither do another line's, nor the one that the round was decided from (C8);
// that holds after a restart too.
func TestSealedBeforePublished(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(threeRounds)
		s := w.join("ann")
		units := w.next(s, 100)
		for _, u := range units[1:] {
			w.accepted(s, "ann", u)
		}
		w.train("early")
		// The last delivery, and then a seal while the manifest is being written:
		// at the very sequence at which the selection was evaluated.
		publishing, goOn := make(chan struct{}), make(chan struct{})
		w.view.set(func(v *reading) {
			v.hide = func(row loop.SampleRow) bool {
				if row.Name.Index == 0 && row.Name.Domain == loop.Train {
					publishing <- struct{}{}
					<-goOn
				}
				return false
			}
		})
		w.stage("ann", units[0])
		delivered := make(chan error, 1)
		go func() {
			_, err := w.coord.Deliver(t.Context(), s, made("ann", units[0]), func() {})
			delivered <- err
		}()
		<-publishing
		if err := <-delivered; err != nil {
			t.Fatal(err)
		}
		w.must("POST", "/v1/models/net/empty/seal", `{"rows":0}`)
		w.view.set(func(v *reading) { v.hide = nil })
		goOn <- struct{}{}
		w.settle()
		if r := w.round("c", 1); r.State != api.RoundPublished {
			t.Fatalf("round 1: %+v", r)
		}
		quiet := func(when string) {
			t.Helper()
			w.pass(time.Minute)
			if r := w.round("c", 2); r.Round != 0 {
				t.Fatalf("round 2 was opened %s", when)
			}
		}
		quiet("by versions that were sealed before round 1 was published")
		w.post("other", "1", "x", 3)
		w.must("POST", "/v1/models/other/1/seal", `{"rows":3}`)
		quiet("by another line's version")
		w.restart()
		quiet("by a restart")
		w.train("late")
		if r := w.round("c", 2); r.Round != 2 {
			t.Fatalf("round 2 is not open after a version was sealed: %q", w.show("c").Waiting)
		}
		s = w.join("ann")
		w.work(s, "ann")
		w.pass(3 * time.Second)
		w.work(s, "ann")
		quietRound3 := w.round("c", 3)
		if w.round("c", 2).State != api.RoundPublished || quietRound3.Round != 0 {
			t.Errorf("round 2: %+v; round 3: %+v", w.round("c", 2), quietRound3)
		}
	})
}

// Several lines that a campaign learns from must each have a version sealed.
func TestAllLinesSealed(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 20\nrounds: 2\nlearn_from: [{model_line: net}, {model_line: twin}]\n")
		w.work(w.join("ann"), "ann")
		if c := w.show("c"); !strings.Contains(c.Waiting, "net and one of twin") {
			t.Errorf("waiting for %q", c.Waiting)
		}
		w.train("1")
		if c := w.show("c"); c.Round != 1 || !strings.Contains(c.Waiting, "line twin,") {
			t.Errorf("round %d, waiting for %q", c.Round, c.Waiting)
		}
		w.pass(time.Second) // one without outcomes is known by its time alone
		w.must("POST", "/v1/models/twin/1/seal", `{"rows":0}`)
		if c := w.show("c"); c.Round != 2 {
			t.Errorf("round %d, waiting for %q", c.Round, c.Waiting)
		}
	})
}

// What a step of a campaign fails of is shown where people look, tried again,
// and forgotten when it succeeds.
func TestTroubleIsShown(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(threeRounds)
		s := w.join("ann")
		w.failWrites("manifests", errors.New("disk full"))
		w.work(s, "ann")
		if c := w.show("c"); !strings.Contains(c.Waiting, "publish c@1: disk full") {
			t.Errorf("waiting for %q", c.Waiting)
		}
		w.pass(time.Hour)
		if n := strings.Count(w.log.String(), "cannot advance campaign"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, w.log.String())
		}
		w.failWrites("manifests", nil)
		w.pass(maxRetryAfter)
		if c := w.show("c"); w.round("c", 1).State != api.RoundPublished || strings.Contains(c.Waiting, "disk") {
			t.Errorf("%+v", c)
		}
		w.view.set(func(v *reading) {
			v.evidence = func(loop.EvidenceQuery) (loop.Evidence, error) {
				return loop.Evidence{}, errors.New("the view is gone")
			}
		})
		w.train("1")
		if c := w.show("c"); c.Round != 1 || !strings.Contains(c.Waiting, "open round 2 of c: decide: the view is gone") {
			t.Errorf("round %d, waiting for %q", c.Round, c.Waiting)
		}
		// Evidence that contradicts itself is Decide's to refuse.
		w.view.set(func(v *reading) {
			v.evidence = func(loop.EvidenceQuery) (loop.Evidence, error) {
				e := loop.Evidence{}
				e.Append(loop.Line{Codes: []loop.Code{0, 0}, Source: loop.SourceTarget, Origin: loop.Real, Rows: 3, Failures: 4})
				return e, nil
			}
		})
		w.pass(maxRetryAfter)
		if c := w.show("c"); c.Round != 1 || !strings.Contains(c.Waiting, "4 failures of 3 rows") {
			t.Errorf("round %d, waiting for %q", c.Round, c.Waiting)
		}
		w.view.set(func(v *reading) { v.evidence = nil })
		w.pass(maxRetryAfter)
		if c := w.show("c"); c.Round != 2 {
			t.Errorf("round %d, waiting for %q", c.Round, c.Waiting)
		}
	})
}

// What a round was decided from is kept by digest and key, with the versions
// that it is made of (I4, I10).
func TestEvidenceIsKept(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(threeRounds)
		evidence := loop.Evidence{}
		evidence.Append(loop.Line{Codes: []loop.Code{0, 1}, Source: loop.SourceTarget, Origin: loop.Synthetic, Rows: 30, Failures: 4})
		w.view.set(func(v *reading) {
			v.evidence = func(loop.EvidenceQuery) (loop.Evidence, error) { return evidence, nil }
		})
		w.work(w.join("ann"), "ann")
		w.train("1")
		w.node.View(func(s *state.State) {
			r, ok := s.Round("c", 2)
			if !ok {
				t.Fatal("there is no round 2")
			}
			d := r.Decided
			if d.Round.Evidence != evidence.Digest() || d.Round.EvidenceRows != 30 || len(d.Models) != 1 || d.Models[0].Version != "1" {
				t.Errorf("decided from %+v", d)
			}
			if string(w.store.objects[d.EvidenceKey]) != string(evidence.Encode()) || !s.References(d.EvidenceKey) {
				t.Errorf("the evidence object %q is not what was decided from", d.EvidenceKey)
			}
		})
	})
}

// Nothing is published that the view and state do not agree on (I7): a sample
// too few or too many, or another one.
func TestViewDisagrees(t *testing.T) {
	for name, hide := range map[string]func(loop.SampleRow) bool{
		"first": func(r loop.SampleRow) bool { return r.Name.Index == 0 },
		"last":  func(r loop.SampleRow) bool { return r.Name.Index == 99 },
		"all":   func(loop.SampleRow) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(t *testing.T, w *world) {
				w.view.set(func(v *reading) { v.hide = hide })
				w.campaign(oneRound)
				w.work(w.join("ann"), "ann")
				if c := w.show("c"); !strings.Contains(c.Waiting, "the view") {
					t.Errorf("waiting for %q", c.Waiting)
				}
				if answer := w.request("GET", "/v1/datasets/c/1", ""); answer.Code != 404 {
					t.Errorf("published: %s", answer.Body)
				}
				w.view.set(func(v *reading) { v.hide = nil })
				w.pass(maxRetryAfter)
				if c := w.show("c"); c.Waiting != "" || c.State != "done" {
					t.Errorf("%+v", c)
				}
				w.must("GET", "/v1/datasets/c/1", "")
			})
		})
	}
}

// A revoke of an earlier round's sample is made good before the later round is
// published: its version holds the quota of all rounds (C8, C13).
func TestRevokeBeforePublish(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(threeRounds)
		s := w.join("ann")
		w.work(s, "ann")
		w.train("1")
		units := w.next(s, 100)
		rows := w.view.rows()
		var reference uint64
		for _, c := range w.view.changes() {
			if c.Part != nil && c.Part.Kind == loop.SampleParts && w.store.samples[c.Part.Object.Key][0].Name == rows[0].Name {
				reference = c.Sequence
			}
		}
		w.propose(state.Command{Revoke: &state.Revoke{Samples: []state.RevokedSample{{Campaign: "c", Name: rows[0].Name, Reference: reference}}}})
		for _, u := range units {
			w.accepted(s, "ann", u)
		}
		if r := w.round("c", 2); r.State != api.RoundOpen || r.Pending != 0 {
			t.Errorf("round 2 with a sample of round 1 open: %+v", r)
		}
		if n := w.work(s, "ann"); n != 1 {
			t.Errorf("%d units were leased for the one revoked sample", n)
		}
		w.check(exact)
		if got := strings.Count(w.must("GET", "/v1/datasets/c/2/manifest", ""), "\n") - 1; got != 60 {
			t.Errorf("c@2 has %d samples", got)
		}
	})
}

// Two runs of one campaign, with other workers in another order, decide the same
// rounds and publish the same manifests (I4).
func TestSealedModeIsReproducible(t *testing.T) {
	run := func(workers ...string) (out []string) {
		inWorld(t, Options{}, func(t *testing.T, w *world) {
			w.campaign(threeRounds)
			for n := 1; n <= 3; n++ {
				for round := 0; w.round("c", n).State != api.RoundPublished; round++ {
					if round > 100 {
						t.Fatal("the round does not end")
					}
					for _, name := range workers {
						s := w.join(name)
						for _, u := range w.next(s, 1+len(name)%3) {
							w.accepted(s, name, u)
						}
						w.coord.Leave(s, errors.New("done"))
					}
				}
				w.train(fmt.Sprint(n))
				out = append(out, w.must("GET", fmt.Sprintf("/v1/campaigns/c/rounds/%d/canonical", n), ""),
					w.must("GET", fmt.Sprintf("/v1/datasets/c/%d/manifest", n), ""),
					w.must("GET", fmt.Sprintf("/v1/datasets/c.eval/%d/manifest", n), ""))
			}
		})
		return out
	}
	one, many := run("ann"), run("bob", "carl", "david", "ed")
	for i := range one {
		if one[i] != many[i] {
			t.Errorf("answer %d differs:\n%s\n%s", i, one[i], many[i])
		}
	}
	if len(one) != 9 {
		t.Errorf("%d answers", len(one))
	}
}
