package simulation

import (
	"cmp"
	"slices"

	"hone/coordinator/state"
	"hone/loop"
)

// view is what a node's analysts see: state's catalogue and the lake, up to a
// sequence (C20). It is on disk, and may be ahead of a node that was restored.
type view struct {
	sequence uint64
	at       int64
	parts    map[uint64]*part
	// samples are the visible rows, by name without the attempt.
	samples map[sample]seen
	// posts count how many rows of each are visible.
	posts map[string]int
	busy  bool
	// lacks is the sequence at which the view has what was taken out of the catalogue
	// before it came there. built: it never lacked anything.
	lacks uint64
	built bool
	// changed, where set, hears of every row that appears (1) or goes (-1).
	changed func(x seen, by int)
}

// part is one that the view has shown, and the changes by which its rows came in.
type part struct {
	part        *loop.Part
	first, last uint64
	rows        []row
	posts       map[string]int
	gone        bool
}

// seen is a visible row, and where it stands.
type seen struct {
	row       row
	reference uint64
	at        uint32
}

func newView() *view {
	return &view{parts: make(map[uint64]*part), samples: make(map[sample]seen), posts: make(map[string]int), built: true}
}

// tail has the view follow, at its own pace.
func (n *node) tail() {
	v := n.view
	if v.busy || v.sequence >= n.state.Sequence() {
		return
	}
	v.busy = true
	n.w.after(n.w.between(0, n.pace), &n.party, "follows the catalogue", func() {
		v.busy = false
		if !v.follow(n.w, n.state, 1+n.w.random.IntN(20)) {
			n.view = newView()
			n.w.meet("a view is built again", true)
		} else if v.sequence == n.state.Sequence() {
			n.w.ledger.followed(v, n.state)
		}
		n.tail()
	})
}

// whole reports whether the view shows all that was there at its sequence.
func (v *view) whole() bool { return v.sequence >= v.lacks }

// follow applies up to limit changes. It reports false where an object is gone that
// nothing references any more: the view must be built again.
func (v *view) follow(w *world, s *state.State, limit int) bool {
	for _, c := range s.Changes(v.sequence, limit) {
		if c.Sequence <= v.sequence || c.At < v.at || c.Sequence > v.sequence+1 && c.Whole < c.Sequence {
			breaks("C20: change %d at %d, whole at %d, follows change %d at %d", c.Sequence, c.At, c.Whole, v.sequence, v.at)
		}
		v.lacks = max(v.lacks, c.Whole)
		v.built = v.built && c.Whole == 0
		if key := keyOf(&c); key != "" && !w.lake.has(key) {
			if v.changed != nil || w.truth.References(key) {
				breaks("C18: change %d references %s, which is gone", c.Sequence, key)
			}
			return false
		}
		v.sequence, v.at = c.Sequence, c.At
		switch {
		case c.Part != nil:
			v.show(w, &c)
		case c.Replace != nil:
			v.replace(w, &c)
		case c.Void != nil:
			v.void(&c)
		}
	}
	return true
}

// keyOf is that of the part that a change brings.
func keyOf(c *loop.Change) string {
	switch {
	case c.Part != nil:
		return c.Part.Object.Key
	case c.Replace != nil:
		return c.Replace.Part.Object.Key
	}
	return ""
}

// void takes back what counted (C13).
func (v *view) void(c *loop.Change) {
	of := v.parts[c.Void.Reference]
	if of == nil {
		breaks("C20: change %d takes rows out of change %d, which added no part", c.Sequence, c.Void.Reference)
	}
	for _, at := range c.Void.Rows {
		name := anyAttempt(of.rows[at].sample)
		there, ok := v.samples[name]
		if ok = ok && there.reference == c.Void.Reference && there.at == at; !ok && v.whole() {
			breaks("C13: change %d takes back row %d of change %d, which is not visible", c.Sequence, at, c.Void.Reference)
		}
		if ok {
			delete(v.samples, name)
			if v.changed != nil {
				v.changed(there, -1)
			}
		}
	}
}

// show makes the rows of a part visible, but for those that are void (C11).
func (v *view) show(w *world, c *loop.Change) {
	p := &part{part: c.Part, first: c.Sequence, last: c.Sequence, posts: make(map[string]int)}
	if r := c.Replace; r != nil {
		p.part, p.first, p.last = &r.Part, r.First, r.Last
	}
	v.parts[c.Sequence] = p
	object := w.lake.objects[p.part.Object.Key]
	p.rows = object.rows
	void := func(at int) bool {
		_, is := slices.BinarySearch(p.part.Void, uint32(at))
		return is
	}
	switch p.part.Kind {
	case loop.SampleParts:
		for at, r := range object.rows {
			if void(at) {
				continue
			}
			name := anyAttempt(r.sample)
			if there, ok := v.samples[name]; ok && v.whole() {
				breaks("I2: %s is visible as row %d of change %d, and %s as row %d of change %d", there.row.sample, there.at, there.reference, r.sample, at, c.Sequence)
			}
			v.samples[name] = seen{r, c.Sequence, uint32(at)}
			if v.changed != nil {
				v.changed(v.samples[name], 1)
			}
		}
	case loop.OutcomeParts:
		for at, id := range object.posts {
			if !void(at) {
				p.posts[id]++
				v.posts[id]++
			}
		}
	case loop.VerdictParts:
	}
}

// sorted are the visible samples that are wanted, in the order of a manifest.
func (v *view) sorted(wanted func(*sample) bool) []seen {
	var all []seen
	for name, x := range v.samples {
		if wanted(&name) {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b seen) int { return compareSamples(&a.row.sample, &b.row.sample) })
	return all
}

func compareSamples(a, b *sample) int {
	m, n := &a.name, &b.name
	return cmp.Or(cmp.Compare(a.campaign, b.campaign), m.Round-n.Round, int(m.Domain)-int(n.Domain), m.Component-n.Component,
		cmp.Compare(m.Index, n.Index), m.Attempt-n.Attempt)
}

func anyAttempt(s sample) sample {
	s.name.Attempt = 0
	return s
}
