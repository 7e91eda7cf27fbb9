package lake

import (
	"context"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"hone/loop"
)

// rowGroup is the number of rows of a row group: that of a DuckDB vector group,
// so that a scan divides among its threads.
const rowGroup = 122_880

// LevelSuffix ends the name of the column that holds the level of a numeric
// factor, beside the column of its concrete value.
const LevelSuffix = "__level"

// field is one column of a part. Text is dictionary-encoded unless it is plain:
// digests and the like hardly ever repeat.
type field struct {
	name     string
	kind     arrow.DataType
	nullable bool
	plain    bool
}

func text(name string) field    { return field{name: name, kind: arrow.BinaryTypes.String} }
func digest(name string) field  { return field{name: name, kind: arrow.BinaryTypes.String, plain: true} }
func int32s(name string) field  { return field{name: name, kind: arrow.PrimitiveTypes.Int32} }
func int64s(name string) field  { return field{name: name, kind: arrow.PrimitiveTypes.Int64} }
func doubles(name string) field { return field{name: name, kind: arrow.PrimitiveTypes.Float64} }
func orNull(f field) field      { f.nullable = true; return f }

// withFactors appends the space's columns: a categorical or ordinal factor is
// its level's name; a numeric one its value and, in a second column, its level.
// A null level is unknown; the text "absent" is absent. A value is null where
// there is none. Behind them stand the last fields.
func withFactors(fields []field, space *loop.Space, last ...field) ([]field, error) {
	for _, c := range space.Columns() {
		name := c.Name
		if c.Kind == loop.Numeric {
			fields = append(fields, orNull(doubles(name)))
			name += LevelSuffix
		}
		fields = append(fields, orNull(text(name)))
	}
	fields = append(fields, last...)
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if seen[f.name] {
			return nil, &loop.Error{Field: "space", Problem: fmt.Sprintf("space %q needs two columns called %q", space.Name, f.name),
				Remedy: "rename the factor or metric"}
		}
		seen[f.name] = true
	}
	return fields, nil
}

func schemaOf(fields []field) *arrow.Schema {
	columns := make([]arrow.Field, len(fields))
	for i, f := range fields {
		columns[i] = arrow.Field{Name: f.name, Type: f.kind, Nullable: f.nullable}
	}
	return arrow.NewSchema(columns, nil)
}

// columns fills the builders of one record, column after column of a row. Each
// append takes the next column.
type columns struct {
	builder *array.RecordBuilder
	next    int
	err     error
}

func (c *columns) take() array.Builder {
	b := c.builder.Field(c.next)
	c.next++
	return b
}

// text refuses, by the row's error, what is not UTF-8: one such value would make
// the whole part unreadable to others.
func (c *columns) text(s string) {
	if !utf8.ValidString(s) && c.err == nil {
		c.err = &loop.Error{Field: c.builder.Schema().Field(c.next).Name, Problem: fmt.Sprintf("%q is not UTF-8", s)}
	}
	c.take().(*array.StringBuilder).Append(s)
}

func (c *columns) int32(n int)      { c.take().(*array.Int32Builder).Append(int32(n)) }
func (c *columns) int64(n int64)    { c.take().(*array.Int64Builder).Append(n) }
func (c *columns) uint64(n uint64)  { c.take().(*array.Uint64Builder).Append(n) }
func (c *columns) double(x float64) { c.take().(*array.Float64Builder).Append(x) }
func (c *columns) bool(b bool)      { c.take().(*array.BooleanBuilder).Append(b) }
func (c *columns) null()            { c.take().AppendNull() }

// textOrNull writes null for the empty text.
func (c *columns) textOrNull(s string) {
	if s == "" {
		c.null()
		return
	}
	c.text(s)
}

// factors writes the columns of withFactors. value is asked for the concrete
// value of a numeric factor whose code is a level.
func (c *columns) factors(space *loop.Space, codes []loop.Code, value func(factor int) (float64, bool)) error {
	if len(codes) != len(space.Factors) {
		return &loop.Error{Field: "scenario", Problem: fmt.Sprintf("%d codes for the %d factors of space %q", len(codes), len(space.Factors), space.Name)}
	}
	for f, code := range codes {
		if code.IsLevel() && int(code) >= len(space.Factors[f].Levels) {
			return &loop.Error{Field: space.Factors[f].Name, Problem: fmt.Sprintf("there is no level %d", code)}
		}
		if space.Factors[f].Kind == loop.Numeric {
			if x, ok := value(f); ok && code.IsLevel() && !math.IsNaN(x) {
				c.double(x)
			} else {
				c.null()
			}
		}
		if code == loop.Unknown {
			c.null()
		} else {
			c.text(space.Text(f, code))
		}
	}
	return nil
}

// metrics writes one column per metric of the space, null for what is NaN; rows
// of a space that declared none when they were read have no metrics at all.
func (c *columns) metrics(of []loop.Metric, values []float64) error {
	if len(values) != 0 && len(values) != len(of) {
		return &loop.Error{Field: "metrics", Problem: fmt.Sprintf("%d values for %d metrics", len(values), len(of))}
	}
	for m := range of {
		switch {
		case len(values) == 0 || math.IsNaN(values[m]):
			c.null()
		case math.IsInf(values[m], 0):
			return &loop.Error{Field: of[m].Name, Problem: fmt.Sprintf("%v is not a finite number", values[m])}
		default:
			c.double(values[m])
		}
	}
	return nil
}

// writePart encodes rows as one Parquet object. Equal rows give equal bytes:
// the encoder is given everything that could vary, and no time or version.
func (l *Lake) writePart(ctx context.Context, epoch uint64, fields []field, rows int, row func(i int, c *columns) error) (loop.Object, error) {
	if rows == 0 {
		return loop.Object{}, &loop.Error{Field: "rows", Problem: "a part has at least one row"}
	}
	schema := schemaOf(fields)
	return l.Put(ctx, Part, epoch, int64(rows), func(w io.Writer) error {
		out, err := newPartWriter(w, schema, fields)
		if err != nil {
			return err
		}
		builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer builder.Release()
		for first := 0; first < rows; first += rowGroup {
			last := min(first+rowGroup, rows)
			builder.Reserve(last - first)
			for i := first; i < last; i++ {
				c := &columns{builder: builder}
				err := row(i, c)
				if err == nil {
					err = c.err
				}
				if err != nil {
					return fmt.Errorf("row %d: %w", i, err)
				}
				if c.next != len(fields) {
					panic(fmt.Sprintf("lake: a row of %d values for %d columns", c.next, len(fields)))
				}
			}
			record := builder.NewRecordBatch()
			err := out.Write(record)
			record.Release()
			if err != nil {
				return err
			}
		}
		return out.Close()
	})
}

// newPartWriter begins a Parquet file: its bytes follow from its rows alone.
func newPartWriter(w io.Writer, schema *arrow.Schema, fields []field) (*pqarrow.FileWriter, error) {
	options := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(3),
		parquet.WithDictionaryDefault(false),
		parquet.WithMaxRowGroupLength(rowGroup),
		parquet.WithVersion(parquet.V2_6),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithCreatedBy("hone"),
	}
	for _, f := range fields {
		if f.kind.ID() == arrow.STRING && !f.plain {
			options = append(options, parquet.WithDictionaryFor(f.name, true))
		}
	}
	return pqarrow.NewFileWriter(schema, unclosed{w}, parquet.NewWriterProperties(options...), pqarrow.DefaultWriterProps())
}

// unclosed keeps the encoder from closing what it writes to.
type unclosed struct{ io.Writer }

// checkName refuses what names no sample, so that no part holds a row that cannot
// be read back.
func checkName(n loop.Name) error {
	if _, ok := loop.ParseDomain(n.Domain.String()); !ok || n.Round < 1 || n.Round > math.MaxInt32 ||
		n.Component < 0 || n.Component > math.MaxInt32 || n.Index >= loop.MaxQuota || n.Attempt < 0 || n.Attempt > loop.MaxAttempt {
		return &loop.Error{Field: "name", Problem: fmt.Sprintf("%+v is not the name of a sample", n)}
	}
	return nil
}
