//go:build duckdb_arrow && cgo

package analytics

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

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
}

// OpenTable reads a file, or of it the rows for which the expression where holds
// if there is one. Close it.
func OpenTable(ctx context.Context, path, where string) (*Table, error) {
	format, err := formatOf(path)
	if err != nil {
		return nil, err
	}
	db, err := openDB("", "autoinstall_known_extensions=false&autoload_known_extensions=false")
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	t := &Table{db: db, Path: path}
	if t.conn, err = db.Conn(ctx); err == nil {
		err = t.load(ctx, format, where)
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

func (t *Table) load(ctx context.Context, format, where string) error {
	source := ""
	switch format {
	case formatParquet:
		source = "read_parquet(" + literal(t.Path) + ")"
	case formatCSV:
		source = "read_csv(" + literal(t.Path) + ")"
	case formatJSON:
		source = "read_json_auto(" + literal(t.Path) + ")"
	default:
		source = "_arrow"
		release, err := t.register(format)
		if err != nil {
			return fmt.Errorf("read %s: not an Arrow IPC file: %w", t.Path, err)
		}
		defer release()
	}
	if _, err := t.conn.ExecContext(ctx, "CREATE TABLE evals AS SELECT * FROM "+source); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("read %s as %s: %w", t.Path, format, plain(err))
	}
	if err := t.describe(ctx); err != nil {
		return err
	}
	if where != "" {
		e, err := t.expression(ctx, "where", where)
		if err != nil {
			return err
		}
		if _, err := t.conn.ExecContext(ctx, "DELETE FROM evals WHERE ("+e.text+"\n) IS NOT TRUE"); err != nil {
			return e.refuse(plain(err).Error())
		}
	}
	return t.conn.QueryRowContext(ctx, "SELECT count(*) FROM evals").Scan(&t.Rows)
}

// describe lists the columns.
func (t *Table) describe(ctx context.Context) error {
	rows, err := t.conn.QueryContext(ctx, "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'evals' ORDER BY column_index")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var c Column
		if err := rows.Scan(&c.Name, &c.Type); err != nil {
			return err
		}
		t.Columns = append(t.Columns, c)
	}
	return rows.Err()
}

// register lets DuckDB see an Arrow file as the view _arrow, once.
func (t *Table) register(format string) (release func(), err error) {
	// The reader of a damaged file may panic; it is the user's file that is wrong.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged: %v", p)
		}
	}()
	f, err := os.Open(t.Path)
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
// user did not write.
func plain(err error) error {
	de, ok := errors.AsType[*duckdb.Error](err)
	if !ok {
		return err
	}
	message, _, _ := strings.Cut(de.Msg, "\n\nLINE ")
	message, _, _ = strings.Cut(message, "\nLINE ")
	return errors.New(strings.TrimSpace(message))
}
