package loop

import "slices"

// list is every feasible scenario that a part may draw, each once; nil where more than
// so many would have to be looked at, feasible or not. Where levels depend on the
// hidden class, it also has scenarios that no class makes: their density is 0.
func (p *part) list(most int) [][]Code {
	s := p.space
	var all [][]Code
	codes := make([]Code, len(s.Factors))
	var from func(f int) bool
	from = func(f int) bool {
		if f == len(codes) {
			if most--; most >= 0 && s.feasible(codes) {
				all = append(all, slices.Clone(codes))
			}
			return most >= 0
		}
		codes[f] = Absent
		if when := s.Factors[f].When; when != nil {
			if parent := codes[when.Factor]; !parent.IsLevel() || !when.Contains(int(parent)) {
				return from(f + 1)
			}
		}
		for l := range s.Factors[f].Levels {
			if !p.has(f, l, codes) {
				continue
			}
			if codes[f] = Code(l); !from(f + 1) {
				return false
			}
		}
		return true
	}
	if !from(0) {
		return nil
	}
	return all
}

// has reports whether a factor may be at a level after the codes of those before it:
// in some class, where it depends on that.
func (p *part) has(f, level int, codes []Code) bool {
	m, levels := p.marginals[f], p.space.width(f)
	if p.space.given(f) != p.space.hidden() {
		row := p.space.row(p.marginals, f, codes, 0)
		return row != nil && row.mass(level) > 0
	}
	for r := range len(m) / levels {
		if m.row(r, levels).mass(level) > 0 {
			return true
		}
	}
	return false
}
