package spec

import "hone/loop"

// readDerived reads a derived label. Its levels may be left out: they are those
// that the rules name, in order, and otherwise's.
func (d *document) readDerived(s *loop.Space, n *node, field string) loop.Derived {
	var out loop.Derived
	o, ok := d.object(n, field, "name", "levels", "rules", "otherwise")
	if !ok {
		return out
	}
	o.need("name")
	o.text("name", &out.Name)
	named := o.get("levels") != nil
	positions := make(map[string]int)
	for i, n := range o.some("levels", loop.MaxLevels) {
		here := at(o.path("levels"), i)
		if !n.scalar() {
			d.refuse(n, here, "", "the name of a level is expected, not %s", n.sort)
			continue
		}
		if _, twice := positions[n.text]; twice {
			d.refuse(n, here, "name it once", "level %q is there already", n.text)
			continue
		}
		positions[n.text] = len(out.Levels)
		out.Levels = append(out.Levels, n.text)
	}
	level := func(o object, key string) int {
		n := o.need(key)
		if n == nil {
			return 0
		}
		if !n.scalar() {
			d.refuse(n, o.path(key), "", "the name of a level is expected, not %s", n.sort)
			return 0
		}
		l, known := positions[n.text]
		switch {
		case known:
		case named:
			if !d.full() {
				d.refuse(n, o.path(key), Suggest(n.text, out.Levels), "%q is not one of the levels", n.text)
			}
		default:
			l = len(out.Levels)
			positions[n.text] = l
			d.places[at(field+".levels", l)] = n
			out.Levels = append(out.Levels, n.text)
		}
		return l
	}
	o.need("rules")
	for i, n := range o.some("rules", loop.MaxRules) {
		var rule loop.DerivedRule
		if r, ok := d.object(n, at(o.path("rules"), i), "when", "level"); ok {
			if when := r.need("when"); when != nil {
				rule.When = d.readSets(s, when, r.path("when"))
			}
			rule.Level = level(r, "level")
		}
		out.Rules = append(out.Rules, rule)
	}
	out.Otherwise = level(o, "otherwise")
	return out
}
