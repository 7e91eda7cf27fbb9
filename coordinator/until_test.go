package coordinator

import (
	"strings"
	"testing"

	"hone/loop"
)

// A campaign of which a condition holds is done with what is decided, exactly, and
// says which condition it was; the round that somebody asks for all the same is
// made before it is looked at again (I3, C8).
func TestUntil(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(threeRounds + "until: [{plateau: {versions: 2}}, {failure: {at_most: 0.1}}]\n")
		failures := int64(20)
		w.view.set(func(v *reading) {
			v.evidence = func(loop.EvidenceQuery) (loop.Evidence, error) {
				e := loop.Evidence{}
				e.Append(loop.Line{Codes: []loop.Code{0, 1}, Source: loop.SourceTarget, Origin: loop.Synthetic, Rows: 100, Failures: failures})
				return e, nil
			}
		})
		ann := w.join("ann")
		w.work(ann, "ann")
		w.train("1")
		if c := w.show("c"); c.Round != 2 || c.State != "running" {
			t.Fatalf("a fifth fails, and the campaign is %+v", c)
		}
		w.work(ann, "ann")
		w.view.set(func(*reading) { failures = 1 })
		w.train("2")
		c := w.show("c")
		if c.State != "done" || c.Round != 2 || c.Rounds != 2 || c.Samples != c.Committed || c.Requested != c.Committed || c.Pending != 0 {
			t.Fatalf("one in a hundred fails, and the campaign is %+v", c)
		}
		last := c.Amendments[len(c.Amendments)-1]
		if last.Author != "hone" || !strings.HasPrefix(last.Reason, "until[1]: everything fails 1.0%, at most 4.7% with 95% confidence (asked: 10%)") {
			t.Errorf("done, because of %+v", last)
		}
		w.check(exact)
		w.must("POST", "/v1/campaigns/c/extend", `{"samples": 90, "rounds": 4}`)
		w.idle(lookEvery)
		if c := w.show("c"); c.Round != 3 {
			t.Fatalf("extended, and %+v", c)
		}
		w.work(ann, "ann")
		w.train("3")
		if c := w.show("c"); c.State != "done" || c.Round != 3 || len(c.Amendments) != 3 {
			t.Errorf("extended, and then %+v", c)
		}
		w.check(exact)
	})
}
