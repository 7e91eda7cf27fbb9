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

// held reports whether a person wants the component, so that it is not dropped
// for being small.
func (r *Reason) held() bool { return r != nil && (r.Protected > 0 || r.Pin != nil) }

func (d *decision) note(format string, args ...any) {
	d.round.Notes = append(d.round.Notes, fmt.Sprintf(format, args...))
}
