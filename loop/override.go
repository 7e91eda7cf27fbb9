package loop

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Override is what a person has decided about a slice, whatever the evidence
// says. A pin gives the slice exactly Share of every training mixture, as a
// component of its own; what the base and other components have of the slice
// comes on top. A ban keeps the slice, and all that lies inside it, from being
// boosted, probed or completed by a coverage: nothing is made because of it. The base
// draws it as ever, and its rows count as evidence.
// Both hold from the next round on, at once, as what a space protects does. A
// campaign that lists what to make is held to its list alone.
type Override struct {
	// Slice names a level for each of its factors, or a run of levels ("10..30"). A
	// policy is of no space: the names are looked up in that of the campaign.
	Slice map[string]string `json:"slice"`
	// Share of a pin; a ban has none.
	Share  float64 `json:"share,omitempty"`
	Author string  `json:"author,omitempty"`
	Reason string  `json:"reason,omitempty"`
	// Expires is the last day on which it holds, YYYY-MM-DD in UTC. Empty: it holds
	// until somebody takes it back.
	Expires string `json:"expires,omitempty"`
}

// The bounds of overrides: how many pins and how many bans a policy may have, and
// the bytes that are written about each.
const (
	MaxOverrides  = 100
	maxAuthor     = 128
	maxWhy        = 1024
	secondsPerDay = 86400
)

// Words names the slice: "light=low ∧ scale=near".
func (o *Override) Words() string {
	var parts []string
	for _, factor := range slices.Sorted(maps.Keys(o.Slice)) {
		parts = append(parts, factor+"="+o.Slice[factor])
	}
	return strings.Join(parts, " ∧ ")
}

// Describe names the slice, who wants it and why.
func (o *Override) Describe() string { return o.Words() + o.because() }

// Settings are all but the slice: "10% by ann (why)", "banned by bob".
func (o *Override) Settings() string {
	if o.Share == 0 {
		return "banned" + o.because()
	}
	return strconv.FormatFloat(100*o.Share, 'g', 6, 64) + "%" + o.because()
}

// because is " by ann (the press closes on it), until 2026-12-31".
func (o *Override) because() string {
	text := ""
	if o.Author != "" {
		text += " by " + o.Author
	}
	if o.Reason != "" {
		text += " (" + o.Reason + ")"
	}
	if o.Expires != "" {
		text += ", until " + o.Expires
	}
	return text
}

// within reports whether the slice lies inside another, or is the other.
func (o *Override) within(other *Override) bool {
	for factor, level := range other.Slice {
		if o.Slice[factor] != level {
			return false
		}
	}
	return true
}

// Expired reports whether the override holds no more on a day, counted since
// 1970 UTC. On day 0, which means that nobody knows the day, it holds.
func (o *Override) Expired(day int) bool {
	last, refused := o.lastDay()
	return refused == nil && last > 0 && day > last
}

// lastDay is Expires in days since 1970 UTC, 0 where it is empty.
func (o *Override) lastDay() (int, *Error) {
	if o.Expires == "" {
		return 0, nil
	}
	day, ok := dayOf(o.Expires)
	if !ok {
		return 0, refuse("expires", "%q is not a day", o.Expires).remedy("YYYY-MM-DD, for example 2030-12-31; it holds until the end of that day, UTC")
	}
	return day, nil
}

// validate refuses what no space could make sense of.
func (o *Override) validate(field string) error {
	if n := len(o.Slice); n < 1 || n > MaxOrder {
		return refuse(field+".slice", "%d predicates; 1 to %d are allowed", n, MaxOrder)
	}
	switch {
	case len(o.Author) > maxAuthor:
		return refuse(field+".author", "%d bytes; at most %d are allowed", len(o.Author), maxAuthor)
	case len(o.Reason) > maxWhy:
		return refuse(field+".reason", "%d bytes; at most %d are allowed", len(o.Reason), maxWhy)
	}
	if _, refused := o.lastDay(); refused != nil {
		refused.Field = field + "." + refused.Field
		return refused
	}
	return nil
}

// validateOverrides refuses pins and bans that collide. That one of the two has
// expired is no excuse: a policy means the same on every day but for what has
// fallen away.
func (p *Policy) validateOverrides() error {
	for i := range p.Bans {
		field := at("bans", i)
		if i == MaxOverrides {
			return refuse(field, "more than %d bans", MaxOverrides)
		}
		ban := &p.Bans[i]
		if err := ban.validate(field); err != nil {
			return err
		}
		if ban.Share != 0 {
			return refuse(field+".share", "a ban has no share").remedy("remove it, or list the slice under pins")
		}
		for j := range p.Bans[:i] {
			if maps.Equal(ban.Slice, p.Bans[j].Slice) {
				return refuse(field+".slice", "it is banned by bans[%d] already", j).remedy("keep one of the two")
			}
		}
	}
	total := p.Shares.Base
	for i := range p.Pins {
		field := at("pins", i)
		if i == MaxOverrides {
			return refuse(field, "more than %d pins", MaxOverrides)
		}
		pin := &p.Pins[i]
		if err := pin.validate(field); err != nil {
			return err
		}
		if !(pin.Share >= leastShare && pin.Share < 1) {
			return refuse(field+".share", "%v is not the share of a slice", pin.Share).remedy("at least %g, less than 1", leastShare)
		}
		if total += pin.Share; total > 1+1e-9 {
			return refuse(field+".share", "with shares.base %v the pins claim %.4g of the mixture", p.Shares.Base, total).
				remedy("pin less, or lower shares.base")
		}
		for j := range p.Pins[:i] {
			if maps.Equal(pin.Slice, p.Pins[j].Slice) {
				return refuse(field+".slice", "it is pinned by pins[%d] already", j).remedy("keep one of the two")
			}
		}
		for j := range p.Bans {
			if pin.within(&p.Bans[j]) {
				return refuse(field+".slice", "it lies inside what bans[%d] bans", j).remedy("remove one of the two")
			}
		}
	}
	return nil
}

// Resolve finds the slice in a space. Field is where the override stands, and begins
// the field of a refusal; it is empty where the override is all that is asked about.
func (o *Override) Resolve(s *Space, field string) (Slice, error) {
	field = strings.TrimPrefix(field+".slice", ".")
	var slice Slice
	for _, factor := range slices.Sorted(maps.Keys(o.Slice)) {
		f := s.Factor(factor)
		if f < 0 {
			return nil, refuse(field+"."+factor, "space %q has no factor %q", s.Name, factor).remedy("its factors are %s", listed(len(s.Factors), func(i int) string { return s.Factors[i].Name }))
		}
		p, err := s.Predicate(field+"."+factor, f, o.Slice[factor])
		if err != nil {
			return nil, err
		}
		slice = slice.With(p)
	}
	return slice, s.ValidateSlice(field, slice)
}

// listed names the first few of n things.
func listed(n int, name func(int) string) string {
	const most = 12
	var names []string
	for i := range min(n, most) {
		names = append(names, name(i))
	}
	if n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), n-most)
	}
	return strings.Join(names, ", ")
}

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

// held reports whether a person wants the component, so that it is not dropped
// for being small.
func (r *Reason) held() bool { return r != nil && (r.Protected > 0 || r.Pin != nil) }

func (d *decision) note(format string, args ...any) {
	d.round.Notes = append(d.round.Notes, fmt.Sprintf(format, args...))
}
