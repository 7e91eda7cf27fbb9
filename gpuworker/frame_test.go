package gpuworker

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"hone/loop"
)

// everyFrame is one frame of each kind.
func everyFrame() []frame {
	u := loop.Unit{Campaign: "night-shift.v2", Domain: loop.Evaluation, Round: 3, Component: 7, Attempt: 2, First: 1<<32 - 600, Count: 50}
	a := func(problem string) *answer { return &answer{Unit: wireUnit(u), Problem: problem} }
	yes := new(struct{})
	return []frame{
		helloOf("w1", u), {Welcome: &greeting{Small: 64 << 10}}, {Credit: &credit{3}},
		{Definition: &definition{Campaign: "c", Round: 3, JSON: []byte(`{"campaign":`), Last: true}},
		{Lease: &leases{[]lease{{wireUnit(u), "echo"}, {wireUnit(u), "shapes"}}}},
		delivered("w1", u), {Staged: a("")},
		{Committed: &answer{Unit: wireUnit(u), Standing: &standing{1, 2, 3, 4, 5}}},
		{Again: a("")}, {Refused: a("no")}, {Later: a("not now")}, {Failed: a("out of memory")},
		{Drain: yes}, {Bye: yes}, {Error: &fault{Final: true, Field: "name", Problem: "no", Remedy: "another"}},
	}
}

func TestFramesRoundTrip(t *testing.T) {
	kinds := reflect.TypeFor[frame]().NumField() - 1
	all := everyFrame()
	if len(all) != kinds {
		t.Errorf("%d frames, but there are %d kinds", len(all), kinds)
	}
	for _, f := range all {
		got, err := decode(encode(f))
		if err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		if f.Version = version; !reflect.DeepEqual(got, f) {
			t.Errorf("got %+v, want %+v", got, f)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":            {},
		"no kind":            {0xa1, 0, 1},
		"an unknown kind":    {0xa2, 0, 1, 0x18, 99, 0xa0},
		"no version":         {0xa1, 13, 0xa0},
		"a key twice":        {0xa3, 0, 1, 13, 0xa0, 13, 0xa0},
		"an endless map":     {0xbf, 0, 1, 13, 0xa0, 0xff},
		"a tag":              {0xa2, 0, 1, 13, 0xc1, 0xa0},
		"bytes behind":       append(encode(frame{Bye: new(struct{})}), 0),
		"cut off":            encode(everyFrame()[0])[:20],
		"nested without end": bytes.Repeat([]byte{0x81}, 1<<10),
		"an array of 2^60":   {0xa2, 0, 1, 5, 0xa1, 1, 0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0},
		"text of 2^60":       {0xa2, 0, 1, 1, 0xa1, 1, 0x7b, 0x10, 0, 0, 0, 0, 0, 0, 0},
	} {
		_, err := decode(b)
		if _, ok := errors.AsType[*loop.Error](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A newer peer's additional fields of known frames are no obstacle.
func TestUnknownFieldsAreSkipped(t *testing.T) {
	if f, err := decode([]byte{0xa2, 0, 1, 3, 0xa2, 1, 5, 9, 0x61, 'x'}); err != nil || f.Credit == nil || f.Credit.Free != 5 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestClipKeepsText(t *testing.T) {
	long := strings.Repeat("é", maxText)
	if got := clip(long); len(got) > maxText || !strings.HasPrefix(long, got) || len(got)%2 != 0 {
		t.Errorf("%d bytes", len(got))
	}
	if _, err := decode(encode(frame{Error: faultOf(errors.New(long), false)})); err != nil {
		t.Error(err)
	}
}

func rowsOf(n int) []loop.Staged {
	var rows []loop.Staged
	for i := range n {
		rows = append(rows, loop.Staged{Index: 1<<40 + uint64(i), Digest: loop.Digest{byte(i), 31: 9}, Offset: int64(i) << 30, Length: 512})
	}
	return rows
}

func TestRowsRoundTrip(t *testing.T) {
	for _, n := range []int{1, 2, loop.MaxUnit} {
		want := rowsOf(n)
		b, err := encodeRows(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeRows(b, n); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d rows: %v", n, err)
		}
		if len(b) > maxRowBytes/4 {
			t.Errorf("%d rows have %d bytes", n, len(b))
		}
	}
}

// arrowStream writes columns as a worker in another language might.
func arrowStream(t testing.TB, schema *arrow.Schema, fill func(*array.RecordBuilder), options ...ipc.Option) []byte {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	fill(b)
	batch := b.NewRecordBatch()
	defer batch.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, append(options, ipc.WithSchema(schema))...)
	if err := errors.Join(w.Write(batch), w.Write(batch), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func fillRows(b *array.RecordBuilder) {
	for i := range 100 {
		b.Field(0).(*array.Uint64Builder).Append(uint64(i))
		b.Field(1).(*array.FixedSizeBinaryBuilder).Append(make([]byte, 32))
		b.Field(2).(*array.Int64Builder).Append(0)
		b.Field(3).(*array.Int64Builder).Append(0)
	}
}

func TestRowsRefused(t *testing.T) {
	good, err := encodeRows(rowsOf(5))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		b    []byte
		n    int
		want string
	}{
		"too many":      {good, 4, "more than 4 rows"},
		"too few":       {good, 6, "5 rows for 6 samples"},
		"cut off":       {good[:len(good)/2], 5, "not readable"},
		"nothing":       {nil, 5, "not readable"},
		"text":          {[]byte("index,digest\n1,2\n"), 5, "not readable"},
		"large":         {make([]byte, maxRowBytes+1), 5, "at most"},
		"a long prefix": {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}, 5, "not readable"},
		"compressed":    {arrowStream(t, rowSchema, fillRows, ipc.WithZstd()), 200, "compressed"},
		"lz4":           {arrowStream(t, rowSchema, fillRows, ipc.WithLZ4()), 200, "compressed"},
		"other columns": {arrowStream(t, arrow.NewSchema(rowSchema.Fields()[:1], nil), func(b *array.RecordBuilder) {
			b.Field(0).(*array.Uint64Builder).Append(1)
		}), 2, "another number of columns"},
		"nulls": {arrowStream(t, nullable(), func(b *array.RecordBuilder) {
			fillRows(b)
			b.Field(1).AppendNull()
			b.Field(0).AppendNull()
			b.Field(2).AppendNull()
			b.Field(3).AppendNull()
		}), 202, ""},
	} {
		_, err := decodeRows(c.b, c.n)
		if refusal, ok := errors.AsType[*loop.Error](err); !ok || refusal.Field != "rows" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if got, err := decodeRows(arrowStream(t, rowSchema, fillRows), 200); err != nil || len(got) != 200 {
		t.Errorf("two batches: %d rows, %v", len(got), err)
	}
}

func nullable() *arrow.Schema {
	fields := rowSchema.Fields()
	for i := range fields {
		fields[i].Nullable = true
	}
	return arrow.NewSchema(fields, nil)
}

// No bytes make the hub's decoders panic, or accept what they would not write
// down again as it is.
func FuzzFrame(f *testing.F) {
	for _, frame := range everyFrame() {
		f.Add(encode(frame))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decode(b)
		if err != nil {
			return
		}
		if again, err := decode(encode(got)); err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v is read back as %+v, %v", got, again, err)
		}
		if got.Hello != nil {
			if w, err := got.Hello.worker(); err == nil && (!loop.ValidName(w.Name) || w.Slots < 1 || len(w.Generators) == 0) {
				t.Fatalf("accepted %+v", w)
			}
		}
		if got.Delivery != nil {
			if d, err := got.Delivery.loop(); err == nil && d.Validate() != nil {
				t.Fatalf("accepted %+v", d)
			}
		}
	})
}

func FuzzRows(f *testing.F) {
	for _, n := range []int{1, 5} {
		b, err := encodeRows(rowsOf(n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, n-1)
	}
	f.Add(arrowStream(f, rowSchema, fillRows), 199)
	f.Add(arrowStream(f, rowSchema, fillRows, ipc.WithZstd()), 199)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n = n&(loop.MaxUnit-1) + 1 // a unit has been checked before its rows are
		if rows, err := decodeRows(b, n); err == nil && len(rows) != n {
			t.Fatalf("%d rows, want %d", len(rows), n)
		}
	})
}
