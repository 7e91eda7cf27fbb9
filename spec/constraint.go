package spec

import (
	"slices"

	"hone/loop"
)

// readConstraint reads forbid, require, or when with require.
func (d *document) readConstraint(s *loop.Space, n *node, field string) loop.Constraint {
	var c loop.Constraint
	o, ok := d.object(n, field, "forbid", "require", "when")
	if !ok {
		return c
	}
	forbid, require, when := o.get("forbid"), o.get("require"), o.get("when")
	read := func(key string, n *node) []loop.LevelSet {
		if n == nil {
			return nil
		}
		if n.sort == mapping && len(n.keys) == 0 {
			d.refuse(n, o.path(key), "name a factor and its levels", "an empty mapping says nothing")
		}
		return d.readSets(s, n, o.path(key))
	}
	switch {
	case forbid != nil && (require != nil || when != nil):
		d.refuse(n, field, "make them two constraints", "forbid stands alone")
	case forbid != nil:
		c.When = read("forbid", forbid)
	case require != nil:
		c.When, c.Then = read("when", when), read("require", require)
	default:
		d.refuse(n, field, "forbid: {...}, require: {...}, or when: {...} with require: {...}", "the constraint neither forbids nor requires")
	}
	return c
}

// readSets reads a mapping from factor to level or levels, ordered by factor so
// that the order in which they are written says nothing.
func (d *document) readSets(s *loop.Space, n *node, field string) []loop.LevelSet {
	if n.sort != mapping {
		d.refuse(n, field, "factor: level, or factor: [level, level]", "a mapping is expected, not %s", n.sort)
		return nil
	}
	sets := make([]loop.LevelSet, 0, len(n.keys))
	for i, key := range n.keys {
		here := field + "." + key.text
		f := d.factor(s, key, here)
		if f < 0 {
			continue
		}
		named := []*node{n.items[i]}
		if n.items[i].sort == sequence {
			if named = n.items[i].items; len(named) == 0 {
				d.refuse(n.items[i], here, "name at least one", "no level of factor %q is named", key.text)
			}
		}
		set := loop.LevelSet{Factor: f}
		seen := make(map[int]bool, len(named))
		for _, item := range named {
			l := d.level(s, f, item, here)
			if l < 0 {
				continue
			}
			if seen[l] {
				d.refuse(item, here, "name it once", "level %q is there already", item.text)
				continue
			}
			seen[l] = true
			set.Levels = append(set.Levels, l)
		}
		slices.Sort(set.Levels)
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b loop.LevelSet) int { return a.Factor - b.Factor })
	return sets
}
