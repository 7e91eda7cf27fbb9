//go:build duckdb_arrow && cgo

package analytics

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	duckdb "github.com/duckdb/duckdb-go/v2"

	"hone/loop"
)

// Table is a file of somebody's rows, read into memory: Parquet, CSV, JSON,
// NDJSON, or Arrow IPC. It is theirs, and so is the process: expressions over it
// are not locked down.
type Table struct {
	db   *sql.DB
	conn *sql.Conn
	// Path is what was read, Rows how many rows it has.
	Path string
	Rows int
	// Columns are those of the file, in its order.
	Columns []Column
	// field are the columns that the field's file shares, pooled those of the rows
	// of both files; none without one.
	field  []string
	pooled []Column
}

// OpenTable reads a file, or of it the rows for which the expression where holds
// if there is one. Close it.
func OpenTable(ctx context.Context, path, where string) (*Table, error) {
	db, err := openDB("", "autoinstall_known_extensions=false&autoload_known_extensions=false")
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	t := &Table{db: db, Path: path}
	if t.conn, err = db.Conn(ctx); err == nil {
		t.Columns, err = t.load(ctx, "evals", path)
	}
	if err == nil {
		err = t.restrict(ctx, where)
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Close lets go of the rows.
func (t *Table) Close() error {
	var err error
	if t.conn != nil {
		err = t.conn.Close()
	}
	return errors.Join(err, t.db.Close())
}

// The formats of a table's file.
const (
	formatParquet     = "Parquet"
	formatCSV         = "CSV"
	formatJSON        = "JSON"
	formatArrowFile   = "Arrow"
	formatArrowStream = "Arrow stream"
)

// formatOf goes by what a file begins with, and by its name where that says
// nothing. A pattern goes by its name.
func formatOf(path string) (string, error) {
	name := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(path), ".gz"), ".zst")
	extensions := map[string]string{".parquet": formatParquet, ".pq": formatParquet, ".csv": formatCSV, ".tsv": formatCSV, ".txt": formatCSV,
		".json": formatJSON, ".ndjson": formatJSON, ".jsonl": formatJSON,
		".arrow": formatArrowFile, ".feather": formatArrowFile, ".ipc": formatArrowFile, ".arrows": formatArrowStream}
	format := extensions[filepath.Ext(name)]
	info, err := os.Stat(path)
	if err != nil {
		if strings.ContainsAny(path, "*?[") && format != "" {
			return format, nil
		}
		return "", err
	}
	if info.IsDir() {
		return "", &loop.Error{Field: path, Problem: "it is a directory", Remedy: "name a file, or a pattern in quotes such as '" + filepath.Join(path, "*.parquet") + "'"}
	}
	if info.Size() == 0 {
		return "", &loop.Error{Field: path, Problem: "the file is empty"}
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 6)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PAR1")):
		return formatParquet, nil
	case bytes.HasPrefix(head, []byte("ARROW1")):
		return formatArrowFile, nil
	case bytes.HasPrefix(head, []byte{0xff, 0xff, 0xff, 0xff}):
		return formatArrowStream, nil
	case format != "":
		return format, nil
	case bytes.HasPrefix(head, []byte("{")) || bytes.HasPrefix(head, []byte("[")):
		return formatJSON, nil
	}
	return "", &loop.Error{Field: path, Problem: "its name does not say what it is",
		Remedy: "Parquet, CSV, NDJSON, JSON or Arrow IPC, as .parquet, .csv, .ndjson, .json or .arrow"}
}

// load reads a file into a table of its own.
func (t *Table) load(ctx context.Context, table, path string) ([]Column, error) {
	format, err := formatOf(path)
	if err != nil {
		return nil, err
	}
	source := ""
	switch format {
	case formatParquet:
		source = "read_parquet(" + literal(path) + ")"
	case formatCSV:
		// DuckDB takes yes and no for truth values, and people mean levels.
		source = "read_csv(" + literal(path) + ", auto_type_candidates = ['BIGINT', 'DOUBLE', 'TIME', 'DATE', 'TIMESTAMP', 'TIMESTAMPTZ', 'VARCHAR'])"
	case formatJSON:
		source = "read_json_auto(" + literal(path) + ")"
	default:
		source = "_arrow"
		release, err := t.register(path, format)
		if err != nil {
			return nil, fmt.Errorf("read %s: not an Arrow IPC file: %w", path, err)
		}
		defer release()
	}
	_, err = t.conn.ExecContext(ctx, "CREATE TABLE "+table+" AS SELECT * FROM "+source)
	if format == formatCSV {
		if err == nil {
			err = t.undivided(ctx, table, path)
		} else if ragged := raggedness(path); ragged != nil {
			err = ragged
		}
	}
	if source == "_arrow" {
		_, dropped := t.conn.ExecContext(context.WithoutCancel(ctx), "DROP VIEW _arrow")
		err = errors.Join(err, dropped)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("read %s as %s: %w", path, format, plain(err))
	}
	columns, err := t.describe(ctx, table)
	if err == nil && format == formatCSV {
		columns, err = t.truths(ctx, table, columns)
	}
	return columns, err
}

// undivided refuses a CSV that DuckDB took for one column, as it does when some
// line has too many fields or too few.
func (t *Table) undivided(ctx context.Context, table, path string) error {
	columns, err := t.describe(ctx, table)
	if err != nil || len(columns) != 1 || !strings.ContainsAny(columns[0].Name, delimiters) {
		return err
	}
	return raggedness(path)
}

const delimiters = ",;\t|"

// raggedness is the error, with its line, of reading a CSV with the delimiter of
// its first line; nil if there is none, or it cannot be read.
func raggedness(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil //nolint:nilerr // a pattern, say: what DuckDB said has to do
	}
	defer f.Close()
	first, _, _ := bufio.NewReader(f).ReadLine()
	if _, err := f.Seek(0, io.SeekStart); err != nil || !utf8.Valid(first) {
		return nil //nolint:nilerr // likewise
	}
	r := csv.NewReader(f)
	r.ReuseRecord = true
	for _, d := range delimiters {
		if strings.Count(string(first), string(d)) > strings.Count(string(first), string(r.Comma)) {
			r.Comma = d
		}
	}
	for {
		if _, err := r.Read(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// truths makes columns of a CSV that hold nothing but true and false what they
// say.
func (t *Table) truths(ctx context.Context, table string, columns []Column) ([]Column, error) {
	query := "SELECT 0"
	var texts []int
	var are []sql.NullBool
	for i, c := range columns {
		if c.Type == "VARCHAR" {
			query += ", bool_and(lower(" + ident(c.Name) + ") IN ('true', 'false'))"
			texts = append(texts, i)
		}
	}
	are = make([]sql.NullBool, len(texts))
	into := []any{new(int)}
	for i := range are {
		into = append(into, &are[i])
	}
	if err := t.conn.QueryRowContext(ctx, query+" FROM "+table).Scan(into...); err != nil {
		return nil, err
	}
	for at, i := range texts {
		if !are[at].Bool {
			continue
		}
		if _, err := t.conn.ExecContext(ctx, "ALTER TABLE "+table+" ALTER "+ident(columns[i].Name)+" TYPE BOOLEAN"); err != nil {
			return nil, err
		}
		columns[i].Type = "BOOLEAN"
	}
	return columns, nil
}

// restrict leaves the rows for which an expression holds, if there is one.
func (t *Table) restrict(ctx context.Context, where string) error {
	if where != "" {
		e, err := t.expression(ctx, "where", where)
		if err != nil {
			return err
		}
		if _, err := t.conn.ExecContext(ctx, "DELETE FROM evals WHERE ("+e.text+"\n) IS NOT TRUE"); err != nil {
			return e.failed(ctx, err)
		}
	}
	return t.conn.QueryRowContext(ctx, "SELECT count(*) FROM evals").Scan(&t.Rows)
}

// describe lists the columns of a table or view.
func (t *Table) describe(ctx context.Context, table string) ([]Column, error) {
	rows, err := t.conn.QueryContext(ctx, "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []Column
	for rows.Next() {
		var c Column
		if err := rows.Scan(&c.Name, &c.Type); err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// register lets DuckDB see an Arrow file as the view _arrow, once.
func (t *Table) register(path, format string) (release func(), err error) {
	// The reader of a damaged file may panic; it is the user's file that is wrong.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged: %v", p)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	records, schema, err := readRecords(f, format)
	if err != nil {
		return nil, err
	}
	reader, err := array.NewRecordReader(schema, records)
	if err != nil {
		return nil, err
	}
	var drop func()
	err = t.conn.Raw(func(raw any) error {
		dc, ok := raw.(driver.Conn)
		if !ok {
			return errors.New("not a driver's connection")
		}
		handle, err := duckdb.NewArrowFromConn(dc)
		if err != nil {
			return err
		}
		drop, err = handle.RegisterView(reader, "_arrow")
		return err
	})
	if err != nil {
		return nil, err
	}
	return drop, nil
}

// readRecords reads all batches of an Arrow file or stream.
func readRecords(f *os.File, format string) ([]arrow.RecordBatch, *arrow.Schema, error) {
	var records []arrow.RecordBatch
	if format == formatArrowFile {
		r, err := ipc.NewFileReader(f)
		if err != nil {
			return nil, nil, err
		}
		defer r.Close()
		for i := range r.NumRecords() {
			record, err := r.RecordBatchAt(i)
			if err != nil {
				return nil, nil, err
			}
			records = append(records, record)
		}
		return records, r.Schema(), nil
	}
	r, err := ipc.NewReader(f)
	if err != nil {
		return nil, nil, err
	}
	defer r.Release()
	for r.Next() {
		record := r.RecordBatch()
		record.Retain()
		records = append(records, record)
	}
	return records, r.Schema(), r.Err()
}

// plain is an error of DuckDB without the lines that quote the query, which the
// user did not write, and advice about options that he cannot set.
func plain(err error) error {
	de, ok := errors.AsType[*duckdb.Error](err)
	if !ok {
		return err
	}
	message, _, _ := strings.Cut(de.Msg, "\n\nLINE ")
	message, _, _ = strings.Cut(message, "\nLINE ")
	message, _, _ = strings.Cut(message, "\nPossible fixes")
	message, _, _ = strings.Cut(message, "\nPossible Solution")
	message, _, _ = strings.Cut(message, "\nThe search space")
	message = strings.ReplaceAll(message, "\n", "; ")
	return errors.New(strings.TrimSpace(message))
}
