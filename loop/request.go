package loop

// Request is one line of a campaign without a loop: Count samples of a slice,
// which may fix any number of factors, or none. What it leaves free is drawn
// from the target distribution.
type Request struct {
	Slice Slice  `json:"slice,omitempty"`
	Count uint64 `json:"count"`
}

// MaxRequests bounds the requests of a campaign, and its components once
// quota_by has split them.
const MaxRequests = 10_000

// StrategyMake is the strategy of a round that makes what was requested. No
// policy can name it: there is nothing to decide.
const StrategyMake = "make"

// Requested is the number of samples that requests ask for together.
func Requested(requests []Request) (n uint64) {
	for _, r := range requests {
		if n += r.Count; n >= MaxQuota || r.Count >= MaxQuota {
			return MaxQuota
		}
	}
	return n
}

// validateRequests refuses requests that no component can meet.
func (s *Space) validateRequests(requests []Request) error {
	if len(requests) > MaxRequests {
		return refuse("make", "%d requests; at most %d are allowed", len(requests), MaxRequests).
			remedy("put those of the same scenario together, or make several campaigns")
	}
	x, target := s.feasibility(), s.targetMarginals()
	for i, r := range requests {
		field := at("make", i)
		if r.Count == 0 || r.Count >= MaxQuota {
			return refuse(field+".count", "%d samples of %s; 1 to %d are allowed", r.Count, s.Describe(r.Slice), MaxQuota-1)
		}
		if err := s.validatePredicates(field+".where", r.Slice); err != nil {
			return err
		}
		if err := x.inTarget(target, field+".where", r.Slice, "ask for levels that have a target share"); err != nil {
			return err
		}
	}
	return nil
}

// make decides the one round of a campaign without a loop: a component for each
// request, over the target, with the requested quota exactly. The shares are
// the requests' parts of the whole, so a sample's importance weight π(x)/q(x) is
// relative to all that was requested together, overlaps included; over the
// samples it averages to the part of deployment that the requests cover.
func (d *decision) make() error {
	requests := d.budget.Make
	weights := make([]float64, len(requests))
	for i, r := range requests {
		weights[i] = float64(r.Count)
	}
	shares := quantise(weights)
	for i, r := range requests {
		d.round.Components = append(d.round.Components, Component{
			Domain: Train, Number: i, Over: OverTarget, Slice: r.Slice, Share: shares.mass(i), Quota: r.Count,
		})
	}
	if f := d.space.Factor(d.budget.QuotaBy); f >= 0 {
		levels := len(d.space.Factors[f].Levels)
		if len(requests)*levels > MaxRequests {
			return refuse("quota_by", "%d requests by %d levels of %q; at most %d components are allowed",
				len(requests), levels, d.budget.QuotaBy, MaxRequests).remedy("split by a factor with fewer levels, or make fewer requests at once")
		}
		for i := range d.round.Components {
			if d.round.Components[i].Share < uint64(levels) {
				return refuse(at("make", i)+".count", "too small a part of the campaign to be split by %q", d.budget.QuotaBy).
					remedy("make it by a campaign of its own")
			}
		}
	}
	if err := d.split(); err != nil {
		return err
	}
	d.evaluation()
	_, err := NewSampler(d.space, d.round)
	return err
}
