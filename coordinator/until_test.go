package coordinator

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"hone/api"
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

// What a campaign's money pays for is known once a round was made; it asks for no
// more then, says why, and ends where nothing is left (I3).
func TestMoney(t *testing.T) {
	for _, test := range []struct {
		money  string
		rounds int
		why    string
	}{
		{"samples: 90\nmoney: 500", 3, ""},
		{"samples: 90\nmoney: 0.1365", 3, "money: 0.050 EUR of 0.14 EUR are spent, and a sample costs 0.0010 EUR: the rest pays for 46 training samples more, with what is made to evaluate them"},
		{"samples: 90\nmoney: 0.05", 1, "money: 0.050 EUR of 0.050 EUR are spent, and the rest does not pay for another round"},
		{"samples: 90\nmoney: 500\nuntil: [{spend: {money: 0.04}}]", 1, "until[0]: 0.050 EUR are spent of the 0.040 EUR that may be"},
	} {
		inWorld(t, Options{}, func(t *testing.T, w *world) {
			w.campaign(strings.Replace(threeRounds, "samples: 90", test.money+"\nprice: {gpu_hour: 3.6, currency: EUR}", 1))
			w.view.set(func(v *reading) {
				v.evidence = func(q loop.EvidenceQuery) (loop.Evidence, error) {
					e := loop.Evidence{}
					e.Append(loop.Line{Codes: []loop.Code{0, 1}, Source: loop.SourceTarget, Origin: loop.Synthetic, Rows: 100, Failures: 20})
					if q.Timed {
						e.AddMade(loop.Made{Accepted: 50, Millis: 50_000})
					}
					return e, nil
				}
			})
			ann := w.join("ann")
			w.work(ann, "ann")
			if c := w.show("c"); c.Committed != 30 || c.Evaluation == nil || c.Evaluation.Committed != 20 {
				t.Fatalf("a round of 30 and 20 is %+v", c)
			}
			w.train("1")
			c := w.show("c")
			if test.why == "" {
				if len(c.Amendments) > 0 || c.Round != 2 {
					t.Fatalf("there is money enough, and %+v", c)
				}
				return
			}
			if c.Rounds != test.rounds || len(c.Amendments) != 1 || !strings.HasPrefix(c.Amendments[0].Reason, test.why) || c.Amendments[0].Author != "hone" {
				t.Fatalf("%s: %+v", test.money, c)
			}
			w.check(exact)
			if test.rounds == 1 {
				if c.State != "done" || c.Samples != c.Committed {
					t.Errorf("nothing is left, and %+v", c)
				}
				w.refused(http.StatusConflict, "all 1 rounds are decided, so that more money pays for nothing: ask for more rounds, too", "POST", "/v1/campaigns/c/extend", `{"money": 0.5}`)
				// There is more to spend, and on it goes.
				w.refused(http.StatusUnprocessableEntity, "money", "POST", "/v1/campaigns/c/extend", `{"money": 0}`)
				more := `{"samples": 60, "rounds": 2, "money": 0.5, "author": "ann"}`
				w.must("POST", "/v1/campaigns/c/extend", more)
				w.must("POST", "/v1/campaigns/c/extend", more)
				w.idle(lookEvery)
				if c := w.show("c"); c.Round != 2 || c.Money != .5 || len(c.Amendments) != 2 || c.Amendments[1].Money != .5 || c.Samples != 60 {
					t.Errorf("for half a euro: %+v", c)
				}
				w.check(exact)
			} else if c.Round != 2 || c.Samples != 76 {
				t.Errorf("46 more, and %+v", c)
			}
		})
	}
}

// A proposal that waits is no reason to read the evidence again and again.
func TestUntilAsksOnce(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(threeRounds + "decide: propose\nuntil: [{spend: {gpu_hours: 5}}]\n")
		asked := 0
		w.view.set(func(v *reading) {
			v.evidence = func(q loop.EvidenceQuery) (loop.Evidence, error) {
				if q.Timed {
					asked++
				}
				return loop.Evidence{}, nil
			}
		})
		w.do("approve", w.standing(), "ann", "")
		ann := w.join("ann")
		w.work(ann, "ann")
		w.train("1")
		w.idle(lookEvery)
		for range 3 {
			w.must("POST", "/v1/campaigns/c/pause", `{}`)
			w.must("POST", "/v1/campaigns/c/resume", `{}`)
			w.idle(lookEvery)
		}
		if asked != 1 {
			t.Errorf("the evidence was asked for %d times", asked)
		}
	})
}

// A campaign does not begin after its last day; one that began in time stays what it is.
func TestLastDayIsOver(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		const head = "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\n"
		document := threeRounds + "until: [{plateau: {versions: 2}}, {date: 2000-01-02}]\n"
		w.campaign(document)
		w.pass(72 * time.Hour)
		w.must("POST", "/v1/campaigns", head+document)
		w.refused(http.StatusUnprocessableEntity, "2000-01-02 is over: the server has 2000-01-0", "POST", "/v1/campaigns", head+strings.Replace(document, "name: c\n", "name: d\n", 1))
	})
}

// Who asks for as many samples as money pays for may raise the money alone: the rounds
// to come are planned as the first was, until it is seen what they pay for.
func TestMoreMoney(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(strings.Replace(threeRounds, "samples: 90", "money: 2\nprice: {gpu_hour: 3.6, currency: EUR}", 1))
		if c := w.show("c"); c.Samples != 3*loop.PilotSamples || c.Money != 2 {
			t.Fatalf("%+v", c)
		}
		c := asked[api.Campaign](w, "POST", "/v1/campaigns/c/extend", `{"money": 9, "rounds": 5}`)
		if c.Samples != 5*loop.PilotSamples || c.Rounds != 5 || c.Money != 9 {
			t.Errorf("%+v", c)
		}
	})
}

// A campaign whose money pays for less than its first round led to expect may be
// extended: that round is made, and holds nobody to anything.
func TestMoreForWhatGrows(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 90\nrounds: 3\nfirst_samples: 25\nmoney: 0.07\nprice: {gpu_hour: 3.6}\nlearn_from: [{model_line: net}]\n")
		w.view.set(func(v *reading) {
			v.evidence = func(q loop.EvidenceQuery) (loop.Evidence, error) {
				e := loop.Evidence{}
				e.Append(loop.Line{Codes: []loop.Code{0, 1}, Source: loop.SourceTarget, Origin: loop.Synthetic, Rows: 100, Failures: 20})
				if q.Timed {
					e.AddMade(loop.Made{Accepted: 25, Millis: 50_000})
				}
				return e, nil
			}
		})
		w.work(w.join("ann"), "ann")
		w.train("1")
		if c := w.show("c"); c.Samples != 35 || c.Rounds != 3 || c.Round != 2 {
			t.Fatalf("cut to what 7 cents pay for: %+v", c)
		}
		if c := asked[api.Campaign](w, "POST", "/v1/campaigns/c/extend", `{"samples": 60, "money": 0.5}`); c.Samples != 60 || c.Money != .5 {
			t.Errorf("%+v", c)
		}
	})
}
