package loop

import (
	"fmt"
	"slices"
)

// Coverage is a promise about combinations: every combination of levels of every
// so many factors gets so many training samples, as far as the constraints allow
// and as soon as Share does. It is for guarantees, and for finding constraints and
// renderers that break; accuracy it does not buy.
type Coverage struct {
	// Order is how many factors are combined, 1 to 3; 0: nothing is promised.
	Order int `json:"order"`
	// Samples is how many of each combination count as covered.
	Samples int `json:"samples"`
	// Share is the most of a round's training samples that go to what is not
	// covered.
	Share float64 `json:"share"`
	// Factors are those that are combined; empty: all.
	Factors []string `json:"factors,omitempty"`
}

// Covered is how often each combination of levels was drawn for training in the
// rounds before: what a coverage must remember. A sample that was abandoned
// counts as well.
type Covered struct {
	Order   int   `json:"order"`
	Factors []int `json:"factors"`
	// Counts has four bits for each combination, the earlier one in the high bits.
	Counts []byte `json:"counts"`
}

// Bounds of coverage. A round has at most so many rows of it, as the density of
// every sample is a sum over them, and counts at most so many samples of a round.
const (
	maxCoverRows    = 2048
	maxCoverSamples = 1 << 20
)

func (c *Coverage) validate() error {
	switch {
	case c.Order == 0 && c.Samples == 0 && c.Share == 0 && c.Factors == nil:
		return nil // of a policy that was written before there was any
	case c.Order < 0 || c.Order > maxCoverageOrder:
		return refuse("coverage.order", "%d factors", c.Order).remedy("1 to %d; 0 for no coverage", maxCoverageOrder)
	case c.Samples < 1 || c.Samples > most:
		return refuse("coverage.samples", "%d samples", c.Samples).remedy("1 to %d", most)
	case !(c.Share > 0 && c.Share <= .5):
		return refuse("coverage.share", "%v is out of bounds", c.Share).remedy("above 0, at most 0.5")
	}
	for i, name := range c.Factors {
		if slices.Contains(c.Factors[:i], name) {
			return refuse(at("coverage.factors", i), "%q stands there twice", name)
		}
	}
	return nil
}

// cover adds to a mixture what its coverage lacks: a part of one sample per row.
// Its share is of what pins and protected slices leave. All else but the pins shrinks
// in proportion, and protected slices are given what they lack then. It stands outside
// the trust region: it is a promise, and no opinion about where the model fails.
func (d *decision) cover(mixture []boost) ([]boost, error) {
	settings := &d.policy.Coverage
	d.round.Memory.Covered = nil
	if settings.Order == 0 {
		return mixture, nil
	}
	pinned, lacking := d.protected.claimed()
	limit := min(maxCoverRows, int(settings.Share*max(0, 1-pinned-lacking)*float64(d.budget.Train)))
	c, err := newCovering(d.space, settings.Order, settings.Factors)
	if err != nil {
		return nil, err
	}
	if err := c.recall(d.previous, d.space); err != nil {
		return nil, err
	}
	d.round.Memory.Covered = c.covered() // also by a round that is too small for any
	if n := c.ban(d.protected.bans, settings.Samples); n > 0 {
		d.note("%d combinations of %d levels lie inside what is banned: they are not completed.", n, settings.Order)
	}
	lacked := c.lacking(settings.Samples)
	rows, err := c.rows(d.feasibility, d.round.Base, settings.Samples, limit, d.space.Factor(d.budget.QuotaBy))
	if err != nil || len(rows) == 0 {
		return mixture, err
	}
	still := c.lacking(settings.Samples)
	share := float64(len(rows)) / float64(d.budget.Train)
	part := boost{over: OverBase, rows: rows, share: share, reason: &Reason{P: 1, Q: 1, Risk: 1, Damping: 1}}
	part.reason.Sentence = fmt.Sprintf("%d samples complete combinations of %d levels: %d of %d had fewer than %d samples, and at most %d will have.",
		len(rows), settings.Order, lacked, len(c.count), settings.Samples, still)
	out := d.protected.join(d, slices.Clone(mixture))
	for i := range out {
		if i == 0 || !d.protected.fixed(&out[i]) {
			out[i].share *= 1 - share/(1-pinned)
		}
	}
	out = append(out, part)
	for i, share := range d.protected.raise(out, shares(out)) {
		out[i].share = share
	}
	return slices.DeleteFunc(out, func(b boost) bool { return b.share == 0 }), nil
}

// recall counts what the previous round remembers, and what it drew itself.
func (c *covering) recall(previous *Round, s *Space) error {
	if previous == nil || previous.SpaceVersion != s.Version {
		return nil
	}
	if was := previous.Memory.Covered; was != nil && was.Order == c.order && slices.Equal(was.Factors, c.factors) && len(was.Counts) == (len(c.count)+1)/2 {
		for i := range c.count {
			if c.count[i] = was.Counts[i/2] >> 4; i%2 == 1 {
				c.count[i] = was.Counts[i/2] & 15
			}
			if c.count[i] == never { // the base may be another now
				c.count[i] = 0
			}
		}
	}
	sampler, err := NewSampler(s, previous)
	if err != nil {
		return err
	}
	left := uint64(maxCoverSamples)
	for i := range previous.Components {
		k := &previous.Components[i]
		if k.Domain != Train {
			continue
		}
		for index := range min(k.Quota, left) {
			x, err := sampler.Scenario(Train, k.Number, index)
			if err != nil {
				return err
			}
			c.add(x.Codes)
		}
		left -= min(k.Quota, left)
	}
	return nil
}

// covered is what the next round is to know.
func (c *covering) covered() *Covered {
	out := &Covered{Order: c.order, Factors: slices.Clone(c.factors), Counts: make([]byte, (len(c.count)+1)/2)}
	for i, n := range c.count {
		if i%2 == 0 {
			n <<= 4
		}
		out.Counts[i/2] |= n
	}
	return out
}

// coverBy splits a coverage by the levels of a factor, of which every row has one.
func (c *Component) coverBy(factor, levels int) []Component {
	var out []Component
	left, rows := c.Share, uint64(len(c.Cover))
	for l := range levels {
		part := *c
		part.Cover = slices.DeleteFunc(slices.Clone(c.Cover), func(row Slice) bool { return row.Level(factor) != l })
		if part.Quota = uint64(len(part.Cover)); part.Quota == 0 {
			continue
		}
		part.By = &Predicate{Factor: factor, Level: l}
		part.Share = left / rows * part.Quota // the last one has all that is left
		if rows -= part.Quota; rows == 0 {
			part.Share = left
		}
		left -= part.Share
		out = append(out, part)
	}
	return out
}
