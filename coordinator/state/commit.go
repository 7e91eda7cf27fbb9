package state

import (
	"strconv"

	"hone/fault"
	"hone/loop"
)

// commit judges deliveries in order, each sample by its name alone (I5, C10),
// then extends what is reserved (C2). Rows that are not fresh become void, and a
// part without a fresh row is not referenced (C11).
func (s *State) commit(c *Commit) Event {
	space, r := s.checkCommit(c)
	if r != nil {
		return *r
	}
	judged := make([]Judged, len(c.Deliveries))
	var samples, verdicts freshness
	for i := range c.Deliveries {
		judged[i] = s.judgeDelivery(&c.Deliveries[i], &samples, &verdicts)
	}
	event := Committed{Deliveries: judged}
	if samples.fresh {
		event.Samples = s.add(loop.Change{Part: newPart(loop.SampleParts, space, *c.Samples, samples.void)})
	}
	if verdicts.fresh {
		event.Verdicts = s.add(loop.Change{Part: newPart(loop.VerdictParts, space, *c.Verdicts, verdicts.void)})
	}
	for _, e := range c.Extensions {
		if k := s.ownComponent(e.Campaign, e.Round, e.Domain, e.Component); k != nil {
			k.reserve(e.Reserved)
		}
	}
	s.note(c.Meters)
	return event
}

// freshness gathers which rows of a part count.
type freshness struct {
	fresh bool
	void  []uint32
}

func (f *freshness) row(row uint32, j Judgement) {
	if j == JudgedFresh || j == JudgedDuplicate && fault.Planted("count duplicates") {
		f.fresh = true
	} else {
		f.void = append(f.void, row)
	}
}

func (s *State) judgeDelivery(d *Delivered, samples, verdicts *freshness) Judged {
	var judged Judged
	u := &d.Unit
	k := s.ownComponent(u.Campaign, u.Round, u.Domain, u.Component)
	judge := func(offset int) Judgement {
		j := JudgedClosed
		if k != nil {
			j = k.judge(u.First+uint64(offset), u.Attempt)
		}
		if k != nil && u.Round < len(s.campaigns[u.Campaign].rounds) && fault.Planted("judge by the round that is open") {
			j = JudgedClosed
		}
		countStanding(&judged.Standing, j)
		return j
	}
	row := d.FirstRow
	for offset := range d.Accepted.All() {
		j := judge(offset)
		switch j {
		case JudgedFresh:
			k.commit(u.First + uint64(offset))
		case JudgedDuplicate:
			judged.Duplicates.Add(offset)
		case JudgedStale, JudgedClosed: // its row becomes void, and that is all
		}
		samples.row(row, j)
		row++
	}
	row = d.FirstVerdict
	for i := range d.Rejected {
		rejected := &d.Rejected[i]
		j := judge(int(rejected.Offset))
		if j == JudgedFresh {
			judged.Standing.Rejected++
			k.reject(u.First+uint64(rejected.Offset), u.Attempt, s.campaigns[u.Campaign].loop.MaxAttempts, rejected.Gate, rejected.Reason)
		}
		verdicts.row(row, j)
		row++
	}
	return judged
}

// checkCommit refuses a commit that contradicts itself, and returns the space
// that its parts are of. What names an unknown campaign, round or component is
// not refused: it is closed.
func (s *State) checkCommit(c *Commit) (space string, r *Refused) {
	accepted := make([]run, len(c.Deliveries))
	rejected := make([]run, len(c.Deliveries))
	for i := range c.Deliveries {
		d := &c.Deliveries[i]
		field := "deliveries[" + strconv.Itoa(i) + "]"
		if err := d.Unit.Validate(); err != nil {
			return "", invalid(err)
		}
		if !d.Accepted.within(d.Unit.Count) {
			return "", refused(Invalid, field+".accepted", "an offset is beyond the unit's %d samples", d.Unit.Count)
		}
		last := -1
		for _, v := range d.Rejected {
			if int(v.Offset) <= last || int(v.Offset) >= d.Unit.Count || d.Accepted.Has(int(v.Offset)) {
				return "", refused(Invalid, field+".rejected", "offset %d is out of order, accepted too, or beyond the unit's %d samples", v.Offset, d.Unit.Count)
			}
			last = int(v.Offset)
		}
		accepted[i] = run{d.FirstRow, uint32(d.Accepted.Count())}
		rejected[i] = run{d.FirstVerdict, uint32(len(d.Rejected))}
		campaign := s.campaigns[d.Unit.Campaign]
		if campaign == nil {
			continue
		}
		if space == "" {
			space = campaign.loop.Space
		}
		if space != campaign.loop.Space {
			return "", refused(Invalid, field, "campaign %q is of space %q, but the parts are of space %q", d.Unit.Campaign, campaign.loop.Space, space)
		}
	}
	if r := s.checkPart("samples", c.Samples, accepted); r != nil {
		return "", r
	}
	if r := s.checkPart("verdicts", c.Verdicts, rejected); r != nil {
		return "", r
	}
	for i := range c.Packs {
		if r := s.admit("packs["+strconv.Itoa(i)+"]", &c.Packs[i]); r != nil {
			return "", r
		}
	}
	return space, checkMeters(c.Meters)
}

// checkPart refuses a part whose rows are not exactly those of the deliveries; a
// part is there if and only if there are any.
func (s *State) checkPart(field string, part *loop.Object, rows []run) *Refused {
	if part == nil {
		return covers(field, rows, 0)
	}
	if part.Rows == 0 {
		return refused(Invalid, field, "a part without rows")
	}
	if r := s.admit(field, part); r != nil {
		return r
	}
	return covers(field, rows, part.Rows)
}

// Judge is how a sample of that name would stand if it were committed now (I5).
func (s *State) Judge(campaign string, name loop.Name) Judgement {
	k := s.component(campaign, name.Round, name.Domain, name.Component)
	if k == nil {
		return JudgedClosed
	}
	return k.judge(name.Index, name.Attempt)
}

// JudgeUnit sums how the samples of a unit would stand if they were committed
// now. A unit without a fresh sample need not be made, or gated.
func (s *State) JudgeUnit(u loop.Unit) loop.Standing {
	var standing loop.Standing
	for i := range u.Count {
		countStanding(&standing, s.Judge(u.Campaign, u.Name(i)))
	}
	return standing
}

func countStanding(s *loop.Standing, j Judgement) {
	switch j {
	case JudgedFresh:
		s.Fresh++
	case JudgedDuplicate:
		s.Duplicate++
	case JudgedStale:
		s.Stale++
	case JudgedClosed:
		s.Closed++
	}
}
