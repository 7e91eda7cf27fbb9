package spec

import (
	"encoding/binary"
	"math"
	"strconv"

	"hone/loop"
)

// readGiven reads what the target of factor i, the last so far, depends on: a
// factor above it, with shares for each of its levels.
func (d *document) readGiven(s *loop.Space, i int, n *node) {
	f := &s.Factors[i]
	if n.sort != mapping || len(f.Levels) == 0 {
		return
	}
	o := object{document: d, node: n, field: at("factors", i)}
	n = o.get("given")
	if n == nil {
		return
	}
	field := o.path("given")
	if n.sort != mapping || len(n.keys) != 1 {
		d.refuse(n, field, "for example given: {weather: {rain: {low: 0.6, day: 0.4}, clear: {low: 0.1, day: 0.9}}}", "one factor and its levels are expected")
		return
	}
	g := &loop.Given{Factor: d.factor(s, n.keys[0], field)}
	if g.Factor < 0 {
		return
	}
	if g.Factor == i {
		d.refuse(n.keys[0], field, "", "the factor cannot depend on itself")
		return
	}
	if !d.unshared(s, i, field) {
		return
	}
	decides, table := &s.Factors[g.Factor], n.items[0]
	if table.sort != mapping {
		d.refuse(table, field, "a mapping from each level to shares", "the levels of factor %q are expected, not %s", decides.Name, table.sort)
		return
	}
	d.places[field], d.places[field+".of"] = n, table
	rows := rowSet{given: g}
	g.Of = make([]int, len(decides.Levels))
	for l := range g.Of {
		g.Of[l] = loop.None
	}
	for r, key := range table.keys {
		here := field + "." + key.text
		l := d.level(s, g.Factor, key, here)
		if l < 0 {
			continue
		}
		if f.When != nil && f.When.Factor == g.Factor && !f.When.Contains(l) {
			d.refuse(key, here, "remove it", "factor %q is absent where %s is %s", f.Name, decides.Name, key.text)
			continue
		}
		if row := d.readRow(s, i, table.items[r], here); row != nil {
			g.Of[l] = rows.add(row)
			d.places[at(field+".of", l)] = table.items[r]
		}
	}
	for l, r := range g.Of {
		if r != loop.None || d.full() || len(d.list) > 0 || f.When != nil && f.When.Factor == g.Factor && !f.When.Contains(l) {
			continue
		}
		d.refuse(table, field, "every level needs its shares", "nothing is said of factor %q where %s is %s", f.Name, decides.Name, decides.Levels[l].Name)
	}
	f.Given = g
}

// unshared makes sure that a factor whose shares stand elsewhere has none of its
// own.
func (d *document) unshared(s *loop.Space, i int, field string) bool {
	f := &s.Factors[i]
	for l := range f.Levels {
		if share := d.places[at(at("factors", i)+".levels", l)+".target"]; share != nil {
			d.refuse(share, at(at("factors", i)+".levels", l)+".target", "name its levels alone: levels: [a, b]",
				"factor %q has its shares in %s already", f.Name, field)
			return false
		}
	}
	for l := range f.Levels {
		f.Levels[l].Target = 0
	}
	return true
}

// readRow reads the shares of a factor's levels: a mapping, in which what is left
// out has none, or a list in the order of the levels.
func (d *document) readRow(s *loop.Space, i int, n *node, field string) []float64 {
	f := &s.Factors[i]
	row := make([]float64, len(f.Levels))
	switch n.sort {
	case mapping:
		for j, key := range n.keys {
			if l := d.level(s, i, key, field); l >= 0 {
				d.readShare(n.items[j], field+"."+key.text, &row[l])
			}
		}
	case sequence:
		if len(n.items) != len(row) {
			d.refuse(n, field, "one share per level", "a list of %d shares is expected, not of %d", len(row), len(n.items))
			return nil
		}
		for l, item := range n.items {
			d.readShare(item, at(field, l), &row[l])
		}
	default:
		d.refuse(n, field, "a mapping from level to share, or a list of shares", "the shares of factor %q are expected, not %s", f.Name, n.sort)
		return nil
	}
	if !d.sums(n, field, row) {
		return nil
	}
	return row
}

// sums makes sure that shares sum to 1, if they could be read at all.
func (d *document) sums(n *node, field string, shares []float64) bool {
	sum := 0.0
	for _, share := range shares {
		sum += share
	}
	if math.Abs(sum-1) > 1e-6 && len(d.list) == 0 {
		d.refuse(n, field, "they must sum to 1", "the shares sum to %s", strconv.FormatFloat(sum, 'g', 8, 64))
	}
	return len(d.list) == 0
}

// rowSet keeps each of equal rows once.
type rowSet struct {
	given *loop.Given
	known map[string]int
}

func (r *rowSet) add(row []float64) int {
	key := make([]byte, 0, 8*len(row))
	for _, share := range row {
		key = binary.BigEndian.AppendUint64(key, math.Float64bits(share))
	}
	i, ok := r.known[string(key)]
	if !ok {
		if r.known == nil {
			r.known = make(map[string]int)
		}
		i = len(r.given.Rows)
		r.known[string(key)] = i
		r.given.Rows = append(r.given.Rows, row)
	}
	return i
}

// readTarget reads a target that is no product: a mixture of products, or a joint
// table of some factors.
func (d *document) readTarget(s *loop.Space, n *node) {
	o, ok := d.object(n, "target", "mixture", "joint")
	if !ok {
		return
	}
	mixture, joint := o.get("mixture"), o.get("joint")
	switch {
	case mixture != nil && joint != nil:
		d.refuse(joint, "target.joint", "give one of them", "the target is a mixture already")
	case mixture != nil:
		d.places["classes"] = mixture
		classes := o.some("mixture", loop.MaxClasses)
		if mixture.sort == sequence && len(classes) == 0 {
			d.refuse(mixture, "target.mixture", "name at least one, or leave target out", "there are no classes")
		}
		d.readMixture(s, classes)
	case joint != nil:
		d.readJoint(s, joint)
	default:
		d.refuse(n, "target", "give mixture or joint", "nothing is said of the target")
	}
}

// readMixture reads classes: each with its share, and the shares that the levels
// of some factors have in it, the same factors in all of them.
func (d *document) readMixture(s *loop.Space, classes []*node) {
	rows := make(map[int]*rowSet)
	for k, n := range classes {
		field := at("target.mixture", k)
		o, ok := d.object(n, field, "share", "levels")
		if !ok {
			continue
		}
		share := 0.0
		if n := o.need("share"); n != nil {
			d.places[at("classes", k)] = n
			d.readShare(n, o.path("share"), &share)
		}
		s.Classes = append(s.Classes, share)
		levels := o.need("levels")
		if levels == nil {
			continue
		}
		if levels.sort != mapping || len(levels.keys) == 0 {
			d.refuse(levels, o.path("levels"), "for example levels: {light: {low: 0.6, day: 0.4}}", "factors and the shares of their levels are expected")
			continue
		}
		for j, key := range levels.keys {
			here := o.path("levels") + "." + key.text
			f := d.factor(s, key, here)
			if f < 0 {
				continue
			}
			if k == 0 {
				rows[f] = d.hide(s, f, key)
			}
			if rows[f] == nil {
				if len(d.list) == 0 {
					d.refuse(key, here, "say the same of every class", "the first class says nothing of factor %q", key.text)
				}
				continue
			}
			if row := d.readRow(s, f, levels.items[j], here); row != nil {
				g := rows[f].given
				g.Of = append(g.Of, rows[f].add(row))
			}
		}
		for f := range s.Factors {
			if r := rows[f]; r != nil && len(r.given.Of) <= k && len(d.list) == 0 {
				d.refuse(levels, o.path("levels"), "say the same of every class", "nothing is said of factor %q, but in other classes", s.Factors[f].Name)
			}
		}
	}
}

// hide makes a factor depend on the hidden class.
func (d *document) hide(s *loop.Space, f int, key *node) *rowSet {
	field := at("factors", f) + ".given"
	if s.Factors[f].Given != nil {
		d.refuse(key, "target", "remove the one or the other", "factor %q is given another factor already", key.text)
		return nil
	}
	if !d.unshared(s, f, "the target") {
		return nil
	}
	d.places[field] = key
	s.Factors[f].Given = &loop.Given{Factor: loop.Hidden}
	return &rowSet{given: s.Factors[f].Given}
}

// readJoint reads a joint table: each row has a level of every factor that it
// names, and the share of that combination.
func (d *document) readJoint(s *loop.Space, n *node) {
	o, ok := d.object(n, "target.joint", "factors", "rows")
	if !ok {
		return
	}
	o.need("factors")
	o.need("rows")
	var factors []int
	var rows []*rowSet
	for i, key := range o.some("factors", loop.MaxFactors) {
		f := d.factor(s, key, at(o.path("factors"), i))
		if f < 0 {
			return
		}
		r := d.hide(s, f, key)
		if r == nil {
			return
		}
		factors, rows = append(factors, f), append(rows, r)
	}
	if list := o.get("factors"); list != nil && list.sort == sequence && len(factors) == 0 {
		d.refuse(list, o.path("factors"), "name those that go together", "the table has no factors")
	}
	d.places["classes"] = o.node
	seen := make(map[string]bool)
	for k, n := range o.some("rows", loop.MaxClasses) {
		field := at(o.path("rows"), k)
		d.places[at("classes", k)] = n
		if n.sort != sequence || len(n.items) != len(factors)+1 {
			d.refuse(n, field, "the levels in the order of factors, then their share", "a list of %d levels and a share is expected", len(factors))
			continue
		}
		cell := make([]byte, 0, 2*len(factors))
		for j, f := range factors {
			l := d.level(s, f, n.items[j], at(field, j))
			if l < 0 {
				continue
			}
			row := make([]float64, len(s.Factors[f].Levels))
			row[l] = 1
			rows[j].given.Of = append(rows[j].given.Of, rows[j].add(row))
			cell = binary.BigEndian.AppendUint16(cell, uint16(l))
		}
		share := 0.0
		d.readShare(n.items[len(factors)], at(field, len(factors)), &share)
		s.Classes = append(s.Classes, share)
		if seen[string(cell)] && len(d.list) == 0 {
			d.refuse(n, field, "give each once", "this combination has a row already")
		}
		seen[string(cell)] = true
	}
	if rows := o.get("rows"); rows != nil && rows.sort == sequence {
		d.sums(rows, o.path("rows"), s.Classes)
	}
}
