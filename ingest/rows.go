package ingest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"hone/loop"
)

// The names of a row's own columns. Factors stand beside them in Arrow, and in
// "scenario" in NDJSON; no factor may bear such a name.
const (
	exampleColumn  = "example"
	groupColumn    = "group"
	sampleColumn   = "sample"
	correctColumn  = "correct"
	lossColumn     = "loss"
	originColumn   = "origin"
	uriColumn      = "uri"
	scenarioColumn = "scenario"
)

// maxText bounds an example's or group's name, in bytes.
const maxText = 1024

var errTooManyRows = errors.New("the post has too many rows")

// draft is the row that a decoder fills; builder.next clears it.
type draft struct {
	// line is what a mistake names: the line of NDJSON, the row of Arrow, from 1.
	line                           int
	example, group, sample, origin string
	uri                            string
	correct, hasCorrect            bool
	loss                           float64
	hasLoss                        bool
	codes                          []loop.Code
	values                         []float64
	numbers                        bool // whether some entry of values is a number
	metrics                        []float64
	measured                       bool // whether some entry of metrics is a number
	judged                         bool // whether a metric that says what is correct was given
	broken                         bool // whether a mistake was found in the row
}

// builder turns drafts into outcomes under a space. Both decoders fill it, so
// that a row means the same in either encoding.
type builder struct {
	space    *loop.Space
	factors  map[string]int
	levels   []map[string]loop.Code
	names    []string // of the factors
	scale    scale
	mistakes *mistakes
	maxRows  int

	draft    draft
	rows     int // drafts so far
	outcomes []loop.Outcome
	// lines is the line of every outcome, once they differ from 1, 2, 3 ...
	lines   []int
	digests map[loop.Digest]struct{} // of all samples referred to
	// seen is the draft, counted from 1, that last said something of a factor, and
	// measured the same of a metric.
	seen, measured []int
	// slab is where codes of outcomes are cut from; none are the values of every
	// row without a number.
	slab []loop.Code
	none []float64
}

func newBuilder(space *loop.Space, task *loop.Task, m *mistakes, maxRows int) *builder {
	n := len(space.Factors)
	b := &builder{
		space: space, scale: newScale(space, task), factors: make(map[string]int, n), levels: make([]map[string]loop.Code, n),
		mistakes: m, maxRows: maxRows, digests: map[loop.Digest]struct{}{},
		none: make([]float64, n), seen: make([]int, n),
	}
	b.draft.codes, b.draft.values = make([]loop.Code, n), make([]float64, n)
	b.draft.metrics, b.measured = slices.Clone(b.scale.none), make([]int, len(b.scale.none))
	for f, c := range space.Columns() {
		b.factors[c.Name] = f
		b.names = append(b.names, c.Name)
		b.none[f] = math.NaN()
		b.levels[f] = make(map[string]loop.Code, len(c.Levels)+2)
		for l, name := range c.Levels {
			b.levels[f][name] = loop.Code(l)
		}
		b.levels[f][loop.AbsentName] = loop.Absent
		b.levels[f][loop.UnknownName] = loop.Unknown
	}
	return b
}

// begin clears the draft for the row of that line.
func (b *builder) begin(line int) error {
	if b.rows++; b.rows > b.maxRows {
		return errTooManyRows
	}
	d := &b.draft
	codes, values, metrics := d.codes, d.values, d.metrics
	for f := range codes {
		codes[f] = loop.Unknown
	}
	if d.numbers || d.line == 0 {
		copy(values, b.none)
	}
	if d.measured {
		copy(metrics, b.scale.none)
	}
	*d = draft{line: line, codes: codes, values: values, metrics: metrics}
	return nil
}

func (b *builder) mistake(column string, value any, format string, args ...any) {
	b.draft.broken = true
	b.mistakes.add(place(b.draft.line, column), value, format, args...)
}

func place(line int, column string) string {
	if column == "" {
		return "row " + strconv.Itoa(line)
	}
	return "row " + strconv.Itoa(line) + ", column " + column
}

// text sets a factor to the level of that name, to absent or to unknown.
func (b *builder) text(f int, name string) {
	if code, ok := b.levels[f][name]; ok {
		b.draft.codes[f] = code
		return
	}
	names := make([]string, len(b.space.Factors[f].Levels))
	for l, level := range b.space.Factors[f].Levels {
		names[l] = level.Name
	}
	b.mistake(b.names[f], name, "%s is not a level of %q%s", quote(name), b.names[f], suggest(name, names))
}

// group sets the draft's group. Rows of a group stand together as a rule, so
// that its name is kept once.
func (b *builder) group(name string) {
	if n := len(b.outcomes); n > 0 && b.outcomes[n-1].Group == name {
		name = b.outcomes[n-1].Group
	}
	b.draft.group = name
}

// number sets a numeric factor to a concrete value: its level is the bin that
// holds it.
func (b *builder) number(f int, v float64) {
	factor := &b.space.Factors[f]
	if factor.Kind != loop.Numeric {
		b.mistake(b.names[f], finite(v), "%v is a number, but %q is %s (write the level's name, as a string)", v, b.names[f], factor.Kind)
		return
	}
	if code, ok := factor.Code(v); ok {
		b.draft.codes[f], b.draft.values[f], b.draft.numbers = code, factor.Wrap(v), true
		return
	}
	low, high := factor.Levels[0].Low, factor.Levels[len(factor.Levels)-1].High
	b.mistake(b.names[f], finite(v), "%v lies in no bin of %q (allowed: %v <= value < %v, or null where it is not known)", v, b.names[f], low, high)
}

// finite is v, or its text: JSON has no NaN.
func finite(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprint(v)
	}
	return v
}

// end checks the draft and makes an outcome of it.
func (b *builder) end() {
	d := &b.draft
	out := loop.Outcome{Example: d.example, Group: d.group, Origin: loop.Origin(d.origin), Source: loop.SourceTarget, URI: d.uri}
	if d.sample != "" {
		out.Source = ""
		digest, err := loop.ParseDigest(d.sample)
		if err != nil || digest.IsZero() {
			b.mistake(sampleColumn, d.sample, "%s is not a digest (sha256: and 64 lower-case hex digits)", quote(d.sample))
		}
		out.Sample = digest
		if out.Example == "" {
			out.Example = d.sample
		}
	}
	if out.Example == "" {
		b.mistake(exampleColumn, nil, "the row names neither an example nor a sample (an example is your own name of the row, as a file's or an id)")
	}
	if out.Group == "" {
		out.Group = out.Example
	}
	b.checkText(exampleColumn, out.Example, maxText)
	if out.Group != out.Example {
		b.checkText(groupColumn, out.Group, maxText)
	}
	b.checkText(uriColumn, out.URI, loop.MaxURI)
	b.judge()
	out.Correct = d.correct
	if d.hasLoss {
		if !(math.Abs(d.loss) <= loop.MaxLoss) {
			b.mistake(lossColumn, finite(d.loss), "%v is not a loss (finite, at most %v either way; null where there is none)", d.loss, float64(loop.MaxLoss))
		}
		out.Loss, out.HasLoss = int64(math.RoundToEven(d.loss*loop.MicroUnits)), true
	}
	switch out.Origin {
	case "", loop.Synthetic, loop.Real:
	default:
		b.mistake(originColumn, d.origin, "%s is not an origin (real or synthetic)", quote(d.origin))
	}
	if d.sample == "" {
		b.infer()
	}
	if d.broken {
		return
	}
	out.Scenario, out.Values = b.keepCodes(), b.none
	if d.numbers {
		out.Values = slices.Clone(d.values)
	}
	if out.Metrics = b.scale.none; d.measured {
		out.Metrics = b.scale.keep(d.metrics)
	}
	if out.Sample != (loop.Digest{}) {
		b.digests[out.Sample] = struct{}{}
	}
	if b.lines == nil && d.line != len(b.outcomes)+1 {
		b.lines = make([]int, len(b.outcomes))
		for i := range b.lines {
			b.lines[i] = i + 1
		}
	}
	if b.lines != nil {
		b.lines = append(b.lines, d.line)
	}
	b.outcomes = append(b.outcomes, out)
}

func (b *builder) checkText(column, s string, most int) {
	if len(s) > most {
		b.mistake(column, s, "%d bytes; at most %d are allowed", len(s), most)
		return
	}
	if !utf8.ValidString(s) {
		b.mistake(column, nil, "not valid UTF-8")
		return
	}
	for _, c := range []byte(s) {
		if c < 0x20 || c == 0x7f {
			b.mistake(column, s, "%s holds a control character", quote(s))
			return
		}
	}
}

// infer says absent where the factor that a factor depends on rules it out, and
// refuses a value there. A parent stands before its children.
func (b *builder) infer() {
	codes := b.draft.codes
	for f := range codes {
		when := b.space.Factors[f].When
		if when == nil {
			if codes[f] == loop.Absent {
				b.mistake(b.names[f], loop.AbsentName, "%q is always present (null where it is not known)", b.names[f])
			}
			continue
		}
		parent := codes[when.Factor]
		if parent == loop.Unknown {
			continue
		}
		present := parent.IsLevel() && when.Contains(int(parent))
		switch {
		case present && codes[f] == loop.Absent:
			b.mistake(b.names[f], loop.AbsentName, "%q is present where %s=%s (null where it is not known)",
				b.names[f], b.names[when.Factor], b.space.Text(when.Factor, parent))
		case !present && codes[f].IsLevel():
			b.mistake(b.names[f], b.space.Text(f, codes[f]), "%q is absent where %s=%s (leave it out)",
				b.names[f], b.names[when.Factor], b.space.Text(when.Factor, parent))
		case !present:
			codes[f] = loop.Absent
		}
	}
}

// keepCodes copies the draft's codes into the slab.
func (b *builder) keepCodes() []loop.Code {
	n := len(b.draft.codes)
	if len(b.slab) < n {
		b.slab = make([]loop.Code, n*min(max(256, b.rows), 8192))
	}
	kept := b.slab[:n:n]
	b.slab = b.slab[n:]
	copy(kept, b.draft.codes)
	return kept
}

// line is what a mistake about outcome i names.
func (b *builder) line(i int) int {
	if b.lines == nil {
		return i + 1
	}
	return b.lines[i]
}
