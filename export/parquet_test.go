package export

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"hone/api"
	"hone/loop"
)

// tableRow is a row of a shelf's shard as Parquet has it.
type tableRow struct {
	Digest    loop.Digest `json:"digest"`
	Key       string      `json:"key"`
	Round     int         `json:"round"`
	Component int         `json:"component"`
	Index     uint64      `json:"index"`
	Attempt   int         `json:"attempt"`
	Seed      uint64      `json:"seed"`
	Weight    float64     `json:"importance_weight"`
	Split     string      `json:"split"`
	Light     string      `json:"light"`
	Distance  *float64    `json:"distance"`
	Level     string      `json:"distance__level"`
	Colour    string      `json:"colour"`
	Visible   string      `json:"visible"`
	Image     []byte      `json:"image_png"`
	Label     []byte      `json:"label_json"`
	Mask      []byte      `json:"mask_png"`
}

// A shard is a table with a row per sample, in the manifest's order, and a column
// per member that a sample of it may have. That DuckDB reads several as one is
// tested in cmd/hone.
func TestParquetIsATable(t *testing.T) {
	s := newShelf(t, 40, 30, 100)
	dir := t.TempDir()
	out, err := s.export(t, Options{Dir: dir, Format: "parquet", ShardSamples: 25, ShardBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, shard := range out.Shards {
		content, err := os.ReadFile(filepath.Join(dir, shard.File))
		if err != nil {
			t.Fatal(err)
		}
		table, err := pqarrow.ReadTable(t.Context(), bytes.NewReader(content), parquet.NewReaderProperties(nil), pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		if columns := 14 + len(shard.Members); table.NumRows() != shard.Samples || int(table.NumCols()) != columns {
			t.Errorf("%s has %d rows of %d columns, want %d of %d", shard.File, table.NumRows(), table.NumCols(), shard.Samples, columns)
		}
		var text bytes.Buffer
		for records := array.NewTableReader(table, 0); records.Next(); {
			if err := array.RecordToJSON(records.RecordBatch(), &text); err != nil {
				t.Fatal(err)
			}
		}
		rows := json.NewDecoder(&text)
		rows.DisallowUnknownFields()
		for range shard.Samples {
			var r tableRow
			if err := rows.Decode(&r); err != nil {
				t.Fatal(err)
			}
			r.check(t, n, &s.rows[n])
			n++
		}
	}
	if n != 40 {
		t.Errorf("%d rows", n)
	}
}

func (r *tableRow) check(t *testing.T, n int, want *api.Row) {
	t.Helper()
	members := []loop.Member{{Ext: "image.png", Bytes: r.Image}, {Ext: "label.json", Bytes: r.Label}}
	if r.Mask != nil {
		members = append(members, loop.Member{Ext: "mask.png", Bytes: r.Mask})
	}
	if d, err := loop.SampleDigest(members); err != nil || d != want.Digest {
		t.Errorf("row %d: its members hash to %s, %v", n, d, err)
	}
	colour, level := "absent", "absent"
	if c, ok := want.Scenario["colour"]; ok {
		colour = c.(string)
	}
	if l, ok := want.Levels["distance"]; ok {
		level = l
	}
	x, there := want.Scenario["distance"].(float64)
	known := api.ManifestRow{Round: r.Round, Component: r.Component, Index: r.Index, Attempt: r.Attempt, Digest: r.Digest, Weight: r.Weight, Split: r.Split}
	if known != want.ManifestRow || r.Key != want.Key || r.Seed != want.Seed || r.Light != want.Scenario["light"] || r.Colour != colour || r.Level != level ||
		r.Visible != "no" || (r.Distance != nil) != there || there && *r.Distance != x {
		t.Errorf("row %d is %+v, want %+v", n, r, want)
	}
}

// Members whose columns would bear a name that is taken get another.
func TestMemberColumn(t *testing.T) {
	taken := map[string]bool{"image_png": true}
	for member, want := range map[string]string{"image.png": "member_image_png", "label.json": "label_json", "a-b.c": "a_b_c"} {
		if got := memberColumn(member, taken); got != want {
			t.Errorf("%s: %s, want %s", member, got, want)
		}
	}
	taken["member_image_png"] = true
	if got := memberColumn("image.png", taken); got != "" {
		t.Errorf("%s", got)
	}
}
