package state

import (
	"maps"
	"slices"
	"strconv"

	"hone/fault"
	"hone/loop"
)

// revoke takes samples back (C13). One whose attempt is not the committed one is
// left alone, so that a resent revoke never hits the replacement; where the
// reference does not hold the row all is refused, and the proposer looks again.
// Of a closed campaign a revoked index is abandoned instead of opened.
func (s *State) revoke(c *Revoke) Event {
	taken, rows, r := s.checkRevoke(c)
	if r != nil {
		return *r
	}
	var event Revoked
	advised := map[DatasetName]bool{}
	campaigns := map[string]bool{}
	for _, x := range taken {
		k := s.ownComponent(x.Campaign, x.Name.Round, x.Name.Domain, x.Name.Component)
		k.reopen(x.Name.Index, x.Name.Attempt)
		// What was stopped by hand is not opened again (C13). Where the money is spent
		// nobody is handed it, and it is given up again.
		if s.campaigns[x.Campaign].steered.To == Closed {
			k.abandon(x.Name.Index, "revoked after the campaign was closed")
		}
		s.advise(x.Campaign, x.Name, advised)
		campaigns[x.Campaign] = true
		event.Reopened = append(event.Reopened, x)
	}
	references := slices.Sorted(maps.Keys(rows))
	if fault.Planted("iterate a map in Apply") {
		references = slices.Collect(maps.Keys(rows))
	}
	for _, reference := range references {
		void := slices.Sorted(maps.Keys(rows[reference]))
		event.Sequence = s.add(loop.Change{Void: &loop.Void{Reference: reference, Rows: void}})
	}
	for _, name := range slices.Sorted(maps.Keys(campaigns)) {
		s.ownCampaign(name).lastRevoke = event.Sequence
	}
	for name := range advised {
		event.Advisories = append(event.Advisories, name)
	}
	slices.SortFunc(event.Advisories, compareDatasets)
	return event
}

// checkRevoke returns the samples that are to be taken back, and their rows by
// reference.
func (s *State) checkRevoke(c *Revoke) (taken []RevokedSample, rows map[uint64]map[uint32]bool, r *Refused) {
	type sample struct {
		campaign string
		name     loop.Name
	}
	seen := map[sample]bool{}
	rows = map[uint64]map[uint32]bool{}
	for i, x := range c.Samples {
		field := "samples[" + strconv.Itoa(i) + "]"
		blind := fault.Planted("revoke without the attempt")
		if k := s.component(x.Campaign, x.Name.Round, x.Name.Domain, x.Name.Component); k != nil && blind {
			x.Name.Attempt = k.attempt(x.Name.Index)
		}
		if s.Judge(x.Campaign, x.Name) != JudgedDuplicate || seen[sample{x.Campaign, x.Name}] {
			continue
		}
		seen[sample{x.Campaign, x.Name}] = true
		if x.Name.Attempt >= loop.MaxAttempt {
			return nil, nil, refused(Invalid, field, "attempt %d is the last there can be", x.Name.Attempt)
		}
		change, ok := s.find(x.Reference)
		if !ok {
			return nil, nil, refused(Stale, field+".reference", "there is no change %d", x.Reference)
		}
		part := partOf(change)
		if part == nil || part.Kind != loop.SampleParts || part.Space != s.campaigns[x.Campaign].loop.Space {
			return nil, nil, refused(Stale, field+".reference", "change %d did not add samples of that space", x.Reference)
		}
		void := s.void[x.Reference]
		if int64(x.Row) >= part.Object.Rows || void != nil && void.Contains(x.Row) && !blind || rows[x.Reference][x.Row] {
			return nil, nil, refused(Stale, field+".row", "the part does not hold row %d", x.Row)
		}
		if rows[x.Reference] == nil {
			rows[x.Reference] = map[uint32]bool{}
		}
		rows[x.Reference][x.Row] = true
		taken = append(taken, x)
	}
	return taken, rows, nil
}
