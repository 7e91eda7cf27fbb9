package ingest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"hone/loop"
)

// decodeArrow reads an Arrow IPC stream: a column per member of a row, one per
// factor and one per metric. It returns the reader's error, errTooManyRows, or a *malformed; a
// panic of the Arrow library is a *malformed, too.
func decodeArrow(r io.Reader, b *builder) (err error) {
	// The library recovers from some panics itself and hides the reader's error
	// in its own, so both are looked for.
	e := &envelope{r: r, maxRows: int64(b.maxRows), columns: len(memberNames) + len(b.names) + len(b.scale.names) + 16}
	defer func() {
		if recovered := recover(); recovered != nil {
			err = e.malformed("not a valid Arrow IPC stream: %v", recovered)
		}
	}()
	reader, err := ipc.NewReaderFromMessageReader(e)
	if err != nil {
		return e.own(err)
	}
	defer reader.Release()
	columns := bind(reader.Schema(), b)
	if columns == nil {
		return nil // the mistakes say why; the rows would only repeat them
	}
	for reader.Next() {
		if err := readBatch(reader.RecordBatch(), columns, b); err != nil {
			return err
		}
	}
	if err := reader.Err(); err != nil {
		return e.own(err)
	}
	if !e.ended {
		return e.malformed("the stream has no end marker (close the writer)")
	}
	if n, err := io.Copy(io.Discard, r); err != nil {
		return err
	} else if n > 0 {
		return e.malformed("%d bytes stand behind the end of the stream", n)
	}
	return nil
}

// own is what the envelope said, or else what the library did.
func (e *envelope) own(err error) error {
	if _, ok := errors.AsType[*malformed](err); ok || errors.Is(err, errTooManyRows) || errors.Is(err, errTooLarge) || errors.Is(err, errBusy) {
		return err
	}
	if errors.Is(err, io.EOF) {
		return e.malformed("the stream has no schema")
	}
	return e.malformed("not a valid Arrow IPC stream: %v", err)
}

// column says what a column of the stream is: a member of the row, a factor or a
// metric.
type column struct {
	name           string
	factor, metric int // -1: another thing
}

// bind says what every column is, or nil if one cannot be.
func bind(schema *arrow.Schema, b *builder) []column {
	own := slices.DeleteFunc(slices.Clone(memberNames), func(s string) bool { return s == scenarioColumn })
	columns := make([]column, schema.NumFields())
	seen := map[string]bool{}
	good, judged := true, false
	wrong := func(name string, format string, args ...any) {
		b.mistakes.add("column "+shortName(name), nil, format, args...)
		good = false
	}
	for i, field := range schema.Fields() {
		c := column{name: field.Name, factor: -1, metric: -1}
		var allowed string
		var fits bool
		kind := field.Type
		if f, ok := b.factors[field.Name]; ok {
			c.factor = f
			fits, allowed = isText(kind), "text or a dictionary of text"
			if b.space.Factors[f].Kind == loop.Numeric {
				fits, allowed = fits || isNumber(kind), "numbers, or text with levels' names"
			}
		} else if place, ok := b.scale.places[field.Name]; ok {
			c.metric = place
			fits, allowed = isNumber(kind), "numbers"
			judged = judged || b.scale.all[place].Fail != nil
		} else {
			switch field.Name {
			case correctColumn:
				fits, allowed = kind.ID() == arrow.BOOL, "booleans"
			case lossColumn:
				fits, allowed = isNumber(kind), "numbers"
			case exampleColumn, groupColumn, sampleColumn, originColumn, uriColumn:
				fits, allowed = isText(kind), "text or a dictionary of text"
			default:
				wrong(field.Name, "%s", b.unknownColumn(field.Name, slices.Concat(own, b.names), "a member of a row", fmt.Sprintf("a factor of space %q", b.space.Name)))
				continue
			}
		}
		if seen[field.Name] {
			wrong(field.Name, "the column stands twice")
		}
		seen[field.Name] = true
		if !fits && kind.ID() != arrow.NULL {
			wrong(field.Name, "the column has type %s; it must hold %s", kind, allowed)
		}
		columns[i] = c
	}
	switch {
	case seen[correctColumn] || judged:
	case len(b.scale.fatal) > 0:
		wrong(correctColumn, "missing (a column of booleans, or else one of numbers for %s)", strings.Join(b.scale.fatal, " or "))
	default:
		wrong(correctColumn, "missing (a column of booleans)")
	}
	if !seen[exampleColumn] && !seen[sampleColumn] {
		wrong(exampleColumn, "missing: rows name neither an example nor a sample (an example is your own name of the row, as a file's or an id)")
	}
	if !good {
		return nil
	}
	return columns
}

func isText(t arrow.DataType) bool {
	if d, ok := t.(*arrow.DictionaryType); ok {
		t = d.ValueType
	}
	switch t.ID() {
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return true
	}
	return false
}

func isNumber(t arrow.DataType) bool {
	return arrow.IsInteger(t.ID()) || t.ID() == arrow.FLOAT32 || t.ID() == arrow.FLOAT64
}

// readBatch reads the rows of a batch.
func readBatch(batch arrow.RecordBatch, columns []column, b *builder) error {
	cells := make([]cells, len(columns))
	for i := range columns {
		a := batch.Column(i)
		if int64(a.Len()) != batch.NumRows() {
			return malformedf("column "+columns[i].name, "%d values in a batch of %d rows", a.Len(), batch.NumRows())
		}
		cells[i] = cellsOf(a)
	}
	for i := range int(batch.NumRows()) {
		if err := b.begin(b.rows + 1); err != nil {
			return err
		}
		for j := range columns {
			if c := &cells[j]; !c.null(i) {
				b.cell(&columns[j], c, i)
			}
		}
		b.end()
	}
	return nil
}

// cell puts one value into the draft.
func (b *builder) cell(col *column, c *cells, i int) {
	d := &b.draft
	switch {
	case col.factor >= 0 && c.text != nil:
		b.text(col.factor, c.text(i))
	case col.factor >= 0:
		b.number(col.factor, c.number(i))
	case col.metric >= 0:
		b.metric(col.metric, c.number(i))
	case col.name == correctColumn:
		d.correct, d.hasCorrect = c.truth(i), true
	case col.name == lossColumn:
		d.loss, d.hasLoss = c.number(i), true
	default:
		// The text aliases the batch; what is kept must not.
		text := c.text(i)
		if text == "" {
			b.mistake(col.name, "", "empty (null where there is none)")
		}
		switch col.name {
		case exampleColumn:
			d.example = strings.Clone(text)
		case groupColumn:
			if n := len(b.outcomes); n == 0 || b.outcomes[n-1].Group != text {
				text = strings.Clone(text)
			}
			b.group(text)
		case sampleColumn:
			d.sample = strings.Clone(text)
		case originColumn:
			d.origin = strings.Clone(text)
		case uriColumn:
			d.uri = strings.Clone(text)
		}
	}
}

// cells reads the values of an array; the one function of its type is set.
type cells struct {
	null   func(int) bool
	text   func(int) string
	number func(int) float64
	truth  func(int) bool
}

func cellsOf(a arrow.Array) cells {
	switch a := a.(type) {
	case *array.Null:
		return cells{null: func(int) bool { return true }}
	case *array.Boolean:
		return cells{null: a.IsNull, truth: a.Value}
	case *array.Dictionary:
		values := cellsOf(a.Dictionary())
		return cells{
			null: func(i int) bool { return a.IsNull(i) || values.null(a.GetValueIndex(i)) },
			text: func(i int) string { return values.text(a.GetValueIndex(i)) },
		}
	case array.StringLike:
		return cells{null: a.IsNull, text: a.Value}
	case *array.Float32:
		return numbers(a.IsNull, a.Float32Values())
	case *array.Float64:
		return numbers(a.IsNull, a.Float64Values())
	case *array.Int8:
		return numbers(a.IsNull, a.Int8Values())
	case *array.Int16:
		return numbers(a.IsNull, a.Int16Values())
	case *array.Int32:
		return numbers(a.IsNull, a.Int32Values())
	case *array.Int64:
		return numbers(a.IsNull, a.Int64Values())
	case *array.Uint8:
		return numbers(a.IsNull, a.Uint8Values())
	case *array.Uint16:
		return numbers(a.IsNull, a.Uint16Values())
	case *array.Uint32:
		return numbers(a.IsNull, a.Uint32Values())
	case *array.Uint64:
		return numbers(a.IsNull, a.Uint64Values())
	}
	panic(fmt.Sprintf("a column of type %s", a.DataType())) // bind lets none through
}

func numbers[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64](null func(int) bool, values []T) cells {
	return cells{null: null, number: func(i int) float64 { return float64(values[i]) }}
}
