package spec

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"hone/loop"
)

// document is one document being read: its tree, what is wrong with it, and
// where each field of the result came from.
type document struct {
	refusals
	root   *node
	places map[string]*node
	// levels finds the levels of a factor by name, once one has been looked for.
	levels map[int]map[string]int
}

func open(doc []byte) (*document, error) {
	root, err := parse(doc)
	if err != nil {
		return nil, err
	}
	return &document{root: root, places: make(map[string]*node)}, nil
}

// object is a mapping whose keys are known.
type object struct {
	*document
	node  *node
	field string // "" at the root
}

// object reads a mapping and refuses keys that are not known. ok is false if
// there is no mapping to read.
func (d *document) object(n *node, field string, known ...string) (o object, ok bool) {
	d.places[field] = n
	o = object{document: d, node: n, field: field}
	if n.sort != mapping {
		d.refuse(n, field, "known keys are "+strings.Join(known, ", "), "a mapping is expected, not %s", n.sort)
		return o, false
	}
	for _, k := range n.keys {
		if slices.Contains(known, k.text) || d.full() {
			continue
		}
		if k.text == "version" {
			d.refuse(k, o.path(k.text), "remove it", "versions are given by the server, a new one for every change")
			continue
		}
		d.refuse(k, o.path(k.text), Suggest(k.text, known), "unknown key")
	}
	return o, true
}

func (o object) path(key string) string {
	if o.field == "" {
		return key
	}
	return o.field + "." + key
}

func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// get returns the value of a key, or nil, and remembers its place.
func (o object) get(key string) *node {
	for i, k := range o.node.keys {
		if k.text == key {
			o.places[o.path(key)] = o.node.items[i]
			return o.node.items[i]
		}
	}
	return nil
}

// need is get for a key that must be there.
func (o object) need(key string) *node {
	n := o.get(key)
	if n == nil {
		o.refuse(o.node, o.path(key), "", "%q is missing", key)
	}
	return n
}

// text sets *to if the key is there.
func (o object) text(key string, to *string) {
	if n := o.get(key); n != nil {
		o.readText(n, o.path(key), to)
	}
}

func (d *document) readText(n *node, field string, to *string) bool {
	switch {
	case n.sort == text:
		*to = n.text
		return true
	case n.scalar():
		d.refuse(n, field, "put it in quotes", "text is expected, not %s", n.sort)
	default:
		d.refuse(n, field, "", "text is expected, not %s", n.sort)
	}
	return false
}

// number sets *to if the key is there.
func (o object) number(key string, to *float64) {
	if n := o.get(key); n != nil {
		o.readNumber(n, o.path(key), to)
	}
}

// positive is number for one that must be above 0.
func (o object) positive(key, remedy string, to *float64) {
	if n := o.get(key); n != nil && o.readNumber(n, o.path(key), to) && *to <= 0 {
		o.refuse(n, o.path(key), remedy, "%s is not above 0", n.text)
	}
}

func (d *document) readNumber(n *node, field string, to *float64) bool {
	if n.sort != number {
		remedy := ""
		if part, percent := strings.CutSuffix(n.text, "%"); n.sort == text && percent {
			if v, err := strconv.ParseFloat(strings.TrimSpace(part), 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
				remedy = "write " + strconv.FormatFloat(v/100, 'g', 6, 64)
			}
		}
		d.refuse(n, field, remedy, "a number is expected, not %s", shown(n))
		return false
	}
	v, err := strconv.ParseFloat(n.text, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		d.refuse(n, field, "", "%s is not a finite number", n.text)
		return false
	}
	*to = v
	return true
}

// truth reads true or false.
func (o object) truth(key string, to *bool) {
	n := o.get(key)
	if n == nil {
		return
	}
	if n.sort != boolean {
		o.refuse(n, o.path(key), "", "true or false is expected, not %s", shown(n))
		return
	}
	*to = strings.EqualFold(n.text, "true")
}

// count sets *to if the key is there: a whole number from 0 to limit, which may
// be spelt as a float without a fraction, as some JSON writers do.
func (o object) count(key string, limit uint64, to *uint64) bool {
	n := o.get(key)
	if n == nil {
		return false
	}
	field := o.path(key)
	if n.sort != number {
		o.refuse(n, field, "", "a whole number is expected, not %s", shown(n))
		return false
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(n.text, "+"), 10, 64)
	if err != nil {
		f, floatErr := strconv.ParseFloat(n.text, 64)
		if floatErr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			o.refuse(n, field, "", "%s is not a whole number, or too large", n.text)
			return false
		}
		if f < 0 {
			o.refuse(n, field, "", "%s is negative", n.text)
			return false
		}
		v = uint64(f)
	}
	if v > limit {
		o.refuse(n, field, "", "%s is too large; at most %d is allowed", n.text, limit)
		return false
	}
	*to = v
	return true
}

// small is count into an int.
func (o object) small(key string, to *int) {
	var v uint64
	if o.count(key, math.MaxInt32, &v) {
		*to = int(v)
	}
}

// list returns the entries of a list, none if the key is not there.
func (o object) list(key string) []*node {
	n := o.get(key)
	if n == nil {
		return nil
	}
	if n.sort != sequence {
		o.refuse(n, o.path(key), "", "a list is expected, not %s", n.sort)
		return nil
	}
	for i, item := range n.items {
		o.places[at(o.path(key), i)] = item
	}
	return n.items
}

// some is list, cut off with a refusal after so many entries.
func (o object) some(key string, most int) []*node {
	items := o.list(key)
	if len(items) > most {
		o.refuse(items[most], o.path(key), "", "more than %d %s", most, key)
		items = items[:most]
	}
	return items
}

// choose sets *to if the key is there and names one of the values.
func choose[T ~string](o object, key, what string, to *T, values ...T) {
	n := o.get(key)
	if n == nil {
		return
	}
	var name string
	if !o.readText(n, o.path(key), &name) {
		return
	}
	*to = T(name)
	if !slices.Contains(values, *to) {
		known := make([]string, len(values))
		for i, v := range values {
			known[i] = string(v)
		}
		o.refuse(n, o.path(key), Suggest(name, known), "%q is not %s", name, what)
	}
}

// shown is what a message calls a node that is of the wrong sort.
func shown(n *node) string {
	if n.sort == text && len(n.text) <= 64 {
		return strconv.Quote(n.text)
	}
	return n.sort.String()
}

// validated returns the errors found so far or, if there are none, the refusal
// of loop's Validate.
func (d *document) validated(validate func() error) error {
	if err := d.err(); err != nil {
		return err
	}
	return placed(validate(), d.places, d.root)
}

// factor finds a factor by the key that names it.
func (d *document) factor(space *loop.Space, key *node, field string) int {
	f := space.Factor(key.text)
	if f < 0 && !d.full() {
		d.refuse(key, field, Suggest(key.text, factorNames(space)), "there is no factor %q", key.text)
	}
	return f
}

// level finds a level of a factor by a scalar that names it. A document may name
// thousands of levels of a factor that has thousands, so they are indexed.
func (d *document) level(space *loop.Space, factor int, n *node, field string) int {
	f := &space.Factors[factor]
	if d.levels[factor] == nil {
		if d.levels == nil {
			d.levels = make(map[int]map[string]int)
		}
		index := make(map[string]int, len(f.Levels))
		for l := range f.Levels {
			index[f.Levels[l].Name] = l
		}
		d.levels[factor] = index
	}
	return d.find(f, n, field, func(name string) int {
		if l, ok := d.levels[factor][name]; ok {
			return l
		}
		return -1
	})
}

// levelOf is level for a factor that is still being read.
func (d *document) levelOf(f *loop.Factor, n *node, field string) int {
	return d.find(f, n, field, f.Level)
}

func (d *document) find(f *loop.Factor, n *node, field string, by func(name string) int) int {
	if !n.scalar() {
		d.refuse(n, field, "", "the name of a level is expected, not %s", n.sort)
		return -1
	}
	l := by(n.text)
	if l < 0 && len(f.Levels) > 0 && !d.full() { // a factor without levels has been refused for that
		d.refuse(n, field, Suggest(n.text, levelNames(f)), "factor %q has no level %q", f.Name, n.text)
	}
	return l
}

func factorNames(space *loop.Space) []string {
	names := make([]string, len(space.Factors))
	for i := range space.Factors {
		names[i] = space.Factors[i].Name
	}
	return names
}

func levelNames(f *loop.Factor) []string {
	names := make([]string, len(f.Levels))
	for i := range f.Levels {
		names[i] = f.Levels[i].Name
	}
	return names
}
