package spec

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"hone/loop"
)

// ParseSlice reads a slice as people type it, "light=low & speed=40..60"; "∧", as
// package loop writes it, may stand for "&". It returns a *loop.Error.
func ParseSlice(space *loop.Space, typed string) (loop.Slice, error) {
	names, err := ParsePredicates(typed)
	if err != nil {
		return nil, err
	}
	return SliceOf(space, names)
}

// ParsePredicates reads what ParseSlice does, of any length and of whatever
// space, as a mapping from factor to level or run of levels.
func ParsePredicates(typed string) (map[string]string, error) {
	names := make(map[string]string, loop.MaxOrder)
	for part := range strings.SplitSeq(strings.ReplaceAll(typed, "∧", "&"), "&") {
		factor, level, ok := strings.Cut(part, "=")
		if !ok {
			return nil, &loop.Error{Field: "slice", Problem: "\"" + strings.TrimSpace(part) + "\" is not factor=level",
				Remedy: "for example light=low & glove=yes"}
		}
		factor = strings.TrimSpace(factor)
		if _, twice := names[factor]; twice {
			return nil, &loop.Error{Field: "slice." + factor, Problem: "the factor is there already", Remedy: "name it once"}
		}
		names[factor] = strings.TrimSpace(level)
	}
	return names, nil
}

// SliceOf is the slice that a mapping from factor to level, or run of levels, names. It returns a
// *loop.Error, and is the inverse of [loop.Space.Names].
func SliceOf(space *loop.Space, names map[string]string) (loop.Slice, error) {
	n := &node{sort: mapping}
	for _, factor := range slices.Sorted(maps.Keys(names)) {
		n.keys = append(n.keys, &node{sort: text, text: factor})
		n.items = append(n.items, &node{sort: text, text: names[factor]})
	}
	var d document
	slice := d.readSlice(space, n, "slice")
	if err := d.err(); err != nil {
		refusal, _ := errors.AsType[*loop.Error](err)
		return nil, refusal
	}
	if err := space.ValidateSlice("slice", slice); err != nil {
		return nil, err
	}
	return slice, nil
}

// readSlice reads a mapping from factor to level, or run of levels. ValidateSlice is the caller's
// to call, or that of what the slice is part of.
func (d *document) readSlice(space *loop.Space, n *node, field string) loop.Slice {
	if n.sort == mapping && len(n.keys) > loop.MaxOrder {
		d.refuse(n, field, "", "the slice has %d predicates; at most %d are allowed", len(n.keys), loop.MaxOrder)
		return nil
	}
	return d.readPredicates(space, n, field)
}

// readPredicates is readSlice for a slice of any length.
func (d *document) readPredicates(space *loop.Space, n *node, field string) loop.Slice {
	if n.sort != mapping {
		d.refuse(n, field, "for example {light: low, glove: yes}", "a mapping from factor to level is expected, not %s", n.sort)
		return nil
	}
	slice := make(loop.Slice, 0, len(n.keys))
	for i, key := range n.keys {
		here := field + "." + key.text
		f := d.factor(space, key, here)
		if f < 0 {
			continue
		}
		if p, ok := d.predicate(space, f, n.items[i], here); ok {
			slice = append(slice, p)
		}
	}
	slices.SortFunc(slice, func(a, b loop.Predicate) int { return a.Factor - b.Factor })
	return slice
}

// predicate reads a level of a factor, or a run of levels: "low..high".
func (d *document) predicate(space *loop.Space, f int, n *node, field string) (loop.Predicate, bool) {
	if n.scalar() && strings.Contains(n.text, "..") {
		p, err := space.Predicate(field, f, n.text)
		refusal, refused := errors.AsType[*loop.Error](err)
		if refused && !d.full() {
			d.refuse(n, field, refusal.Remedy, "%s", refusal.Problem)
		}
		return p, !refused
	}
	l := d.level(space, f, n, field)
	return loop.Predicate{Factor: f, Level: l}, l >= 0
}
