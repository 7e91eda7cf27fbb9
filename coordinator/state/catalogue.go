package state

import (
	"sort"

	"github.com/RoaringBitmap/roaring/v2"

	"hone/loop"
)

// add puts a change at the end of the catalogue, gives it its sequence and time,
// and keeps what is derived in step (C20).
func (s *State) add(c loop.Change) uint64 {
	c.Sequence = s.sequence + 1
	c.At = s.last
	s.keep(&c)
	return c.Sequence
}

// keep puts a change at the end of the catalogue, and keeps what is derived in step.
func (s *State) keep(c *loop.Change) {
	s.changes.append(*c)
	s.sequence = c.Sequence
	s.derive(c)
}

// derive keeps the referenced keys and void rows that follow from a change.
func (s *State) derive(c *loop.Change) {
	switch {
	case c.Part != nil:
		s.reference(c.Part.Object.Key)
		if len(c.Part.Void) > 0 {
			s.void[c.Sequence] = roaring.BitmapOf(c.Part.Void...)
		}
	case c.Void != nil:
		void := s.void[c.Void.Reference]
		if void == nil {
			void = roaring.New()
			s.void[c.Void.Reference] = void
		}
		void.AddMany(c.Void.Rows)
	case c.Round != nil:
		if c.Round.EvidenceKey != "" {
			s.reference(c.Round.EvidenceKey)
		}
	case c.Replace != nil:
		s.reference(c.Replace.Part.Object.Key)
		s.whole = c.Sequence
	}
}

// Sequence is that of the last change; 0 before the first.
func (s *State) Sequence() uint64 { return s.sequence }

// after is where the changes after a sequence begin.
func (s *State) after(sequence uint64) int {
	if s.sequence == uint64(s.changes.len()) { // nothing was taken out
		return int(min(sequence, s.sequence))
	}
	return sort.Search(s.changes.len(), func(i int) bool { return s.changes.at(i).Sequence > sequence })
}

// find returns the change with a sequence, where the catalogue holds it.
func (s *State) find(sequence uint64) (*loop.Change, bool) {
	if sequence == 0 {
		return nil, false
	}
	i := s.after(sequence - 1)
	if i == s.changes.len() || s.changes.at(i).Sequence != sequence {
		return nil, false
	}
	return s.changes.at(i), true
}

// Changes returns up to limit changes after a sequence, in order; none where there
// are no newer ones. Behind a gap stands Whole. What the changes point to is shared
// and must not be changed.
func (s *State) Changes(after uint64, limit int) []loop.Change {
	from := s.after(after)
	limit = min(limit, s.changes.len()-from)
	if limit <= 0 {
		return nil
	}
	changes := make([]loop.Change, 0, limit)
	for piece := range s.changes.pieces(from) {
		changes = append(changes, piece[:min(limit-len(changes), len(piece))]...)
		if len(changes) == limit {
			break
		}
	}
	for i := range changes {
		if changes[i].Sequence != after+1 {
			changes[i].Whole = s.whole
		}
		after = changes[i].Sequence
	}
	return changes
}

// partOf is the part that a change adds, or puts in the place of others.
func partOf(c *loop.Change) *loop.Part {
	if c.Replace != nil {
		return &c.Replace.Part
	}
	return c.Part
}

// Part returns the part that the change with that sequence added, with the rows
// that are void by now.
func (s *State) Part(reference uint64) (loop.Part, bool) {
	change, ok := s.find(reference)
	if !ok || partOf(change) == nil {
		return loop.Part{}, false
	}
	return s.added(change).Part, true
}

// added is a change that adds a part, as it stands.
func (s *State) added(c *loop.Change) loop.Added {
	a := loop.Added{Reference: c.Sequence, First: c.Sequence, Last: c.Sequence, At: c.At, Part: *partOf(c)}
	if c.Replace != nil {
		a.First, a.Last = c.Replace.First, c.Replace.Last
	}
	a.Part.Void = nil
	if void := s.void[c.Sequence]; void != nil {
		a.Part.Void = void.ToArray()
	}
	return a
}
