package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hone/analytics"
	"hone/loop"
)

// labelled is one example of somebody's data.
type labelled struct {
	id string
	// where is what a mistake names.
	where string
	// files are paths below the source's root.
	files []string
	// values are what is said of it, by column.
	values map[string]any
	// label is the member label.json, if there is one.
	label []byte
}

// factor is the example's value of a factor, in the form that its kind has: text, or
// a number; nil where there is none.
func (x *labelled) factor(f *loop.Factor) any {
	switch v := x.values[f.Name].(type) {
	case string:
		if v == "" {
			return nil
		}
		if f.Kind == loop.Numeric {
			if number, err := strconv.ParseFloat(v, 64); err == nil {
				return number
			}
		}
		return v
	case json.Number:
		number, err := v.Float64()
		switch {
		case f.Kind == loop.Numeric && err == nil:
			return number
		case err == nil && number == float64(int64(number)):
			return strconv.FormatInt(int64(number), 10) // 3.0, for want of a null among integers
		}
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case nil:
		return nil
	default:
		return fmt.Sprint(v)
	}
}

// importColumns say what the columns of a table are.
type importColumns struct {
	root, path, id string
	ignore         []string
}

// importSource is a folder or table of labelled data.
type importSource struct {
	name string
	// root bounds which files can be read: no link, and no "..", leads out of it.
	root *os.Root
	// examples are the same, in the same order, however often they are asked for. An
	// *Error among them is of one example.
	examples func() iter.Seq2[*labelled, error]
	// leftOut counts the files of a folder that are no part of an example.
	leftOut int
	dir     string // for what is translated, "" if nothing is
}

func (s *importSource) close() {
	if s.root != nil {
		_ = s.root.Close() // it was only read
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// pathColumns are how tables call a file's name, in the order of preference.
var pathColumns = []string{"path", "file", "file_name", "image"}

// metadataFiles are tables that tell of the folder in which they lie.
var metadataFiles = []string{"metadata.csv", "metadata.jsonl"}

func openImport(ctx context.Context, name string, space *loop.Space, columns importColumns) (_ *importSource, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	s := &importSource{name: name}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	root := columns.root
	if info.IsDir() {
		for _, metadata := range metadataFiles {
			if _, err := os.Stat(filepath.Join(name, metadata)); err == nil {
				return openImport(ctx, filepath.Join(name, metadata), space, columns)
			}
		}
		if columns.root != "" || columns.path != "" || columns.id != "" {
			return nil, usage("--root, --path and --id are of a table, and %s is a folder without metadata.csv or metadata.jsonl", name)
		}
		root = name
	} else if root == "" {
		root = filepath.Dir(name)
	}
	if s.root, err = os.OpenRoot(root); err != nil {
		return nil, err
	}
	if info.IsDir() {
		err = s.openFolder(space, columns.ignore)
	} else {
		err = s.openTable(ctx, space, columns)
	}
	return s, err
}

// openFolder groups the files of a folder by their names up to the first dot.
func (s *importSource) openFolder(space *loop.Space, ignore []string) error {
	groups := map[string][]string{}
	err := fs.WalkDir(s.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		switch {
		case strings.HasPrefix(base, ".") && name != ".":
			if entry.IsDir() {
				return fs.SkipDir
			}
		case entry.IsDir():
		default:
			stem, _, ok := strings.Cut(base, ".")
			if !ok {
				s.leftOut++
				return nil
			}
			key := path.Join(path.Dir(name), stem)
			groups[key] = append(groups[key], name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	ids := slices.Sorted(maps.Keys(groups))
	s.examples = func() iter.Seq2[*labelled, error] {
		return func(yield func(*labelled, error) bool) {
			for _, id := range ids {
				x := &labelled{id: id, where: printable(filepath.Join(s.name, filepath.FromSlash(id))), files: groups[id]}
				if !yield(x, s.describe(x, space, ignore)) {
					return
				}
			}
		}
	}
	return nil
}

// describe reads what a folder's example says of itself: the object in ID.json.
func (s *importSource) describe(x *labelled, space *loop.Space, ignore []string) error {
	for _, name := range x.files {
		if extension(name) != "json" {
			continue
		}
		text, err := s.read(name)
		if err != nil {
			return &loop.Error{Field: x.where, Problem: err.Error()}
		}
		if text = bytes.TrimSpace(text); !bytes.HasPrefix(text, []byte("{")) {
			return nil // a list, say: a label, but nothing of factors
		}
		if x.values, err = readRecord(text); err != nil {
			return &loop.Error{Field: x.where, Problem: "its JSON is broken: " + err.Error()}
		}
		maps.DeleteFunc(x.values, func(column string, _ any) bool { return space.Factor(column) < 0 || slices.Contains(ignore, column) })
	}
	return nil
}

func readRecord(text []byte) (record map[string]any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&record); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind its end")
	}
	return record, nil
}

// openTable reads a table's rows, as NDJSON, which another format becomes first.
func (s *importSource) openTable(ctx context.Context, space *loop.Space, columns importColumns) (err error) {
	lines := s.name
	var have []string
	switch ext := strings.ToLower(filepath.Ext(strings.TrimSuffix(s.name, ".gz"))); ext {
	case ".ndjson", ".jsonl":
		if have, err = firstColumns(lines); err != nil {
			return err
		}
	case ".csv", ".tsv", ".txt", ".parquet", ".pq":
		if s.dir, err = os.MkdirTemp("", "hone-import-"); err != nil {
			return err
		}
		lines = filepath.Join(s.dir, "rows.ndjson")
		of, err := analytics.WriteRecords(ctx, s.name, ext == ".parquet" || ext == ".pq", columns.ignore, lines)
		if err != nil {
			return err
		}
		for _, c := range of {
			have = append(have, c.Name)
		}
	default:
		return &loop.Error{Field: s.name, Problem: "its name does not say what it is", Remedy: "a folder, or a table as .parquet, .csv or .ndjson"}
	}
	for _, named := range [...]struct{ flag, column string }{{"--path", columns.path}, {"--id", columns.id}} {
		if named.column != "" && !slices.Contains(have, named.column) {
			return &loop.Error{Field: named.flag, Problem: fmt.Sprintf("%s has no column %q", s.name, named.column), Remedy: "it has " + strings.Join(have[:min(len(have), 20)], ", ")}
		}
	}
	for _, c := range pathColumns {
		if columns.path == "" && slices.Contains(have, c) && space.Factor(c) < 0 && !slices.Contains(columns.ignore, c) {
			columns.path = c
		}
	}
	if columns.id == "" && slices.Contains(have, "example") {
		columns.id = "example"
	}
	if columns.path == "" && columns.id == "" {
		return &loop.Error{Field: s.name, Problem: "no column names a file or an example", Remedy: "say which does with --path or --id"}
	}
	s.examples = func() iter.Seq2[*labelled, error] {
		return func(yield func(*labelled, error) bool) { s.rows(lines, space, columns, yield) }
	}
	return nil
}

// firstColumns are the members of the first row of NDJSON.
func firstColumns(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := rowScanner(f)
	if !lines.Scan() {
		return nil, errors.Join(&loop.Error{Field: name, Problem: "it has no row"}, lines.Err())
	}
	record, err := readRecord(lines.Bytes())
	if err != nil {
		return nil, &loop.Error{Field: name + ", row 1", Problem: "it is no JSON object: " + err.Error()}
	}
	return slices.Sorted(maps.Keys(record)), nil
}

func rowScanner(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, loop.MaxSampleBytes)
	return lines
}

// rows yields a table's examples.
func (s *importSource) rows(name string, space *loop.Space, columns importColumns, yield func(*labelled, error) bool) {
	f, err := os.Open(name)
	if err != nil {
		yield(nil, err)
		return
	}
	defer f.Close()
	lines := rowScanner(f)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		where := fmt.Sprintf("%s, row %d", s.name, n)
		record, err := readRecord(lines.Bytes())
		if err != nil {
			err = &loop.Error{Field: where, Problem: "it is no JSON object: " + err.Error()}
		}
		var x *labelled
		if err == nil {
			x, err = s.example(record, space, columns, where)
		}
		if !yield(x, err) {
			return
		}
	}
	if err := lines.Err(); err != nil {
		yield(nil, fmt.Errorf("read %s: %w", s.name, err))
	}
}

// example is what a row of a table says.
func (s *importSource) example(record map[string]any, space *loop.Space, columns importColumns, where string) (*labelled, error) {
	x := &labelled{where: where, values: map[string]any{}}
	text := func(column string) (string, error) {
		switch v := record[column].(type) {
		case string:
			if v != "" {
				return v, nil
			}
		case json.Number:
			return v.String(), nil
		}
		return "", &loop.Error{Field: where + ", column " + column, Problem: "it names nothing"}
	}
	for column, value := range record {
		if space.Factor(column) >= 0 && !slices.Contains(columns.ignore, column) {
			x.values[column] = value
		}
	}
	if columns.path != "" {
		typed, err := text(columns.path)
		if err != nil {
			return nil, err
		}
		file, err := s.below(typed)
		if err != nil {
			return nil, &loop.Error{Field: where + ", column " + columns.path, Problem: err.Error()}
		}
		x.id, x.files = filepath.ToSlash(file), []string{file}
	}
	if columns.id != "" {
		var err error
		if x.id, err = text(columns.id); err != nil {
			return nil, err
		}
	}
	maps.DeleteFunc(record, func(column string, _ any) bool {
		return column == columns.path || column == columns.id || space.Factor(column) >= 0 || slices.Contains(columns.ignore, column)
	})
	if len(record) > 0 || columns.path == "" {
		var err error
		if x.label, err = json.Marshal(record); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// below is a path as the root knows it.
func (s *importSource) below(typed string) (string, error) {
	name := filepath.Clean(filepath.FromSlash(typed))
	if filepath.IsAbs(name) {
		root, err := filepath.Abs(s.root.Name())
		if err != nil {
			return "", err
		}
		if name, err = filepath.Rel(root, name); err != nil {
			return "", err
		}
	}
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("%q leads out of %s (--root names another folder)", typed, s.root.Name())
	}
	return name, nil
}

// size is that of a file that may become a member.
func (s *importSource) size(name string) (int64, error) {
	info, err := s.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("there is no file %q in %s", name, s.root.Name())
	case err != nil && strings.Contains(err.Error(), "escapes"):
		return 0, fmt.Errorf("%q leads out of %s", name, s.root.Name())
	case err != nil:
		return 0, err
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%q is not a plain file", name)
	case extension(name) == "":
		return 0, fmt.Errorf("%q has no extension, which a member is called by", name)
	case info.Size() > loop.MaxSampleBytes:
		return 0, fmt.Errorf("%q has %s; a sample has at most %s", name, sizeText(info.Size()), sizeText(loop.MaxSampleBytes))
	}
	return info.Size(), nil
}

func (s *importSource) read(name string) ([]byte, error) {
	size, err := s.size(name)
	if err != nil {
		return nil, err
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content := bytes.NewBuffer(make([]byte, 0, size+1))
	if _, err := io.Copy(content, io.LimitReader(f, loop.MaxSampleBytes+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content.Bytes(), nil
}

// extension is what follows the first dot of a file's name.
func extension(name string) string {
	_, ext, _ := strings.Cut(filepath.Base(name), ".")
	return strings.ToLower(ext)
}

// members reads all files of an example.
func (s *importSource) members(x *labelled) ([]loop.Member, error) {
	var members []loop.Member
	for _, name := range x.files {
		content, err := s.read(name)
		if err != nil {
			return nil, err
		}
		members = append(members, loop.Member{Ext: extension(name), Bytes: content})
	}
	if x.label != nil {
		members = append(members, loop.Member{Ext: "label.json", Bytes: x.label})
	}
	return members, nil
}
