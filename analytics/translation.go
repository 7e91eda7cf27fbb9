//go:build duckdb_arrow && cgo

package analytics

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hone/loop"
	"hone/spec"
)

// Translation makes NDJSON, as outcomes are posted, of a file that somebody has:
// one row per line, and a column per member of a row, factor and metric. It only
// says the same in other words: whether a value is allowed is told by who takes
// the post, by row and column. Memory is bounded, however long the file is.
type Translation struct {
	// Path is a CSV file (all of whose values are taken as text, empty ones as
	// null) or a Parquet file.
	Path    string
	Parquet bool
	Space   *loop.Space
	// Metrics are those that the file may have.
	Metrics []loop.Metric
	// Ignore names columns of the file that are no part of an outcome.
	Ignore []string
}

// members are the columns of a row that are text, and those that are not.
var members = []string{"example", "group", "sample", "origin", "uri"}

const (
	correctColumn = "correct"
	lossColumn    = "loss"
)

// Write writes the rows to the file named to, in their order, and returns how many
// they are. What is wrong with the file or its columns is a *loop.Error.
func (t *Translation) Write(ctx context.Context, to string) (rows int64, err error) {
	f, err := openRows(ctx, t.Path, t.Parquet)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	list, err := t.list(f.columns)
	if err != nil {
		return 0, err
	}
	return f.write(ctx, list, to)
}

// WriteRecords writes the rows of a CSV file, whose values are text, or of a Parquet
// file as NDJSON to the file named to: a member per column but those to ignore. It
// returns the columns of the file. What is wrong with it is a *loop.Error.
func WriteRecords(ctx context.Context, path string, parquet bool, ignore []string, to string) (columns []Column, err error) {
	f, err := openRows(ctx, path, parquet)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	var list []string
	for i := range f.columns {
		c := &f.columns[i]
		switch {
		case slices.Contains(ignore, c.Name):
			continue
		case strings.Contains(c.Type, "BLOB"):
			return nil, &loop.Error{Field: path, Problem: fmt.Sprintf("column %q holds bytes, which stay files here", c.Name), Remedy: "leave it out with --ignore " + c.Name}
		case c.Type == "DOUBLE" || c.Type == "FLOAT":
			list = append(list, fmt.Sprintf("CASE WHEN isfinite(%[1]s) THEN %[1]s END AS %[1]s", ident(c.Name))) // JSON has no NaN
		default:
			list = append(list, ident(c.Name))
		}
	}
	if len(list) == 0 {
		return nil, &loop.Error{Field: path, Problem: "it has no column"}
	}
	_, err = f.write(ctx, strings.Join(list, ", "), to)
	return f.columns, err
}

// rowsFile is a file that somebody has, as DuckDB reads it.
type rowsFile struct {
	db *sql.DB
	// dir holds link, the file's name for DuckDB, and what does not fit into memory.
	path, dir, link string
	source          string
	columns         []Column
}

func openRows(ctx context.Context, path string, parquet bool) (_ *rowsFile, err error) {
	switch info, err := os.Stat(path); {
	case err != nil:
		return nil, err
	case info.Size() == 0:
		return nil, &loop.Error{Field: path, Problem: "the file is empty"}
	}
	f := &rowsFile{path: path}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	// In DuckDB's eyes a path may be a pattern. A link has a name that is none.
	if f.dir, err = os.MkdirTemp("", "hone-rows-"); err != nil {
		return nil, fmt.Errorf("translate: %w", err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f.link = filepath.Join(f.dir, "rows")
	if strings.HasSuffix(strings.ToLower(absolute), ".gz") {
		f.link += ".gz" // by which it is known to be compressed
	}
	if err := os.Symlink(absolute, f.link); err != nil {
		return nil, fmt.Errorf("translate: %w", err)
	}
	f.db, err = openDB("", url.Values{
		"memory_limit": {"512MB"}, "threads": {"2"}, "temp_directory": {f.dir},
		"autoinstall_known_extensions": {"false"}, "autoload_known_extensions": {"false"},
	}.Encode())
	if err != nil {
		return nil, fmt.Errorf("translate: %w", err)
	}
	if parquet {
		f.source = "read_parquet(" + literal(f.link) + ")"
	} else if f.source, err = readCSV(absolute, f.link); err != nil {
		return nil, err
	}
	described, err := f.db.QueryContext(ctx, "SELECT * FROM "+f.source+" LIMIT 0")
	if err != nil {
		return nil, f.refuse(ctx, err)
	}
	defer described.Close()
	types, err := described.ColumnTypes()
	if err != nil {
		return nil, f.refuse(ctx, err)
	}
	for _, c := range types {
		f.columns = append(f.columns, Column{Name: c.Name(), Type: c.DatabaseTypeName()})
	}
	if err := described.Close(); err != nil {
		return nil, f.refuse(ctx, err)
	}
	return f, nil
}

func (f *rowsFile) refuse(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &loop.Error{Field: f.path, Problem: strings.ReplaceAll(firstLines(err), f.link, f.path)}
}

// write writes what is selected of the rows.
func (f *rowsFile) write(ctx context.Context, list, to string) (int64, error) {
	result, err := f.db.ExecContext(ctx, fmt.Sprintf("COPY (SELECT %s FROM %s) TO %s (FORMAT json)", list, f.source, literal(to)))
	if err != nil {
		return 0, f.refuse(ctx, err)
	}
	return result.RowsAffected()
}

func (f *rowsFile) close() (err error) {
	if f.db != nil {
		err = f.db.Close()
	}
	return errors.Join(err, os.RemoveAll(f.dir))
}

// readCSV is the function that reads a CSV file, by its link. Left to find out by
// itself what the file is like, DuckDB takes lines that do not fit for a preamble
// or for comments, and skips them, or gives up without a word of the line.
func readCSV(path, link string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(link, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return "", &loop.Error{Field: path, Problem: "it is not compressed by gzip, as its name says"}
		}
	}
	start := bufio.NewReaderSize(io.LimitReader(r, 1<<20), 1<<20)
	head, err := start.Peek(1 << 20)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	line, _, _ := bytes.Cut(head, []byte("\n"))
	// Of the usual characters the one that the first line has most often.
	separator := ','
	for _, s := range "\t;|" {
		if bytes.Count(line, []byte(string(s))) > bytes.Count(line, []byte(string(separator))) {
			separator = s
		}
	}
	header := csv.NewReader(bytes.NewReader(head))
	header.Comma = separator
	names, err := header.Read()
	if err != nil {
		return "", &loop.Error{Field: path, Problem: "it has no header: " + err.Error()}
	}
	columns := make([]string, len(names))
	for i, name := range names {
		if name == "" || slices.ContainsFunc(names[:i], func(s string) bool { return strings.EqualFold(s, name) }) {
			return "", &loop.Error{Field: path, Problem: fmt.Sprintf("its header names column %d %q", i+1, name), Remedy: "every column has a name of its own"}
		}
		columns[i] = literal(name) + ": 'VARCHAR'"
	}
	return fmt.Sprintf(`read_csv(%s, auto_detect = false, header = true, columns = {%s}, delim = %s, quote = '"', escape = '"')`,
		literal(link), strings.Join(columns, ", "), literal(string(separator))), nil
}

// list is what is selected of the file: a member of a row each.
func (t *Translation) list(columns []Column) (string, error) {
	var list, scenario, strange []string
	for i := range columns {
		c := &columns[i]
		metric := slices.ContainsFunc(t.Metrics, func(m loop.Metric) bool { return m.Name == c.Name })
		switch factor := t.Space.Factor(c.Name); {
		case slices.Contains(t.Ignore, c.Name):
		case factor >= 0 && t.Space.Factors[factor].Kind == loop.Numeric:
			scenario = append(scenario, literal(c.Name), c.number())
		case factor >= 0:
			scenario = append(scenario, literal(c.Name), c.text())
		case slices.Contains(members, c.Name):
			list = append(list, c.text()+" AS "+ident(c.Name))
		case c.Name == correctColumn:
			list = append(list, c.truth()+" AS "+ident(c.Name))
		case metric || c.Name == lossColumn:
			list = append(list, c.number()+" AS "+ident(c.Name))
		default:
			strange = append(strange, c.Name)
		}
	}
	if len(strange) > 0 {
		return "", t.strange(strange)
	}
	if len(scenario) > 0 {
		list = append(list, "json_object("+strings.Join(scenario, ", ")+") AS scenario")
	}
	if len(list) == 0 {
		return "", &loop.Error{Field: t.Path, Problem: "none of its columns is a part of an outcome", Remedy: "such as example, correct, and the factors of the space"}
	}
	return strings.Join(list, ", "), nil
}

// strange refuses columns that are no part of an outcome.
func (t *Translation) strange(columns []string) error {
	known := append(slices.Clone(members), correctColumn, lossColumn)
	for _, c := range t.Space.Columns() {
		known = append(known, c.Name)
	}
	for _, m := range t.Metrics {
		known = append(known, m.Name)
	}
	quoted := make([]string, min(len(columns), 8))
	for i := range quoted {
		quoted[i] = fmt.Sprintf("%q", columns[i])
		if s := spec.Suggest(columns[i], known); strings.HasPrefix(s, "did") {
			quoted[i] += " (" + s + ")"
		}
	}
	more := ""
	if n := len(columns) - len(quoted); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return &loop.Error{Field: t.Path,
		Problem: fmt.Sprintf("no member of a row, factor of space %q or metric is called %s%s", t.Space.Name, strings.Join(quoted, ", "), more),
		Remedy:  "leave them out with --ignore " + strings.Join(columns[:len(quoted)], ",")}
}

// text is the column as text; a whole number that was stored as a real one, for
// want of a null among integers, is the whole number.
func (c *Column) text() string {
	if column := ident(c.Name); c.Type == "DOUBLE" || c.Type == "FLOAT" {
		return fmt.Sprintf("coalesce(CASE WHEN %s = trunc(%s) THEN TRY_CAST(%s AS BIGINT)::VARCHAR END, %s::VARCHAR)", column, column, column, column)
	}
	return ident(c.Name) + "::VARCHAR"
}

// number is the column as numbers; what is none stays a text, for who judges it.
func (c *Column) number() string {
	number := "TRY_CAST(" + ident(c.Name) + " AS DOUBLE)"
	return fmt.Sprintf("CASE WHEN isfinite(%s) THEN to_json(%s) ELSE to_json(%s::VARCHAR) END", number, number, ident(c.Name))
}

// truth is the column as true or false, which tables also write as 1 and 0.
func (c *Column) truth() string {
	return fmt.Sprintf("CASE WHEN lower(%[1]s) IN ('true', '1') THEN to_json(true) WHEN lower(%[1]s) IN ('false', '0') THEN to_json(false) ELSE to_json(%[1]s) END", c.text())
}

// firstLines is what DuckDB says is wrong, without those lines that explain its
// settings.
func firstLines(err error) string {
	message := plain(err).Error()
	for _, behind := range []string{"\nPossible fixes", "\nPossible Solution", "\n\n"} {
		message, _, _ = strings.Cut(message, behind)
	}
	return strings.TrimSpace(strings.TrimPrefix(message, "Invalid Input Error: "))
}
