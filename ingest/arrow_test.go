package ingest

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"hone/api"
	"hone/loop"
)

var dictionary = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}

// stream writes one batch per rows text, each an array of JSON objects, as
// Arrow's own JSON reader takes them.
func stream(t testing.TB, fields []arrow.Field, batches []string, options ...ipc.Option) []byte {
	t.Helper()
	schema := arrow.NewSchema(fields, nil)
	var b bytes.Buffer
	w := ipc.NewWriter(&b, append(options, ipc.WithSchema(schema))...)
	for _, rows := range batches {
		batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func field(name string, kind arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: kind, Nullable: true}
}

// common are the columns that a good stream has at least.
var common = []arrow.Field{field("example", arrow.BinaryTypes.String), field("correct", arrow.FixedWidthTypes.Boolean)}

// decode runs a decoder as a post does, but for HTTP.
func decode(f decodeFunc, b []byte) (*builder, *mistakes, error) {
	wrong := &mistakes{limit: 20}
	rows := newBuilder(testSpace(), nil, wrong, 10_000)
	err := f(bytes.NewReader(b), rows)
	return rows, wrong, err
}

// TestArrowMeansTheSame: every kind of column that may hold a value, and NDJSON
// as the twin.
func TestArrowMeansTheSame(t *testing.T) {
	ndjson := `{"example":"a","group":"g","correct":true,"loss":0.5,"origin":"real","uri":"/data/a.png","scenario":{"light":"low","size":12}}
{"example":"b","group":"g","correct":false,"scenario":{"light":"high","glove":"no"}}
{"example":"c","correct":true,"loss":2,"origin":"synthetic","scenario":{"light":"unknown","pose":"left","size":3,"glove":"yes","glove_colour":"blue"}}
{"sample":"` + sampleDigest.String() + `","correct":true}`
	rows := []string{
		`[{"example":"a","group":"g","correct":true,"loss":0.5,"origin":"real","uri":"/data/a.png","light":"low","size":12},
		  {"example":"b","group":"g","correct":false,"light":"high","glove":"no"}]`,
		`[]`,
		`[{"example":"c","correct":true,"loss":2,"origin":"synthetic","light":"unknown","pose":"left","size":3,"glove":"yes","glove_colour":"blue"},
		  {"sample":"` + sampleDigest.String() + `","correct":true}]`,
	}
	want, wrong, err := decode(decodeNDJSON, []byte(ndjson))
	if err != nil || len(wrong.list) > 0 || len(want.outcomes) != 4 {
		t.Fatal(err, wrong.list)
	}
	for name, kind := range map[string][2]arrow.DataType{
		"plain":      {arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64},
		"large":      {arrow.BinaryTypes.LargeString, arrow.PrimitiveTypes.Float32},
		"view":       {arrow.BinaryTypes.StringView, arrow.PrimitiveTypes.Float64},
		"dictionary": {dictionary, arrow.PrimitiveTypes.Float64},
	} {
		t.Run(name, func(t *testing.T) {
			var fields []arrow.Field
			for _, n := range []string{"example", "group", "sample", "origin", "uri", "light", "pose", "glove", "glove_colour"} {
				fields = append(fields, field(n, kind[0]))
			}
			size := kind[1]
			if name == "large" {
				size = arrow.PrimitiveTypes.Uint16
			}
			fields = append(fields, field("correct", arrow.FixedWidthTypes.Boolean), field("loss", kind[1]), field("size", size), field("glove_tint", arrow.Null))
			got, wrong, err := decode(decodeArrow, stream(t, fields, rows))
			if err != nil || len(wrong.list) > 0 {
				t.Fatal(err, wrong.list)
			}
			if len(got.outcomes) != len(want.outcomes) {
				t.Fatalf("%d rows, want %d", len(got.outcomes), len(want.outcomes))
			}
			for i := range got.outcomes {
				g, w := got.outcomes[i], want.outcomes[i]
				if !sameValues(g.Values, w.Values) {
					t.Errorf("row %d: values %v, want %v", i+1, g.Values, w.Values)
				}
				g.Values, w.Values = nil, nil
				if !reflect.DeepEqual(g, w) {
					t.Errorf("row %d:\n got %+v\nwant %+v", i+1, g, w)
				}
			}
		})
	}
}

func TestRefusedArrow(t *testing.T) {
	good := []string{`[{"example":"a","correct":true}]`}
	with := func(fields ...arrow.Field) []arrow.Field { return append(common[:2:2], fields...) }
	nested := arrow.StructOf(field("x", arrow.PrimitiveTypes.Int8))
	whole := stream(t, common, good)
	for _, c := range []struct {
		name   string
		body   []byte
		status int
		want   []string
	}{
		{"empty", nil, 400, []string{"message 1: the body is empty"}},
		{"no rows", stream(t, common, []string{"[]"}), 422, []string{"body: no row"}},
		{"no batches", stream(t, common, nil), 422, []string{"body: no row"}},
		{"text", []byte("example,correct\na,true\n"), 400, []string{"message 1: not an Arrow IPC stream"}},
		{"a file", []byte("ARROW1\x00\x00\xff\xff\xff\xff"), 400, []string{"an Arrow or Feather file is not one"}},
		{"no end", whole[:len(whole)-8], 400, []string{"message 3: the stream has no end marker"}},
		{"truncated", whole[:len(whole)-30], 400, []string{"message 2: the stream breaks off"}},
		{"bytes behind", append(whole[:len(whole):len(whole)], 1, 2, 3), 400, []string{"message 3: 3 bytes stand behind the end"}},
		{"unknown column", stream(t, with(field("ligth", arrow.BinaryTypes.String), field("importance_weight", arrow.PrimitiveTypes.Float64)), good), 422,
			[]string{`column ligth: "ligth" is neither a member of a row nor a factor of space "test" (did you mean "light"?)`, `column importance_weight: `}},
		{"missing columns", stream(t, []arrow.Field{field("light", arrow.BinaryTypes.String)}, []string{`[{"light":"low"}]`}), 422,
			[]string{"column correct: missing", "column example: missing"}},
		{"column twice", stream(t, with(common[0]), nil), 422, []string{"column example: the column stands twice"}},
		{"wrong types", stream(t, with(field("loss", arrow.BinaryTypes.String), field("light", arrow.PrimitiveTypes.Int64), field("size", arrow.FixedWidthTypes.Boolean),
			field("group", arrow.PrimitiveTypes.Int64), field("origin", arrow.FixedWidthTypes.Date32)), nil), 422,
			[]string{"column loss: the column has type utf8; it must hold numbers", "column light: the column has type int64; it must hold text",
				"column size: the column has type bool; it must hold numbers, or text", "column group: the column has type int64", "column origin: the column has type date32"}},
		{"nested", stream(t, with(field("light", nested)), nil), 400, []string{`message 1: column "light" is nested`}},
		{"compressed", stream(t, common, good, ipc.WithZstd()), 400, []string{"message 2: compressed batches are not accepted"}},
		{"delta dictionary", stream(t, with(field("light", dictionary)), []string{`[{"example":"a","correct":true,"light":"low"}]`,
			`[{"example":"a","correct":true,"light":"low"},{"example":"a","correct":true,"light":"high"}]`}, ipc.WithDictionaryDeltas(true)), 400,
			[]string{"delta dictionaries are not accepted"}},
		{"mistakes in rows", stream(t, with(field("light", dictionary), field("size", arrow.PrimitiveTypes.Float64), field("loss", arrow.PrimitiveTypes.Float64)),
			[]string{`[{"example":"a","correct":true}]`, `[{"example":"a","light":"lo","correct":true},{"correct":true,"size":-1},{"example":"c","loss":1e6}]`}), 422,
			[]string{`row 2, column light: "lo" is not a level`, "row 3, column size: -1 lies in no bin", "row 3, column example: the row names neither",
				"row 4, column correct: missing", "row 4, column loss: 1e+06 is not a loss"}},
		{"a uri that breaks", stream(t, with(field("uri", dictionary)), []string{`[{"example":"a","correct":true,"uri":"s3://a\u007fb"}]`}), 422,
			[]string{"row 1, column uri: \"s3://a\\x7fb\" holds a control character"}},
		{"an empty name", stream(t, common, []string{`[{"example":"","correct":true}]`}), 422, []string{"row 1, column example: empty", "row 1, column example: the row names neither"}},
		{"unknown sample", stream(t, []arrow.Field{field("sample", arrow.BinaryTypes.String), common[1]},
			[]string{`[{"sample":"` + sampleDigest.String() + `","correct":true},{"sample":"` + loop.Digest{7}.String() + `","correct":true}]`}), 422,
			[]string{"row 2, column sample: no committed sample"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			server, _ := serve(t, w, Options{})
			got := post(t, server, api.Arrow, bytes.NewReader(c.body))
			lines := strings.Split(strings.TrimSuffix(got.where(), "\n"), "\n")
			if got.status != c.status || len(lines) != len(c.want) {
				t.Fatalf("got %d %s\n%s\nwant %d, %d mistakes", got.status, got.Detail, got.where(), c.status, len(c.want))
			}
			for i := range lines {
				if !strings.Contains(lines[i], c.want[i]) {
					t.Errorf("mistake %d is\n  %s\nwant\n  %s", i+1, lines[i], c.want[i])
				}
			}
			if len(w.parts) > 0 {
				t.Error("something was written")
			}
		})
	}
}

// TestArrowNaN: Arrow can say what JSON cannot.
func TestArrowNaN(t *testing.T) {
	schema := arrow.NewSchema(append(common[:2:2], field("loss", arrow.PrimitiveTypes.Float64), field("size", arrow.PrimitiveTypes.Float64)), nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		b.Field(0).(*array.StringBuilder).Append("e")
		b.Field(1).(*array.BooleanBuilder).Append(true)
		b.Field(2).(*array.Float64Builder).Append(v)
		b.Field(3).(*array.Float64Builder).Append(v)
	}
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(b.NewRecordBatch()); err != nil {
		t.Fatal(err)
	}
	w.Close()
	server, _ := serve(t, newWorld(), Options{})
	got := post(t, server, api.Arrow, &out)
	if got.status != 422 || len(got.Errors) != 6 {
		t.Fatalf("got %d\n%s", got.status, got.where())
	}
	for i, want := range []string{"row 1, column size: NaN lies in no bin", "row 1, column loss: NaN is not a loss", "row 2, column size: +Inf", "row 2, column loss: +Inf",
		"row 3, column size: -Inf", "row 3, column loss: -Inf"} {
		if line := got.Errors[i].Location + ": " + got.Errors[i].Message; !strings.HasPrefix(line, want) {
			t.Errorf("mistake %d is %s, want %s", i+1, line, want)
		}
	}
}

// TestArrowPost: a stream over HTTP, to the log and its answer.
func TestArrowPost(t *testing.T) {
	w := newWorld()
	server, _ := serve(t, w, Options{})
	got := post(t, server, api.Arrow, bytes.NewReader(stream(t, common, []string{`[{"example":"a","correct":true},{"example":"b","correct":false}]`})))
	if got.status != 200 || got.posted != (api.Posted{Accepted: 2, Sequence: 1}) {
		t.Fatalf("got %+v", got)
	}
	if rows := w.counted[0].Rows; rows[0].Example != "a" || !rows[0].Correct || rows[1].Example != "b" || rows[1].Correct {
		t.Errorf("counted %+v", rows)
	}
}
