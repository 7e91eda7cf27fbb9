package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"hone/loop"
)

// checkDecoded is what must hold of any decoder on any bytes: it ends with
// outcomes that make sense, or says why not.
func checkDecoded(t *testing.T, b *builder, wrong *mistakes, err error) {
	t.Helper()
	if err != nil {
		if _, ok := errors.AsType[*malformed](err); !ok && !errors.Is(err, errTooManyRows) {
			t.Fatalf("an error of no kind: %v", err)
		}
		return
	}
	for _, m := range wrong.list {
		if m.Location == "" || m.Message == "" || len(m.Message) > 2000 || !utf8.ValidString(m.Message) {
			t.Fatalf("a mistake says too little or too much: %+v", m)
		}
	}
	for i, o := range b.outcomes {
		if o.Example == "" || o.Group == "" || len(o.Scenario) != len(b.names) || len(o.Values) != len(b.names) ||
			o.Origin != loop.Real && o.Origin != loop.Synthetic && o.Origin != "" || o.Loss > loop.MaxLoss*loop.MicroUnits || o.Loss < -loop.MaxLoss*loop.MicroUnits ||
			len(o.URI) > loop.MaxURI || strings.ContainsAny(o.URI, "\n\r\x00\x7f") || !utf8.ValidString(o.URI) ||
			!utf8.ValidString(o.Example) || !utf8.ValidString(o.Group) || b.line(i) < 1 {
			t.Fatalf("outcome %d is %+v", i, o)
		}
		for f, code := range o.Scenario {
			factor := &b.space.Factors[f]
			if code.IsLevel() && int(code) >= len(factor.Levels) || code == loop.Absent && factor.When == nil && o.Sample.IsZero() {
				t.Fatalf("outcome %d has code %d of factor %d", i, code, f)
			}
			if v := o.Values[f]; v == v && (!code.IsLevel() || v < factor.Levels[code].Low || v >= factor.Levels[code].High) {
				t.Fatalf("outcome %d has value %v in level %d", i, v, code)
			}
		}
	}
}

func FuzzNDJSON(f *testing.F) {
	for _, s := range []string{
		`{"example":"a17","group":"clip3","scenario":{"light":"low","pose":null},"correct":false,"loss":1.2,"origin":"real"}`,
		`{"sample":"` + sampleDigest.String() + `","correct":true}` + "\r\n\n",
		`{"example":"é\n\ud83d\ude00","scenario":{"size":1e1,"glove":"absent"},"correct":true}`,
		`{"example":"a","scenario":{"light":"low"`, `{"example":"\ud800","correct":true}`, `{"a":[[[[{}]]]],"correct":tru}`,
		`{"correct":true,"correct":true}`, "\xef\xbb\xbf{}", `{"loss":-0.0e+5,"example":"x","correct":true}`, "[1,2]\nnull",
		`{"example":"a","correct":false,"uri":"https://host/a?b=c#d"}`, `{"example":"a","correct":true,"uri":"s3://a\u0000b"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, wrong, err := decode(decodeNDJSON, text)
		checkDecoded(t, b, wrong, err)
		if err != nil {
			return
		}
		// The library is the twin: whatever is taken for JSON here is JSON there,
		// and says the same.
		i := 0
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			if len(bytes.Trim(line, " \t\r")) == 0 {
				continue
			}
			var row struct {
				Example, Sample string
				Correct         *bool
			}
			if !json.Valid(line) {
				t.Fatalf("took %q for JSON", line)
			}
			if len(wrong.list) > 0 {
				continue
			}
			// The library takes "EXAMPLE" for "example"; a row with such a member is a
			// mistake here, so it does not come so far.
			if err := json.Unmarshal(line, &row); err != nil {
				t.Fatalf("took %q for a row: %v", line, err)
			}
			o := b.outcomes[i]
			if row.Correct == nil || o.Correct != *row.Correct || row.Example != "" && o.Example != row.Example || !o.Sample.IsZero() && o.Sample.String() != row.Sample {
				t.Fatalf("%q became %+v", line, o)
			}
			i++
		}
		if len(wrong.list) == 0 && i != len(b.outcomes) {
			t.Fatalf("%d rows became %d outcomes", i, len(b.outcomes))
		}
	})
}

func FuzzArrow(f *testing.F) {
	rows := []string{`[{"example":"a","correct":true,"light":"low","size":3,"loss":1,"uri":"s3://a"}]`, `[{"example":"b","correct":false,"light":"high"},{"sample":"x","group":"g"}]`}
	for _, text := range []arrow.DataType{arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.BinaryTypes.StringView, dictionary} {
		good := stream(f, []arrow.Field{field("example", text), field("group", text), field("sample", text), field("light", text),
			field("correct", arrow.FixedWidthTypes.Boolean), field("loss", arrow.PrimitiveTypes.Float32), field("size", arrow.PrimitiveTypes.Int64), field("origin", arrow.Null), field("uri", text)}, rows)
		f.Add(good)
		f.Add(good[:len(good)/2])
		for _, at := range []int{5, 20, 60, 200, len(good) / 2, len(good) - 40} {
			flipped := slices.Clone(good)
			flipped[at] ^= 0x40
			f.Add(flipped)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, wrong, err := decode(decodeArrow, b)
		checkDecoded(t, rows, wrong, err)
	})
}

// TestArrowFlipped does a little of what the fuzz target does at each run: every
// byte of a stream, changed, is a post or a refusal, and never a crash.
func TestArrowFlipped(t *testing.T) {
	good := stream(t, append(common[:2:2], field("light", dictionary), field("size", arrow.PrimitiveTypes.Float64)),
		[]string{`[{"example":"a","correct":true,"light":"low","size":3},{"example":"b","correct":false,"light":"high"}]`})
	for at := range good {
		for _, bits := range []byte{0x01, 0x80, 0xFF} {
			flipped := slices.Clone(good)
			flipped[at] ^= bits
			rows, wrong, err := decode(decodeArrow, flipped)
			checkDecoded(t, rows, wrong, err)
		}
	}
	for n := range good {
		if _, _, err := decode(decodeArrow, good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were taken for a whole stream", n, len(good))
		}
	}
}
