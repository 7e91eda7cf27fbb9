package coordinator

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hone/api"
	"hone/loop"
)

// stageImport stages examples, two to a unit, and returns the request that imports
// them. Of each example the text is the row's scenario; its bytes are its name.
func (w *world) stageImport(name string, examples ...[2]string) api.Import {
	w.t.Helper()
	request := api.Import{Space: "lab", Split: "evaluation", Origin: "real"}
	first := uint64(0)
	for unit := range slices.Chunk(examples, 2) {
		var bundle []byte
		var rows bytes.Buffer
		u := api.ImportedUnit(name, loop.Evaluation, first, len(unit))
		for i, x := range unit {
			before := len(bundle)
			longer, digest, err := loop.AppendSample(bundle, u.Name(i).Key(), []loop.Member{{Ext: "txt", Bytes: []byte(x[0])}})
			if err != nil {
				w.t.Fatal(err)
			}
			bundle = longer
			fmt.Fprintf(&rows, "{\"example\":%q,\"scenario\":%s,\"digest\":%q,\"bytes\":%d}\n", x[0], x[1], digest, len(bundle)-before)
		}
		for file, content := range map[string][]byte{loop.Bundle: bundle, api.ImportRows: rows.Bytes()} {
			w.must("PUT", "/v1/staging/"+api.ImportWorker+"/"+u.ID()+"/"+file, string(content))
		}
		request.Units = append(request.Units, api.ImportUnit{Samples: len(unit), Rows: sha256.Sum256(rows.Bytes())})
		first += uint64(len(unit))
	}
	return request
}

func (w *world) importDataset(name string, request api.Import) (status int, out api.Imported, text string) {
	w.t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.request("POST", "/v1/datasets/"+name+"/import", string(body))
	if r.Code == 200 {
		if err := json.Unmarshal(r.Body.Bytes(), &out); err != nil {
			w.t.Fatal(err)
		}
	}
	return r.Code, out, r.Body.String()
}

var photos = [][2]string{{"a/1", `{"light":"low"}`}, {"a/2", `{"glove":"bare","light":null}`}, {"b", `{}`}}

// An import is there whole, with what it shows, and exactly once, whatever is sent
// again and whichever answers get lost (C10, I7); its staging is swept.
func TestImportDataset(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/spaces", spaceDocument)
		request := w.stageImport("photos", photos...)
		lost := 0
		w.lose = func() loss {
			if lost++; lost == 1 {
				return theAnswer
			}
			return nothing
		}
		if code, _, text := w.importDataset("photos", request); code != 503 {
			t.Fatalf("%d %s", code, text)
		}
		code, first, text := w.importDataset("photos", request)
		if code != 200 || first.Created || first.Version != 1 || first.Samples != 3 || first.Campaign != "" || first.Origin != "real" || first.Split != "evaluation" {
			t.Fatalf("%d %s", code, text)
		}
		if n := len(w.view.rows()); n != 3 {
			t.Fatalf("%d rows in the catalogue", n)
		}
		keys, rows := w.rowsOfVersion("photos@1")
		if !slices.Equal(keys, []string{"r1-e0-i0-a0", "r1-e0-i1-a0", "r1-e0-i2-a0"}) || rows[1].Example != "a/2" ||
			fmt.Sprint(rows[0].Scenario, rows[1].Scenario, rows[2].Scenario) != "map[glove:<nil> light:low] map[glove:bare light:<nil>] map[glove:<nil> light:<nil>]" {
			t.Errorf("%s %+v", keys, rows)
		}
		if got := w.must("GET", "/v1/samples/"+rows[2].Digest.String(), ""); !strings.Contains(got, "r1-e0-i2-a0.txt") {
			t.Errorf("the sample is %.100q", got)
		}
		units, err := w.store.StagedUnits(t.Context(), api.ImportWorker)
		if err != nil || len(units) != 0 {
			t.Errorf("staged are still %v, %v", units, err)
		}

		// Staged again it is the same; and other content is another version.
		if code, again, text := w.importDataset("photos", w.stageImport("photos", photos...)); code != 200 || again.Created || again.Dataset != first.Dataset {
			t.Errorf("%d %s", code, text)
		}
		other := slices.Clone(photos)
		other[2][1] = `{"light":"high"}`
		if code, next, text := w.importDataset("photos", w.stageImport("photos", other...)); code != 200 || !next.Created || next.Version != 2 || next.Manifest == first.Manifest {
			t.Errorf("%d %s", code, text)
		}
		if _, rows := w.rowsOfVersion("photos@2"); rows[2].Scenario["light"] != "high" {
			t.Errorf("%+v", rows)
		}
		if _, rows := w.rowsOfVersion("photos@1"); rows[2].Scenario["light"] != nil {
			t.Errorf("the first version changed: %+v (I8)", rows)
		}
		w.restart()
		if set, version, err := w.node.Imported("lab", "photos@2"); set != "photos" || version != 2 || err != nil {
			t.Errorf("%s@%d, %v", set, version, err)
		}
		for evalSet, want := range map[string]string{"photos": "the latest is photos@2", "photos@3": "the latest is photos@2", "photos@02": "no version", "field@1": ""} {
			set, _, err := w.node.Imported("lab", evalSet)
			if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) || (set == "") != (want == "") {
				t.Errorf("%s: %q, %v", evalSet, set, err)
			}
		}
		if _, _, err := w.node.Imported("shapes", "photos@2"); err == nil || !strings.Contains(err.Error(), `for space "lab"`) {
			t.Errorf("of another space: %v", err)
		}
	})
}

// What is wrong is told by example and column, and nothing of it is imported.
func TestImportMistakes(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.must("POST", "/v1/spaces", spaceDocument)
		many := make([][2]string, 30)
		for i := range many {
			many[i] = [2]string{fmt.Sprint(i), `{"light":"dim"}`}
		}
		for name, x := range map[string]struct {
			examples [][2]string
			change   func(*api.Import)
			want     string
		}{
			"level":          {[][2]string{{"a", `{"light":"dim"}`}}, nil, `422 example \"a\", column light`},
			"factor":         {[][2]string{{"a", `{"lihgt":"low"}`}}, nil, `422 column lihgt`},
			"number":         {[][2]string{{"a", `{"light":3}`}}, nil, `422 3 is not a level`},
			"absent":         {[][2]string{{"a", `{"light":"absent"}`}}, nil, `422 it is always present`},
			"twice":          {[][2]string{{"a", `{}`}, {"b", `{}`}, {"a", `{}`}}, nil, `422 two examples of that name`},
			"unnamed":        {[][2]string{{"", `{}`}}, nil, `422 1 to 1024 bytes`},
			"control":        {[][2]string{{"a\nb", `{}`}}, nil, `422 without control characters`},
			"many":           {many, nil, `422 30 mistakes in the rows; nothing was imported (the first 20 are listed)`},
			"other rows":     {photos, func(i *api.Import) { i.Units[1].Rows[0]++ }, `409 stage all of it again`},
			"other units":    {photos, func(i *api.Import) { i.Units = i.Units[1:] }, `409 stage all of it again`},
			"more than rows": {photos, func(i *api.Import) { i.Units[0].Samples = 3 }, `409 stage all of it again`},
			"no unit":        {photos, func(i *api.Import) { i.Units = nil }, `422`},
			"space":          {photos, func(i *api.Import) { i.Space = "none" }, `404 there is no space`},
			"split":          {photos, func(i *api.Import) { i.Split = "probe" }, `422 split`},
		} {
			request := w.stageImport("photos", x.examples...)
			if x.change != nil {
				x.change(&request)
			}
			code, _, text := w.importDataset("photos", request)
			if got := fmt.Sprintf("%d %s", code, text); !strings.HasPrefix(got, x.want[:3]) || !strings.Contains(got, strings.TrimSpace(x.want[3:])) {
				t.Errorf("%s: %s\nwant %s", name, got, x.want)
			}
		}
		if rows := w.view.rows(); len(rows) != 0 {
			t.Errorf("%d samples were imported", len(rows))
		}
		w.must("POST", "/v1/policies", policyDocument)
		w.must("POST", "/v1/campaigns", "name: photos\nspace: lab\npolicy: plain\ngenerator: shapes\nsamples: 1\n")
		for _, name := range []string{"photos", "photos.eval"} {
			if code, _, text := w.importDataset(name, w.stageImport(name, photos...)); code != 409 {
				t.Errorf("under a campaign's name %s: %d %s", name, code, text)
			}
		}
	})
}
