package loop

import "fmt"

// hone boosts the slices that fail more than the rest, each by what it is worth.
type hone struct{}

func (hone) floor(p *Policy) float64 { return p.Floor }

func (hone) want(d *decision) (wanted, error) {
	boosts, err := d.boosts()
	return wanted{boosts: boosts}, err
}

// boosts finds the failing slices and gives each its share of the mixture.
func (d *decision) boosts() ([]boost, error) {
	newest := int64(0)
	for i := range d.evidence.Len() {
		if d.evidence.Age[i] == 0 {
			newest += d.evidence.Rows[i]
		}
	}
	f := newSearcher(d.space, d.policy.Search, d.evidence, d.policy.Memory, d.policy.Window)
	overall, _ := f.rate()
	d.round.FailureRate = overall
	if newest < int64(d.policy.MinimumRows) {
		if newest > 0 {
			d.round.Notes = append(d.round.Notes, fmt.Sprintf(
				"The newest model has %d rows of evidence, fewer than the policy's minimum of %d: nothing was searched, and the round moves towards the base.",
				newest, d.policy.MinimumRows))
		}
		return nil, nil
	}
	d.round.Memory.judge(d.space, d.policy.Damping, d.evidence)
	goal := f.targetRate(overall)
	for _, m := range d.round.Memory.Slices {
		if m.Quarantined {
			f.remove(m.Slice)
		}
	}
	var boosts []boost
	total := 0.0
	for _, c := range f.cover() {
		b, err := d.value(c, overall, goal)
		if err != nil {
			return nil, err
		}
		if b.reason.Value > 0 {
			boosts = append(boosts, b)
			total += b.reason.Value
		}
	}
	if total == 0 {
		return nil, nil
	}
	// S = min(S_max, Σv/(Σv + target error)): where little fails beyond the
	// average, little is taken from the bulk.
	boosted := d.policy.Shares.Boosted
	if d.policy.Shares.Prevalence < 1 {
		boosted = min(boosted, total/(total+goal))
	}
	kept := boosts[:0]
	for _, b := range boosts {
		b.share = min(d.policy.Shares.Cap*b.reason.Damping, boosted*b.reason.Value/total)
		if b.share >= d.policy.Shares.Smallest {
			kept = append(kept, b)
		}
	}
	return kept, nil
}
