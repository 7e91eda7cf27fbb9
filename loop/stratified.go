package loop

// stratified draws one half as deployment would show it, and in the other half
// every level of every factor that occurs there equally often, so that no
// stratum of levels is rare: equal allocation over strata beside a proportional
// one (Cochran, Sampling Techniques, chapter 5). As every component is a
// low-discrepancy sequence in each factor, both halves are balanced to the
// sample. Where the policy's base is above one half, it has that much.
type stratified struct{}

func (stratified) floor(*Policy) float64 { return 0 }

func (stratified) want(d *decision) (wanted, error) {
	tilt := make([][]float64, len(d.space.Factors))
	for f := range tilt {
		levels := len(d.space.Factors[f].Levels)
		for r := range len(d.round.Base[f]) / levels {
			row := d.round.Base[f].row(r, levels)
			for l := range levels {
				times := 0.0
				if share := row.share(l); share > 0 {
					times = 1 / share
				}
				tilt[f] = append(tilt[f], times)
			}
		}
	}
	d.note("Half of the round is drawn as in deployment, and half with all levels that occur there equally often.")
	return wanted{curriculum: .5, tilt: tilt}, nil
}
