package loop

import (
	"fmt"
	"slices"
)

// Protected is a slice that never gets less than Share of a training mixture,
// whatever the evidence says (but for rounding to 2^-32). It is a floor, no
// addition: what the base and components inside the slice have of it counts, and
// the slice gets a component of its own only for what they leave open. A campaign
// that lists what to make is held to its list alone.
type Protected struct {
	Slice  Slice   `json:"slice"`
	Share  float64 `json:"share"`
	Reason string  `json:"reason,omitempty"`
}

// protection holds training mixtures to what people have decided: the space's
// protected slices and the policy's pins and bans. The zero value protects nothing.
type protection struct {
	space  *Space
	slices []Protected
	pins   []pinnedSlice
	bans   []Slice
	// least is what the base keeps before anything is taken from a boost for a pin.
	least float64
	// base and target are the mass of each slice in the base and in deployment.
	base, target []float64
	// order lists the slices from the narrowest on: only what is narrower lies
	// within what is wider.
	order []int
}

// protection prepares what holds in the round.
func (d *decision) protection() (protection, error) {
	g := protection{space: d.space, slices: d.space.Protected, least: d.policy.Shares.Base}
	var err error
	if g.pins, g.bans, err = d.overrides(); err != nil {
		return protection{}, err
	}
	if d.budget.Train == 0 {
		return protection{}, nil
	}
	for i, p := range g.slices {
		// Validate has seen to the target; the base may lean elsewhere.
		drawable, err := d.feasibility.drawable(d.round.Base, p.Slice)
		if err != nil {
			return protection{}, err
		}
		if !drawable {
			return protection{}, refuse("floor", "the constraints all but forbid %s, which is protected, in the base", d.space.Describe(p.Slice)).
				remedy("a lower floor, so that the base leans less towards what is forbidden; strategy uniform leans all the way")
		}
		mass, err := d.feasibility.mass(d.round.Base, p.Slice)
		if err != nil {
			return protection{}, err
		}
		prevalence, err := d.feasibility.mass(d.round.Target, p.Slice)
		if err != nil {
			return protection{}, err
		}
		g.base, g.target = append(g.base, mass), append(g.target, prevalence)
		g.order = append(g.order, i)
	}
	slices.SortStableFunc(g.order, func(a, b int) int { return g.slices[a].Slice.wider(g.slices[b].Slice) })
	return g, nil
}

// join appends a part without a share for each protected or pinned slice that is
// none of the parts, and marks the others.
func (g *protection) join(d *decision, parts []boost) []boost {
	for i, p := range g.slices {
		var reason *Reason
		parts, reason = d.joinOne(parts, p.Slice, g.target[i])
		reason.Protected = p.Share
	}
	for _, p := range g.pins {
		var reason *Reason
		parts, reason = d.joinOne(parts, p.slice, p.prevalence)
		reason.Pin = p.Override
	}
	return parts
}

// joinOne is the reason of a slice's part, which is appended if there is none.
func (d *decision) joinOne(parts []boost, slice Slice, prevalence float64) ([]boost, *Reason) {
	if at := find(parts, slice); at >= 0 {
		return parts, parts[at].reason
	}
	// Nothing was tested, so that nothing is significant.
	reason := &Reason{P: 1, Q: 1, Prevalence: prevalence, Risk: d.risk(slice), Damping: 1, Asked: true}
	d.count(reason, slice)
	reason.Support, reason.Rate = float64(reason.Rows), ratio(reason.Failures, reason.Rows)
	if d.round.FailureRate > 0 {
		reason.Lift = reason.Rate / d.round.FailureRate
	}
	return append(parts, boost{over: OverBase, cell: cell{slice: slice}, reason: reason}), reason
}

// find is the part of a slice, or -1.
func find(parts []boost, slice Slice) int {
	return slices.IndexFunc(parts, func(b boost) bool { return b.cell.slice.Equal(slice) })
}

// has is what a mixture has of a protected slice at least: the base by its mass,
// and every part that lies inside.
func (g *protection) has(i int, parts []boost, shares []float64) float64 {
	total := shares[0] * g.base[i]
	for j := 1; j < len(parts); j++ {
		if parts[j].cell.within(g.slices[i].Slice) {
			total += shares[j]
		}
	}
	return total
}

// met reports whether a mixture has enough of every protected slice.
func (g *protection) met(parts []boost, shares []float64) bool {
	for i, p := range g.slices {
		if g.has(i, parts, shares) < p.Share {
			return false
		}
	}
	return true
}

// raise holds the pins and bans, and gives protected slices what they then lack.
// They come first: all else but pins and coverage shrinks in proportion, so a policy's
// shares are of what they leave. The mixtures that hold and have enough of every
// slice are a convex set, so that a step between two of them keeps to it.
func (g *protection) raise(parts []boost, shares []float64) []float64 {
	shares = g.hold(parts, shares)
	if g.met(parts, shares) {
		return shares
	}
	pinned, _ := g.claimed()
	free := 1 - pinned // what can give
	for i := range parts {
		if len(parts[i].rows) > 0 {
			free -= shares[i]
		}
	}
	had, fixed := make([]float64, len(g.slices)), make([]float64, len(g.slices))
	most := 0.0
	for i, p := range g.slices {
		fixed[i] = g.pinnedIn(p.Slice)
		had[i] = g.has(i, parts, shares) - fixed[i]
		if p.Share > fixed[i] {
			most += max(p.Share-fixed[i], leastShare)
		}
	}
	// lacks is what the slices need of their own where all else gives up taken.
	own := make([]float64, len(g.slices))
	lacks := func(taken float64) float64 {
		sum := 0.0
		for at, i := range g.order {
			lack := g.slices[i].Share - fixed[i] - (1-taken/free)*had[i]
			for _, j := range g.order[:at] {
				if inside := (&cell{slice: g.slices[j].Slice}); inside.within(g.slices[i].Slice) {
					lack -= own[j]
				}
			}
			if own[i] = 0; lack > 0 && g.pin(g.slices[i].Slice) == nil {
				own[i] = max(lack, leastShare)
			}
			sum += own[i]
		}
		return sum
	}
	// Together they never need more than the sum of their shares. What is taken is
	// at least what is needed, if only by an ulp.
	low, high := 0.0, most
	for range 60 {
		if middle := (low + high) / 2; lacks(middle) <= middle {
			high = middle
		} else {
			low = middle
		}
	}
	taken := lacks(high)
	raised := make([]float64, len(shares))
	for i := range shares {
		if raised[i] = shares[i]; i == 0 || !g.fixed(&parts[i]) {
			raised[i] *= 1 - taken/free
		}
	}
	for i, p := range g.slices {
		raised[find(parts, p.Slice)] += own[i]
	}
	return raised
}

// claimed is how much of a mixture the pins are, and how much of it protected slices
// may claim beside them.
func (g *protection) claimed() (pinned, lacking float64) {
	for _, p := range g.pins {
		pinned += p.Share
	}
	for _, p := range g.slices {
		lacking += max(0, p.Share-g.pinnedIn(p.Slice))
	}
	return pinned, lacking
}

// pinnedIn is the share of the pins that lie inside a slice.
func (g *protection) pinnedIn(slice Slice) (total float64) {
	for _, pin := range g.pins {
		if inside := (&cell{slice: pin.slice}); inside.within(slice) {
			total += pin.Share
		}
	}
	return total
}

// fixed reports whether a part has its share whatever else is in the mixture: a
// pinned slice, or a coverage.
func (g *protection) fixed(part *boost) bool {
	return len(part.rows) > 0 || g.pin(part.cell.slice) != nil
}

// note says of protected slices without a component why they need none.
func (g *protection) note(parts []boost, shares []float64) []string {
	var notes []string
	for i, p := range g.slices {
		if find(parts, p.Slice) < 0 {
			notes = append(notes, fmt.Sprintf("%s is protected, and has %s of the mixture without a component of its own; at least %s is asked for.",
				g.space.Describe(p.Slice), percent(g.has(i, parts, shares)), percent(p.Share)))
		}
	}
	return notes
}

// maxProtected is the most that all protected slices together may claim: what
// they leave is what can follow the evidence.
const maxProtected = .9

// validateProtected refuses shares that leave no room, and slices that cannot be
// drawn from the target.
func (s *Space) validateProtected() error {
	if len(s.Protected) == 0 {
		return nil
	}
	x, target := s.feasibility(), s.targetMarginals()
	total := 0.0
	for i, p := range s.Protected {
		field := at("protected", i)
		if err := s.ValidateSlice(field+".slice", p.Slice); err != nil {
			return err
		}
		for j, other := range s.Protected[:i] {
			if other.Slice.Equal(p.Slice) {
				return refuse(field+".slice", "%s is protected by protected[%d] already", s.Describe(p.Slice), j).remedy("keep the greater share")
			}
		}
		if !(p.Share >= leastShare && p.Share < 1) {
			return refuse(field+".share", "%v is not the share of a slice", p.Share).remedy("at least %g, less than 1", leastShare)
		}
		if total += p.Share; total > maxProtected+1e-9 {
			return refuse(field+".share", "the protected slices claim %.4g of the mixture; at most %g is allowed", total, maxProtected).
				remedy("protect less, so that something is left to follow the evidence")
		}
		if err := x.inTarget(target, field+".slice", p.Slice, "protect a slice whose levels have a target share"); err != nil {
			return err
		}
	}
	return nil
}
