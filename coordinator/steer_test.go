package coordinator

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hone/api"
	"hone/coordinator/schedule"
	"hone/loop"
)

const fourRounds = "name: c\nseed: 7\nsamples: 400\nrounds: 4\nlearn_from: [{model_line: net}]\n"

func (w *world) steer(verb, body string) api.Campaign {
	w.t.Helper()
	var c api.Campaign
	if err := json.Unmarshal([]byte(w.must("POST", "/v1/campaigns/c/"+verb, body)), &c); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// A paused campaign leases nothing, counts what was in flight, publishes what
// that completes, decides nothing, and goes on where it was.
func TestPauseAndResume(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(fourRounds)
		s := w.join("ann")
		units := w.next(s, 2)
		c := w.steer("pause", `{"author":"ann","reason":"the GPUs are needed"}`)
		if c.State != api.CampaignPaused || c.Steered == nil || c.Steered.Author != "ann" || c.Steered.Reason != "the GPUs are needed" || c.InFlight != 20 {
			t.Fatalf("paused: %+v %+v", c, c.Steered)
		}
		since := c.Steered.At
		if again := w.next(s, 1); len(again) != 0 {
			t.Fatalf("leased %v while paused", again)
		}
		for _, u := range units {
			w.accepted(s, "ann", u)
		}
		w.check(covered)
		w.pass(time.Hour)
		if c := w.steer("pause", `{"author":"bob","reason":"so do I"}`); c.Committed != 20 || c.InFlight != 0 || c.Steered.At != since || c.Steered.Author != "ann" {
			t.Errorf("a second pause: %+v %+v", c.Counts, c.Steered)
		}

		// It stays paused across a change of leader.
		w.restart()
		s = w.join("ann")
		w.pass(time.Minute)
		if again := w.next(s, 1); len(again) != 0 || w.show("c").Steered.At != since {
			t.Fatalf("leased %v after a restart", again)
		}
		if c := w.steer("resume", ""); c.State != api.CampaignRunning || c.Steered.To != "running" {
			t.Errorf("resumed: %+v", c)
		}
		if c := w.steer("resume", `{"reason":"twice"}`); c.Steered.Reason != "" {
			t.Errorf("resumed twice: %+v", c.Steered)
		}
		if n := w.work(s, "ann"); n != 8 {
			t.Errorf("%d units after it was resumed, want 8", n)
		}
		// The model is sealed while it is paused: nothing is decided until later.
		w.steer("pause", "")
		w.must("POST", "/v1/models/net/1/seal", `{"rows":0}`)
		w.pass(time.Hour)
		if c := w.show("c"); c.Round != 1 || c.State != api.CampaignPaused {
			t.Errorf("decided round %d while paused", c.Round)
		}
		w.steer("resume", "")
		if c := w.show("c"); c.Round != 2 {
			t.Errorf("round %d after it was resumed: it waits for %q", c.Round, c.Waiting)
		}
		w.check(covered)
	})
}

// A round that is completed by what was in flight when the campaign was paused is
// published all the same.
func TestPausedRoundIsPublished(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(fourRounds)
		s := w.join("ann")
		units := w.next(s, 10)
		w.steer("pause", "")
		for _, u := range units {
			w.accepted(s, "ann", u)
		}
		if d := w.must("GET", "/v1/datasets/c/1", ""); !strings.Contains(d, `"samples":100`) {
			t.Error(d)
		}
	})
}

// A closed campaign counts what was in flight, gives up the rest, and adds up to
// what it was asked for; its last round is published with what there is.
func TestClose(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(fourRounds)
		s := w.join("ann")
		units := w.next(s, 3)
		w.accepted(s, "ann", units[0])
		c := w.steer("close", `{"reason":"enough"}`)
		if c.State != api.CampaignClosed || c.Requested+c.GivenUp != 400 || c.InFlight != 20 || c.Requested != c.Committed+c.Abandoned+c.InFlight+c.Pending {
			t.Fatalf("closed: %+v", c.Counts)
		}
		if again := w.next(s, 1); len(again) != 0 {
			t.Fatalf("leased %v of a closed campaign", again)
		}
		w.pass(time.Minute) // longer than the window, and as long as units are in flight
		if c := w.show("c"); c.Ended() || c.InFlight != 20 {
			t.Fatalf("given up what is in flight: %+v", c.Counts)
		}
		w.accepted(s, "ann", units[1])
		w.pass(time.Second)
		w.accepted(s, "ann", units[2])
		w.pass(time.Second)
		c = w.show("c")
		if want := (api.Counts{Requested: 80, Committed: 30, Abandoned: 50, GivenUp: 320}); c.Counts != want || !c.Ended() || c.Waiting != "" {
			t.Fatalf("ended with %+v, waiting for %q; want %+v", c.Counts, c.Waiting, want)
		}
		if len(c.Reasons) != 1 || !strings.Contains(c.Reasons[0], "50 samples abandoned: the campaign was closed") {
			t.Errorf("reasons: %q", c.Reasons)
		}
		w.check(exact)
		if d := w.must("GET", "/v1/datasets/c/1", ""); !strings.Contains(d, `"samples":30`) {
			t.Error(d)
		}
		// What comes too late changes nothing, now and after a restart.
		for range 2 {
			if standing, err := w.deliver(s, "ann", units[0]); err != nil || standing.Fresh > 0 {
				t.Errorf("a late delivery stood %+v, %v", standing, err)
			}
			w.must("POST", "/v1/models/net/1/seal", `{"rows":0}`)
			w.pass(time.Hour)
			if c := w.show("c"); c.State != api.CampaignClosed || c.Round != 1 || c.Committed != 30 {
				t.Errorf("a closed campaign went on: %+v", c)
			}
			w.restart()
			s = w.join("ann")
		}
		for _, verb := range []string{"pause", "resume", "extend"} {
			body := map[string]string{"extend": `{"samples":500}`}[verb]
			if answer := w.request("POST", "/v1/campaigns/c/"+verb, body, "Content-Type", "application/json"); answer.Code != http.StatusConflict {
				t.Errorf("%s of a closed campaign: %d %s", verb, answer.Code, answer.Body)
			}
		}
		if c := w.steer("close", `{"reason":"again"}`); c.Steered.Reason != "enough" {
			t.Errorf("closed twice: %+v", c.Steered)
		}
	})
}

// A worker that was away when the campaign was closed, and hung ones, do not hold
// its end up for ever.
func TestCloseWithoutWorkers(t *testing.T) {
	o := Options{Schedule: schedule.Options{FirstLease: time.Minute, MinLease: time.Minute}}
	inWorld(t, o, func(t *testing.T, w *world) {
		w.campaign(fourRounds)
		s := w.join("ann")
		held := w.next(s, 2)
		w.steer("close", "")
		w.restart()
		// It comes back within the window, with one of what it held.
		s = w.join("ann", held[0])
		w.pass(3 * time.Second)
		if c := w.show("c"); c.Ended() || c.InFlight != 10 {
			t.Fatalf("%+v", c.Counts)
		}
		w.accepted(s, "ann", held[0])
		w.pass(time.Second)
		if c := w.show("c"); !c.Ended() || c.Committed != 10 || c.Requested != c.Committed+c.Abandoned || c.Requested+c.GivenUp != 400 {
			t.Fatalf("%+v", c.Counts)
		}
		if standing, err := w.deliver(s, "ann", held[1]); err != nil || standing.Closed != 10 {
			t.Errorf("what came too late stood %+v, %v", standing, err)
		}
	})
	inWorld(t, o, func(t *testing.T, w *world) {
		w.campaign(fourRounds)
		w.next(w.join("ann"), 2)
		w.steer("close", "")
		w.pass(2 * time.Minute)
		if c := w.show("c"); !c.Ended() || c.Committed != 0 || c.Requested+c.GivenUp != 400 {
			t.Fatalf("a worker that hangs holds up the end: %+v", c)
		}
	})
	inWorld(t, o, func(t *testing.T, w *world) { // before anybody has worked at it
		w.campaign(fourRounds)
		w.steer("close", "")
		w.pass(3 * time.Second)
		if c := w.show("c"); !c.Ended() || c.Committed != 0 || c.Requested != c.Abandoned {
			t.Fatalf("%+v", c.Counts)
		}
		if answer := w.request("GET", "/v1/datasets/c/1", ""); answer.Code != http.StatusNotFound {
			t.Errorf("a round of nothing was published: %s", answer.Body)
		}
	})
}

// A campaign has not ended, for whoever watches it, before its last round is
// published: what is typed next is to export it.
func TestEndedIsPublished(t *testing.T) {
	for _, end := range []string{"done", "closed"} {
		inWorld(t, Options{}, func(t *testing.T, w *world) {
			w.campaign(oneRound)
			w.failWrites("manifests", errors.New("the disk is full"))
			s := w.join("ann")
			if end == "done" {
				w.work(s, "ann")
			} else {
				w.accepted(s, "ann", w.next(s, 1)[0])
				w.steer("close", "")
			}
			w.pass(time.Minute)
			if c := w.show("c"); c.State != end || c.Ended() || c.Waiting == "" {
				t.Errorf("ended: %+v", c)
			}
			w.failWrites("manifests", nil)
			w.pass(time.Minute)
			if c := w.show("c"); c.State != end || !c.Ended() {
				t.Errorf("not ended: %+v", c)
			}
			w.must("GET", "/v1/datasets/c/1", "")
		})
	}
}

// Who waits for a round of a closed campaign is answered: with what there is of
// it, whichever of its sets that is, or that nothing will come.
func TestWaitForARoundOfAClosedCampaign(t *testing.T) {
	o := Options{Schedule: schedule.Options{FirstLease: time.Minute, MinLease: time.Minute}}
	for _, made := range []bool{true, false} {
		inWorld(t, o, func(t *testing.T, w *world) {
			w.campaign(fourRounds + "evaluation: {target: 10}\n")
			s := w.join("ann")
			for _, u := range w.next(s, 2) {
				if made && u.Domain == loop.Train {
					w.accepted(s, "ann", u)
				}
			}
			w.steer("close", "")
			begun := time.Now()
			if answer := w.request("GET", "/v1/campaigns/c/rounds/2?wait=1m", ""); answer.Code != http.StatusNotFound || !strings.Contains(answer.Body.String(), "was closed after 1 rounds") {
				t.Errorf("round 2: %d %s", answer.Code, answer.Body)
			}
			if waited := time.Since(begun); waited > time.Second {
				t.Errorf("waited %v for a round that never comes", waited)
			}
			w.pass(2 * time.Minute)
			begun = time.Now()
			round := w.must("GET", "/v1/campaigns/c/rounds/1?wait=1m", "")
			if got := strings.Contains(round, `"state":"published"`) && strings.Contains(round, `"dataset":"c@1"`); got != made {
				t.Errorf("samples were made: %t, but %s", made, round)
			}
			if waited := time.Since(begun); waited > time.Second {
				t.Errorf("waited %v for a round that has ended", waited)
			}
		})
	}
}

// An extension is what later rounds share; a campaign that is done runs again,
// and ends exact again.
func TestExtend(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(fourRounds)
		s := w.join("ann")
		refused := func(body string, status int, want string) {
			t.Helper()
			if answer := w.request("POST", "/v1/campaigns/c/extend", body, "Content-Type", "application/json"); answer.Code != status || !strings.Contains(answer.Body.String(), want) {
				t.Errorf("%s: %d %s, want %d %q", body, answer.Code, answer.Body, status, want)
			}
		}
		refused(`{"samples":50}`, 409, "have decided on 100")
		refused(`{"samples":102}`, 422, "cannot be spread over 3 rounds")
		refused(`{"rounds":1}`, 409, "none is left")
		refused(`{"samples":500,"version":7}`, 409, "version 7 is not")
		refused(`{"rounds":0}`, 422, "rounds")
		c := w.steer("extend", `{"samples":1000,"version":1,"author":"ann","reason":"it learns"}`)
		if c.Version != 2 || c.Requested != 1000 || c.Rounds != 4 || len(c.Amendments) != 1 || c.Amendments[0].Reason != "it learns" {
			t.Fatalf("%+v", c)
		}
		if c = w.steer("extend", `{"samples":1000,"version":1}`); c.Version != 2 {
			t.Errorf("the same extension again made version %d", c.Version)
		}
		w.makes(s, "v1", 100, 300, 300, 300)
		w.ends("c", "done", api.Counts{Requested: 1000, Committed: 1000})
		refused(`{"samples":1200}`, 409, "none is left to make 200 more samples")
		if c := w.steer("extend", `{"samples":1100,"rounds":6}`); c.State != api.CampaignRunning || c.Version != 3 {
			t.Fatalf("extended when done: %+v", c)
		}
		w.makes(s, "v2", 50, 50)
		w.ends("c", "done", api.Counts{Requested: 1100, Committed: 1100})
		if d := w.must("GET", "/v1/datasets/c/6", ""); !strings.Contains(d, `"samples":1100`) {
			t.Error(d)
		}
		// The document that it was created from is still its own.
		w.campaign(fourRounds)
		w.restart()
		w.ends("c", "done", api.Counts{Requested: 1100, Committed: 1100})
	})
}

// makes has the campaign's next rounds made, with a model version sealed after each,
// and compares what was asked for in them.
func (w *world) makes(session, version string, want ...uint64) {
	w.t.Helper()
	for i := range want {
		w.work(session, "ann")
		w.must("POST", "/v1/models/net/"+version+string(rune('a'+i))+"/seal", `{"rows":0}`)
	}
	var quotas []uint64
	var rounds api.RoundList
	if err := json.Unmarshal([]byte(w.must("GET", "/v1/campaigns/c/rounds", "")), &rounds); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range rounds.Rounds {
		quotas = append(quotas, r.Requested)
	}
	if got := quotas[len(quotas)-len(want):]; !slices.Equal(got, want) {
		w.t.Errorf("rounds of %v, want %v", got, want)
	}
}

// Rounds grow from a small first one to what was asked for. An extension leaves
// those that were decided as they are, and the others grow to the new sum.
func TestExtendGrowing(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 300\nrounds: 4\nfirst_samples: 20\nlearn_from: [{model_line: net}]\n")
		s := w.join("ann")
		w.makes(s, "v1", 40, 80) // after 20, the last of them not yet begun
		if c := w.steer("extend", `{"samples":1400,"rounds":6}`); c.FirstSamples != 20 || c.Requested != 1400 {
			t.Fatalf("%+v", c)
		}
		w.makes(s, "v2", 174, 356, 730)
		w.work(s, "ann")
		w.ends("c", "done", api.Counts{Requested: 1400, Committed: 1400})
	})
}

// What people ask for at the same time neither undoes the other's nor is refused.
func TestSteeringAtOnce(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(fourRounds)
		atOnce := func(requests ...[2]string) {
			t.Helper()
			var group sync.WaitGroup
			for _, r := range requests {
				group.Go(func() {
					if answer := w.request("POST", "/v1/campaigns/c/"+r[0], r[1], "Content-Type", "application/json"); answer.Code != http.StatusOK {
						t.Errorf("%s %s: %d %s", r[0], r[1], answer.Code, answer.Body)
					}
				})
			}
			group.Wait()
		}
		atOnce([2]string{"extend", `{"samples":500}`}, [2]string{"extend", `{"rounds":6}`})
		if c := w.show("c"); c.Samples != 500 || c.Rounds != 6 || c.Version != 3 {
			t.Errorf("asks for %d samples in %d rounds at version %d", c.Samples, c.Rounds, c.Version)
		}
		atOnce([2]string{"pause", ""}, [2]string{"resume", ""}, [2]string{"pause", ""})
		w.steer("pause", "")
		atOnce([2]string{"close", ""}, [2]string{"close", ""})
		if c := w.show("c"); c.State != api.CampaignClosed {
			t.Errorf("it is %s", c.State)
		}
	})
}

// A watcher is told of each change, and the stream ends with the campaign.
func TestWatchCampaign(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(oneRound)
		answer := httptest.NewRecorder()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/campaigns/c/watch", nil))
		}()
		synctest.Wait()
		w.pass(time.Second)
		w.steer("pause", `{"reason":"lunch"}`)
		w.pass(time.Minute)
		w.steer("resume", "")
		w.pass(time.Minute)
		s := w.join("ann")
		for range 10 {
			w.accepted(s, "ann", w.next(s, 1)[0])
			w.idle(time.Second)
		}
		<-ended
		var states []string
		var last api.Campaign
		for i, line := range strings.Split(strings.TrimSpace(answer.Body.String()), "\n") {
			if err := json.Unmarshal([]byte(line), &last); err != nil {
				t.Fatalf("line %d: %v: %s", i, err, line)
			}
			if len(states) == 0 || states[len(states)-1] != last.State {
				states = append(states, last.State)
			}
			if last.Requested != last.Committed+last.Abandoned+last.InFlight+last.Pending {
				t.Errorf("line %d does not add up: %s", i, line)
			}
		}
		if !slices.Equal(states, []string{"running", "paused", "running", "done"}) || last.Committed != 100 || !answer.Flushed {
			t.Errorf("told %v, in the end %+v", states, last)
		}
		if n := strings.Count(answer.Body.String(), "\n"); n < 8 || n > 20 {
			t.Errorf("%d lines:\n%s", n, answer.Body)
		}
	})
}

// Who waits for a lease while a campaign may have none is handed one as soon as it may:
// when it is resumed, and when it has more money.
func TestWhoWaitsIsWoken(t *testing.T) {
	for name, test := range map[string]struct {
		campaign   string
		stop, more func(w *world, s string)
	}{
		"resumed": {fourRounds, func(w *world, _ string) { w.steer("pause", "") }, func(w *world, _ string) { w.steer("resume", "") }},
		"more money": {strings.Replace(fourRounds, "samples: 400", "samples: 400\nprice: {gpu_hour: 3.6, currency: EUR}\nmoney: 0.00001", 1),
			func(w *world, s string) { w.takes(s, "ann", w.next(s, 1)[0], 10) },
			func(w *world, _ string) { w.must("POST", "/v1/campaigns/c/extend", `{"money": 1}`) }},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(t *testing.T, w *world) {
				w.campaign(test.campaign)
				s := w.join("ann")
				w.pass(10 * time.Second) // nothing else is about to happen
				test.stop(w, s)
				leased := make(chan int, 1)
				go func() {
					leases, err := w.coord.Next(t.Context(), s, 1)
					if err != nil {
						t.Error(err)
					}
					leased <- len(leases)
				}()
				w.settle()
				test.more(w, s)
				w.pass(time.Second)
				if len(leased) == 0 {
					t.Error("nobody told it")
					w.coord.Leave(w.join("bob"), nil)
				}
				if n := <-leased; n != 1 {
					t.Errorf("%d leases", n)
				}
			})
		})
	}
}
