package loop

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Difference is one place in which the canonical encodings of two rounds differ.
type Difference struct {
	// Field is where, for example components[3].share.
	Field string `json:"field"`
	// Was and Is are the JSON of both; empty where one has nothing there.
	Was string `json:"was,omitempty"`
	Is  string `json:"is,omitempty"`
}

// maxDifference bounds what a difference shows of either side, in bytes.
const maxDifference = 120

// Differences are the first places, up to a limit, in which another round's
// canonical encoding differs from this one's: none exactly where the bytes are
// equal. They are in the order of the fields' names.
func (r *Round) Differences(other *Round, limit int) []Difference {
	w := differ{limit: limit}
	w.walk("", tree(r.Canonical()), tree(other.Canonical()))
	return w.found
}

// tree reads canonical bytes, whose numbers stay as they are written.
func tree(canonical []byte) (value any) {
	d := json.NewDecoder(bytes.NewReader(canonical))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		panic("loop: canonical bytes that cannot be read: " + err.Error())
	}
	return value
}

type differ struct {
	limit int
	found []Difference
}

// walk compares two JSON values; nil is one that is not there.
func (w *differ) walk(field string, was, is any) {
	if len(w.found) >= w.limit {
		return
	}
	switch was := was.(type) {
	case map[string]any:
		if is, ok := is.(map[string]any); ok {
			names := maps.Clone(was)
			maps.Copy(names, is)
			for _, name := range slices.Sorted(maps.Keys(names)) {
				inner := name
				if field != "" {
					inner = field + "." + name
				}
				w.walk(inner, was[name], is[name])
			}
			return
		}
	case []any:
		if is, ok := is.([]any); ok {
			for i := range max(len(was), len(is)) {
				var a, b any
				if i < len(was) {
					a = was[i]
				}
				if i < len(is) {
					b = is[i]
				}
				w.walk(field+"["+strconv.Itoa(i)+"]", a, b)
			}
			return
		}
	}
	if a, b := leaf(was), leaf(is); a != b {
		w.found = append(w.found, Difference{Field: field, Was: cut(a), Is: cut(b)})
	}
}

// leaf writes a JSON value; nothing, if it is not there.
func leaf(value any) string {
	if value == nil {
		return ""
	}
	b, err := json.Marshal(value) // map keys are sorted
	if err != nil {
		panic("loop: a value that was read cannot be written: " + err.Error())
	}
	return string(b)
}

func cut(text string) string {
	if len(text) <= maxDifference {
		return text
	}
	end := maxDifference
	for end > 0 && text[end]&0xc0 == 0x80 { // not within a character
		end--
	}
	return text[:end] + "…"
}

// ShareDistance is the largest difference between the shares, as fractions, of
// a training component in two rounds. One that a round lacks has none there.
func (r *Round) ShareDistance(other *Round) float64 {
	largest := 0.0
	for _, pair := range [...][2]*Round{{r, other}, {other, r}} {
		for i := range pair[0].Components {
			c := &pair[0].Components[i]
			if c.Domain != Train {
				continue
			}
			there := uint64(0)
			for j := range pair[1].Components {
				if k := &pair[1].Components[j]; k.Domain == Train && k.Canary == c.Canary && k.Over == c.Over && len(k.Cover) == len(c.Cover) && k.Slice.Equal(c.Slice) && k.Fixed().Equal(c.Fixed()) {
					there = k.Share
				}
			}
			largest = max(largest, math.Abs(float64(c.Share)-float64(there))/whole)
		}
	}
	return largest
}
