package loop

// failure tilts the marginal of every factor towards the levels that fail more
// than the rest: u(l) ∝ m(l)·clip(p(l)/p, 1/2, 2), with p(l) the level's failure
// rate in deployment, drawn towards the overall rate p as by 20 rows of it. It is
// what one does by hand with a table of failures per level. It cannot see a
// conjunction.
type failure struct{}

// How a level's failure rate becomes its tilt.
const (
	levelSmoothing = 20 // rows
	leastTilt      = .5
	mostTilt       = 2
)

func (failure) floor(p *Policy) float64 { return p.Floor }

func (failure) want(d *decision) (wanted, error) {
	e := d.deployed()
	if e == nil || e.rate == 0 {
		return wanted{}, nil
	}
	tilt := d.space.untilted()
	for f, levels := range e.levels(d.space) {
		for l := range levels {
			tilt[f][l] = min(max(leastTilt, levels[l].drawn(e.rate, levelSmoothing)/e.rate), mostTilt)
		}
	}
	d.note("Levels are drawn as often as they fail, %g to %g times as often as in the base: %s.", leastTilt, float64(mostTilt), d.mostTilted(tilt))
	return wanted{curriculum: 1, tilt: tilt}, nil
}
