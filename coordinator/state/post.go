package state

import (
	"strconv"

	"hone/loop"
)

// appendPart references a part of outcomes. Posts are judged in order: by their key
// first, so that a resent post is recognised also after its model version was
// sealed.
func (s *State) appendPart(c *Append) Event {
	if r := s.checkAppend(c); r != nil {
		return *r
	}
	space := c.Posts[0].Post.Space
	answers := make([]PostAnswer, len(c.Posts))
	sequence := s.Sequence() + 1 // of the reference, if one is added
	fresh := false
	var void []uint32
	for i := range c.Posts {
		p := &c.Posts[i]
		answer := s.judgePost(&p.Post)
		if answer.Refused == nil && answer.DuplicateOf == 0 {
			fresh = true
			answer.Accepted, answer.Sequence = uint64(p.Rows), sequence
			use := keyUse{key: keyOf(&p.Post), sequence: sequence}
			copy(use.body[:], p.Post.Body[:])
			s.keys.remember(use)
			s.ownVersion(p.Post.ModelLine, p.Post.Version).Rows += uint64(p.Rows)
		} else {
			void = appendRows(void, p.FirstRow, p.Rows)
		}
		answers[i] = answer
	}
	if fresh {
		s.add(loop.Change{Part: newPart(loop.OutcomeParts, space, c.Part, void)})
	}
	return Appended{Posts: answers}
}

func (s *State) judgePost(p *loop.Post) PostAnswer {
	if use, ok := s.keys.find(keyOf(p)); ok {
		if use.body != [keyBytes]byte(p.Body[:keyBytes]) {
			return PostAnswer{Refused: refused(Invalid, "Idempotency-Key",
				"the key %q was used for another body", p.Key).remedy("send every body under a key of its own")}
		}
		return PostAnswer{DuplicateOf: use.sequence}
	}
	if v, ok := s.Model(p.ModelLine, p.Version); ok && v.Sealed {
		return PostAnswer{Refused: refused(Conflict, "model",
			"%s@%s is sealed", p.ModelLine, p.Version).remedy("post outcomes of another version")}
	}
	return PostAnswer{}
}

func (s *State) checkAppend(c *Append) *Refused {
	if len(c.Posts) == 0 {
		return refused(Invalid, "posts", "there is no post")
	}
	if r := s.admit("part", &c.Part); r != nil {
		return r
	}
	rows := make([]run, len(c.Posts))
	for i := range c.Posts {
		p := &c.Posts[i]
		field := "posts[" + strconv.Itoa(i) + "]"
		switch {
		case p.Post.Space != c.Posts[0].Post.Space:
			return refused(Invalid, field+".space", "%q, but the part is of space %q", p.Post.Space, c.Posts[0].Post.Space)
		case p.Rows == 0:
			return refused(Invalid, field+".rows", "an empty post")
		case p.Post.Key == "":
			return refused(Invalid, field+".key", "a post without a key").remedy("ingest assigns one on receipt")
		case !loop.ValidName(p.Post.ModelLine):
			return refused(Invalid, field+".model", "%q is not a name", p.Post.ModelLine)
		case p.Post.Version == "" || len(p.Post.Version) > maxVersionLength:
			return refused(Invalid, field+".version", "%d bytes; 1 to %d are allowed", len(p.Post.Version), maxVersionLength)
		}
		rows[i] = run{p.FirstRow, p.Rows}
	}
	if _, ok := s.Space(c.Posts[0].Post.Space, 0); !ok {
		return refused(NotFound, "space", "there is no space %q", c.Posts[0].Post.Space)
	}
	return covers("part", rows, c.Part.Rows)
}
