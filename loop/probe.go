package loop

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Probed is a slice of which evaluation samples were made because it was
// suspected of failing.
type Probed struct {
	Slice Slice `json:"slice"`
	// Of names the lesson that suspected it, where there are several.
	Of string `json:"of,omitempty"`
}

// suspect is a slice that fails more than the rest, but not so clearly that chance
// is ruled out among all that were tested.
type suspect struct {
	cell   cell
	lesson *lesson
}

// suspicion is the p-value below which a slice is suspected.
const suspicion = .01

// suspects lists them in what a search has left, none inside another, the clearest
// first.
func suspects(t *tally, l *lesson) []suspect {
	rate, _ := t.rate()
	if rate <= 0 || rate >= 1 {
		return nil
	}
	var cells []cell
	for order := 1; order <= t.settings.Order; order++ {
		found, tests := t.look(order, rate)
		from := len(cells)
		for _, c := range found {
			if c.p < suspicion {
				c.slice = t.slice(&c)
				cells = append(cells, c)
			}
		}
		for i := from; i < len(cells); i++ {
			cells[i].q = cells[i].p * float64(tests)
		}
		found, supported := t.lookRuns(order, rate, 0)
		for _, c := range found {
			if c.p < suspicion {
				c.slice, c.q = t.slice(&c), c.p*float64(supported)
				cells = append(cells, c)
			}
		}
	}
	slices.SortFunc(cells, clearer)
	var out []suspect
	for _, c := range cells {
		nested := slices.ContainsFunc(out, func(s suspect) bool {
			return c.within(s.cell.slice) || s.cell.within(c.slice) || c.slice.overlaps(s.cell.slice)
		})
		if !nested && len(out) < mostSuspects {
			out = append(out, suspect{c, l})
		}
	}
	return out
}

// mostSuspects is more than any policy probes.
const mostSuspects = 1000

// clearer orders suspects by how many cells of their order would be as extreme by
// chance: there are many more triples than pairs.
func clearer(a, b cell) int { return cmp.Or(cmp.Compare(a.q, b.q), a.slice.compare(b.slice)) }

// probe chooses the suspects that the round's probes are to tell about, and notes
// the others that somebody might ask for.
func (d *decision) probe(found []suspect) error {
	slices.SortStableFunc(found, func(a, b suspect) int { return clearer(a.cell, b.cell) })
	probes := int(min(uint64(d.policy.Probes.Slices), d.budget.Evaluation.Probe))
	told := 0
	for _, s := range found {
		if len(d.round.Memory.Probed) >= probes && told >= mostTold {
			break
		}
		drawable, err := d.feasibility.drawable(d.round.Target, s.cell.slice)
		if err != nil {
			return err
		}
		again := slices.ContainsFunc(d.round.Memory.Probed, func(p Probed) bool {
			known := cell{slice: p.Slice}
			return known.within(s.cell.slice) || s.cell.within(p.Slice)
		})
		if !drawable || again || banned(d.protected.bans, s.cell.slice) {
			continue
		}
		now := s.lesson.count(s.cell.slice, nil)
		what := fmt.Sprintf("%s %s (%s), which may be chance among so many slices",
			d.space.Describe(s.cell.slice), s.lesson.fails(now.rate()), s.lesson.rows(&now))
		if len(d.round.Memory.Probed) < probes {
			d.round.Memory.Probed = append(d.round.Memory.Probed, Probed{s.cell.slice, s.lesson.of(d.lessons())})
			d.note("%s: evaluation samples of it are made to tell.", what)
			continue
		}
		told++
		d.note("%s: it is not boosted.", what)
	}
	return nil
}

// mostTold is how many suspects that are not probed are noted.
const mostTold = 3

// confirmed tests every slice that the last round probed for a lesson, on the rows
// of its probes alone: they were drawn after it was chosen, so that its being
// chosen says nothing about them. The level is the policy's false discovery rate
// over all that were probed (Bonferroni). Rows that lie in another probed slice as
// well were perhaps made for that, and do not count.
func (d *decision) confirmed(l *lesson) []cell {
	if d.previous == nil {
		return nil
	}
	var out []cell
	probed := d.previous.Memory.Probed
	for i, p := range probed {
		if p.Of != l.of(d.lessons()) || d.space.ValidateSlice("", p.Slice) != nil || l.overall <= 0 || l.overall >= 1 {
			continue
		}
		fresh := lesson{evidence: l.probes, correlation: l.correlation}
		fresh.strata, fresh.discount = l.probes.strata(1, 1)
		now := fresh.count(p.Slice, func(line int) bool {
			for j, other := range probed {
				if j != i && matchesLine(l.probes, other.Slice, line) {
					return false
				}
			}
			return true
		})
		c := cell{slice: p.Slice, n: now.worth, k: now.failed}
		if c.n == 0 {
			continue
		}
		c.z = c.excess(l.overall) / math.Sqrt(c.n*l.overall*(1-l.overall))
		c.p = binomialTail(c.k, c.n, l.overall)
		c.q = min(1, c.p*float64(len(probed)))
		told := fmt.Sprintf("%d of %d fresh rows fail", now.failures, now.rows)
		if l.learned.Graded() {
			told = fmt.Sprintf("%d fresh rows have a mean severity of %s", now.rows, percent(now.rate()))
		}
		if c.q <= d.policy.Search.FalseDiscovery && c.excess(l.overall) > 0 {
			d.note("%s is confirmed by its probes: %s.", d.space.Describe(p.Slice), told)
			out = append(out, c)
		} else {
			d.note("%s is not confirmed by its probes: %s.", d.space.Describe(p.Slice), told)
		}
	}
	return out
}
