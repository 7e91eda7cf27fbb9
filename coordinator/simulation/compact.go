package simulation

import (
	"fmt"
	"slices"

	"hone/coordinator/state"
	"hone/loop"
)

// compact reads some parts that stand one after another, and has one put in their
// place that holds what counts of them (C21). What they hold may change meanwhile.
func (n *node) compact(reply func(answer, error)) {
	w := n.w
	parts := n.state.Parts(pick(w, []loop.PartKind{loop.SampleParts, loop.SampleParts, loop.OutcomeParts, loop.VerdictParts}), "lab")
	if n.state.Version() < state.LatestVersion || len(parts) < 2 {
		reply(nil, nil)
		return
	}
	from := w.random.IntN(len(parts) - 1)
	parts = parts[from:min(len(parts), from+2+w.random.IntN(4))]
	command := &state.Compact{}
	var whole content
	for i := range parts {
		p := &parts[i]
		void := make([]uint64, len(p.Part.Void))
		for j, at := range p.Part.Void {
			void[j] = uint64(at)
		}
		command.Inputs = append(command.Inputs, state.Compacting{Reference: p.Reference, Void: state.IndicesOf(void...)})
		whole.join(w.lake.objects[p.Part.Object.Key], p.Part.Void)
	}
	whole.text = fmt.Sprintf("%d to %d\n", parts[0].First, parts[len(parts)-1].Last)
	rows := len(whole.rows) + len(whole.posts)
	if rows == 0 {
		reply(nil, nil)
		return
	}
	w.after(w.between(0, w.bulk), &n.party, "has merged parts", func() {
		n.put("parts", whole, int64(rows), func(o loop.Object, err error) {
			if err != nil {
				reply(nil, nil)
				return
			}
			command.Part = o
			n.propose(state.Command{Compact: command}, func(e state.Event, err error) { reply(e, err) })
		})
	})
}

// join appends the rows of another object but for those that are void.
func (c *content) join(o content, void []uint32) {
	for at, r := range o.rows {
		if _, is := slices.BinarySearch(void, uint32(at)); !is {
			c.rows = append(c.rows, r)
		}
	}
	for at, p := range o.posts {
		if _, is := slices.BinarySearch(void, uint32(at)); !is {
			c.posts = append(c.posts, p)
		}
	}
}

// replace takes out all that a view shows of the parts that are replaced, and shows
// the one in their place. Of a view that was whole nothing changes by it.
func (v *view) replace(w *world, c *loop.Change) {
	r := c.Replace
	old := make(map[sample]seen)
	posts := make(map[string]int)
	for reference, p := range v.parts {
		if p.gone || p.part.Kind != r.Part.Kind || p.first < r.First || p.last > r.Last {
			continue
		}
		p.gone = true
		for name, x := range v.samples {
			if x.reference == reference {
				old[name] = x
				delete(v.samples, name)
			}
		}
		for id, n := range p.posts {
			posts[id] += n
			v.posts[id] -= n
		}
	}
	before := v.changed
	v.changed = nil
	v.show(w, c)
	v.changed = before
	if !v.whole() || !v.built {
		return
	}
	for name, x := range old {
		if there, ok := v.samples[name]; !ok || there.row != x.row {
			breaks("C21: %s is not visible any more, by change %d", x.row.sample, c.Sequence)
		}
	}
	for id, n := range posts {
		if v.parts[c.Sequence].posts[id] != n {
			breaks("C21: of %s %d rows are visible after change %d, and %d were", id, v.parts[c.Sequence].posts[id], c.Sequence, n)
		}
	}
	if n := len(w.lake.objects[r.Part.Object.Key].rows); r.Part.Kind == loop.SampleParts && n != len(old) {
		breaks("C21: change %d puts %d samples in the place of %d", c.Sequence, n, len(old))
	}
}
