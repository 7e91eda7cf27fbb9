package simulation

import (
	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
)

// ledger is kept by those who look on. It knows what was acknowledged to whom, and
// counts the rows that the catalogue and the lake show: not what state says it has.
type ledger struct {
	w *world
	// view follows the catalogue at once.
	view *view

	acks []ack
	// unwanted are the samples that anybody asked to revoke; revoked, those that were.
	unwanted, revoked map[sample]bool
	// asks are the posts that were sent, by key; counted, those whose rows count.
	asks, counted map[string]*post
	acked         map[string]bool
	// seeds are of every sample that was ever visible.
	seeds map[uint64]sample

	// visible counts rows by component; reserved and quotas are the last seen, and
	// attempts the highest of every index.
	visible          map[schedule.Place]uint64
	reserved, quotas map[schedule.Place]uint64
	abandoned        map[schedule.Place]uint64
	attempts         map[sample]int
	rounds           map[string]int
	evidence         map[string]uint64
	published        map[string]loop.Digest
	referenced       map[string]bool // what stays so for ever
	time             int64
	inForce          int // the version of the encoding (C25)
	committed        int

	// meters are the greatest readings by campaign and connection, spent their sums.
	meters, spent map[string]uint64
	// ended are the campaigns that gave up what was open, for lack of money.
	ended map[string]bool
}

// ack is a verdict that a worker has heard.
type ack struct {
	worker   string
	unit     loop.Unit
	standing loop.Standing
}

func newLedger(w *world) *ledger {
	l := &ledger{w: w, unwanted: make(map[sample]bool), revoked: make(map[sample]bool), asks: make(map[string]*post),
		counted: make(map[string]*post), acked: make(map[string]bool), seeds: make(map[uint64]sample), visible: make(map[schedule.Place]uint64),
		reserved: make(map[schedule.Place]uint64), quotas: make(map[schedule.Place]uint64), abandoned: make(map[schedule.Place]uint64),
		attempts: make(map[sample]int), rounds: make(map[string]int), evidence: make(map[string]uint64), published: make(map[string]loop.Digest), referenced: make(map[string]bool),
		meters: make(map[string]uint64), spent: make(map[string]uint64), ended: make(map[string]bool)}
	l.view = newView()
	l.view.changed = l.row
	l.inForce = state.FirstVersion
	return l
}

// row notes that a row appears or goes.
func (l *ledger) row(x seen, by int) {
	s := x.row.sample
	at := schedule.Place{Campaign: s.campaign, Round: s.name.Round, Domain: s.name.Domain, Component: s.name.Component}
	l.visible[at] += uint64(by)
	if by < 0 {
		if !l.unwanted[s] {
			breaks("C13: %s is taken back, and nobody asked for that", s)
		}
		l.revoked[s] = true
		return
	}
	l.committed++
	if !l.w.lake.has(x.row.pack) {
		breaks("C18: %s counts, and its pack %s is not in the lake", s, x.row.pack)
	}
	switch {
	case l.revoked[s]:
		breaks("C13: %s was taken back, and counts again", s)
	case !accepts(s.campaign, s.name):
		breaks("I7: %s counts, but the gates sent it back", s)
	}
	seed := loop.SampleSeed(l.campaign(s.campaign).Seed, s.name)
	if other, ok := l.seeds[seed]; ok {
		breaks("C5: %s has the seed of %s", s, other)
	}
	l.seeds[seed] = s
}

func (l *ledger) campaign(name string) *loop.Campaign {
	for _, c := range l.w.campaigns {
		if c.Name == name {
			return c
		}
	}
	breaks("I5: something counts of campaign %q, which there is not", name)
	return nil
}

// refer notes that a key is referenced, and deleted that it is no more (C18).
func (l *ledger) refer(key string) {
	if !l.w.lake.has(key) {
		breaks("C18: %s is referenced, and is not in the lake", key)
	}
	l.referenced[key] = true
}

func (l *ledger) deleted(key string) {
	needed := l.referenced[key] || l.w.truth.References(key)
	for _, x := range l.view.samples {
		needed = needed || x.row.pack == key
	}
	if needed && l.w.lake.has(key) {
		breaks("C18: %s is deleted, and referenced", key)
	}
}

// acknowledged: a worker has heard a verdict. It says what is so, and stays so (I1).
func (l *ledger) acknowledged(worker string, u loop.Unit, s loop.Standing) {
	l.w.note("%s hears of %s: %+v", worker, idOf(u), s)
	if s.Fresh+s.Duplicate+s.Stale+s.Closed != u.Count {
		breaks("C10: of %d samples of %s was said %+v", u.Count, u.ID(), s)
	}
	a := ack{worker, u, s}
	l.acks = append(l.acks, a)
	l.stands(&a)
}

// stands checks that what was acknowledged is so.
func (l *ledger) stands(a *ack) {
	for i := range a.unit.Count {
		s := sample{a.unit.Campaign, a.unit.Name(i)}
		if l.w.truth.Judge(s.campaign, s.name) == state.JudgedFresh {
			breaks("I1: %s was acknowledged to %s as %+v, and is open", s, a.worker, a.standing)
		}
		if s.name.Attempt > l.attempts[anyAttempt(s)] {
			breaks("C9: %s was to be made, and is dropped as %+v", s, a.standing)
		}
		if a.standing.Stale+a.standing.Closed > 0 || !accepts(s.campaign, s.name) {
			continue
		}
		if there, ok := l.view.samples[anyAttempt(s)]; (!ok || there.row.sample != s) && !l.revoked[s] {
			breaks("I1: %s was acknowledged to %s as %+v, and does not count", s, a.worker, a.standing)
		}
	}
}

// refused: a worker was told that its delivery is not what it says.
func (l *ledger) refused(k *worker, u loop.Unit) {
	if !k.lies {
		breaks("I5: %s was leased %s, made it, and is refused", k.name, u.ID())
	}
}

// asked, posted: a post is sent, and answered (I1, C22).
func (l *ledger) asked(p *post) { l.asks[p.id()] = p }

func (l *ledger) posted(p *post, a state.PostAnswer) {
	l.w.note("%s is answered %+v", p.id(), a)
	if a.Refused != nil {
		breaks("C22: %s is refused: %v", p.id(), a.Refused)
	}
	l.acked[p.id()] = true
	if n := l.view.posts[p.id()]; n != p.rows {
		breaks("I1: %s was acknowledged, and %d of %d rows count", p.id(), n, p.rows)
	}
	if a.DuplicateOf != 0 && l.view.parts[a.DuplicateOf] == nil {
		breaks("C22: %s is a duplicate of change %d, which is no part", p.id(), a.DuplicateOf)
	}
}

// misposted: so is one that has the key of another.
func (l *ledger) misposted(p *post, a state.PostAnswer) {
	if a.Refused == nil || l.view.posts[p.id()] > 0 {
		breaks("C22: %s is answered %+v, but its key is another's", p.id(), a)
	}
}

// tookBack: a revoke is answered.
func (l *ledger) tookBack(c *state.Revoke, e state.Event) {
	revoked, ok := e.(state.Revoked)
	if !ok {
		return // refused: it is looked at again, or left
	}
	for _, x := range revoked.Reopened {
		if !l.revoked[sample{x.Campaign, x.Name}] {
			breaks("I1: %s is said to be taken back, and is not", sample{x.Campaign, x.Name})
		}
	}
}
