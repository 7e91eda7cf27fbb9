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
	parts    map[uint64]*loop.Part
	// samples are the visible rows, by name without the attempt.
	samples map[sample]seen
	// posts count how often each is visible.
	posts map[string]int
	busy  bool
	// changed, where set, hears of every row that appears (1) or goes (-1).
	changed func(x seen, by int)
}

// seen is a visible row, and where it stands.
type seen struct {
	row       row
	reference uint64
	at        uint32
}

func newView() *view {
	return &view{parts: make(map[uint64]*loop.Part), samples: make(map[sample]seen), posts: make(map[string]int)}
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
		v.follow(n.w, n.state, 1+n.w.random.IntN(20))
		if v.sequence == n.state.Sequence() {
			n.w.ledger.followed(v, n.state)
		}
		n.tail()
	})
}

// follow applies up to limit changes.
func (v *view) follow(w *world, s *state.State, limit int) {
	for _, c := range s.Changes(v.sequence, limit) {
		if c.Sequence != v.sequence+1 || c.At < v.at {
			breaks("C20: change %d at %d follows change %d at %d", c.Sequence, c.At, v.sequence, v.at)
		}
		v.sequence, v.at = c.Sequence, c.At
		switch {
		case c.Part != nil:
			v.parts[c.Sequence] = c.Part
			v.show(w, &c)
		case c.Void != nil:
			part := v.parts[c.Void.Reference]
			rows := w.lake.objects[part.Object.Key].rows
			for _, at := range c.Void.Rows {
				name := anyAttempt(rows[at].sample)
				if there, ok := v.samples[name]; !ok || there.reference != c.Void.Reference || there.at != at {
					breaks("C13: change %d takes back row %d of change %d, which is not visible", c.Sequence, at, c.Void.Reference)
				}
				if v.changed != nil {
					v.changed(v.samples[name], -1)
				}
				delete(v.samples, name)
			}
		}
	}
}

// show makes the rows of a part visible, but for those that are void (C11).
func (v *view) show(w *world, c *loop.Change) {
	object, ok := w.lake.objects[c.Part.Object.Key]
	if !ok {
		breaks("C18: change %d references %s, which is gone", c.Sequence, c.Part.Object.Key)
	}
	void := func(at int) bool {
		_, is := slices.BinarySearch(c.Part.Void, uint32(at))
		return is
	}
	switch c.Part.Kind {
	case loop.SampleParts:
		for at, r := range object.rows {
			if void(at) {
				continue
			}
			name := anyAttempt(r.sample)
			if there, ok := v.samples[name]; ok {
				breaks("I2: %s is visible as row %d of change %d, and %s as row %d of change %d", there.row.sample, there.at, there.reference, r.sample, at, c.Sequence)
			}
			v.samples[name] = seen{r, c.Sequence, uint32(at)}
			if v.changed != nil {
				v.changed(v.samples[name], 1)
			}
		}
	case loop.OutcomeParts:
		for at, key := range object.posts {
			if !void(at) {
				v.posts[key]++
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
