package lake

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"

	"hone/loop"
)

// A manifest is canonical NDJSON: a header line, then a line per sample,
// ascending by (split, round, component, index), where splits stand in the order
// of their domains. Numbers are written as encoding/json writes them, that is,
// floats by the shortest text that reads back the same. There is no time, key or
// worker in it: equal content has equal bytes (C26).

// ManifestHeader is the first line of a manifest.
type ManifestHeader struct {
	// Hone is the format, ManifestFormat.
	Hone string `json:"hone"`
	// Name is that of the dataset, as the publisher gave it.
	Name string `json:"name"`
	Rows int64  `json:"rows"`
}

// The formats of a manifest and of its address object.
const (
	ManifestFormat = "manifest/1"
	AddressFormat  = "addresses/1"
)

// maxLine bounds a line of a manifest or address object.
const maxLine = 1 << 12

// WriteManifest puts a manifest and its address object, from each sample's line
// in the one and address in the other. The samples must come in order, each
// (split, round, component, index) once, and be as many as rows says (I2): so a
// sequence that ends early, because its source failed, puts nothing. Nothing is
// held in memory, and nothing is put unless all of it could be written.
func (l *Lake) WriteManifest(ctx context.Context, epoch uint64, name string, rows int64, samples iter.Seq2[loop.ManifestRow, loop.Address]) (manifest, addresses loop.Object, err error) {
	fail := func(err error) (loop.Object, loop.Object, error) {
		return loop.Object{}, loop.Object{}, fmt.Errorf("lake: write manifest %s: %w", name, err)
	}
	if !loop.ValidName(name) {
		return fail(&loop.Error{Field: "name", Problem: fmt.Sprintf("%q is not a name", name)})
	}
	lines, err := l.draft(ctx)
	if err != nil {
		return fail(err)
	}
	places, err := l.draft(ctx)
	if err != nil {
		lines.discard()
		return fail(err)
	}
	if err := writeManifest(lines, places, name, rows, samples); err != nil {
		lines.discard()
		places.discard()
		return fail(err)
	}
	// The addresses first: a manifest that is there can be read.
	if addresses, err = places.settle(Addresses, epoch, rows); err != nil {
		lines.discard()
		return fail(err)
	}
	if manifest, err = lines.settle(Manifest, epoch, rows); err != nil {
		return fail(err)
	}
	return manifest, addresses, nil
}

func writeManifest(lines, places io.Writer, name string, rows int64, samples iter.Seq2[loop.ManifestRow, loop.Address]) error {
	if err := writeHeader(lines, ManifestHeader{ManifestFormat, name, rows}); err != nil {
		return err
	}
	addresses, err := newAddressWriter(places, rows)
	if err != nil {
		return err
	}
	var line []byte
	var last loop.ManifestRow
	n := int64(0)
	for row, address := range samples {
		if err := checkManifestRow(row, last, n == 0); err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		line = appendManifestRow(line[:0], row)
		if _, err := lines.Write(line); err != nil {
			return err
		}
		if err := addresses.write(address); err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		last = row
		n++
	}
	if n != rows {
		return &loop.Error{Field: "rows", Problem: fmt.Sprintf("%d rows were announced, %d came", rows, n)}
	}
	return nil
}

func writeHeader(w io.Writer, header any) error {
	b, err := json.Marshal(header)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

func checkManifestRow(r, last loop.ManifestRow, first bool) error {
	if err := checkName(r.Name); err != nil {
		return err
	}
	switch {
	case r.Split != r.Name.Domain.String():
		return &loop.Error{Field: "split", Problem: fmt.Sprintf("%q, but the sample is of domain %q", r.Split, r.Name.Domain)}
	case !(r.Weight > 0) || math.IsInf(r.Weight, 0):
		return &loop.Error{Field: "importance_weight", Problem: fmt.Sprintf("%v is not an importance weight", r.Weight)}
	case r.Digest.IsZero():
		return &loop.Error{Field: "digest", Problem: "there is none"}
	case !first && compareNames(last.Name, r.Name) >= 0:
		return &loop.Error{Field: "index", Problem: fmt.Sprintf("%s stands behind %s", r.Name.Key(), last.Name.Key()),
			Remedy: "rows ascend by split, round, component and index, each once"}
	}
	return nil
}

// compareNames orders samples as manifests do. Attempts of one index are equal:
// only one of them can be committed.
func compareNames(a, b loop.Name) int {
	return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Round, b.Round),
		cmp.Compare(a.Component, b.Component), cmp.Compare(a.Index, b.Index))
}

// manifestLine is a row as JSON; appendManifestRow writes the same by hand.
type manifestLine struct {
	Round     int         `json:"round"`
	Component int         `json:"component"`
	Index     uint64      `json:"index"`
	Attempt   int         `json:"attempt"`
	Digest    loop.Digest `json:"digest"`
	Weight    float64     `json:"importance_weight"`
	Split     string      `json:"split"`
}

func appendManifestRow(b []byte, r loop.ManifestRow) []byte {
	b = append(b, `{"round":`...)
	b = strconv.AppendInt(b, int64(r.Name.Round), 10)
	b = append(b, `,"component":`...)
	b = strconv.AppendInt(b, int64(r.Name.Component), 10)
	b = append(b, `,"index":`...)
	b = strconv.AppendUint(b, r.Name.Index, 10)
	b = append(b, `,"attempt":`...)
	b = strconv.AppendInt(b, int64(r.Name.Attempt), 10)
	b = append(b, `,"digest":"`...)
	b = append(b, r.Digest.String()...)
	b = append(b, `","importance_weight":`...)
	b = appendFloat(b, r.Weight)
	b = append(b, `,"split":"`...)
	b = append(b, r.Split...)
	return append(b, "\"}\n"...)
}

// appendFloat writes a float as encoding/json and JavaScript do.
func appendFloat(b []byte, x float64) []byte {
	format := byte('f')
	if abs := math.Abs(x); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, x, format, -1, 64)
	if n := len(b); format == 'e' && n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b = append(b[:n-2], b[n-1]) // e-07 is e-7
	}
	return b
}

// ReadManifest reads a manifest. It accepts canonical manifests only, byte for
// byte: whatever reads without an error and has as many rows as the header says
// is what WriteManifest would write. The rows are read as they are asked for;
// the first error ends them.
func ReadManifest(r io.Reader) (ManifestHeader, iter.Seq2[loop.ManifestRow, error], error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var header ManifestHeader
	if err := readHeader(in, &header); err != nil {
		return ManifestHeader{}, nil, fmt.Errorf("lake: read manifest: %w", err)
	}
	if header.Hone != ManifestFormat || !loop.ValidName(header.Name) || header.Rows < 0 {
		return ManifestHeader{}, nil, fmt.Errorf("lake: read manifest: %w", &loop.Error{Field: "header",
			Problem: fmt.Sprintf("%q, %q, %d rows: not the header of a manifest", header.Hone, header.Name, header.Rows)})
	}
	return header, func(yield func(loop.ManifestRow, error) bool) {
		var again []byte
		var last loop.ManifestRow
		for n := range header.Rows {
			var l manifestLine
			line, err := readLine(in)
			if err == nil && json.Unmarshal(line, &l) != nil {
				err = errNotCanonical
			}
			row := loop.ManifestRow{Name: loop.Name{Round: l.Round, Component: l.Component, Index: l.Index, Attempt: l.Attempt},
				Digest: l.Digest, Weight: l.Weight, Split: l.Split}
			if err == nil {
				row.Name.Domain, _ = loop.ParseDomain(l.Split) // a wrong split differs below
				err = checkManifestRow(row, last, n == 0)
			}
			if again = appendManifestRow(again[:0], row); err == nil && !bytes.Equal(again, line) {
				err = errNotCanonical
			}
			if err != nil {
				yield(loop.ManifestRow{}, fmt.Errorf("lake: read manifest: line %d: %w", n+2, err))
				return
			}
			if !yield(row, nil) {
				return
			}
			last = row
		}
		if _, err := in.ReadByte(); err != io.EOF {
			yield(loop.ManifestRow{}, fmt.Errorf("lake: read manifest: %w", cmp.Or(err, errTrailing)))
		}
	}, nil
}

var (
	errNotCanonical error = &loop.Error{Field: "line", Problem: "it is not in canonical form"}
	errTrailing     error = &loop.Error{Field: "rows", Problem: "there is more than the header says"}
)

// readLine reads one line, its end included, into memory that the next call
// reuses.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine:
		return nil, &loop.Error{Field: "line", Problem: fmt.Sprintf("longer than %d bytes", maxLine)}
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	}
	return line, err
}

// readHeader reads a header line and demands its canonical form.
func readHeader(in *bufio.Reader, header any) error {
	line, err := readLine(in)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, header); err != nil {
		return &loop.Error{Field: "header", Problem: err.Error()}
	}
	again, err := json.Marshal(header)
	if err != nil || string(again)+"\n" != string(line) {
		return errNotCanonical
	}
	return nil
}
