package loop

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
)

// Evidence is what a decision is made from: coded columns, one line per
// distinct (scenario codes, version age, source, origin), canonically sorted.
// All columns have Len entries.
type Evidence struct {
	// Codes has one column per factor of the space.
	Codes [][]Code
	// Age is how many sealed versions of the model line ago: 0 is the newest.
	Age    []uint8
	Source []Source
	Origin []Origin
	// Rows, Groups, Failures and Loss are counts and sums over the line's
	// outcomes; Loss is in micro-units. A line never has more failures than rows.
	Rows     []int64
	Groups   []int64
	Failures []int64
	Loss     []int64
}

// Len is the number of lines.
func (e *Evidence) Len() int { return len(e.Rows) }

// Line is one line of evidence, for building.
type Line struct {
	Codes    []Code
	Age      uint8
	Source   Source
	Origin   Origin
	Rows     int64
	Groups   int64
	Failures int64
	Loss     int64
}

// Append adds a line; Sort puts lines into canonical order.
func (e *Evidence) Append(l Line) {
	if e.Codes == nil {
		e.Codes = make([][]Code, len(l.Codes))
	}
	for f := range e.Codes {
		e.Codes[f] = append(e.Codes[f], l.Codes[f])
	}
	e.Age = append(e.Age, l.Age)
	e.Source = append(e.Source, l.Source)
	e.Origin = append(e.Origin, l.Origin)
	e.Rows = append(e.Rows, l.Rows)
	e.Groups = append(e.Groups, l.Groups)
	e.Failures = append(e.Failures, l.Failures)
	e.Loss = append(e.Loss, l.Loss)
}

// compare orders lines i and j by (age, source, origin, codes).
func (e *Evidence) compare(i, j int) int {
	if d := cmp.Compare(e.Age[i], e.Age[j]); d != 0 {
		return d
	}
	if d := cmp.Compare(e.Source[i], e.Source[j]); d != 0 {
		return d
	}
	if d := cmp.Compare(e.Origin[i], e.Origin[j]); d != 0 {
		return d
	}
	for _, column := range e.Codes {
		if d := cmp.Compare(column[i], column[j]); d != 0 {
			return d
		}
	}
	return 0
}

// Sort puts the lines into canonical order and merges lines with equal codes,
// age, source and origin, so that equal outcomes give equal bytes in whatever
// order they arrived.
func (e *Evidence) Sort() {
	order := make([]int, e.Len())
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, e.compare)
	sorted := Evidence{Codes: make([][]Code, len(e.Codes))}
	for n, i := range order {
		if n > 0 && e.compare(order[n-1], i) == 0 {
			last := sorted.Len() - 1
			sorted.Rows[last] += e.Rows[i]
			sorted.Groups[last] += e.Groups[i]
			sorted.Failures[last] += e.Failures[i]
			sorted.Loss[last] += e.Loss[i]
			continue
		}
		sorted.Append(e.line(i))
	}
	*e = sorted
}

func (e *Evidence) line(i int) Line {
	codes := make([]Code, len(e.Codes))
	for f := range codes {
		codes[f] = e.Codes[f][i]
	}
	return Line{Codes: codes, Age: e.Age[i], Source: e.Source[i], Origin: e.Origin[i],
		Rows: e.Rows[i], Groups: e.Groups[i], Failures: e.Failures[i], Loss: e.Loss[i]}
}

// maxEvidenceRows bounds the rows of all lines together, so that no sum of
// rows or losses can overflow.
const maxEvidenceRows = 1 << 40

// Validate refuses evidence that contradicts itself or does not fit the space:
// more failures than rows, a negative count, an unknown level, lines out of
// canonical order.
func (e *Evidence) Validate(s *Space) error {
	n := e.Len()
	if n > 0 && len(e.Codes) != len(s.Factors) {
		return refuse("evidence", "%d factors; space %q has %d", len(e.Codes), s.Name, len(s.Factors))
	}
	for _, length := range []int{len(e.Age), len(e.Source), len(e.Origin), len(e.Groups), len(e.Failures), len(e.Loss)} {
		if length != n {
			return refuse("evidence", "columns of %d and %d lines", n, length)
		}
	}
	for f, column := range e.Codes {
		if len(column) != n {
			return refuse("evidence", "columns of %d and %d lines", n, len(column))
		}
		for i, code := range column {
			if code.IsLevel() && int(code) >= len(s.Factors[f].Levels) {
				return refuse(at("evidence", i), "factor %q has no level %d", s.Factors[f].Name, code)
			}
		}
	}
	total := int64(0)
	for i := range n {
		switch {
		case e.Rows[i] < 1 || e.Rows[i] > maxEvidenceRows:
			return refuse(at("evidence", i)+".rows", "%d is not a number of rows", e.Rows[i])
		case e.Failures[i] < 0 || e.Failures[i] > e.Rows[i]:
			return refuse(at("evidence", i)+".failures", "%d failures of %d rows", e.Failures[i], e.Rows[i])
		case e.Groups[i] < 1 || e.Groups[i] > e.Rows[i]:
			return refuse(at("evidence", i)+".groups", "%d groups of %d rows", e.Groups[i], e.Rows[i])
		case e.Source[i] != SourceTarget && e.Source[i] != SourceMixture:
			return refuse(at("evidence", i)+".source", "%q is not an evaluation source", e.Source[i]).remedy("target or mixture")
		case e.Origin[i] != Real && e.Origin[i] != Synthetic:
			return refuse(at("evidence", i)+".origin", "%q is not an origin", e.Origin[i]).remedy("real or synthetic")
		case i > 0 && e.compare(i-1, i) >= 0:
			return refuse(at("evidence", i), "the lines are not in canonical order").remedy("sort them")
		}
		if total += e.Rows[i]; total > maxEvidenceRows {
			return refuse("evidence", "more than %d rows", int64(maxEvidenceRows))
		}
	}
	return nil
}

// TotalRows sums the rows of all lines.
func (e *Evidence) TotalRows() int64 {
	n := int64(0)
	for _, rows := range e.Rows {
		n += rows
	}
	return n
}

const evidenceMagic = "hone/evidence/1\n"

var (
	evidenceSources = []Source{SourceTarget, SourceMixture}
	evidenceOrigins = []Origin{Real, Synthetic}
)

// Encode is the evidence object: a magic line, the numbers of factors and
// lines, then one column after another, every entry a (zig-zag, where it may be
// negative) varint. Sort first: the encoding of sorted evidence is canonical.
func (e *Evidence) Encode() []byte {
	b := []byte(evidenceMagic)
	b = binary.AppendUvarint(b, uint64(len(e.Codes)))
	b = binary.AppendUvarint(b, uint64(e.Len()))
	for _, column := range e.Codes {
		for _, code := range column {
			// Absent and Unknown, the largest codes, become the smallest varints.
			b = binary.AppendUvarint(b, uint64(code+2))
		}
	}
	for i := range e.Len() {
		b = append(b, e.Age[i], byte(slices.Index(evidenceSources, e.Source[i])), byte(slices.Index(evidenceOrigins, e.Origin[i])))
	}
	for _, column := range [][]int64{e.Rows, e.Groups, e.Failures} {
		for _, v := range column {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	for _, v := range e.Loss {
		b = binary.AppendVarint(b, v)
	}
	return b
}

// Digest is the SHA-256 of the encoding.
func (e *Evidence) Digest() Digest { return sha256.Sum256(e.Encode()) }

// DecodeEvidence is the inverse of Encode. It refuses anything that is not
// exactly one encoding; Validate still has to hold it against a space.
func DecodeEvidence(b []byte) (Evidence, error) {
	d := evidenceDecoder{rest: b}
	if len(b) < len(evidenceMagic) || string(b[:len(evidenceMagic)]) != evidenceMagic {
		return Evidence{}, refuse("evidence", "this is not an evidence object")
	}
	d.rest = b[len(evidenceMagic):]
	factors, lines := d.uvarint(MaxFactors), d.uvarint(math.MaxInt32)
	// Each line has at least factors+7 bytes: a claim beyond that is a lie, and
	// must not make us allocate.
	if d.bad || uint64(len(d.rest)) < lines*(factors+7) {
		return Evidence{}, refuse("evidence", "the evidence object is cut short or damaged")
	}
	e := Evidence{Codes: make([][]Code, factors)}
	for f := range e.Codes {
		e.Codes[f] = make([]Code, lines)
		for i := range e.Codes[f] {
			e.Codes[f][i] = Code(d.uvarint(MaxLevels+2)) - 2
		}
	}
	for range lines {
		e.Age = append(e.Age, d.byte(math.MaxUint8))
		e.Source = append(e.Source, evidenceSources[d.byte(byte(len(evidenceSources)-1))])
		e.Origin = append(e.Origin, evidenceOrigins[d.byte(byte(len(evidenceOrigins)-1))])
	}
	for _, column := range []*[]int64{&e.Rows, &e.Groups, &e.Failures} {
		*column = make([]int64, lines)
		for i := range *column {
			(*column)[i] = int64(d.uvarint(maxEvidenceRows))
		}
	}
	e.Loss = make([]int64, lines)
	for i := range e.Loss {
		e.Loss[i] = d.varint()
	}
	if d.bad || len(d.rest) > 0 {
		return Evidence{}, refuse("evidence", "the evidence object is cut short or damaged")
	}
	return e, nil
}

// evidenceDecoder reads until something is bad, and zeroes from then on.
type evidenceDecoder struct {
	rest []byte
	bad  bool
}

func (d *evidenceDecoder) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.bad || n <= 0 || v > limit || n > 1 && d.rest[n-1] == 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *evidenceDecoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if d.bad || n <= 0 || n > 1 && d.rest[n-1] == 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *evidenceDecoder) byte(limit byte) byte {
	if d.bad || len(d.rest) == 0 || d.rest[0] > limit {
		d.bad = true
		return 0
	}
	v := d.rest[0]
	d.rest = d.rest[1:]
	return v
}
