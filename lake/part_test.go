package lake

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"hone/loop"
)

// glove has every kind of factor, one of them conditional.
func glove(t testing.TB) *loop.Space {
	t.Helper()
	s := &loop.Space{Name: "glove", Version: 1, Factors: []loop.Factor{
		{Name: "light", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "low", Target: .25}, {Name: "day", Target: .75}}},
		{Name: "glove", Kind: loop.Categorical, Levels: []loop.Level{{Name: "yes", Target: .5}, {Name: "no", Target: .5}}},
		{Name: "colour", Kind: loop.Categorical, Levels: []loop.Level{{Name: "red ∧ blue", Target: .5}, {Name: `"'`, Target: .5}},
			When: &loop.LevelSet{Factor: 1, Levels: []int{0}}},
		{Name: "distance", Kind: loop.Numeric, Levels: []loop.Level{{Name: "near", Target: .5, Low: .3, High: 1.1}, {Name: "far", Target: .5, Low: 1.1, High: 250}}},
	}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

func sampleRow(i int) loop.SampleRow {
	codes := []loop.Code{loop.Code(i % 2), loop.Code(i / 2 % 2), loop.Absent, loop.Code(i / 4 % 2)}
	if codes[1] == 0 {
		codes[2] = loop.Code(i / 8 % 2)
	}
	r := loop.SampleRow{
		Campaign: "loop", Name: loop.Name{Domain: loop.Domain(i % 3), Round: 1 + i, Component: i % 5, Index: uint64(i) * 7, Attempt: i % 3},
		Seed: math.MaxUint64 - uint64(i), Weight: 1 / (1 + float64(i)), Worker: "w1", Generator: "shapes@1.0", Millis: 1.5,
		Scenario: loop.Scenario{Codes: codes, Fractions: []uint32{0, 0, 0, uint32(i) * 2654435761}},
		Digest:   loop.Digest{byte(i), 1}, Address: loop.Address{Key: "packs/1/ab", Offset: int64(i) << 33, Length: 512},
	}
	if i%2 == 0 {
		r.Scores = []loop.Score{{Name: "blank.range", Value: .1 + float64(i)}, {Name: `z."quoted"`, Value: -1e-300}}
	}
	return r
}

func TestSamplesRoundTrip(t *testing.T) {
	l, ctx, space := openLake(t), context.Background(), glove(t)
	var rows []loop.SampleRow
	for i := range 100 {
		rows = append(rows, sampleRow(i))
	}
	o, err := l.WriteSamples(ctx, 4, space, rows)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := ParseKey(o.Key); err != nil || k.Kind != Part || k.Epoch != 4 || o.Rows != 100 {
		t.Errorf("the object is %+v, %v", o, err)
	}
	got, err := l.ReadSamples(ctx, o.Key, space)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, rows) {
		for i := range rows {
			if !reflect.DeepEqual(got[i], rows[i]) {
				t.Fatalf("row %d is %+v, want %+v", i, got[i], rows[i])
			}
		}
	}
	again, err := l.WriteSamples(ctx, 4, space, got)
	if err != nil || again != o {
		t.Errorf("equal rows gave %+v and %+v (%v)", o, again, err)
	}

	// A part is read with the space that it was written for, or not at all.
	other := *space
	other.Factors = append([]loop.Factor(nil), space.Factors...)
	other.Factors[0].Levels = []loop.Level{{Name: "dusk", Target: 1}}
	if _, err := l.ReadSamples(ctx, o.Key, &other); err == nil {
		t.Error("read with a space that lacks its levels")
	}
	other.Factors = other.Factors[:2]
	if _, err := l.ReadSamples(ctx, o.Key, &other); !refused(err) {
		t.Errorf("read with a space that lacks its factors: %v", err)
	}
	if _, err := l.ReadVerdicts(ctx, o.Key, space); !refused(err) {
		t.Errorf("samples read as verdicts: %v", err)
	}
	if _, err := l.ReadSamples(ctx, put(t, l, Part, 1, []byte("PAR1 but not really PAR1")).Key, space); err == nil {
		t.Error("read what is no Parquet")
	}
	if _, err := l.ReadSamples(ctx, put(t, l, Pack, 1, []byte("x")).Key, space); !refused(err) {
		t.Errorf("a pack read as a part: %v", err)
	}
}

// Parts of many row groups keep their order, by which voids name rows (C11).
func TestPartOrderOverRowGroups(t *testing.T) {
	l, ctx := openLake(t), context.Background()
	space := &loop.Space{Name: "s", Factors: []loop.Factor{{Name: "f", Kind: loop.Categorical, Levels: []loop.Level{{Name: "a"}, {Name: "b"}}}}}
	rows := make([]loop.VerdictRow, rowGroup+1000)
	for i := range rows {
		rows[i] = loop.VerdictRow{Campaign: "c", Name: loop.Name{Round: 1, Index: uint64(i)}, Gate: "blank", Reason: fmt.Sprint("reason ", i%3),
			Scenario: loop.Scenario{Codes: []loop.Code{loop.Code(i % 2)}, Fractions: []uint32{0}}}
	}
	o, err := l.WriteVerdicts(ctx, 1, space, rows)
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.ReadVerdicts(ctx, o.Key, space)
	if err != nil || !reflect.DeepEqual(got, rows) {
		t.Errorf("%d rows came back as %d, or changed (%v)", len(rows), len(got), err)
	}
}

func table(t *testing.T, l *Lake, key string) arrow.Table {
	t.Helper()
	b, err := l.Read(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	table, err := pqarrow.ReadTable(context.Background(), bytes.NewReader(b), parquet.NewReaderProperties(nil), pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// Imported samples have columns of their own, and values that no fraction says;
// parts of others stay as they were.
func TestImportedSamplesRoundTrip(t *testing.T) {
	l, ctx, space := openLake(t), context.Background(), glove(t)
	var rows []loop.SampleRow
	for i := range 5 {
		r := sampleRow(i)
		r.Example, r.Origin = fmt.Sprint("img/", i), loop.Real
		r.Values = []float64{math.NaN(), math.NaN(), math.NaN(), 0.1}
		if r.Scenario.Codes[3] == 1 {
			r.Values[3] = 2.3
		}
		if i == 4 {
			r.Scenario = loop.Scenario{Codes: []loop.Code{loop.Unknown, loop.Unknown, loop.Unknown, loop.Unknown}, Fractions: make([]uint32, 4)}
		}
		rows = append(rows, r)
	}
	o, err := l.WriteSamples(ctx, 1, space, rows)
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.ReadSamples(ctx, o.Key, space)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if got[i].Example != rows[i].Example || got[i].Origin != loop.Real || !slices.Equal(got[i].Scenario.Codes, rows[i].Scenario.Codes) || got[i].Digest != rows[i].Digest {
			t.Errorf("row %d is %+v, want %+v", i, got[i], rows[i])
		}
	}
	column := table(t, l, o.Key)
	values := column.Column(column.Schema().FieldIndices("distance")[0]).Data().Chunk(0).(*array.Float64)
	if values.Value(1) != rows[1].Values[3] || !values.IsNull(4) {
		t.Errorf("distances are %s", values)
	}
	if _, err := l.WriteSamples(ctx, 1, space, []loop.SampleRow{rows[0], sampleRow(1)}); err == nil {
		t.Error("imported samples and others went into one part")
	}
}

// Others read parts by these names and types.
func TestPartColumns(t *testing.T) {
	l, ctx, space := openLake(t), context.Background(), glove(t)
	factors := "light utf8, glove utf8, colour utf8, distance float64, distance__level utf8, "
	samples, err := l.WriteSamples(ctx, 1, space, []loop.SampleRow{sampleRow(0)})
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := l.WriteVerdicts(ctx, 1, space, []loop.VerdictRow{{Name: loop.Name{Round: 1}, Scenario: sampleRow(0).Scenario}})
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := l.WriteOutcomes(ctx, 1, space, posts)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		samples.Key: "digest utf8, campaign utf8, round int32, component int32, domain utf8, index int64, attempt int32, seed uint64, " +
			"importance_weight float64, worker utf8, generator utf8, millis float64, pack utf8, offset int64, length int64, scores utf8, " + factors,
		verdicts.Key: "campaign utf8, round int32, component int32, domain utf8, index int64, attempt int32, worker utf8, generator utf8, " +
			"gate utf8, reason utf8, scores utf8, " + factors,
		outcomes.Key: "model_line utf8, model_version utf8, task utf8, eval_set utf8, run utf8, example utf8, group utf8, sample utf8, " +
			"origin utf8, source utf8, correct bool, loss int64, importance_weight float64, uri utf8, " + factors,
	} {
		got := ""
		for _, f := range table(t, l, key).Schema().Fields() {
			got += f.Name + " " + f.Type.String() + ", "
		}
		if got != want {
			t.Errorf("the columns are\n%s, want\n%s", got, want)
		}
	}
}

var posts = []loop.PostRows{
	{Post: loop.Post{Space: "glove", ModelLine: "m", Version: "1", Task: "detect", EvalSet: "field@1", Run: "r"}, Rows: []loop.Outcome{
		{Example: "a1", Group: "clip", Scenario: []loop.Code{0, 1, loop.Absent, 1}, Values: []float64{math.NaN(), math.NaN(), math.NaN(), 2.5}, Correct: true,
			Origin: loop.Real},
		{Example: "a2", Group: "clip", Scenario: []loop.Code{loop.Unknown, 0, loop.Unknown, 0}, Values: []float64{math.NaN(), math.NaN(), math.NaN(), math.NaN()},
			Loss: -1_200_000, HasLoss: true, Origin: loop.Real, Source: loop.SourceTarget},
	}},
	{Post: loop.Post{Space: "glove", ModelLine: "m", Version: "2"}}, // no rows: refused upstream, harmless here
	{Post: loop.Post{Space: "glove", ModelLine: "n", Version: "1"}, Rows: []loop.Outcome{
		{Example: "b1", Group: "b1", Sample: loop.Digest{1}, Scenario: []loop.Code{1, 0, 1, loop.Unknown}, HasLoss: true, Origin: loop.Synthetic, Source: loop.SourceMixture, Weight: .3, URI: "s3://b/1.png"},
	}},
}

func TestOutcomes(t *testing.T) {
	l, ctx, space := openLake(t), context.Background(), glove(t)
	o, err := l.WriteOutcomes(ctx, 1, space, posts)
	if err != nil || o.Rows != 3 {
		t.Fatalf("%+v, %v", o, err)
	}
	if again, err := l.WriteOutcomes(ctx, 1, space, posts); err != nil || again != o {
		t.Errorf("equal rows gave %+v and %+v (%v)", o, again, err)
	}
	var got []string
	rows := array.NewTableReader(table(t, l, o.Key), 0)
	for rows.Next() {
		record := rows.RecordBatch()
		for i := range int(record.NumRows()) {
			line := ""
			for c := range int(record.NumCols()) {
				line += record.Column(c).ValueStr(i) + "|"
			}
			got = append(got, line)
		}
	}
	want := []string{
		"m|1|detect|field@1|r|a1|clip|(null)|real|(null)|true|(null)|(null)|(null)|low|no|absent|2.5|far|",
		"m|1|detect|field@1|r|a2|clip|(null)|real|target|false|-1200000|(null)|(null)|(null)|yes|(null)|(null)|near|",
		"n|1||||b1|b1|sha256:01" + zeros64[2:] + "|synthetic|mixture|false|0|0.3|s3://b/1.png|day|yes|\"'|(null)|(null)|",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the rows are\n%q, want\n%q", got, want)
	}
}

// A space with tasks has a column per metric behind those of its factors, in the
// order of its metrics, and every value comes back as it was.
func TestMetrics(t *testing.T) {
	l, ctx, space := openLake(t), context.Background(), glove(t)
	half := .5
	space.Tasks = []loop.Task{
		{Name: "detect", Metrics: []loop.Metric{{Name: "iou", Better: loop.Higher, Fail: &half}, {Name: "mm", Better: loop.Lower}}},
		{Name: "pose", Metrics: []loop.Metric{{Name: "select", Better: loop.Lower}}},
	}
	values := [][]float64{{.25, math.NaN(), math.NaN()}, {-0.1, math.MaxFloat64, math.SmallestNonzeroFloat64}, {math.NaN(), math.NaN(), math.NaN()}, nil}
	one := loop.PostRows{Post: loop.Post{ModelLine: "m", Version: "1", Task: "detect"}}
	for _, metrics := range values {
		one.Rows = append(one.Rows, loop.Outcome{Example: "e", Group: "e", Scenario: []loop.Code{0, 1, loop.Absent, 1}, Origin: loop.Real, Metrics: metrics})
	}
	o, err := l.WriteOutcomes(ctx, 1, space, []loop.PostRows{one})
	if err != nil {
		t.Fatal(err)
	}
	part := table(t, l, o.Key)
	for m, metric := range space.Metrics() {
		at := int(part.NumCols()) - 3 + m
		f := part.Schema().Field(at)
		if f.Name != metric.Name || f.Type.ID() != arrow.FLOAT64 || !f.Nullable {
			t.Errorf("column %d is %v, want %s", at, f, metric.Name)
		}
		column := part.Column(at).Data().Chunk(0).(*array.Float64)
		for i, want := range values {
			if want == nil || math.IsNaN(want[m]) {
				if column.IsValid(i) {
					t.Errorf("row %d: %s is %v, want null", i, metric.Name, column.Value(i))
				}
			} else if column.IsNull(i) || column.Value(i) != want[m] {
				t.Errorf("row %d: %s is %s, want %v", i, metric.Name, column.ValueStr(i), want[m])
			}
		}
	}
	for name, metrics := range map[string][]float64{"few": {1, 2}, "many": {1, 2, 3, 4}, "infinite": {1, math.Inf(1), 2}} {
		one.Rows[0].Metrics = metrics
		if _, err := l.WriteOutcomes(ctx, 1, space, []loop.PostRows{one}); !refused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	space.Tasks[0].Metrics[0].Name = "light"
	if _, err := l.WriteOutcomes(ctx, 1, space, posts); !refused(err) {
		t.Errorf("a metric named as a factor: %v", err)
	}
}

func TestPartsRefuse(t *testing.T) {
	l, ctx, space := openLake(t), context.Background(), glove(t)
	for name, spoil := range map[string]func(r *loop.SampleRow){
		"no weight":       func(r *loop.SampleRow) { r.Weight = 0 },
		"NaN weight":      func(r *loop.SampleRow) { r.Weight = math.NaN() },
		"infinite weight": func(r *loop.SampleRow) { r.Weight = math.Inf(1) },
		"few codes":       func(r *loop.SampleRow) { r.Scenario.Codes, r.Scenario.Fractions = nil, nil },
		"few fractions":   func(r *loop.SampleRow) { r.Scenario.Fractions = nil },
		"no such level":   func(r *loop.SampleRow) { r.Scenario.Codes = []loop.Code{2, 0, 0, 0} },
		"round 0":         func(r *loop.SampleRow) { r.Name.Round = 0 },
		"no such domain":  func(r *loop.SampleRow) { r.Name.Domain = 7 },
		"index":           func(r *loop.SampleRow) { r.Name.Index = loop.MaxQuota },
		"NaN score":       func(r *loop.SampleRow) { r.Scores = []loop.Score{{Name: "a", Value: math.NaN()}} },
		"descending":      func(r *loop.SampleRow) { r.Scores = []loop.Score{{Name: "b"}, {Name: "a"}} },
		"score twice":     func(r *loop.SampleRow) { r.Scores = []loop.Score{{Name: "a"}, {Name: "a"}} },
		"broken UTF-8":    func(r *loop.SampleRow) { r.Worker = "w\xff" },
	} {
		r := sampleRow(1)
		spoil(&r)
		if _, err := l.WriteSamples(ctx, 1, space, []loop.SampleRow{sampleRow(0), r}); !refused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := l.WriteSamples(ctx, 1, space, nil); !refused(err) {
		t.Errorf("no rows: %v", err)
	}
	twice := *space
	twice.Factors = append([]loop.Factor{{Name: "distance__level", Kind: loop.Categorical, Levels: []loop.Level{{Name: "a", Target: 1}}}}, twice.Factors[3])
	if _, err := l.WriteVerdicts(ctx, 1, &twice, []loop.VerdictRow{{}}); !refused(err) {
		t.Errorf("two columns of one name: %v", err)
	}
	if names := drafts(t, l); len(names) != 0 {
		t.Errorf("drafts are left: %v", names)
	}
}
