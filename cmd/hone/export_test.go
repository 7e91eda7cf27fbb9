package main

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"

	"hone/api"
	"hone/loop"
)

// DuckDB reads the shards of an export as one table, with the columns of the SQL
// table samples and a BLOB per member, though the last samples alone have a mask.
func TestExportedTableInDuckDB(t *testing.T) {
	header := api.RowsHeader{Hone: api.RowsFormat, Dataset: "loop@2", Samples: 7, Campaign: "loop", Space: "lab@1", Labels: []string{"visible"},
		Factors: []api.RowFactor{{Name: "light", Kind: loop.Categorical}, {Name: "distance", Kind: loop.Numeric}, {Name: "colour", Kind: loop.Ordinal}}}
	manifest := bytes.NewBufferString("{\"hone\":\"manifest/1\",\"name\":\"loop\",\"rows\":7}\n")
	samples := map[loop.Digest][]byte{}
	var listed []api.Row
	for i := range 7 {
		name := loop.Name{Round: 1, Component: i / 4, Index: uint64(i % 4)}
		row := api.Row{Key: name.Key(), Seed: 1<<63 + uint64(i), Described: api.Described{
			Scenario: map[string]any{"light": "low"}, Labels: map[string]string{"visible": "no"}}}
		if i%2 == 0 {
			row.Scenario["colour"], row.Scenario["distance"], row.Levels = "red", 1.5+float64(i), map[string]string{"distance": "[0,5)"}
		}
		members := []loop.Member{{Ext: "image.png", Bytes: []byte{0, byte(i)}}, {Ext: "label.json", Bytes: []byte("{}")}}
		if i >= 5 {
			members = append(members, loop.Member{Ext: "mask.png", Bytes: []byte{1, byte(i)}})
		}
		entries, digest, err := loop.AppendSample(nil, row.Key, members)
		if err != nil {
			t.Fatal(err)
		}
		row.ManifestRow = api.ManifestRow{Round: 1, Component: name.Component, Index: name.Index, Digest: digest, Weight: 1 / (1 + float64(i)), Split: "train"}
		samples[digest], listed = entries, append(listed, row)
		if err := json.NewEncoder(manifest).Encode(row.ManifestRow); err != nil {
			t.Fatal(err)
		}
	}
	header.Manifest = sha256.Sum256(manifest.Bytes())
	s := newService(t)
	s.answer("GET /v1/datasets/loop/2", api.Dataset{Name: "loop", Version: 2, Samples: 7, Manifest: header.Manifest, Campaign: "loop", Split: "train"})
	s.answer("GET /v1/campaigns/loop", api.Campaign{Name: "loop"})
	s.mux.HandleFunc("GET /v1/datasets/loop/2/manifest", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(manifest.Bytes()) })
	s.mux.HandleFunc("GET /v1/datasets/loop/2/rows", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(header)
		for _, row := range listed {
			_ = json.NewEncoder(w).Encode(row)
		}
	})
	s.mux.HandleFunc("POST /v1/samples", func(w http.ResponseWriter, r *http.Request) {
		var wanted api.Wanted
		_ = json.NewDecoder(r.Body).Decode(&wanted)
		for _, d := range wanted.Digests {
			_, _ = w.Write(samples[d])
		}
		_, _ = w.Write(loop.AppendEnd(nil))
	})
	dir := filepath.Join(t.TempDir(), "out")
	if code, _, stderr := hone(t, "", "dataset", "export", "loop@2", "--server", s.URL, "--to", dir, "--format", "parquet", "--shard-samples", "3"); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if shards, _ := filepath.Glob(filepath.Join(dir, "*.parquet")); len(shards) != 3 {
		t.Errorf("shards %v", shards)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	table := `read_parquet('` + filepath.Join(dir, "*.parquet") + `', union_by_name = true)`
	rows, err := db.QueryContext(t.Context(), `SELECT digest, key, round, component, "index", attempt, seed, importance_weight, split,
		light, distance, distance__level, colour, visible, image_png, label_json, mask_png FROM `+table+` ORDER BY component, "index"`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var r api.Row
		var digest, light, level, colour, visible string
		var distance sql.NullFloat64
		var image, label, mask []byte
		if err := rows.Scan(&digest, &r.Key, &r.Round, &r.Component, &r.Index, &r.Attempt, &r.Seed, &r.Weight, &r.Split, &light, &distance, &level, &colour, &visible, &image, &label, &mask); err != nil {
			t.Fatal(err)
		}
		if r.Digest, err = loop.ParseDigest(digest); err != nil {
			t.Fatal(err)
		}
		want := listed[n]
		members := []loop.Member{{Ext: "image.png", Bytes: image}, {Ext: "label.json", Bytes: label}}
		if mask != nil {
			members = append(members, loop.Member{Ext: "mask.png", Bytes: mask})
		}
		if d, err := loop.SampleDigest(members); err != nil || d != want.Digest {
			t.Errorf("row %d: its members hash to %s, %v", n, d, err)
		}
		wantColour, wantLevel := "absent", "absent"
		if c, ok := want.Scenario["colour"]; ok {
			wantColour = c.(string)
		}
		if l, ok := want.Levels["distance"]; ok {
			wantLevel = l
		}
		x, there := want.Scenario["distance"].(float64)
		if r.ManifestRow != want.ManifestRow || r.Key != want.Key || r.Seed != want.Seed || light != want.Scenario["light"] || colour != wantColour || level != wantLevel ||
			visible != "no" || distance.Valid != there || distance.Float64 != x {
			t.Errorf("row %d is %+v %s %s %v %s, want %+v", n, r, light, colour, distance, level, want)
		}
	}
	if err := rows.Err(); err != nil || n != 7 {
		t.Errorf("%d rows, %v", n, err)
	}
}
