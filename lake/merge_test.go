package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"hone/loop"
)

// told is every row of a part as text, column by name, and null for what is null or
// not there.
func told(t testing.TB, l *Lake, key string, columns ...string) (rows []string) {
	t.Helper()
	b, err := l.Read(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	table, err := pqarrow.ReadTable(context.Background(), bytes.NewReader(b), nil, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	batches := array.NewTableReader(table, 1<<20)
	defer batches.Release()
	for batches.Next() {
		batch := batches.RecordBatch()
		for i := range int(batch.NumRows()) {
			row := ""
			for _, name := range columns {
				text := "(null)"
				if at := batch.Schema().FieldIndices(name); len(at) > 0 {
					text = batch.Column(at[0]).ValueStr(i)
				}
				row += name + "=" + text + " "
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func part(object loop.Object, reference uint64, void ...uint32) loop.Added {
	return loop.Added{Reference: reference, First: reference, Last: reference, At: int64(reference) * 1000,
		Part: loop.Part{Kind: loop.SampleParts, Space: "glove", Object: object, Void: void}}
}

// everything is what is told of a sample: all columns, with those of the second version
// of the space.
var everything = []string{"digest", "campaign", "round", "component", "domain", "index", "attempt", "seed", "importance_weight", "worker",
	"generator", "millis", "pack", "offset", "length", "scores", "light", "glove", "colour", "distance", "distance__level", "mood"}

// What counts of the parts is in the one, as it was, in its order, with the change that
// it came in by; also when parts are merged again, and where one has a column more.
func TestMerge(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	space, wider := glove(t), glove(t)
	wider.Version = 2
	wider.Factors = append(wider.Factors, loop.Factor{Name: "mood", Kind: loop.Categorical, Levels: []loop.Level{{Name: "glad", Target: .5}, {Name: "sad", Target: .5}}})
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 21))
		var want []string
		var parts []loop.Added
		for n := range 2 + random.IntN(5) {
			of := space
			if random.IntN(2) == 0 {
				of = wider
			}
			var rows []loop.SampleRow
			for i := range 1 + random.IntN(20) {
				r := sampleRow(100*n + i)
				if of == wider {
					r.Scenario.Codes = append(slices.Clone(r.Scenario.Codes), loop.Code(i%2))
					r.Scenario.Fractions = append(slices.Clone(r.Scenario.Fractions), 0)
				}
				rows = append(rows, r)
			}
			object, err := l.WriteSamples(ctx, 1, of, rows)
			if err != nil {
				t.Fatal(err)
			}
			p := part(object, uint64(10*n+3))
			for i := range rows {
				if random.IntN(4) == 0 && i > 0 { // one at least counts
					p.Part.Void = append(p.Part.Void, uint32(i))
				}
			}
			parts = append(parts, p)
			for i, row := range told(t, l, object.Key, everything...) {
				if !slices.Contains(p.Part.Void, uint32(i)) {
					want = append(want, row+fmt.Sprintf("_sequence=%d _at=%d ", p.Reference, p.At))
				}
			}
		}
		merge := func(parts []loop.Added) loop.Added {
			object, taken, err := l.Merge(ctx, 2, parts)
			if err != nil || taken != len(parts) {
				t.Fatalf("%d of %d parts: %v", taken, len(parts), err)
			}
			if again, _, err := l.Merge(ctx, 2, parts); err != nil || again != object {
				t.Fatalf("merged again: %+v, %v; want %+v", again, err, object)
			}
			return part(object, 999)
		}
		merged := merge(parts)
		columns := append(slices.Clone(everything), loop.SequenceColumn, loop.AtColumn)
		if got := told(t, l, merged.Part.Object.Key, columns...); !slices.Equal(got, want) || merged.Part.Object.Rows != int64(len(want)) {
			t.Fatalf("%d rows of %d\n%v\nwant\n%v", len(got), merged.Part.Object.Rows, got, want)
		}
		// In two steps it is the same.
		if len(parts) > 2 {
			merged = merge([]loop.Added{merge(parts[:2]), merge(parts[1:])})
			want = append(slices.Clone(want[:rowsOf(parts[:2])]), want[rowsOf(parts[:1]):]...)
			if got := told(t, l, merged.Part.Object.Key, columns...); !slices.Equal(got, want) {
				t.Fatalf("in two steps\n%v\nwant\n%v", got, want)
			}
		}
	}
}

func rowsOf(parts []loop.Added) (n int) {
	for _, p := range parts {
		n += int(p.Part.Object.Rows) - len(p.Part.Void)
	}
	return n
}

// Parts that do not go together are left, and nothing is put that has no rows; what is
// missing or damaged is no reason to leave rows out.
func TestMergeRefuses(t *testing.T) {
	l, ctx, space := openLake(t), context.Background(), glove(t)
	write := func(first, n int, change func(*loop.SampleRow)) loop.Object {
		t.Helper()
		var rows []loop.SampleRow
		for i := range n {
			r := sampleRow(first + i)
			change(&r)
			rows = append(rows, r)
		}
		object, err := l.WriteSamples(ctx, 1, space, rows)
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
	made := func(first int) loop.Object { return write(first, 3, func(*loop.SampleRow) {}) }
	a, b, imported := made(0), made(10), write(20, 3, func(r *loop.SampleRow) { r.Example, r.Origin = "x", loop.Real })
	other := glove(t)
	other.Factors[3] = loop.Factor{Name: "distance", Kind: loop.Categorical, Levels: []loop.Level{{Name: "near", Target: .5}, {Name: "far", Target: .5}}}
	row := sampleRow(30)
	row.Scenario.Codes[3], row.Scenario.Fractions[3] = 0, 0
	categorical, err := l.WriteSamples(ctx, 1, other, []loop.SampleRow{row})
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		parts []loop.Added
		taken int
		rows  int64
	}{
		"an imported one behind":   {[]loop.Added{part(a, 1), part(b, 2), part(imported, 3)}, 2, 6},
		"an imported one first":    {[]loop.Added{part(imported, 1), part(a, 2)}, 1, 0},
		"a factor of another kind": {[]loop.Added{part(a, 1), part(b, 2), part(categorical, 3), part(a, 4)}, 2, 6},
		"one alone":                {[]loop.Added{part(a, 1, 1)}, 1, 2},
		"no rows":                  {[]loop.Added{part(a, 1, 0, 1, 2), part(b, 2, 0, 1, 2)}, 2, 0},
		"one twice":                {[]loop.Added{part(a, 1, 1), part(a, 2, 0, 2)}, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			object, taken, err := l.Merge(ctx, 1, x.parts)
			if err != nil || taken != x.taken || object.Rows != x.rows || (object.Key == "") != (x.rows == 0) {
				t.Errorf("%+v of %d parts, %v", object, taken, err)
			}
		})
	}
	if err := l.Delete(ctx, b.Key); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Merge(ctx, 1, []loop.Added{part(a, 1), part(b, 2)}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	path := filepath.Join(l.dir, a.Key)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[20] ^= 1
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Merge(ctx, 1, []loop.Added{part(a, 1), part(made(10), 2)}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
	if names := drafts(t, l); len(names) != 0 {
		t.Errorf("drafts are left: %v", names)
	}
}
