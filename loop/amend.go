package loop

import (
	"maps"
	"slices"
)

// Amended is the policy with what a person decided about one round alone: that goes
// before what the policy says of the same slice, and before a ban or a pin that
// would contradict it. It comes first, so that a refusal names it by its place.
func (p *Policy) Amended(b Budget) *Policy {
	if p == nil || !b.Amended() {
		return p
	}
	amended := *p
	amended.Pins, amended.Bans = slices.Clone(b.Pins), slices.Clone(b.Bans)
	for _, pin := range p.Pins {
		named := slices.ContainsFunc(b.Pins, func(o Override) bool { return maps.Equal(o.Slice, pin.Slice) })
		if !named && !slices.ContainsFunc(b.Bans, func(o Override) bool { return pin.within(&o) }) {
			amended.Pins = append(amended.Pins, pin)
		}
	}
	for _, ban := range p.Bans {
		named := slices.ContainsFunc(b.Bans, func(o Override) bool { return maps.Equal(o.Slice, ban.Slice) })
		if !named && !slices.ContainsFunc(b.Pins, func(o Override) bool { return o.within(&ban) }) {
			amended.Bans = append(amended.Bans, ban)
		}
	}
	return &amended
}

// Amended reports whether a person decided anything about this round alone.
func (b *Budget) Amended() bool { return len(b.Pins)+len(b.Bans) > 0 }
