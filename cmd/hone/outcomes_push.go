package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hone/analytics"
	"hone/api"
	"hone/loop"
	"hone/spec"
)

// What --format may be.
const (
	formatNDJSON  = "ndjson"
	formatArrow   = "arrow"
	formatCSV     = "csv"
	formatParquet = "parquet"
)

func pushOutcomes(c *cli.Context) error {
	args, err := arguments(c, "FILE")
	if err != nil {
		return err
	}
	if err := required(c, "space", "model"); err != nil {
		return err
	}
	if _, _, err := modelVersion(c.String("model")); err != nil {
		return err
	}
	body, start, path := io.Reader(nil), []byte(nil), args[0]
	if path == "-" {
		buffered := bufio.NewReader(c.App.Reader)
		start, _ = buffered.Peek(4) // fewer at the end; a real error comes again
		body = buffered
	} else {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		start = make([]byte, 4)
		n, _ := f.ReadAt(start, 0)
		start, body = start[:n], f
	}
	format, err := rowFormat(c.String("format"), path, start)
	if err != nil {
		return err
	}
	client := client(c)
	client.Patience = time.Minute // a post is worth waiting for
	o := api.OutcomesOptions{Space: c.String("space"), Model: c.String("model"), Task: c.String("task"), EvalSet: c.String("eval-set"),
		Run: c.String("run"), Key: c.String("key"), ContentType: api.NDJSON}
	var posted api.Posted
	switch format {
	case formatCSV, formatParquet:
		posted, err = pushTable(c, client, o, path, format, body)
	default:
		if c.IsSet("ignore") {
			return usage("--ignore is for columns of CSV and Parquet files")
		}
		if format == formatArrow {
			o.ContentType = api.Arrow
		}
		posted, err = client.PostOutcomes(c.Context, o, body)
	}
	if err != nil {
		return err
	}
	return show(c, posted, func(w io.Writer) {
		if posted.DuplicateOf != 0 {
			fmt.Fprintf(w, "duplicate: these rows count since sequence %d\n", posted.DuplicateOf)
			return
		}
		fmt.Fprintf(w, "%d rows accepted at sequence %d\n", posted.Accepted, posted.Sequence)
	})
}

// rowFormat is the format of rows: as it was named, or as their first bytes say
// it, or the file's name; and else NDJSON.
func rowFormat(named, path string, start []byte) (string, error) {
	switch named {
	case formatNDJSON, formatArrow, formatCSV, formatParquet:
		return named, nil
	case "":
	default:
		return "", usage("--format is ndjson, arrow, csv or parquet, not %q", named)
	}
	switch string(start) {
	case "\xFF\xFF\xFF\xFF", "ARRO": // a stream, whose marker no text has; and a file, which the server explains
		return formatArrow, nil
	case "PAR1":
		return formatParquet, nil
	}
	switch filepath.Ext(strings.TrimSuffix(strings.ToLower(path), ".gz")) {
	case ".csv", ".tsv":
		return formatCSV, nil
	case ".parquet", ".pq":
		return formatParquet, nil
	case ".arrow", ".arrows":
		return formatArrow, nil
	}
	return formatNDJSON, nil
}

// pushTable posts the rows of a CSV or Parquet file.
func pushTable(c *cli.Context, client *api.Client, o api.OutcomesOptions, path, format string, body io.Reader) (api.Posted, error) {
	definition, err := client.ShowSpace(c.Context, o.Space, 0)
	if err != nil {
		return api.Posted{}, err
	}
	space, err := spec.ParseSpace([]byte(definition.Document))
	if err != nil {
		return api.Posted{}, fmt.Errorf("space %s: %w", o.Space, err)
	}
	dir, err := os.MkdirTemp("", "hone-push-")
	if err != nil {
		return api.Posted{}, err
	}
	defer os.RemoveAll(dir)
	t := analytics.Translation{Path: path, Parquet: format == formatParquet, Space: &space, Metrics: taskMetrics(&space, o.Task), Ignore: ignored(c)}
	if path == "-" {
		t.Path = filepath.Join(dir, "stdin")
		if err := save(t.Path, body); err != nil {
			return api.Posted{}, err
		}
	}
	rows := filepath.Join(dir, "rows.ndjson")
	total, err := t.Write(c.Context, rows)
	if err != nil {
		return api.Posted{}, err
	}
	f, err := os.Open(rows)
	if err != nil {
		return api.Posted{}, err
	}
	defer f.Close()
	p := pieces{client: client, options: o, file: f, name: path, total: total, rows: pieceRows, bytes: pieceBytes, stderr: c.App.ErrWriter}
	return p.post(c.Context)
}

// taskMetrics are the metrics that rows of a task may have; where it is not clear
// which task that is, the server says so.
func taskMetrics(space *loop.Space, name string) []loop.Metric {
	if name == "" && len(space.Tasks) == 1 {
		name = space.Tasks[0].Name
	}
	if task := space.Task(name); task != nil {
		return task.Metrics
	}
	return space.Metrics()
}

func ignored(c *cli.Context) []string {
	var names []string
	for _, list := range c.StringSlice("ignore") {
		for name := range strings.SplitSeq(list, ",") {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

func save(path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// Bounds of a piece, well within those of a post.
const (
	pieceRows  = 500_000
	pieceBytes = 128 << 20
)

// pieces posts a file of NDJSON in one piece, or in as many as it takes.
type pieces struct {
	client  *api.Client
	options api.OutcomesOptions
	file    *os.File
	// name is what the user calls the file, total how many rows it has.
	name   string
	total  int64
	rows   int64
	bytes  int64
	stderr io.Writer
}

// post posts the pieces one after the other. The pieces of one file are always
// the same, and so are their keys: what was posted before a failure counts, and
// when the file is pushed again it does so once.
func (p *pieces) post(ctx context.Context) (api.Posted, error) {
	if p.total == 0 {
		return api.Posted{}, &loop.Error{Field: p.name, Problem: "it has no row"}
	}
	var sum api.Posted
	var progress *meter
	lines := bufio.NewReaderSize(p.file, 1<<20)
	key := p.options.Key
	for from, row, piece := int64(0), int64(0), 1; row < p.total; piece++ {
		size, n, err := p.next(lines)
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return sum, fmt.Errorf("read %s: %w", p.name, err)
		}
		last := row+n == p.total
		if !last && piece == 1 {
			if key == "" && p.options.Run == "" {
				return sum, usage("%s has %s rows, and is posted in several pieces: give it a --run or a --key, so that none counts twice when you push it again after a failure",
					p.name, thousands(p.total))
			}
			progress = newMeter(p.stderr, "rows posted", p.total)
			defer progress.close()
		}
		o := p.options
		if key != "" && piece > 1 {
			o.Key = fmt.Sprintf("%s/%d", key, piece)
		}
		posted, err := p.client.PostOutcomes(ctx, o, io.NewSectionReader(p.file, from, size))
		if err != nil && piece > 1 {
			return sum, fmt.Errorf("in the piece whose row 1 is row %d of %s (the rows before it count; push the file again, with the same --key or --run, for the rest): %w", row+1, p.name, err)
		}
		if err != nil {
			return sum, err
		}
		sum.Accepted += posted.Accepted
		sum.Sequence = max(sum.Sequence, posted.Sequence)
		sum.DuplicateOf = max(sum.DuplicateOf, posted.DuplicateOf)
		from, row = from+size, row+n
		if progress != nil {
			progress.at(row)
		}
	}
	if sum.Accepted > 0 {
		sum.DuplicateOf = 0 // of some pieces, as after a failure
	}
	return sum, nil
}

// next is how many bytes and rows the next piece has: a row at least.
func (p *pieces) next(lines *bufio.Reader) (size, rows int64, err error) {
	for rows < p.rows && size < p.bytes {
		line, err := lines.ReadSlice('\n')
		size += int64(len(line))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil:
			rows++
		case errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) == 0:
			return size, rows, nil
		case errors.Is(err, io.EOF):
			return size, rows + 1, nil
		default:
			return 0, 0, err
		}
	}
	return size, rows, nil
}
