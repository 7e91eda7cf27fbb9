package state

import (
	"github.com/RoaringBitmap/roaring/v2"

	"hone/loop"
)

// add puts a change at the end of the catalogue, gives it its sequence and time,
// and keeps what is derived in step (C20).
func (s *State) add(c loop.Change) uint64 {
	c.Sequence = s.Sequence() + 1
	c.At = s.last
	s.changes.append(c)
	s.derive(&c)
	return c.Sequence
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
	}
}

// Sequence is that of the last change; 0 before the first.
func (s *State) Sequence() uint64 { return uint64(s.changes.len()) }

// Changes returns up to limit changes after a sequence, in order, without gaps;
// none where there are no newer ones. What the changes point to is shared and
// must not be changed.
func (s *State) Changes(after uint64, limit int) []loop.Change {
	if after >= s.Sequence() || limit <= 0 {
		return nil
	}
	limit = min(limit, s.changes.len()-int(after))
	changes := make([]loop.Change, 0, limit)
	for piece := range s.changes.pieces(int(after)) {
		changes = append(changes, piece[:min(limit-len(changes), len(piece))]...)
		if len(changes) == limit {
			break
		}
	}
	return changes
}

// Part returns the part that the change with that sequence added, with the rows
// that are void by now.
func (s *State) Part(reference uint64) (loop.Part, bool) {
	if reference < 1 || reference > s.Sequence() {
		return loop.Part{}, false
	}
	added := s.changes.at(int(reference - 1)).Part
	if added == nil {
		return loop.Part{}, false
	}
	part := *added
	part.Void = nil
	if void := s.void[reference]; void != nil {
		part.Void = void.ToArray()
	}
	return part, true
}
