package coordinator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// rowsOfVersion are the keys of a version's samples, and the rows behind them.
func (w *world) rowsOfVersion(version string) (keys []string, rows []api.Row) {
	w.t.Helper()
	lines := strings.Split(strings.TrimSuffix(w.must("GET", "/v1/datasets/"+strings.Replace(version, "@", "/", 1)+"/rows", ""), "\n"), "\n")
	for _, line := range lines[1:] {
		var row api.Row
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			w.t.Fatal(err)
		}
		keys, rows = append(keys, row.Key), append(rows, row)
	}
	return keys, rows
}

func (w *world) publish(body string) (p api.Published) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.must("POST", "/v1/datasets", body)), &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) revoke(row loop.SampleRow) {
	w.t.Helper()
	for _, c := range w.view.changes() {
		part := partOf(&c)
		if part == nil || part.Kind != loop.SampleParts {
			continue
		}
		for i, r := range w.store.samples[part.Object.Key] {
			if r.Campaign == row.Campaign && r.Name == row.Name {
				w.propose(state.Command{Revoke: &state.Revoke{Samples: []state.RevokedSample{
					{Campaign: row.Campaign, Name: row.Name, Reference: c.Sequence, Row: uint32(i)}}}})
				return
			}
		}
	}
	w.t.Fatalf("there is no row of %s", row.Name.Key())
}

// A version under another name holds the samples of the slice, of every round,
// and none that was revoked since, be it made again or not (C7, C26).
func TestPublishUnderAnotherName(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(threeRounds)
		s := w.join("ann")
		w.work(s, "ann")
		w.train("1")
		w.work(s, "ann")

		all, rows := w.rowsOfVersion("c@2")
		if len(all) != 60 {
			t.Fatalf("c@2 has %d rows", len(all))
		}
		var low []string
		for _, r := range rows {
			if r.Scenario["light"] == "low" {
				low = append(low, r.Key)
			}
		}
		p := w.publish(`{"name":"dark","from":"c@2","where":{"light":"low"}}`)
		if got, _ := w.rowsOfVersion("dark@1"); !slices.Equal(got, low) || !p.Created || p.Version != 1 || p.Samples != int64(len(low)) || p.Campaign != "c" || p.Split != "train" {
			t.Errorf("%+v has %s\nwant %s", p, got, low)
		}
		if again := w.publish(`{"name":"dark","from":"c@2","where":{"light":"low"}}`); again.Created || again.Dataset != p.Dataset {
			t.Errorf("published again: %+v", again)
		}
		if more := w.publish(`{"name":"dark","from":"c"}`); !more.Created || more.Version != 2 || more.Samples != 60 {
			t.Errorf("another version: %+v", more)
		}

		// One that is revoked and made again is another sample.
		gone := rows[slices.Index(all, low[1])]
		at := slices.IndexFunc(w.view.rows(), func(r loop.SampleRow) bool { return r.Name.Key() == gone.Key })
		w.revoke(w.view.rows()[at])
		w.work(s, "ann")
		w.check(exact)
		less := w.publish(`{"name":"dark","from":"c@2","where":{"light":"low"}}`)
		if got, _ := w.rowsOfVersion("dark@3"); !less.Created || less.Revoked != 1 || !slices.Equal(got, slices.Delete(slices.Clone(low), 1, 2)) {
			t.Errorf("without what was revoked: %+v %s", less, got)
		}
		if old, _ := w.rowsOfVersion("dark@1"); !slices.Equal(old, low) {
			t.Errorf("the version changed: %s", old)
		}

		exam := w.publish(`{"name":"exam","from":"c.eval@1"}`)
		if exam.Split != "evaluation" || exam.Samples != 20 {
			t.Errorf("evaluation samples: %+v", exam)
		}
		for body, want := range map[string]string{
			`{"name":"c","from":"c@2"}`:                              `409`,
			`{"name":"c.eval","from":"c@2"}`:                         `409 "c.eval" is kept for the rounds of campaign "c"`,
			`{"name":"9","from":"c@2"}`:                              `422 "9" is not a name`,
			`{"name":"d","from":"c@9"}`:                              `404 there is no dataset c@9`,
			`{"name":"d","from":"c@x"}`:                              `422 "c@x" is not NAME`,
			`{"name":"d","from":"none"}`:                             `404`,
			`{"name":"d","from":"c","where":{"lihgt":"low"}}`:        `422 there is no factor "lihgt"`,
			`{"name":"d","from":"c","where":{"light":"lo"}}`:         `422 factor "light" has no level "lo"`,
			`{"name":"d","from":"c.eval@1","where":{"light":"low"}}`: `200`,
			`{"name":"d","from":"c@1"}`:                              `200`,
			`{"name":"d"}`:                                           `422`,
		} {
			r := w.request("POST", "/v1/datasets", body)
			var problem api.Problem
			_ = json.Unmarshal(r.Body.Bytes(), &problem)
			if got := fmt.Sprintf("%d %s %v", r.Code, problem.Detail, problem.Errors); !strings.HasPrefix(got, want[:3]) || !strings.Contains(got, strings.TrimSpace(want[3:])) {
				t.Errorf("%s: %s\nwant %s", body, got, want)
			}
		}
		// Nor does a campaign take the name of a dataset that is there.
		if r := w.request("POST", "/v1/campaigns", "name: exam\nspace: lab\npolicy: plain\ngenerator: shapes\nsamples: 1\n"); r.Code != 409 {
			t.Errorf("a campaign of a dataset's name: %d %s", r.Code, r.Body)
		}
	})
}

// A campaign without a loop ends exact, per request, and what its rows show is
// what its round says; the other campaign's rounds are what they are without it.
func TestMakeCampaign(t *testing.T) {
	rounds := func(beside bool) (out []string) {
		inWorld(t, Options{}, func(t *testing.T, w *world) {
			w.campaign(threeRounds)
			s := w.join("ann")
			if beside {
				w.must("POST", "/v1/campaigns", "name: m\nspace: lab\ngenerator: shapes\nquota_by: glove\nmake: [{where: {light: low}, count: 31}, {where: {light: high, glove: bare}, count: 4}, {count: 7}]\n")
			}
			for n := 1; n <= 3; n++ {
				w.work(s, "ann")
				w.train(fmt.Sprint(n))
				out = append(out, w.must("GET", fmt.Sprintf("/v1/campaigns/c/rounds/%d/canonical", n), ""))
			}
			if !beside {
				return
			}
			w.check(exact)
			if c := w.show("m"); c.State != api.CampaignDone || c.Committed != 42 || c.Policy != "" || c.Waiting != "" {
				t.Errorf("%+v", c)
			}
			var round loop.Round
			if err := json.Unmarshal([]byte(w.must("GET", "/v1/campaigns/m/rounds/1/canonical", "")), &round); err != nil {
				t.Fatal(err)
			}
			var space *loop.Space
			w.node.View(func(s *state.State) { v, _ := s.Space("lab", 1); space = v.Space })
			sampler, err := loop.NewSampler(space, &round)
			if err != nil {
				t.Fatal(err)
			}
			keys, rows := w.rowsOfVersion("m@1")
			low := 0
			for i, r := range rows {
				scenario, err := sampler.Scenario(loop.Train, r.Component, r.Index)
				if want := api.Describe(space, scenario); err != nil || fmt.Sprint(r.Described) != fmt.Sprint(want) {
					t.Errorf("%s shows %v, but should %v, %v", keys[i], r.Described, want, err)
				}
				if r.Seed != loop.SampleSeed(round.Seed, loop.Name{Round: 1, Component: r.Component, Index: r.Index, Attempt: r.Attempt}) {
					t.Errorf("%s has seed %d", keys[i], r.Seed)
				}
				if c := round.Find(loop.Train, r.Component); len(c.Slice) == 1 && r.Scenario["light"] == "low" {
					low++
				}
			}
			if len(rows) != 42 || low != 31 {
				t.Errorf("%d rows, %d of the first request", len(rows), low)
			}
			w.restart()
			if c := w.show("m"); c.State != api.CampaignDone || c.Committed != 42 {
				t.Errorf("after a restart: %+v", c)
			}
		})
		return out
	}
	if alone, beside := rounds(false), rounds(true); !slices.Equal(alone, beside) {
		t.Errorf("the loop's rounds differ:\n%s\n%s", alone, beside)
	}
}
