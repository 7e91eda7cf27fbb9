package schedule

import (
	"math"

	"hone/loop"
)

// purse is what a campaign may take of generators' time, in milliseconds. A lease
// reserves what it may take, for as long as it is in flight (C14).
type purse struct {
	// left is what may be taken beside what is in flight, where bounded.
	bounded bool
	left    int64
	// reserved is what is in flight may take.
	reserved int64
	// empty: nothing is leased until what is in flight comes back cheaper, or more
	// may be taken.
	empty bool
}

// spare is how much more than expected a lease reserves: units of one kind vary.
const spare = 2

// Afford says how many milliseconds of generators a campaign may take beside what is
// in flight. As soon as that may take as much, nothing more of it is leased: so it
// takes too much by no more than what its last lease and its staged deliveries took
// beyond what was reserved.
func (s *Schedule) Afford(campaign string, millis int64) {
	p := s.purse(campaign)
	p.bounded, p.left = true, millis
	s.weigh(campaign, p)
}

// Reserved is how many milliseconds what is in flight of a campaign may take.
func (s *Schedule) Reserved(campaign string) int64 {
	if p := s.purses[campaign]; p != nil {
		return p.reserved
	}
	return 0
}

// ReservedBy is how many milliseconds a unit that is with a worker may take; 0 where
// it is not.
func (s *Schedule) ReservedBy(u loop.Unit, worker string) int64 {
	if l := s.leases[u]; l != nil && l.name == worker {
		return l.reserve
	}
	return 0
}

func (s *Schedule) purse(campaign string) *purse {
	p := s.purses[campaign]
	if p == nil {
		p = new(purse)
		s.purses[campaign] = p
	}
	return p
}

// reserve notes that what is in flight of a campaign may take so much more, or less.
func (s *Schedule) reserve(campaign string, millis int64) {
	p := s.purse(campaign)
	p.reserved += millis
	if p.reserved == 0 && !p.bounded {
		delete(s.purses, campaign)
		return
	}
	s.weigh(campaign, p)
}

// weigh empties a purse, or opens it again.
func (s *Schedule) weigh(campaign string, p *purse) {
	if empty := p.bounded && p.reserved >= p.left; empty != p.empty {
		p.empty = empty
		s.placeAll(campaign)
	}
}

// Rests reports whether nothing of a campaign is leased: it is held, or its purse is
// empty.
func (s *Schedule) Rests(campaign string) bool {
	p := s.purses[campaign]
	return s.held[campaign] || p != nil && p.empty
}

// mayTake is what a unit may take of a worker, in milliseconds: twice what is
// expected, by the slowest hardware where nothing is known of its own. Where nothing
// is known of the generator it is as long as a first lease.
func (s *Schedule) mayTake(w *worker, t *track, count uint64) int64 {
	each, ok := s.rates.perSample(w.kind, t.generator)
	if !ok {
		each, ok = s.rates.slowest(t.generator)
	}
	if !ok {
		return s.o.FirstLease.Milliseconds()
	}
	return int64(math.Ceil(spare * each * float64(count)))
}
