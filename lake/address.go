package lake

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"

	"hone/loop"
)

// An address object says where the samples of a manifest lie, row for row. It is
// NDJSON: a header {"hone":"addresses/1","rows":n}; before the first row of a
// pack a line {"pack":KEY}, which gives it the next number from 0; and a line
// [pack,offset,length] per row. Naming each pack once keeps it small, and lets
// whoever publishes list the packs that a version references.

type addressHeader struct {
	Hone string `json:"hone"`
	Rows int64  `json:"rows"`
}

type packLine struct {
	Pack string `json:"pack"`
}

type addressWriter struct {
	out   io.Writer
	packs map[string]int
	line  []byte
}

func newAddressWriter(out io.Writer, rows int64) (*addressWriter, error) {
	return &addressWriter{out: out, packs: map[string]int{}}, writeHeader(out, addressHeader{AddressFormat, rows})
}

func (w *addressWriter) write(a loop.Address) error {
	w.line = w.line[:0]
	pack, ok := w.packs[a.Key]
	if !ok {
		if err := checkPack(a.Key); err != nil {
			return err
		}
		pack = len(w.packs)
		w.packs[a.Key] = pack
		w.line = appendPack(w.line, a.Key)
	}
	if err := checkAddress(a); err != nil {
		return err
	}
	w.line = appendAddress(w.line, pack, a)
	_, err := w.out.Write(w.line)
	return err
}

func appendPack(b []byte, key string) []byte {
	return append(append(append(b, `{"pack":"`...), key...), "\"}\n"...)
}

func appendAddress(b []byte, pack int, a loop.Address) []byte {
	b = strconv.AppendInt(append(b, '['), int64(pack), 10)
	b = strconv.AppendInt(append(b, ','), a.Offset, 10)
	b = strconv.AppendInt(append(b, ','), a.Length, 10)
	return append(b, "]\n"...)
}

func checkPack(key string) error {
	k, err := ParseKey(key)
	if err == nil && k.Kind != Pack {
		err = &loop.Error{Field: "pack", Problem: fmt.Sprintf("%q is not the key of a pack", key)}
	}
	return err
}

func checkAddress(a loop.Address) error {
	if a.Offset < 0 || a.Length <= 0 || a.Length > loop.MaxSampleBytes || a.Offset > math.MaxInt64-a.Length {
		return &loop.Error{Field: "address", Problem: fmt.Sprintf("bytes %d+%d are out of bounds", a.Offset, a.Length)}
	}
	return nil
}

// ReadAddresses reads an address object: the address of each row of its
// manifest, in order. Like ReadManifest it accepts canonical bytes only, and the
// first error ends the rows.
func ReadAddresses(r io.Reader) (rows int64, _ iter.Seq2[loop.Address, error], _ error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var header addressHeader
	if err := readHeader(in, &header); err != nil {
		return 0, nil, fmt.Errorf("lake: read addresses: %w", err)
	}
	if header.Hone != AddressFormat || header.Rows < 0 {
		return 0, nil, fmt.Errorf("lake: read addresses: %w", &loop.Error{Field: "header",
			Problem: fmt.Sprintf("%q, %d rows: not the header of an address object", header.Hone, header.Rows)})
	}
	return header.Rows, func(yield func(loop.Address, error) bool) {
		d := &addressReader{in: in, known: map[string]bool{}}
		for n := range header.Rows {
			a, err := d.next()
			if err != nil {
				yield(loop.Address{}, fmt.Errorf("lake: read addresses: row %d: %w", n, err))
				return
			}
			if !yield(a, nil) {
				return
			}
		}
		if _, err := in.ReadByte(); err != io.EOF {
			yield(loop.Address{}, fmt.Errorf("lake: read addresses: %w", cmp.Or(err, errTrailing)))
		}
	}, nil
}

type addressReader struct {
	in    *bufio.Reader
	packs []string
	known map[string]bool
	again []byte
}

func (d *addressReader) next() (loop.Address, error) {
	line, err := readLine(d.in)
	if err != nil {
		return loop.Address{}, err
	}
	entered := false
	if line[0] == '{' {
		var p packLine
		if err := json.Unmarshal(line, &p); err != nil {
			return loop.Address{}, &loop.Error{Field: "line", Problem: err.Error()}
		}
		if err := checkPack(p.Pack); err != nil {
			return loop.Address{}, err
		}
		if d.again = appendPack(d.again[:0], p.Pack); d.known[p.Pack] || string(d.again) != string(line) {
			return loop.Address{}, errNotCanonical
		}
		d.packs, d.known[p.Pack], entered = append(d.packs, p.Pack), true, true
		if line, err = readLine(d.in); err != nil {
			return loop.Address{}, err
		}
	}
	var numbers [3]int64
	if err := json.Unmarshal(line, &numbers); err != nil {
		return loop.Address{}, &loop.Error{Field: "line", Problem: err.Error()}
	}
	pack, a := numbers[0], loop.Address{Offset: numbers[1], Length: numbers[2]}
	if pack < 0 || pack >= int64(len(d.packs)) || entered && pack != int64(len(d.packs)-1) {
		return loop.Address{}, &loop.Error{Field: "pack", Problem: fmt.Sprintf("there is no pack %d yet, or another one was named", pack)}
	}
	if err := checkAddress(a); err != nil {
		return loop.Address{}, err
	}
	a.Key = d.packs[pack]
	if d.again = appendAddress(d.again[:0], int(pack), a); string(d.again) != string(line) {
		return loop.Address{}, errNotCanonical
	}
	return a, nil
}
