package loop

import "slices"

// hone boosts the slices that fail more than the rest, each by what it is worth.
type hone struct{}

func (hone) floor(p *Policy) float64 { return p.Floor }

func (hone) want(d *decision) (wanted, error) {
	lessons := d.lessons()
	searched := d.searchable(lessons)
	if len(searched) == 0 {
		return wanted{}, nil
	}
	for _, k := range d.evidence.Known(d.space) {
		if k.Differs {
			d.note("%s", k.Sentence)
		}
	}
	d.judge(searched)
	boosts, err := d.boosts(searched)
	if err != nil {
		return wanted{}, err
	}
	return d.scheduled(searched, boosts), nil
}

// searchable is the lessons with the evidence that the policy asks for; the round's
// failure rate is that of all.
func (d *decision) searchable(lessons []*lesson) []*lesson {
	var out []*lesson
	total := 0.0
	for _, l := range lessons {
		if l.evidence.Len() > 0 {
			total += l.learned.Importance
			d.round.FailureRate += l.learned.Importance * l.overall
		}
		if l.newest >= int64(d.policy.MinimumRows) {
			out = append(out, l)
			continue
		}
		if l.newest > 0 && len(lessons) == 1 {
			d.note("The newest model has %d rows of evidence, fewer than the policy's minimum of %d: nothing was searched, and the round moves towards the base.",
				l.newest, d.policy.MinimumRows)
		} else if len(lessons) > 1 {
			d.note("Of %s the newest model has %d rows of evidence, fewer than the policy's minimum of %d: it was not searched.",
				l.name(), l.newest, d.policy.MinimumRows)
		}
	}
	if total > 0 {
		d.round.FailureRate /= total
	}
	if len(out) > 1 {
		d.note("%s", combined(out))
	}
	return out
}

// boosts finds the failing slices and gives each its share of the mixture.
func (d *decision) boosts(lessons []*lesson) ([]boost, error) {
	goal, importance := 0.0, 0.0
	for _, l := range lessons {
		goal += l.learned.Importance * l.goal
		importance += l.learned.Importance
	}
	goal /= importance
	boosts, err := d.merged(lessons, importance)
	if err != nil {
		return nil, err
	}
	total := 0.0
	for _, b := range boosts {
		total += b.reason.Value
	}
	// S = min(S_max, Σv/(Σv + target error)): where little fails beyond the
	// average, little is taken from the bulk.
	share := func(value, total float64) float64 {
		boosted := d.policy.Shares.Boosted
		if d.policy.Shares.Prevalence < 1 {
			boosted = min(boosted, total/(total+goal))
		}
		return boosted * value / total
	}
	kept := boosts[:0]
	for _, b := range boosts {
		b.share = share(b.reason.Value, total)
		if most := d.policy.Shares.Cap * b.reason.Damping; b.share > most {
			b.share, b.reason.Capped = most, true
		}
		if b.share >= d.policy.Shares.Smallest {
			kept = append(kept, b)
		} else {
			d.note("%s fails more than the rest, but is worth %s of the mixture only: the policy drops what is below %s.",
				d.space.Describe(b.cell.slice), percent(b.share), percent(d.policy.Shares.Smallest))
		}
	}
	trickles, err := d.trickles(lessons, func(worth float64) float64 { return share(worth, total+worth) })
	kept = append(kept, trickles...)
	all := 0.0
	for _, b := range kept {
		all += b.share
	}
	for i := range kept {
		kept[i].share *= min(1, d.policy.Shares.Boosted/max(all, leastShare))
	}
	return kept, err
}

// merged searches every lesson by itself and puts equal slices together: v =
// Σ importance·v / Σ importance. The reason is of the lesson that has the most of
// it. What has no value is left out.
func (d *decision) merged(lessons []*lesson, importance float64) ([]boost, error) {
	var boosts []boost
	var most []float64 // of a lesson's part in each
	var suspected []suspect
	for _, l := range lessons {
		t := newTally(d.space, d.policy.Search, l.evidence.lines(d.policy.Memory, d.policy.Window), nil)
		if t.settings.Order < d.policy.Search.Order {
			d.note("Slices of up to %d predicates were searched for, not the policy's %d: there are too many factors and rows for more.",
				t.settings.Order, d.policy.Search.Order)
		}
		for _, m := range d.round.Memory.Slices {
			if m.Quarantined {
				t.remove(m.Slice, d.mending(m.Slice)...)
			} else {
				t.remembered = append(t.remembered, m.Slice)
			}
		}
		found := t.cover(nil, nil)
		for i := range found { // what groups leave of the rows
			c := &found[i]
			c.n, c.k = c.worth, c.k*c.worth/c.n
		}
		for _, c := range d.confirmed(l) {
			if !slices.ContainsFunc(found, func(f cell) bool { return c.within(f.slice) }) {
				found = append(found, c)
				t.remove(c.slice)
			}
		}
		suspected = append(suspected, suspects(t, l)...)
		for _, c := range found {
			b, err := d.value(c, l)
			if err != nil {
				return nil, err
			}
			if b.reason.Value == 0 {
				d.noteWorthless(&b, l)
				continue
			}
			part := b.reason.Value * l.learned.Importance / importance
			b.reason.Value = part
			if len(lessons) > 1 {
				b.reason.LearnedFrom = []string{l.name()}
			}
			at := find(boosts, c.slice)
			if at < 0 {
				boosts, most = append(boosts, b), append(most, part)
				continue
			}
			had := boosts[at].reason
			value, from := had.Value+part, append(slices.Clone(had.LearnedFrom), l.name())
			if part > most[at] {
				boosts[at], most[at] = b, part
			}
			boosts[at].reason.Value, boosts[at].reason.LearnedFrom = value, from
		}
	}
	return boosts, d.probe(suspected)
}

// noteWorthless says why a slice that fails is not boosted all the same.
func (d *decision) noteWorthless(b *boost, l *lesson) {
	slice := d.space.Describe(b.cell.slice)
	switch r := b.reason; {
	case r.Prevalence == 0:
		d.note("%s %s, but deployment never shows it: it is not boosted.", slice, l.fails(r.Measured))
	case banned(d.protected.bans, b.cell.slice): // which the ban's own note says
	case b.worth == 0 && r.Rate > l.goal:
		d.note("%s %s, but the constraints or the base all but forbid to draw it: it is not boosted.", slice, l.fails(r.Measured))
	case b.worth == 0:
		d.note("%s fails more than what is left of the evidence, but no more than deployment as a whole: it is not boosted.", slice)
	}
}

// trickles is a little of every slice in quarantine, so that there is evidence of
// whether it has become learnable when its time is over.
func (d *decision) trickles(lessons []*lesson, share func(worth float64) float64) ([]boost, error) {
	var out []boost
	for i := range d.round.Memory.Slices {
		m := &d.round.Memory.Slices[i]
		if !m.Quarantined || m.Until == 0 {
			continue
		}
		l := m.lesson(lessons)
		if l == nil {
			continue
		}
		now := l.count(m.Slice, nil)
		c := cell{slice: m.Slice, n: now.n, k: now.k, p: 1, q: 1}
		b, err := d.value(c, l)
		if err != nil {
			return nil, err
		}
		b.reason.Until = m.Until
		if b.worth > 0 {
			b.share = d.policy.Damping.Trickle * min(d.policy.Shares.Cap, share(b.worth))
		}
		if b.share >= d.policy.Shares.Smallest {
			out = append(out, b)
		}
	}
	return out, nil
}
