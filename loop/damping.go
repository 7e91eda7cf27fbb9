package loop

import (
	"fmt"
	"math"
	"slices"
)

// find returns what is remembered of a slice, or nil.
func (m *Memory) find(slice Slice) *Remembered {
	for i := range m.Slices {
		if m.Slices[i].Slice.Equal(slice) {
			return &m.Slices[i]
		}
	}
	return nil
}

// judge looks at every slice that has been given samples of its own since it
// was last judged, and compares its failure rate on the newest model version
// with its anchor, the evidence on which it was first boosted. The anchor is
// never moved: a slow learner whose anchor followed it would never show
// progress. Only a slice's own samples count: those that merely match a broad
// slice were made for its children, and would convict it of their failure. Where
// there are enough rows of the real world, these are what counts.
func (d *decision) judge(lessons []*lesson) {
	settings := d.policy.Damping
	for i := range d.round.Memory.Slices {
		r := &d.round.Memory.Slices[i]
		if r.Quarantined && r.Until > 0 && d.budget.Number >= r.Until {
			r.Quarantined, r.Until, r.Judged = false, 0, r.Samples
			r.Sentence = fmt.Sprintf("%s is out of quarantine, damped to %s: what is made of it now shows whether it has become learnable.",
				d.space.Describe(r.Slice), percent(r.Damping))
			continue
		}
		if r.Quarantined || r.AnchorRows == 0 || r.Samples < settings.Samples || r.Samples == r.Judged {
			continue
		}
		l := r.lesson(lessons)
		if l == nil {
			continue
		}
		now := l.count(r.Slice, nil)
		if now.worth < settings.Rows {
			continue
		}
		if verdict, ok := d.verdict(r, l, &now); ok {
			d.damp(r, l, verdict)
		}
	}
}

// lesson is the one that a slice's anchor is of; nil where it is not among these,
// as what another one fails says nothing about it. Memories once left the eval set out
// of its name: these are of the first that has the rest.
func (r *Remembered) lesson(lessons []*lesson) *lesson {
	for _, called := range []func(*lesson) string{(*lesson).name, (*lesson).plainName} {
		for _, l := range lessons {
			if r.Of == "" || called(l) == r.Of {
				return l
			}
		}
	}
	return nil
}

// verdict is what comes of comparing a slice with its anchor.
type verdict struct {
	before, now float64
	progress    bool
	// transfers is false where synthetic rows show progress and real ones do not.
	transfers bool
}

// verdict judges a slice by its real rows, where there are enough now and at the
// anchor; ok is false where real rows have only just become enough to compare with
// later.
func (d *decision) verdict(r *Remembered, l *lesson, now *counted) (verdict, bool) {
	settings := d.policy.Damping
	compare := func(n, k, worth, failed float64) verdict {
		before, now := k/n, failed/worth
		deviation := math.Sqrt(before*(1-before)/n + now*(1-now)/worth)
		return verdict{before, now, before-now > settings.Errors*deviation && before-now > settings.Progress, true}
	}
	origin := func(o Origin) func(int) bool { return func(line int) bool { return l.evidence.Origin[line] == o } }
	all := compare(r.AnchorRows, r.AnchorFailures, now.worth, now.failed)
	real := l.count(r.Slice, origin(Real))
	if real.worth < settings.Rows {
		return all, true
	}
	if r.RealRows < settings.Rows {
		r.RealRows, r.RealFailures = real.n, real.k
		return all, true
	}
	judged := compare(r.RealRows, r.RealFailures, real.worth, real.failed)
	if n := r.AnchorRows - r.RealRows; !judged.progress && n >= settings.Rows {
		if made := l.count(r.Slice, origin(Synthetic)); made.worth >= settings.Rows {
			judged.transfers = !compare(n, min(n, max(0, r.AnchorFailures-r.RealFailures)), made.worth, made.failed).progress
		}
	}
	return judged, true
}

// damp takes share from a slice without progress, and gives it back to one with.
func (d *decision) damp(r *Remembered, l *lesson, v verdict) {
	settings := d.policy.Damping
	r.Judged, r.Improved, r.Sentence = r.Samples, v.progress, ""
	if v.progress {
		r.Damping = min(1, 2*r.Damping)
		return
	}
	r.Damping = max(settings.Least, r.Damping/2)
	what := fmt.Sprintf("%s %s when first boosted in round %d and %s in round %d, after %d samples of its own",
		d.space.Describe(r.Slice), l.failed(v.before), r.Round, percent(v.now), d.budget.Number, r.Samples)
	if !v.transfers {
		what = fmt.Sprintf("%s is fixed in synthetic and unchanged in real rows, which %s in round %d and %s in round %d, after %d samples of its own: what is made does not transfer",
			d.space.Describe(r.Slice), l.failed(v.before), r.Round, percent(v.now), d.budget.Number, r.Samples)
	}
	r.Sentence = fmt.Sprintf("%s: its share is damped to %s.", what, percent(r.Damping))
	if r.Damping <= settings.Quarantine {
		r.Quarantined = true
		if settings.Reopen > 0 {
			r.Until = d.budget.Number + settings.Reopen
		}
		r.Sentence = what + ": it is quarantined. Check its labels and how it is made; more of it does not help."
	}
}

// mending are the narrower slices that make progress: their rows stay in the search
// when those of a wider one leave it, or nobody would boost what does get better.
func (d *decision) mending(slice Slice) (out []Slice) {
	for _, r := range d.round.Memory.Slices {
		if r.Improved && !r.Quarantined && r.Slice.Within(slice) && !r.Slice.Equal(slice) {
			out = append(out, r.Slice)
		}
	}
	return out
}

// revive lets a slice that had been fixed, and was given back, come again as if it
// were new: the model has forgotten it.
func (d *decision) revive(m *Remembered, c *cell, l *lesson) {
	if !m.Improved || m.Quarantined || d.previous == nil {
		return
	}
	for i := range d.previous.Components {
		if p := &d.previous.Components[i]; p.Domain == Train && p.Slice.Equal(c.slice) {
			return
		}
	}
	*m = anchored(c, l, d.budget.Number)
	m.Of = l.of(d.lessons())
	d.note("%s had been fixed and fails again: it is boosted as if it were new.", d.space.Describe(c.slice))
}

func matchesLine(e *Evidence, slice Slice, line int) bool {
	for _, p := range slice {
		if !p.Holds(e.Codes[p.Factor][line]) {
			return false
		}
	}
	return true
}

// remember notes that a slice was given samples in a round.
func (d *decision) remember(b *boost, samples uint64) {
	m := &d.round.Memory
	if r := m.find(b.cell.slice); r != nil {
		r.Samples += samples
		return
	}
	if b.cell.n == 0 || b.lesson == nil {
		return // protected, and never yet among the failing ones
	}
	r := anchored(&b.cell, b.lesson, d.budget.Number)
	r.Samples, r.Of = samples, b.lesson.of(d.lessons())
	m.Slices = append(m.Slices, r)
	slices.SortFunc(m.Slices, func(a, b Remembered) int { return a.Slice.compare(b.Slice) })
}

// mostIdle is for how many rounds a slice is remembered that gets no samples, unless the
// policy looks back further.
const mostIdle = 20

// recount ends a round's memory: what is in quarantine and what is new about the
// others is said; what has had no samples for longer than any evidence counts, and
// than a quarantine lasts, is forgotten. It would come again as if it were new.
func (d *decision) recount() {
	made := func(slice Slice) bool {
		return slices.ContainsFunc(d.round.Components, func(c Component) bool { return c.Quota > 0 && c.Slice.Equal(slice) })
	}
	most := max(mostIdle, d.policy.Window, d.policy.Damping.Reopen)
	var kept []Remembered
	for _, r := range d.round.Memory.Slices {
		if before := d.remembered(r.Slice); r.Sentence != "" && (r.Quarantined || before == nil || before.Sentence != r.Sentence) {
			d.note("%s", r.Sentence)
		}
		switch {
		case made(r.Slice):
			r.Idle = 0
		case d.budget.Train > 0:
			r.Idle++
		}
		if r.Quarantined || r.Idle <= most {
			kept = append(kept, r)
		}
	}
	d.round.Memory.Slices = kept
}

// remembered is what the round before remembers of a slice, or nil.
func (d *decision) remembered(slice Slice) *Remembered {
	if d.previous == nil {
		return nil
	}
	return d.previous.Memory.find(slice)
}

// anchored is a slice whose progress counts from the evidence of a lesson.
func anchored(c *cell, l *lesson, round int) Remembered {
	r := Remembered{Slice: c.slice, Round: round, AnchorRows: c.n, AnchorFailures: c.k, Damping: 1}
	real := l.count(c.slice, func(line int) bool { return l.evidence.Origin[line] == Real })
	r.RealRows, r.RealFailures = real.n, real.k
	return r
}

// of is the lesson's name in the memory: empty where there is no other.
func (l *lesson) of(lessons []*lesson) string {
	if len(lessons) < 2 {
		return ""
	}
	return l.name()
}

// clone copies the memory, so that a decision never changes the round before, but
// for scores: a strategy reads its own there and leaves new ones.
func (m *Memory) clone() Memory { return Memory{Slices: slices.Clone(m.Slices)} }

// forget drops the slices that the space no longer has.
func (m *Memory) forget(s *Space) {
	m.Slices = slices.DeleteFunc(m.Slices, func(r Remembered) bool { return s.ValidateSlice("", r.Slice) != nil })
}

// percent writes a fraction as a person reads it.
func percent(x float64) string {
	switch p := 100 * x; {
	case p == 0 || p >= 9.95:
		return fmt.Sprintf("%.0f%%", p)
	case p >= .1:
		return fmt.Sprintf("%.1f%%", p)
	default:
		return fmt.Sprintf("%.2g%%", p)
	}
}
