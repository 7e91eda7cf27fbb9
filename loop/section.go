package loop

import "slices"

// section is one slice of a mixture, which quota_by may have split.
type section struct {
	slice Slice
	over  Over
	// cover is for the part that completes a coverage.
	cover bool
	share float64
	parts [][]*part // by fold

	weight, failed, squares float64   // Σw, Σw of failures, Σw² over rows and groups
	groups                  []float64 // Σw by group
	// variance is that of the rate, and pull the influence of each group on it.
	variance float64
	pull     []float64
}

// sections are the slices of the mixtures of all folds, of which some may be nil,
// with room for so many groups. Shares are means over folds.
func sections(mixtures []*Sampler, groups int) []section {
	var out []section
	n := 0.0
	for _, s := range mixtures {
		if s != nil {
			n++
		}
	}
	for fold, s := range mixtures {
		if s == nil {
			continue
		}
		for _, i := range s.train {
			p := &s.parts[i]
			c := p.component
			at := slices.IndexFunc(out, func(k section) bool {
				return k.over == c.Over && k.cover == (len(c.Cover) > 0) && k.slice.Equal(c.Slice)
			})
			if at < 0 {
				at = len(out)
				out = append(out, section{slice: c.Slice, over: c.Over, cover: len(c.Cover) > 0, parts: make([][]*part, len(mixtures)),
					groups: make([]float64, groups), pull: make([]float64, groups)})
			}
			out[at].share += float64(c.Share) / whole / n
			out[at].parts[fold] = append(out[at].parts[fold], p)
		}
	}
	return out
}

// weigh is the weight q_k/p of a row of the line: 0 where the mixture of its fold
// does not have the slice.
func (k *section) weigh(l *yieldLine) float64 {
	q, share := density{}, 0.0
	for _, p := range k.parts[l.fold] {
		share += float64(p.component.Share) / whole
		q = q.plus(p.density(l.codes).times(float64(p.component.Share) / whole))
	}
	q.of = over(q.of, share)
	return q.over(l.density)
}

func (k *section) rate() float64 { return over(k.failed, k.weight) }

func (k *section) effective() float64 { return over(k.weight*k.weight, k.squares) }

func over(x, y float64) float64 {
	if y == 0 {
		return 0
	}
	return x / y
}

// add counts a line that has weight w.
func (k *section) add(l *yieldLine, w float64) {
	k.weight += l.n * w
	k.failed += l.k * w
	if l.group < 0 {
		k.squares += l.n * w * w
	} else {
		k.groups[l.group] += l.n * w
	}
}

// influence is that of a row with weight w and residual e on the section's rate:
// the jackknife's, by what is left without the row, or without its group.
func (k *section) influence(l *yieldLine, w, e float64) float64 {
	without := w
	if l.group >= 0 {
		without = k.groups[l.group]
	}
	return over(w*e, max(k.weight-without, k.weight/2))
}

// close adds the squares of the groups' weights.
func (k *section) close() {
	for _, w := range k.groups {
		k.squares += w * w
	}
}
