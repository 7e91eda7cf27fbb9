package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"hone/loop"
)

// object checks that an object's key is of its bytes (C16), and reads it.
func (c *checker) object(key string, b []byte) {
	sum := sha256.Sum256(b)
	digits := hex.EncodeToString(sum[:])
	name, ext, _ := strings.Cut(path.Base(key), ".")
	if name != digits || path.Base(path.Dir(key)) != digits[:2] {
		c.t.Errorf("%s has the digest %s (C16)", key, digits)
	}
	switch ext {
	case "tar":
		c.packs[key] = b
		c.readPack(key, b)
	case "parquet":
		c.parts[key] = c.readPart(key, b)
	case "ndjson":
		c.manifests[key] = c.readManifest(key, b)
	}
}

// members are a sample's files as a tar has them.
type members struct {
	key  string
	of   map[string][]byte
	exts []string
}

// digest is what DESIGN calls a sample's: the tag, and for each member by
// ascending extension, length and bytes of both.
func (m *members) digest() string {
	slices.Sort(m.exts)
	h := sha256.New()
	io.WriteString(h, "hone/sample/1")
	for _, ext := range m.exts {
		for _, b := range [][]byte{[]byte(ext), m.of[ext]} {
			var n [8]byte
			binary.BigEndian.PutUint64(n[:], uint64(len(b)))
			h.Write(n[:])
			h.Write(b)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// untar reads samples: entries of one key are adjacent.
func untar(b []byte) (samples []*members, err error) {
	in := tar.NewReader(bytes.NewReader(b))
	for {
		header, err := in.Next()
		if err == io.EOF {
			return samples, nil
		}
		if err != nil {
			return samples, err
		}
		key, ext, _ := strings.Cut(header.Name, ".")
		content, err := io.ReadAll(in)
		if err != nil {
			return samples, err
		}
		if len(samples) == 0 || samples[len(samples)-1].key != key {
			samples = append(samples, &members{key: key, of: map[string][]byte{}})
		}
		m := samples[len(samples)-1]
		if m.of[ext] != nil {
			return samples, fmt.Errorf("%s is there twice", header.Name)
		}
		m.of[ext] = content
		m.exts = append(m.exts, ext)
	}
}

func (c *checker) readPack(key string, b []byte) {
	samples, err := untar(b)
	if err != nil {
		c.t.Errorf("%s: %v", key, err)
	}
	if len(samples) == 0 || len(samples) > loop.MaxUnit {
		c.t.Errorf("%s has %d samples", key, len(samples))
	}
	for _, m := range samples {
		digest := m.digest()
		c.places[digest] = append(c.places[digest], key+"/"+m.key)
	}
}

func (c *checker) readManifest(key string, b []byte) (m manifest) {
	m.bytes = b
	lines := bufio.NewScanner(bytes.NewReader(b))
	var header struct {
		Hone, Name string
		Rows       int
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &header) != nil || header.Hone != "manifest/1" {
		c.t.Errorf("%s: %q is not a header", key, lines.Text())
	}
	m.name = header.Name
	for lines.Scan() {
		var row manifestRow
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			c.t.Errorf("%s: %q: %v", key, lines.Text(), err)
		}
		m.rows = append(m.rows, row)
	}
	if len(m.rows) != header.Rows {
		c.t.Errorf("%s has %d rows, its header says %d", key, len(m.rows), header.Rows)
	}
	return m
}

func (c *checker) readPart(key string, b []byte) part {
	c.t.Helper()
	reader, err := file.NewParquetReader(bytes.NewReader(b))
	if err != nil {
		c.t.Fatalf("%s: %v", key, err)
	}
	defer reader.Close()
	in, err := pqarrow.NewFileReader(reader, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		c.t.Fatalf("%s: %v", key, err)
	}
	table, err := in.ReadTable(context.Background())
	if err != nil {
		c.t.Fatalf("%s: %v", key, err)
	}
	defer table.Release()
	out := part{}
	for i := range int(table.NumCols()) {
		column := table.Column(i)
		values := make([]any, 0, table.NumRows())
		for _, chunk := range column.Data().Chunks() {
			for row := range chunk.Len() {
				if chunk.IsNull(row) {
					values = append(values, nil)
					continue
				}
				switch a := chunk.(type) {
				case *array.String:
					values = append(values, strings.Clone(a.Value(row)))
				case *array.Int32:
					values = append(values, int64(a.Value(row)))
				case *array.Int64:
					values = append(values, a.Value(row))
				case *array.Uint64:
					values = append(values, a.Value(row))
				case *array.Float64:
					values = append(values, a.Value(row))
				case *array.Boolean:
					values = append(values, a.Value(row))
				default:
					c.t.Fatalf("%s: column %s is %T", key, column.Name(), chunk)
				}
			}
		}
		out[column.Name()] = values
	}
	return out
}
