package loop

import (
	"fmt"
	"math"
	"slices"
)

// Yield is how often the samples of a mixture are expected to fail.
type Yield struct {
	// Rate has a 95 % interval.
	Rate Interval
	// Effective is how many rows drawn from the mixture itself would say as much,
	// (Σw)²/Σw² with w = q/p; Largest is the part of Σw that the heaviest row or group
	// has.
	Effective float64
	Largest   float64
	// Optimism is what was taken off Rate, as the rows that judge the mixture also
	// chose its slices.
	Optimism float64
	Slices   []SliceYield

	space *Space
	pool  *yieldPool
	// sum is Rate before it was corrected.
	sum float64
	// fail and pass are the influence on Rate of a failed row, and of another, by
	// line; of lines of a group it is by group.
	fail, pass, group []float64
}

// SliceYield is a Yield of one part of a mixture: the components of a slice, or that
// which completes a coverage.
type SliceYield struct {
	Slice Slice
	Over  Over
	Cover bool
	Share float64
	// Rate is nil where fewer than 30 rows, effectively, say something of it. It is
	// as they are, with Optimism in it.
	Rate      *Interval
	Effective float64

	// rate is Rate, also where that is nil, and variance its variance.
	rate     Interval
	variance float64
}

// Yield estimates the failure rate of samples of a training mixture, in what is
// learned from Learned[from]. Where the mixture was decided from the rows that judge
// it, without are those that were decided without each fold. It returns an *Error
// where the rows say too little of the mixture for an interval that could be trusted.
//
// Each slice of the mixture has a self-normalised estimate of its own, Σwe/Σw with
// w = q_k/p, and the whole is their sum by shares: a stratified estimate, which
// does not leave to chance how much weight falls into a slice. The variance is the
// jackknife's over rows and groups, the interval that of Yield.combine.
func (o *OffPolicy) Yield(from int, mixture *Sampler, without ...*Sampler) (*Yield, error) {
	p := &o.pools[from]
	y := p.estimate(slices.Repeat([]*Sampler{mixture}, o.Folds))
	y.space = mixture.space
	if err := y.trust(); err != nil {
		return nil, err
	}
	if o.Folds > 1 && len(without) == o.Folds {
		y.correct(without)
	}
	y.Rate = y.combine(&Yield{}, y.sum-y.Optimism)
	// What nobody has seen may fail always, or never.
	seen := y.seen()
	y.Rate.Lower, y.Rate.Expected = max(0, y.Rate.Lower), min(1, max(0, y.Rate.Expected)/seen)
	y.Rate.Upper = min(1, y.Rate.Upper+1-seen)
	return y, nil
}

// estimate is the yield of the mean of mixtures, each judged by its own fold. A fold
// without a mixture judges nothing.
func (p *yieldPool) estimate(mixtures []*Sampler) *Yield {
	y := &Yield{pool: p}
	parts := sections(mixtures, p.groups)
	all := section{share: 1, groups: make([]float64, p.groups)}
	heaviest := 0.0
	for i := range p.lines {
		l, w := &p.lines[i], 0.0
		if mixtures[l.fold] == nil {
			continue
		}
		for s := range parts {
			k := &parts[s]
			part := k.weigh(l)
			k.add(l, part)
			w += k.share * part
		}
		all.add(l, w)
		if l.group < 0 {
			heaviest = max(heaviest, w)
		}
	}
	for s := range parts {
		parts[s].close()
	}
	all.close()
	for _, w := range all.groups {
		heaviest = max(heaviest, w)
	}
	y.Effective, y.Largest = all.effective(), over(heaviest, all.weight)
	y.influences(parts)
	for i := range parts {
		k := &parts[i]
		out := SliceYield{Slice: k.slice, Over: k.over, Cover: k.cover, Share: k.share, Effective: k.effective(), variance: k.variance}
		if k.weight > 0 {
			out.rate = proportion(k.rate(), k.variance, out.Effective)
			y.sum += k.share * k.rate()
		}
		if out.Effective >= leastOfSlice {
			own := out.rate
			out.Rate = &own
		}
		y.Slices = append(y.Slices, out)
	}
	return y
}

// correct takes off what the choice of slices flatters: what mixtures that were
// decided without a fold seem to yield by the rows that chose them, less what they
// do by the fold (cross-validation's estimate of optimism: Efron 1983). Where the
// choice does not hang on single rows the two are the same and nothing changes.
func (y *Yield) correct(without []*Sampler) {
	fresh := y.pool.estimate(without)
	y.Optimism -= fresh.sum
	y.take(fresh, 1)
	each := 1 / float64(len(without))
	for f, mixture := range without {
		others := slices.Repeat([]*Sampler{mixture}, len(without))
		others[f] = nil
		chosen := y.pool.estimate(others)
		y.Optimism += each * chosen.sum
		y.take(chosen, -each)
	}
}

// take adds so much of another's influences.
func (y *Yield) take(other *Yield, so float64) {
	for i := range y.fail {
		y.fail[i] += so * other.fail[i]
		y.pass[i] += so * other.pass[i]
	}
	for g := range y.group {
		y.group[g] += so * other.group[g]
	}
}

// seen is the part of the mixture that rows say something of.
func (y *Yield) seen() float64 {
	seen := 0.0
	for i := range y.Slices {
		if y.Slices[i].Effective > 0 {
			seen += y.Slices[i].Share
		}
	}
	return min(1, seen)
}

const (
	// leastEffective is the least effective number of rows of an estimate, and of
	// groups where there are any; leastOfSlice that of a slice's own.
	leastEffective = 100
	leastOfSlice   = 30
	// mostWeight is the most that one row or group may weigh of the whole; mostUnseen
	// the most of a mixture that no row says anything of.
	mostWeight = .05
	mostUnseen = .05
)

// trust refuses an estimate from too little.
func (y *Yield) trust() error {
	const field = "evidence"
	rows := y.pool.rows
	more := fmt.Sprintf("evaluate the newest model on more samples of the target and of the mixture: at least %d that say which level every factor has", leastEffective)
	if rows.Used < leastEffective {
		return refuse(field, "only %d of %d rows of the newest model can be used", rows.Used, rows.Total()).remedy("%s", more)
	}
	worst := &y.Slices[0]
	for i := range y.Slices {
		if y.Slices[i].Effective < worst.Effective {
			worst = &y.Slices[i]
		}
	}
	which := "the mixture"
	if len(worst.Slice) > 0 {
		which = y.space.Describe(worst.Slice)
	}
	switch unseen := 1 - y.seen(); {
	case unseen > mostUnseen:
		return refuse(field, "no row says anything of %s of the mixture, such as of %s", percent(unseen), which).remedy("%s", more)
	case y.Effective < leastEffective:
		return refuse(field, "the effective sample size is %.0f of %d rows; at least %d is needed", y.Effective, rows.Used, leastEffective).
			remedy("evaluate the newest model on more samples, above all of %s", which)
	case y.Largest > mostWeight:
		return refuse(field, "one row or group has %s of all the weight, more than %s", percent(y.Largest), percent(mostWeight)).
			remedy("evaluate the newest model on more samples, above all of %s", which)
	}
	return nil
}

// influences fills in what every row and group has to do with the rates.
func (y *Yield) influences(parts []section) {
	lines := y.pool.lines
	y.fail, y.pass, y.group = make([]float64, len(lines)), make([]float64, len(lines)), make([]float64, y.pool.groups)
	for i := range lines {
		l := &lines[i]
		for s := range parts {
			k := &parts[s]
			if k.parts[l.fold] == nil {
				continue
			}
			w := k.weigh(l)
			if w == 0 {
				continue
			}
			fail, pass := k.influence(l, w, 1-k.rate()), k.influence(l, w, -k.rate())
			if l.group >= 0 {
				k.pull[l.group] += l.k*fail + (l.n-l.k)*pass
				continue
			}
			k.variance += l.k*fail*fail + (l.n-l.k)*pass*pass
			y.fail[i] += k.share * fail
			y.pass[i] += k.share * pass
		}
	}
	for s := range parts {
		for g, pull := range parts[s].pull {
			parts[s].variance += pull * pull
			y.group[g] += parts[s].share * pull
		}
	}
}

// Above is by how much the rate is above another's, estimated from the same rows,
// with a 95 % interval: narrower than those of the two, as much of what is wrong
// in the one is in the other.
func (y *Yield) Above(other *Yield) Interval {
	return y.combine(other, y.Rate.Expected-other.Rate.Expected)
}

// combine is the interval of Σ a_k r_k, or of the difference of two such sums, from
// those of the r_k: its limits are as far from the estimate as the root of the
// squares of how far theirs are from theirs (the method of variance estimates
// recovery: Zou & Donner 2008). So they are as lopsided as those of the parts,
// which matters where a slice of few rows always fails, or never. What the parts'
// rates have in common is added as a covariance; and half of what was taken off, as
// that is known no better.
func (y *Yield) combine(other *Yield, expected float64) Interval {
	down, up, apart := 0.0, 0.0, 0.0
	add := func(k *SliceYield, share float64) {
		below, above := share*(k.rate.Expected-k.rate.Lower), share*(k.rate.Upper-k.rate.Expected)
		if share < 0 {
			below, above = above, below
		}
		down += below * below
		up += above * above
		apart += share * share * k.variance
	}
	for i := range y.Slices {
		k := &y.Slices[i]
		share := k.Share
		if same := other.slice(k); same != nil {
			share -= same.Share
		}
		add(k, share)
	}
	for i := range other.Slices {
		if k := &other.Slices[i]; y.slice(k) == nil {
			add(k, -k.Share)
		}
	}
	z, taken := studentQuantile(math.Inf(1)), (y.Optimism-other.Optimism)/2
	together := z * z * (y.variance(other) + taken*taken - apart)
	return Interval{
		Lower:    max(-1, expected-math.Sqrt(max(0, down+together))),
		Expected: expected,
		Upper:    min(1, expected+math.Sqrt(max(0, up+together))),
	}
}

// slice is the same slice of this mixture, or nil.
func (y *Yield) slice(k *SliceYield) *SliceYield {
	i := slices.IndexFunc(y.Slices, func(s SliceYield) bool { return s.Over == k.Over && s.Cover == k.Cover && s.Slice.Equal(k.Slice) })
	if i < 0 {
		return nil
	}
	return &y.Slices[i]
}

// variance is that of the rate, or of the difference of two from the same rows.
func (y *Yield) variance(other *Yield) float64 {
	sum := 0.0
	less := func(of []float64, i int) float64 {
		if of == nil {
			return 0
		}
		return of[i]
	}
	for i := range y.fail {
		l := &y.pool.lines[i]
		fail, pass := y.fail[i]-less(other.fail, i), y.pass[i]-less(other.pass, i)
		sum += l.k*fail*fail + (l.n-l.k)*pass*pass
	}
	for i := range y.group {
		g := y.group[i] - less(other.group, i)
		sum += g * g
	}
	return sum
}
