package state

import (
	"encoding/hex"
	"iter"
	"maps"
	"math"
	"regexp"
	"strconv"

	"hone/fault"
	"hone/loop"
)

// keyPattern is the form of a final key (C16): kind, epoch, first two digits,
// digest, extension.
var keyPattern = regexp.MustCompile(`^([a-z]+)/([1-9][0-9]{0,17})/([0-9a-f]{2})/([0-9a-f]{64})\.[a-z0-9][a-z0-9.]*$`)

// Epoch is the lake's open epoch: objects are put under it (C18).
func (s *State) Epoch() uint64 { return s.epoch }

// References reports whether state references the object of that key: such an
// object need not be put again, in whatever epoch it was.
func (s *State) References(key string) bool {
	_, ok := s.referenced[key]
	return ok
}

// Referenced are the keys that state references, in no order. The packs of
// committed samples are not among them: the parts name those, in which the
// samples' rows stand (SampleParts).
func (s *State) Referenced() iter.Seq[string] { return maps.Keys(s.referenced) }

// SampleParts are the keys of the parts of samples that the catalogue holds.
func (s *State) SampleParts() []string {
	var keys []string
	for piece := range s.changes.pieces(0) {
		for i := range piece {
			if part := partOf(&piece[i]); part != nil && part.Kind == loop.SampleParts {
				keys = append(keys, part.Object.Key)
			}
		}
	}
	return keys
}

// reference notes that state references a key, and returns the one string that
// is kept for it.
func (s *State) reference(key string) string {
	r, ok := s.referenced[key]
	if !ok {
		r.key = key
	}
	r.times++
	s.referenced[key] = r
	return r.key
}

// referenced is the one string that is kept of a key, and by how many references.
type referenced struct {
	key   string
	times int
}

// unreference takes back one reference.
func (s *State) unreference(key string) {
	r := s.referenced[key]
	invariant(r.times > 0, "%s was not referenced", key)
	if r.times--; r.times == 0 {
		delete(s.referenced, key)
		return
	}
	s.referenced[key] = r
}

// raiseEpoch closes an epoch. Closing it again is no error: the proposer did not
// hear the first answer.
func (s *State) raiseEpoch(c *RaiseEpoch) Event {
	switch {
	case c.Closes == s.epoch:
		s.epoch++
		return EpochRaised{Epoch: s.epoch}
	case c.Closes >= 1 && c.Closes+1 == s.epoch:
		return EpochRaised{Epoch: s.epoch, Duplicate: true}
	}
	return *refused(Stale, "closes", "epoch %d is not the open one, %d is", c.Closes, s.epoch)
}

// admitKey refuses a key that is not final, or that is of a closed epoch and not
// referenced already: what it names may be deleted at any time (C18).
func (s *State) admitKey(field, key string) *Refused {
	epoch, r := s.finalKey(field, key)
	if r == nil && epoch < s.epoch && !s.References(key) && !fault.Planted("admit a key of a closed epoch") {
		return refused(EpochClosed, field, "%q is of epoch %d, which is closed", key, epoch).
			remedy("put the object again under epoch " + strconv.FormatUint(s.epoch, 10))
	}
	return r
}

// finalKey refuses a key that is not final, and returns the epoch of one that is.
func (s *State) finalKey(field, key string) (epoch uint64, r *Refused) {
	m := keyPattern.FindStringSubmatch(key)
	if m == nil || m[1] == "staging" || m[3] != m[4][:2] {
		return 0, refused(Invalid, field, "%q is not the key of a final object", key).remedy("kind/epoch/hh/digest.ext")
	}
	epoch, _ = strconv.ParseUint(m[2], 10, 64) // cannot fail: at most 18 digits
	if epoch > s.epoch {
		return 0, refused(Invalid, field, "%q is of epoch %d, which is not open yet", key, epoch)
	}
	return epoch, nil
}

// admit is admitKey for a whole object.
func (s *State) admit(field string, o *loop.Object) *Refused {
	if r := s.admitKey(field+".key", o.Key); r != nil {
		return r
	}
	if m := keyPattern.FindStringSubmatch(o.Key); m[4] != hex.EncodeToString(o.Digest[:]) {
		return refused(Invalid, field+".digest", "%s is not the digest in the key %q", o.Digest, o.Key)
	}
	if o.Bytes < 0 || o.Rows < 0 || o.Rows > math.MaxUint32 {
		return refused(Invalid, field, "%d bytes and %d rows are out of bounds", o.Bytes, o.Rows)
	}
	return nil
}
