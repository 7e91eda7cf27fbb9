package loop

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
)

const evidenceMagic = "hone/evidence/2\n"

var (
	evidenceSources    = []Source{SourceTarget, SourceMixture, SourceProbe}
	evidenceOrigins    = []Origin{Real, Synthetic}
	evidenceDirections = []Direction{"", Higher, Lower}
)

// Encode is the evidence object: a magic line, what was learned and made, the
// numbers of factors and lines, then one column after another, every entry a
// (zig-zag, where it may be negative) varint. Sort first: the encoding of sorted
// evidence is canonical.
func (e *Evidence) Encode() []byte {
	b := []byte(evidenceMagic)
	b = binary.AppendUvarint(b, uint64(len(e.Learned)))
	for i := range e.Learned {
		l := &e.Learned[i]
		for _, text := range []string{l.ModelLine, l.EvalSet, l.Task, l.Metric, l.Unit} {
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
		b = append(b, byte(slices.Index(evidenceDirections, l.Better)))
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(l.Best))
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(l.Cap))
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(l.Importance))
	}
	b = binary.AppendUvarint(b, uint64(len(e.Made)))
	for i := range e.Made {
		m := &e.Made[i]
		b = binary.AppendUvarint(b, uint64(len(m.Slice)))
		for _, p := range m.Slice {
			// A run is above the level, where builds before there were runs read a
			// damaged object.
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(p.Factor)), uint64(p.Level)+uint64(p.Run)*(MaxLevels+1))
		}
		for _, n := range []int64{m.Accepted, m.Rejected, m.Abandoned, m.Millis} {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(e.Codes)))
	b = binary.AppendUvarint(b, uint64(e.Len()))
	graded := byte(0)
	if e.Graded() {
		graded = 1
	}
	b = append(b, graded)
	for _, column := range e.Codes {
		for _, code := range column {
			// Absent and Unknown, the largest codes, become the smallest varints.
			b = binary.AppendUvarint(b, uint64(code+2))
		}
	}
	for i := range e.Len() {
		b = append(b, e.From[i], e.Age[i], byte(slices.Index(evidenceSources, e.Source[i])), byte(slices.Index(evidenceOrigins, e.Origin[i])))
	}
	for _, g := range e.Group {
		b = binary.AppendUvarint(b, uint64(g))
	}
	columns := [][]int64{e.Weight, e.Rows, e.Failures}
	if e.Graded() {
		columns = append(columns, e.Severity, e.Squares)
	}
	for _, column := range columns {
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
	if len(b) < len(evidenceMagic) || string(b[:len(evidenceMagic)]) != evidenceMagic {
		return Evidence{}, refuse("evidence", "this is not an evidence object")
	}
	d := evidenceDecoder{rest: b[len(evidenceMagic):]}
	var e Evidence
	d.learned(&e)
	d.made(&e)
	d.lines(&e)
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

// claim is a number of things of which each takes so many bytes at least: a
// number beyond what is left is a lie, and must not make us allocate.
func (d *evidenceDecoder) claim(limit, least uint64) uint64 {
	n := d.uvarint(limit)
	if d.bad || uint64(len(d.rest)) < n*least {
		d.bad = true
		return 0
	}
	return n
}

func (d *evidenceDecoder) learned(e *Evidence) {
	for range d.claim(MaxLearned, 30) {
		var l Learned
		for _, text := range []*string{&l.ModelLine, &l.EvalSet, &l.Task, &l.Metric, &l.Unit} {
			n := d.claim(math.MaxInt32, 1)
			*text = string(d.rest[:n])
			d.rest = d.rest[n:]
		}
		l.Better = evidenceDirections[d.byte(byte(len(evidenceDirections)-1))]
		l.Best, l.Cap, l.Importance = d.float(), d.float(), d.float()
		e.Learned = append(e.Learned, l)
	}
}

func (d *evidenceDecoder) made(e *Evidence) {
	for range d.claim(maxMade, 5) {
		var m Made
		for range d.claim(MaxFactors, 2) {
			factor, level := int(d.uvarint(MaxFactors)), int(d.uvarint((MaxLevels+1)*(MaxLevels+1)-1))
			m.Slice = append(m.Slice, Predicate{Factor: factor, Level: level % (MaxLevels + 1), Run: level / (MaxLevels + 1)})
		}
		for _, n := range []*int64{&m.Accepted, &m.Rejected, &m.Abandoned, &m.Millis} {
			*n = int64(d.uvarint(maxEvidenceRows))
		}
		e.Made = append(e.Made, m)
	}
}

func (d *evidenceDecoder) lines(e *Evidence) {
	factors := d.uvarint(MaxFactors)
	lines := d.claim(math.MaxInt32, factors+9)
	graded := d.byte(1) == 1
	if d.bad {
		return
	}
	e.Codes = make([][]Code, factors)
	for f := range e.Codes {
		e.Codes[f] = make([]Code, lines)
		for i := range e.Codes[f] {
			e.Codes[f][i] = Code(d.uvarint(MaxLevels+2)) - 2
		}
	}
	for range lines {
		e.From = append(e.From, d.byte(math.MaxUint8))
		e.Age = append(e.Age, d.byte(math.MaxUint8))
		e.Source = append(e.Source, evidenceSources[d.byte(byte(len(evidenceSources)-1))])
		e.Origin = append(e.Origin, evidenceOrigins[d.byte(byte(len(evidenceOrigins)-1))])
	}
	for range lines {
		e.Group = append(e.Group, uint32(d.uvarint(math.MaxUint32)))
	}
	columns := []*[]int64{&e.Weight, &e.Rows, &e.Failures}
	if graded {
		columns = append(columns, &e.Severity, &e.Squares)
	}
	for _, column := range columns {
		*column = make([]int64, lines)
		for i := range *column {
			(*column)[i] = int64(d.uvarint(maxEvidenceWeight + maxEvidenceRows*MicroUnits))
		}
	}
	e.Loss = make([]int64, lines)
	for i := range e.Loss {
		e.Loss[i] = d.varint()
	}
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

func (d *evidenceDecoder) float() float64 {
	if d.bad || len(d.rest) < 8 {
		d.bad = true
		return 0
	}
	v := math.Float64frombits(binary.BigEndian.Uint64(d.rest))
	d.rest = d.rest[8:]
	return v
}
