package state

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"hone/fault"
	"hone/loop"
)

// Spent is what a campaign has taken by all readings of its meters (C14).
type Spent struct {
	// Millis are of generators' time, Micros millionths of the campaign's currency.
	Millis uint64
	Micros uint64
}

// meters are the greatest readings of a campaign's meters, in two generations that
// rotate by count, like keys: a connection is remembered for at least rememberedMeters
// newer ones. One that reports again later than that counts twice.
type meters struct {
	spent             Spent
	current, previous []Meter // by connection, ascending; Campaign is left out
}

// rememberedMeters are more than the workers that a leader lets in (gpuworker: 20,000),
// or some of a whole fleet would be forgotten from one reading to the next.
const rememberedMeters = 1 << 15

// Bounds of a reading.
const (
	maxConnection = 64
	MaxMillis     = 1 << 48
	MaxMicros     = 1 << 60
)

// checkMeters refuses readings that no meter has.
func checkMeters(readings []Meter) *Refused {
	for i := range readings {
		m, field := &readings[i], "meters["+strconv.Itoa(i)+"]"
		switch {
		case m.Connection == "" || len(m.Connection) > maxConnection:
			return refused(Invalid, field+".connection", "%d bytes; 1 to %d are allowed", len(m.Connection), maxConnection)
		case m.Millis > MaxMillis || m.Micros > MaxMicros:
			return refused(Invalid, field, "%d milliseconds and %d millionths are out of bounds", m.Millis, m.Micros)
		}
	}
	return nil
}

// account notes readings without deliveries.
func (s *State) account(a *Account) Event {
	if r := checkMeters(a.Meters); r != nil {
		return *r
	}
	s.note(a.Meters)
	return Accounted{}
}

// note adds what readings have risen by to what their campaigns have spent. One of
// an unknown campaign counts nowhere.
func (s *State) note(readings []Meter) {
	for i := range readings {
		r := &readings[i]
		if c := s.campaigns[r.Campaign]; c == nil || !c.meters.rises(r) {
			continue
		}
		s.ownCampaign(r.Campaign).meters.note(*r)
	}
}

func (m *meters) rises(r *Meter) bool {
	last := m.find(r.Connection)
	return r.Millis > last.Millis || r.Micros > last.Micros
}

// find returns the greatest reading of a connection that is remembered.
func (m *meters) find(connection string) Meter {
	for _, of := range [...][]Meter{m.current, m.previous} {
		if i, ok := slices.BinarySearchFunc(of, connection, compareConnection); ok {
			return of[i]
		}
	}
	return Meter{}
}

func compareConnection(m Meter, connection string) int { return cmp.Compare(m.Connection, connection) }

// note takes a reading that rises; the campaign must be owned.
func (m *meters) note(r Meter) {
	last := m.find(r.Connection)
	if fault.Planted("sum the readings of a meter") {
		r.Millis += last.Millis
	}
	next := Meter{Connection: r.Connection, Millis: max(last.Millis, r.Millis), Micros: max(last.Micros, r.Micros)}
	m.spent.Millis = add(m.spent.Millis, next.Millis-last.Millis)
	m.spent.Micros = add(m.spent.Micros, next.Micros-last.Micros)
	i, ok := slices.BinarySearchFunc(m.current, r.Connection, compareConnection)
	switch {
	case ok:
		m.current[i] = next
	case len(m.current) < rememberedMeters:
		m.current = slices.Insert(m.current, i, next)
	default:
		m.previous, m.current = m.current, []Meter{next}
	}
}

// add is a sum that stays where it would overflow.
func add(a, b uint64) uint64 {
	if a+b < a {
		return ^uint64(0)
	}
	return a + b
}

// Spent is what a campaign has taken; ok is false where there is no such campaign.
func (s *State) Spent(campaign string) (spent Spent, ok bool) {
	c := s.campaigns[campaign]
	if c == nil {
		return Spent{}, false
	}
	return c.meters.spent, true
}

// endForMoney gives up all that a campaign's rounds still owe, and ends it: its
// money is spent (C14).
func (s *State) endForMoney(g *GiveUp) Event {
	c := s.campaigns[g.Campaign]
	switch {
	case g.Version != c.version():
		return *refused(Stale, "version", "version %d is not the campaign's, %d is", g.Version, c.version())
	case len(c.rounds) == 0:
		return *refused(Conflict, "campaign", "campaign %q has decided nothing that could be given up", g.Campaign)
	}
	if r := checkWhy("", g.Reason); r != nil {
		return *r
	}
	c = s.ownCampaign(g.Campaign)
	event := GivenUp{Name: g.Campaign, Indices: c.abandonOpen(g.Reason, true)}
	if p := c.waiting(); p != nil {
		c.rule(ProposalVoid, s.last, honesAuthor, g.Reason)
	}
	if decided := c.decided(); c.loop.Samples != decided || c.loop.Rounds != len(c.rounds) {
		c.amend(Amendment{Samples: decided, Rounds: len(c.rounds), At: s.last, Author: honesAuthor, Reason: g.Reason})
	}
	return event
}

// honesAuthor amends a campaign whose money is spent.
const honesAuthor = "hone"

// decided is how many training samples the campaign's rounds ask for.
func (c *campaign) decided() (samples uint64) {
	for _, r := range c.rounds {
		for _, k := range r.components {
			if k.domain == loop.Train {
				samples += k.quota
			}
		}
	}
	return samples
}

// abandonOpen gives up all that is open, and with all also what is not reserved yet;
// c must be owned.
func (c *campaign) abandonOpen(reason string, all bool) (indices uint64) {
	for n, r := range c.rounds {
		for i, k := range r.components {
			if k.open.count == 0 && (!all || k.reserved == k.quota) {
				continue
			}
			own := c.ownRound(n + 1).own(i)
			if all {
				own.reserve(own.quota)
			}
			indices += own.open.count
			own.abandonOpen(reason)
		}
	}
	return indices
}

// record is nil where nothing was ever spent, as in what was written before there
// were meters.
func (m *meters) record() *spentRecord {
	if len(m.current) == 0 {
		return nil
	}
	r := &spentRecord{Millis: m.spent.Millis, Micros: m.spent.Micros}
	for _, x := range m.current {
		r.Current = append(r.Current, meterRecord{x.Connection, x.Millis, x.Micros})
	}
	for _, x := range m.previous {
		r.Previous = append(r.Previous, meterRecord{x.Connection, x.Millis, x.Micros})
	}
	return r
}

func (m *meters) restore(r *spentRecord) error {
	m.spent = Spent{r.Millis, r.Micros}
	for _, of := range [...]struct {
		to   *[]Meter
		from []meterRecord
	}{{&m.current, r.Current}, {&m.previous, r.Previous}} {
		for i, x := range of.from {
			if i >= rememberedMeters || i > 0 && x.Connection <= of.from[i-1].Connection {
				return errors.New("the meters are out of order, or too many")
			}
			*of.to = append(*of.to, Meter{Connection: x.Connection, Millis: x.Millis, Micros: x.Micros})
		}
		if r := checkMeters(*of.to); r != nil {
			return r
		}
	}
	return nil
}
