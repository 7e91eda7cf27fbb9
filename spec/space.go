package spec

import (
	"math"
	"strconv"

	"hone/loop"
)

// ParseSpace reads a space document. Shares that are given must sum to one per
// factor; where a factor gives none, and depends on nothing, its levels are equally
// likely.
func ParseSpace(doc []byte) (loop.Space, error) {
	d, err := open(doc)
	if err != nil {
		return loop.Space{}, err
	}
	var s loop.Space
	root, ok := d.object(d.root, "", "name", "description", "owner", "factors", "target", "constraints", "risks", "protected", "derived", "tasks")
	if !ok {
		return loop.Space{}, d.err()
	}
	root.need("name")
	root.text("name", &s.Name)
	root.text("description", &s.Description)
	root.text("owner", &s.Owner)
	root.need("factors")
	for i, n := range root.some("factors", loop.MaxFactors) {
		s.Factors = append(s.Factors, d.readFactor(&s, n, at("factors", i)))
		d.readGiven(&s, i, n)
	}
	if target := root.get("target"); target != nil {
		d.readTarget(&s, target)
	}
	for i, n := range root.some("constraints", loop.MaxConstraints) {
		s.Constraints = append(s.Constraints, d.readConstraint(&s, n, at("constraints", i)))
	}
	for i, n := range root.some("risks", loop.MaxRisks) {
		risk := loop.Risk{}
		risk.Slice, risk.Reason = d.readWeighed(&s, n, at("risks", i), "weight", &risk.Weight)
		s.Risks = append(s.Risks, risk)
	}
	for i, n := range root.some("protected", loop.MaxProtected) {
		protected := loop.Protected{}
		protected.Slice, protected.Reason = d.readWeighed(&s, n, at("protected", i), "share", &protected.Share)
		s.Protected = append(s.Protected, protected)
	}
	for i, n := range root.some("derived", loop.MaxDerived) {
		s.Derived = append(s.Derived, d.readDerived(&s, n, at("derived", i)))
	}
	for i, n := range root.some("tasks", loop.MaxTasks) {
		s.Tasks = append(s.Tasks, d.readTask(n, at("tasks", i)))
	}
	if err := d.validated(s.Validate); err != nil {
		return loop.Space{}, err
	}
	return s, nil
}

// readWeighed reads a slice with a number and a reason: a risk weight, or a
// protected slice with its share.
func (d *document) readWeighed(s *loop.Space, n *node, field, key string, to *float64) (slice loop.Slice, reason string) {
	o, ok := d.object(n, field, "slice", key, "reason")
	if !ok {
		return nil, ""
	}
	if n := o.need("slice"); n != nil {
		slice = d.readSlice(s, n, o.path("slice"))
	}
	o.need(key)
	o.number(key, to)
	o.text("reason", &reason)
	return slice, reason
}

// readFactor reads a factor; s holds the factors before it, of which one may be
// its condition.
func (d *document) readFactor(s *loop.Space, n *node, field string) loop.Factor {
	f := loop.Factor{Kind: loop.Categorical}
	o, ok := d.object(n, field, "name", "kind", "levels", "edges", "target", "when", "given", "scale", "pin", "sticky")
	if !ok {
		return f
	}
	o.need("name")
	o.text("name", &f.Name)
	levels, edges := o.get("levels"), o.get("edges")
	if edges != nil {
		f.Kind = loop.Numeric
	}
	choose(o, "kind", "a kind", &f.Kind, loop.Categorical, loop.Ordinal, loop.Numeric)
	choose(o, "scale", "a scale", &f.Scale, loop.Linear, loop.Log, loop.Circular)
	if o.get("sticky") != nil {
		o.small("sticky", &f.Sticky)
	}
	switch {
	case levels != nil && edges != nil:
		d.refuse(edges, o.path("edges"), "give either levels or edges", "the factor has levels already")
	case edges != nil:
		if f.Kind != loop.Numeric {
			d.refuse(edges, o.path("edges"), "set kind: numeric, or name levels", "only a numeric factor has edges")
			break
		}
		f.Levels = d.readBins(o, edges)
	case levels != nil:
		if target := o.get("target"); target != nil {
			d.refuse(target, o.path("target"), "give each level its share", "a list of shares goes with edges")
		}
		f.Levels = d.readLevels(o, levels)
	default:
		d.refuse(n, o.path("levels"), "name levels, or give edges", "the factor has no levels")
	}
	if pin := o.get("pin"); pin != nil {
		if l := d.levelOf(&f, pin, o.path("pin")); l >= 0 {
			f.Pin = &l
		}
	}
	if when := o.get("when"); when != nil {
		if sets := d.readSets(s, when, o.path("when")); len(sets) == 1 {
			f.When = &sets[0]
		} else if when.sort == mapping && len(when.keys) != 1 {
			d.refuse(when, o.path("when"), "name one factor and its levels", "a condition is on one factor, not %d", len(when.keys))
		}
	}
	return f
}

// readLevels reads levels as a mapping from name to share, as a list of names,
// or as a list of mappings.
func (d *document) readLevels(o object, n *node) []loop.Level {
	field := o.path("levels")
	if n.sort != mapping && n.sort != sequence {
		d.refuse(n, field, "a list of names, or a mapping from name to share", "levels are expected, not %s", n.sort)
		return nil
	}
	levels := make([]loop.Level, len(n.items))
	var shared []*node // where each level's share stands, nil if it has none
	for i, item := range n.items {
		here, level := at(field, i), &levels[i]
		d.places[here] = item
		var share *node
		switch {
		case n.sort == mapping:
			level.Name, share = n.keys[i].text, item
			d.places[here+".name"], d.places[here+".target"] = n.keys[i], item
			d.readShare(item, here+".target", &level.Target)
		case item.scalar():
			level.Name = item.text
		default:
			l, ok := d.object(item, here, "name", "target", "low", "high")
			if !ok {
				break
			}
			if name := l.need("name"); name != nil {
				if name.scalar() {
					level.Name = name.text
				} else {
					d.refuse(name, l.path("name"), "", "the name of a level is expected, not %s", name.sort)
				}
			}
			if share = l.get("target"); share != nil {
				d.readShare(share, l.path("target"), &level.Target)
			}
			l.number("low", &level.Low)
			l.number("high", &level.High)
		}
		shared = append(shared, share)
	}
	d.complete(n, field, levels, shared)
	return levels
}

func (d *document) readShare(n *node, field string, to *float64) {
	if d.readNumber(n, field, to) && *to < 0 {
		d.refuse(n, field, "0 or more", "%s is not a share", n.text)
	}
}

// complete makes levels equally likely if none has a share, and otherwise holds
// the document to giving all of them.
func (d *document) complete(n *node, field string, levels []loop.Level, shares []*node) {
	given := 0
	for _, s := range shares {
		if s != nil {
			given++
		}
	}
	if given == 0 {
		for i := range levels {
			levels[i].Target = 1 / float64(len(levels))
		}
		return
	}
	sum := 0.0
	for i, s := range shares {
		if s == nil {
			d.refuse(n.items[i], at(field, i), "give all of them or none", "level %q has no target share, but others do", levels[i].Name)
		}
		sum += levels[i].Target
	}
	if given == len(levels) && math.Abs(sum-1) > 1e-6 {
		d.refuse(n, field, "they must sum to 1", "the target shares sum to %s", strconv.FormatFloat(sum, 'g', 8, 64))
	}
}

// readBins makes the levels of a numeric factor from its edges.
func (d *document) readBins(o object, n *node) []loop.Level {
	field := o.path("edges")
	if n.sort != sequence || len(n.items) < 2 {
		d.refuse(n, field, "for example [0, 10, 20]", "a list of two or more edges is expected")
		return nil
	}
	if len(n.items) > loop.MaxLevels+1 {
		d.refuse(n, field, "", "more than %d edges", loop.MaxLevels+1)
		return nil
	}
	edges := make([]float64, len(n.items))
	for i, item := range n.items {
		if !d.readNumber(item, at(field, i), &edges[i]) {
			return nil
		}
		if i > 0 && edges[i] <= edges[i-1] {
			d.refuse(item, at(field, i), "edges ascend", "%s is not above the edge before it", item.text)
			return nil
		}
	}
	levels := make([]loop.Level, len(edges)-1)
	bins := &node{sort: sequence, line: n.line, column: n.column, items: n.items[:len(levels)]}
	shares := make([]*node, len(levels))
	for i := range levels {
		levels[i] = loop.Level{Name: "[" + edge(edges[i]) + "," + edge(edges[i+1]) + ")", Low: edges[i], High: edges[i+1]}
		d.places[at(o.path("levels"), i)] = n.items[i]
	}
	if target := o.get("target"); target != nil {
		if target.sort != sequence || len(target.items) != len(levels) {
			d.refuse(target, o.path("target"), "one share per bin", "a list of %d shares is expected for %d edges", len(levels), len(edges))
			return levels
		}
		for i, item := range target.items {
			shares[i] = item
			d.places[at(o.path("levels"), i)+".target"] = item
			d.readShare(item, at(o.path("target"), i), &levels[i].Target)
		}
		bins.line, bins.column = target.line, target.column
	}
	d.places[o.path("levels")] = bins
	d.complete(bins, o.path("target"), levels, shares)
	return levels
}

// edge writes an edge as people do, not as 1e+06.
func edge(v float64) string {
	if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e15) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
