package export

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"hone/api"
	"hone/loop"
)

// parquetTable writes a shard as a table: one row per sample, its factors in
// columns named and typed as those of the SQL table samples, its members as
// binary columns.
type parquetTable struct {
	columns []parquetColumn
	out     *pqarrow.FileWriter
	rows    *array.RecordBuilder
	// pending are the rows and bytes of the row group that is being gathered.
	pending, bytes int
}

type parquetColumn struct {
	name string
	kind arrow.DataType
	// put appends a row's value.
	put func(to array.Builder, row *api.Row, s *api.Sample)
}

// A row group ends after so many rows, or bytes, which are held in memory.
const (
	groupRows  = 4096
	groupBytes = 32 << 20
)

func beginParquet(to io.Writer, e *Export, members []string) (shardWriter, error) {
	t := &parquetTable{columns: rowColumns(&e.header)}
	taken := make(map[string]bool)
	for _, c := range t.columns {
		taken[strings.ToLower(c.name)] = true // SQL does not tell Light from light
	}
	for _, m := range members {
		name := memberColumn(m, taken)
		if name == "" {
			return nil, fmt.Errorf("member %s has no column name left: %w", m, errMember)
		}
		taken[name] = true
		t.columns = append(t.columns, parquetColumn{name, arrow.BinaryTypes.Binary, func(to array.Builder, _ *api.Row, s *api.Sample) {
			for i := range s.Members {
				if s.Members[i].Ext == m {
					to.(*array.BinaryBuilder).Append(s.Members[i].Bytes)
					return
				}
			}
			to.AppendNull()
		}})
	}
	options := []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCreatedBy("hone"),
		parquet.WithVersion(parquet.V2_6), parquet.WithDataPageVersion(parquet.DataPageV1)}
	fields := make([]arrow.Field, len(t.columns))
	for i, c := range t.columns {
		fields[i] = arrow.Field{Name: c.name, Type: c.kind, Nullable: true}
		if c.kind.ID() == arrow.BINARY { // mostly compressed by the generator
			options = append(options, parquet.WithDictionaryFor(c.name, false), parquet.WithStatsFor(c.name, false),
				parquet.WithCompressionFor(c.name, compress.Codecs.Uncompressed))
		}
	}
	metadata := arrow.NewMetadata([]string{"hone.dataset", "hone.manifest_sha256"}, []string{e.target.head.Dataset, e.target.head.Manifest.String()})
	schema := arrow.NewSchema(fields, &metadata)
	var err error
	t.out, err = pqarrow.NewFileWriter(schema, struct{ io.Writer }{to}, parquet.NewWriterProperties(options...), pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	t.rows = array.NewRecordBuilder(memory.DefaultAllocator, schema)
	return t, nil
}

// memberColumn names the column of a member: image.png is image_png. Where a
// factor has that name already it is member_image_png.
func memberColumn(member string, taken map[string]bool) string {
	name := strings.NewReplacer(".", "_", "-", "_").Replace(member)
	for _, name := range []string{name, "member_" + name} {
		if !taken[name] {
			return name
		}
	}
	return ""
}

// rowColumns are the columns of what is known of a sample.
func rowColumns(h *api.RowsHeader) []parquetColumn {
	text := func(name string, of func(*api.Row) string) parquetColumn {
		return parquetColumn{name, arrow.BinaryTypes.String, func(to array.Builder, row *api.Row, _ *api.Sample) {
			to.(*array.StringBuilder).Append(of(row))
		}}
	}
	whole := func(name string, of func(*api.Row) int) parquetColumn {
		return parquetColumn{name, arrow.PrimitiveTypes.Int32, func(to array.Builder, row *api.Row, _ *api.Sample) {
			to.(*array.Int32Builder).Append(int32(of(row)))
		}}
	}
	large := func(name string, of func(*api.Row) uint64) parquetColumn {
		return parquetColumn{name, arrow.PrimitiveTypes.Uint64, func(to array.Builder, row *api.Row, _ *api.Sample) {
			to.(*array.Uint64Builder).Append(of(row))
		}}
	}
	key := "key"
	if slices.Contains(h.Labels, key) || slices.ContainsFunc(h.Factors, func(f api.RowFactor) bool { return strings.EqualFold(f.Name, key) }) {
		key = "sample_key" // the other names are reserved in every space
	}
	columns := []parquetColumn{
		text("digest", func(r *api.Row) string { return r.Digest.String() }),
		text(key, func(r *api.Row) string { return r.Key }),
		whole("round", func(r *api.Row) int { return r.Round }),
		whole("component", func(r *api.Row) int { return r.Component }),
		large("index", func(r *api.Row) uint64 { return r.Index }),
		whole("attempt", func(r *api.Row) int { return r.Attempt }),
		large("seed", func(r *api.Row) uint64 { return r.Seed }),
		{"importance_weight", arrow.PrimitiveTypes.Float64, func(to array.Builder, row *api.Row, _ *api.Sample) {
			to.(*array.Float64Builder).Append(row.Weight)
		}},
		text("split", func(r *api.Row) string { return r.Split }),
	}
	if h.Campaign == "" { // they were imported
		columns = append(columns, text("example", func(r *api.Row) string { return r.Example }))
	}
	for _, f := range h.Factors {
		unknown := func(to array.Builder, row *api.Row) bool {
			value, there := row.Scenario[f.Name]
			if there && value == nil {
				to.AppendNull()
			}
			return there && value == nil
		}
		level := parquetColumn{f.Name, arrow.BinaryTypes.String, func(to array.Builder, row *api.Row, _ *api.Sample) {
			if !unknown(to, row) {
				appendLevel(to, row.Scenario[f.Name])
			}
		}}
		if f.Kind == loop.Numeric {
			columns = append(columns, parquetColumn{f.Name, arrow.PrimitiveTypes.Float64, func(to array.Builder, row *api.Row, _ *api.Sample) {
				if x, ok := row.Scenario[f.Name].(float64); ok {
					to.(*array.Float64Builder).Append(x)
					return
				}
				to.AppendNull()
			}})
			level.name += "__level"
			level.put = func(to array.Builder, row *api.Row, _ *api.Sample) {
				if l, ok := row.Levels[f.Name]; ok {
					appendLevel(to, l)
				} else if !unknown(to, row) {
					appendLevel(to, nil)
				}
			}
		}
		columns = append(columns, level)
	}
	for _, label := range h.Labels {
		columns = append(columns, parquetColumn{label, arrow.BinaryTypes.String, func(to array.Builder, row *api.Row, _ *api.Sample) {
			if l, ok := row.Labels[label]; ok {
				appendLevel(to, l)
				return
			}
			to.AppendNull()
		}})
	}
	return columns
}

// appendLevel appends a level; a factor that is left out of a scenario is absent.
func appendLevel(to array.Builder, level any) {
	name, ok := level.(string)
	if !ok {
		name = loop.AbsentName
	}
	to.(*array.StringBuilder).Append(name)
}

func (t *parquetTable) write(row *api.Row, s *api.Sample) error {
	for i, c := range t.columns {
		c.put(t.rows.Field(i), row, s)
	}
	t.pending++
	for i := range s.Members {
		t.bytes += len(s.Members[i].Bytes)
	}
	if t.pending == groupRows || t.bytes >= groupBytes {
		return t.flush()
	}
	return nil
}

func (t *parquetTable) flush() error {
	record := t.rows.NewRecordBatch()
	defer record.Release()
	t.pending, t.bytes = 0, 0
	return t.out.Write(record)
}

func (t *parquetTable) end() error {
	defer t.rows.Release()
	if t.pending > 0 {
		if err := t.flush(); err != nil {
			return err
		}
	}
	return t.out.Close()
}
