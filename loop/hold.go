package loop

import "slices"

// pinnedSlice is a pin in a space.
type pinnedSlice struct {
	*Override
	slice Slice
	// prevalence is the slice's mass in deployment.
	prevalence float64
}

// overrides looks the policy's pins and bans up in the space, and notes those that
// have expired.
func (d *decision) overrides() (pins []pinnedSlice, bans []Slice, err error) {
	for i := range d.policy.Pins {
		pin, field := &d.policy.Pins[i], at("pins", i)
		slice, err := pin.Resolve(d.space, field)
		if err != nil {
			return nil, nil, err
		}
		if pin.Expired(d.budget.Day) {
			d.note("The pin of %s is over, and holds no more.", pin.Describe())
			continue
		}
		if fixed := d.space.apart(slice); fixed != nil {
			return nil, nil, refuse(field+".slice", "%s is never made: the space pins %s", d.space.Describe(slice), d.space.Describe(Slice{*fixed})).
				remedy("remove one of the two")
		}
		drawable, err := d.feasibility.drawable(d.round.Base, slice)
		if err != nil {
			return nil, nil, err
		}
		if !drawable {
			return nil, nil, refuse(field+".slice", "%s hardly occurs in the base, or the constraints all but forbid it", d.space.Describe(slice)).
				remedy("pin what can be made; with a floor above 0 the base has every level")
		}
		prevalence, err := d.feasibility.mass(d.round.Target, slice)
		if err != nil {
			return nil, nil, err
		}
		pins = append(pins, pinnedSlice{pin, slice, prevalence})
	}
	for i := range d.policy.Bans {
		ban := &d.policy.Bans[i]
		slice, err := ban.Resolve(d.space, at("bans", i))
		if err != nil {
			return nil, nil, err
		}
		if ban.Expired(d.budget.Day) {
			d.note("The ban of %s is over, and holds no more.", ban.Describe())
			continue
		}
		bans = append(bans, slice)
		d.note("%s is banned%s: neither it nor anything inside it is boosted or probed.", d.space.Describe(slice), ban.because())
	}
	return pins, bans, d.checkOverrides(pins, bans)
}

// checkOverrides refuses overrides that contradict what the space protects.
func (d *decision) checkOverrides(pins []pinnedSlice, bans []Slice) error {
	total, lacking := 0.0, 0.0
	for i, pin := range pins {
		total += pin.Share
		// The words of a run do not tell, as those of levels do, what lies within what.
		switch same := func(other pinnedSlice) bool { return other.slice.Equal(pin.slice) }; {
		case slices.ContainsFunc(pins[:i], same):
			return refuse("pins", "%s is pinned twice", d.space.Describe(pin.slice)).remedy("keep one of the two")
		case banned(bans, pin.slice):
			return refuse("pins", "%s is pinned, and lies inside what is banned", d.space.Describe(pin.slice)).remedy("remove one of the two")
		}
	}
	for i, p := range d.space.Protected {
		if banned(bans, p.Slice) {
			return refuse("bans", "%s is banned, but the space protects it", d.space.Describe(p.Slice)).
				remedy("remove the ban, or protected[%d] from the space", i)
		}
		inside, own := 0.0, false
		for _, pin := range pins {
			if c := (cell{slice: pin.slice}); c.within(p.Slice) {
				inside += pin.Share
				own = own || pin.slice.Equal(p.Slice)
			}
		}
		if own && inside < p.Share-1e-9 {
			return refuse("pins", "%s is pinned at %s, but the space protects %s of it", d.space.Describe(p.Slice), percent(inside), percent(p.Share)).
				remedy("pin at least as much as is protected")
		}
		lacking += max(0, p.Share-inside)
	}
	if lacking > 0 && total+lacking > maxProtected+1e-9 {
		return refuse("pins", "the pins and the slices that the space protects claim %.4g of the mixture; at most %g is allowed", total+lacking, maxProtected).
			remedy("pin or protect less, so that something is left to follow the evidence")
	}
	return nil
}

// banned reports whether a slice is banned, or lies inside what is.
func banned(bans []Slice, slice Slice) bool {
	inside := cell{slice: slice}
	return slices.ContainsFunc(bans, inside.within)
}

// hold gives pinned slices their share exactly, and banned ones none. What that
// takes comes from the base as far as it has more than its least, then from all
// other parts in proportion; what it leaves goes to the base. A mixture that holds
// already stays as it is, and so does what lies between two that do.
func (g *protection) hold(parts []boost, shares []float64) []float64 {
	if len(g.pins) == 0 && len(g.bans) == 0 {
		return shares
	}
	held := slices.Clone(shares)
	lack, others := 0.0, 0.0
	for i := 1; i < len(parts); i++ {
		switch pin := g.pin(parts[i].cell.slice); {
		case pin != nil:
			lack += pin.Share - held[i]
			held[i] = pin.Share
		case banned(g.bans, parts[i].cell.slice):
			lack -= held[i]
			held[i] = 0
		default:
			others += held[i]
		}
	}
	fromBase := min(lack, max(0, held[0]-g.least))
	held[0] -= fromBase
	if lack -= fromBase; lack <= 0 {
		return held
	}
	kept := max(0, 1-lack/others)
	for i := 1; i < len(parts); i++ {
		if g.pin(parts[i].cell.slice) == nil {
			held[i] *= kept
		}
	}
	return held
}

// pin is the pin of exactly this slice, or nil.
func (g *protection) pin(slice Slice) *pinnedSlice {
	for i := range g.pins {
		if g.pins[i].slice.Equal(slice) {
			return &g.pins[i]
		}
	}
	return nil
}
