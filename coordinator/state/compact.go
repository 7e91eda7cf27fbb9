package state

import (
	"cmp"
	"slices"
	"strconv"

	"hone/fault"
	"hone/loop"
)

// compact puts one part in the place of several (C21). They, and what took rows out
// of them, leave the catalogue: a view that has them is told what replaces them, one
// that has not never sees them.
func (s *State) compact(c *Compact) Event {
	inputs, event, r := s.checkCompact(c)
	if r != nil {
		return *r
	}
	if event.Duplicate {
		return event
	}
	gone := make(map[uint64]bool, len(inputs))
	for i := range inputs {
		gone[inputs[i].Reference] = true
		delete(s.void, inputs[i].Reference)
		s.unreference(inputs[i].Part.Object.Key)
	}
	// The list may be shared with a snapshot, so another takes its place.
	kept := list[loop.Change]{}
	for piece := range s.changes.pieces(0) {
		for i := range piece {
			if !gone[piece[i].Sequence] && (piece[i].Void == nil || !gone[piece[i].Void.Reference]) {
				kept.append(piece[i])
			}
		}
	}
	s.changes = kept
	first, last := &inputs[0], &inputs[len(inputs)-1]
	event.Sequence = s.add(loop.Change{Replace: &loop.Replace{First: first.First, Last: last.Last,
		Part: loop.Part{Kind: first.Part.Kind, Space: first.Part.Space, Object: c.Part}}})
	return event
}

// checkCompact returns the inputs as they stand; or, where the part is already in
// their place, a duplicate. It refuses all where one of them has changed since it was
// read, so that no row that was voided meanwhile comes back.
func (s *State) checkCompact(c *Compact) (inputs []loop.Added, event Compacted, r *Refused) {
	if len(c.Inputs) == 0 {
		return nil, event, refused(Invalid, "inputs", "there is no part")
	}
	var all []*loop.Change
	rows := int64(0)
	for i := range c.Inputs {
		input, field := &c.Inputs[i], "inputs["+strconv.Itoa(i)+"]"
		change, ok := s.find(input.Reference)
		if !ok {
			if sequence, ok := s.replaced(c); ok {
				return nil, Compacted{Sequence: sequence, Duplicate: true}, nil
			}
			return nil, event, refused(Stale, field, "change %d is not in the catalogue", input.Reference)
		}
		if partOf(change) == nil {
			return nil, event, refused(Invalid, field, "change %d added no part", input.Reference)
		}
		if !s.voids(input.Reference, input.Void) && !fault.Planted("compact what has changed") {
			return nil, event, refused(Stale, field+".void", "other rows of change %d are void by now", input.Reference)
		}
		added := s.added(change)
		if i == 0 {
			all = s.partsOf(added.Part.Kind, added.Part.Space)
		}
		inputs = append(inputs, added)
		rows += added.Part.Object.Rows - int64(len(added.Part.Void))
	}
	if len(inputs) == 1 && len(inputs[0].Part.Void) == 0 {
		return nil, event, refused(Invalid, "inputs", "one part alone, of which no row is void")
	}
	at := slices.IndexFunc(all, func(a *loop.Change) bool { return a.Sequence == inputs[0].Reference })
	if len(all)-at < len(inputs) || !slices.EqualFunc(inputs, all[at:at+len(inputs)], func(a loop.Added, b *loop.Change) bool { return a.Reference == b.Sequence }) {
		return nil, event, refused(Invalid, "inputs", "they are not parts of one kind and space that stand one after another")
	}
	if rows == 0 || rows != c.Part.Rows && !fault.Planted("compact what has changed") {
		return nil, event, refused(Invalid, "part", "%d rows, but %d count in what it replaces", c.Part.Rows, rows)
	}
	return inputs, event, s.admit("part", &c.Part)
}

// voids reports whether just these rows of a reference are void.
func (s *State) voids(reference uint64, rows Indices) bool {
	void := s.void[reference]
	if void == nil {
		return rows.Count() == 0
	}
	if void.GetCardinality() != rows.Count() {
		return false
	}
	for row := range rows.All() {
		if !void.Contains(uint32(row)) {
			return false
		}
	}
	return true
}

// replaced returns the change by which the part of a command is in the place of its
// inputs already.
func (s *State) replaced(c *Compact) (sequence uint64, ok bool) {
	for piece := range s.changes.pieces(s.after(c.Inputs[len(c.Inputs)-1].Reference)) {
		for i := range piece {
			if r := piece[i].Replace; r != nil && r.Part.Object.Digest == c.Part.Digest {
				return piece[i].Sequence, true
			}
		}
	}
	return 0, false
}

// Parts are the parts of a kind and space that the catalogue holds, in the order in
// which their rows came in.
func (s *State) Parts(kind loop.PartKind, space string) (all []loop.Added) {
	for _, c := range s.partsOf(kind, space) {
		all = append(all, s.added(c))
	}
	return all
}

// partsOf are the changes that added the parts of a kind and space, in the order in
// which their rows came in.
func (s *State) partsOf(kind loop.PartKind, space string) (all []*loop.Change) {
	for piece := range s.changes.pieces(0) {
		for i := range piece {
			if part := partOf(&piece[i]); part != nil && part.Kind == kind && part.Space == space {
				all = append(all, &piece[i])
			}
		}
	}
	slices.SortFunc(all, func(a, b *loop.Change) int { return cmp.Compare(firstOf(a), firstOf(b)) })
	return all
}

// firstOf is the first change by which rows of a part came in.
func firstOf(c *loop.Change) uint64 {
	if c.Replace != nil {
		return c.Replace.First
	}
	return c.Sequence
}

// Shelf is what the catalogue holds of one kind and space.
type Shelf struct {
	Kind  loop.PartKind
	Space string
	// Parts stand in the order in which their rows came in.
	Parts []Shelved
}

// Shelved is a part, by the sequence of its change, and how many of its rows count.
type Shelved struct {
	Reference uint64
	Rows      int64
	// Voids is how many changes took rows out of it.
	Voids int
	first uint64
}

// Shelves are all parts of the catalogue, by kind and space.
func (s *State) Shelves() (all []Shelf) {
	type at struct {
		kind  loop.PartKind
		space string
	}
	places, voids := map[at]int{}, map[uint64]int{}
	for piece := range s.changes.pieces(0) {
		for i := range piece {
			part := partOf(&piece[i])
			if v := piece[i].Void; v != nil {
				voids[v.Reference]++
			}
			if part == nil {
				continue
			}
			place, ok := places[at{part.Kind, part.Space}]
			if !ok {
				place = len(all)
				places[at{part.Kind, part.Space}] = place
				all = append(all, Shelf{Kind: part.Kind, Space: part.Space})
			}
			shelved := Shelved{Reference: piece[i].Sequence, Rows: part.Object.Rows, first: firstOf(&piece[i])}
			if void := s.void[piece[i].Sequence]; void != nil {
				shelved.Rows -= int64(void.GetCardinality())
			}
			all[place].Parts = append(all[place].Parts, shelved)
		}
	}
	for i := range all {
		for j := range all[i].Parts {
			all[i].Parts[j].Voids = voids[all[i].Parts[j].Reference]
		}
		slices.SortFunc(all[i].Parts, func(a, b Shelved) int { return cmp.Compare(a.first, b.first) })
	}
	return all
}
