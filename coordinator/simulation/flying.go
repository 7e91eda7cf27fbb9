package simulation

import (
	"hone/coordinator/schedule"
	"hone/loop"
)

// flying is what the schedule of a term must have in flight, as its words say it:
// from outside, by name.
type flying struct {
	t *term
	// by says with whom each sample is; "" is nobody, for it is staged.
	by map[sample]string
	// seen are the samples that a worker has announced or delivered in this term.
	seen map[sample]bool
}

func newFlying(t *term) *flying {
	return &flying{t: t, by: make(map[sample]string), seen: make(map[sample]bool)}
}

// leased checks a lease: what it names is reserved (C2), in flight nowhere else, and
// not with a worker that has not had the time to say so.
func (f *flying) leased(u loop.Unit, worker string) {
	t := f.t
	p := t.places[schedule.PlaceOf(u)]
	for i := range u.Count {
		s := sample{u.Campaign, u.Name(i)}
		if with, ok := f.by[s]; ok {
			breaks("%s is leased to %s and in flight with %q", s, worker, with)
		}
		if p != nil && s.name.Index >= p.reserved {
			breaks("C2: %s is leased, but only %d are reserved", s, p.reserved)
		}
		if p != nil && !t.released && s.name.Index < p.inherited && !f.seen[s] {
			breaks("C2: %s is leased to %s before the reconnect window is over, and may be with another", s, worker)
		}
		f.by[s] = worker
	}
}

func (f *flying) each(u loop.Unit, do func(sample)) {
	for i := range u.Count {
		do(sample{u.Campaign, u.Name(i)})
	}
}

func (f *flying) joined(k *loop.Worker) {
	for _, u := range k.Holds {
		f.each(u, func(s sample) {
			f.seen[s] = true
			if _, ok := f.by[s]; !ok {
				f.by[s] = k.Name
			}
		})
	}
}

func (f *flying) staged(u loop.Unit) {
	f.each(u, func(s sample) {
		f.seen[s] = true
		f.by[s] = ""
	})
}

// over: it is in flight no more, at this attempt or an earlier one, which may since
// have been judged.
func (f *flying) over(u loop.Unit) {
	f.each(u, func(s sample) {
		for ; s.name.Attempt >= 0; s.name.Attempt-- {
			f.seen[s] = true
			delete(f.by, s)
		}
		// What comes of it is seen, too: the next attempt.
		s.name.Attempt = u.Attempt + 1
		f.seen[s] = true
	})
}

// opened: what was taken back in this term nobody can have been leased before it.
func (f *flying) opened(campaign string, n loop.Name) {
	n.Attempt++
	f.seen[sample{campaign, n}] = true
}

func (f *flying) left(worker string) {
	for s, with := range f.by {
		if with == worker {
			delete(f.by, s)
		}
	}
}

func (f *flying) drop(campaign string) {
	for s := range f.by {
		if s.campaign == campaign {
			delete(f.by, s)
		}
	}
}

// sample is one attempt at one sample of a campaign.
type sample struct {
	campaign string
	name     loop.Name
}

func (s sample) String() string { return s.campaign + "/" + s.name.Key() }
