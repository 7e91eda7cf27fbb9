package loop

import (
	"math"
	"slices"
)

// OffPolicy estimates how often samples would fail that nobody has made: those of
// a mixture, from what the newest model did at samples of other mixtures, whose
// densities are known. It is about what the mixture would find, of the model as it
// is; of what training on it would change it knows nothing.
//
// Rows drawn from the target have density π; rows of source mixture that of the
// round whose π/q is their importance weight. All of them are one pool of density
// p = Σ n_r q_r / n (the balance heuristic: Veach & Guibas 1995), by which no
// weight is larger than that of the source which knows most of a place.
//
// A mixture that was decided from the very rows that are to judge it looks better
// than it is: its slices were chosen because those rows failed there. How much that
// is shows by deciding without a fold of the rows, and asking the fold.
type OffPolicy struct {
	// Folds is how many there are; 1 where there are so many rows that it makes no
	// difference.
	Folds int

	pools []yieldPool // by what is learned from
}

// yieldPool is the rows of one thing that is learned from.
type yieldPool struct {
	rows  YieldRows
	lines []yieldLine
	// groups is how many groups of rows there are.
	groups int
}

type yieldLine struct {
	codes   []Code
	n, k    float64 // rows, and failures among them
	density density // the pool's
	group   int     // from 0, or -1: the rows of the line stand for themselves
	fold    int
}

// YieldRows counts the newest model's rows: those that an estimate is made from,
// and those that it has to leave out.
type YieldRows struct {
	Used int64 `json:"used"`
	// Unknown rows lack the level of some factor, and with it a density.
	Unknown int64 `json:"unknown,omitempty"`
	// Impossible ones are of scenarios that the space as it is never draws.
	Impossible int64 `json:"impossible,omitempty"`
	// Unplaced ones were drawn from a mixture that is none of the rounds' known.
	Unplaced int64 `json:"unplaced,omitempty"`
	// Probes were drawn from single slices, chosen because they looked bad.
	Probes int64 `json:"probes,omitempty"`
	// Thinned ones were not needed: there are enough without them.
	Thinned int64 `json:"thinned,omitempty"`
}

// Total is all of them.
func (y *YieldRows) Total() int64 {
	return y.Used + y.Unknown + y.Impossible + y.Unplaced + y.Probes + y.Thinned
}

// mostLines bounds the time that an estimate takes: more tell no more.
const mostLines = 1 << 18

// NewOffPolicy sorts the evidence by what it was drawn from: the target, or one of
// the past rounds, whose samplers are of the same space. It returns an *Error for
// evidence that does not fit the space.
func NewOffPolicy(s *Space, e *Evidence, past []*Sampler) (*OffPolicy, error) {
	if err := e.Validate(s); err != nil {
		return nil, err
	}
	target, err := NewSampler(s, &Round{Base: s.targetMarginals(), Target: s.targetMarginals()})
	if err != nil {
		return nil, err
	}
	o := &OffPolicy{Folds: e.folds(), pools: make([]yieldPool, max(1, len(e.Learned)))}
	drawn := make([]drawing, len(o.pools))
	for i := range e.Len() {
		if e.Age[i] != 0 {
			continue
		}
		p, d, codes := &o.pools[e.From[i]], &drawn[e.From[i]], e.codes(i)
		switch {
		case slices.Contains(codes, Unknown):
			p.rows.Unknown += e.Rows[i]
		case !s.possible(codes) || target.target.density(codes).of == 0:
			p.rows.Impossible += e.Rows[i]
		case e.Source[i] == SourceProbe:
			p.rows.Probes += e.Rows[i]
		case e.Source[i] == SourceTarget && e.Weight[i] == MicroUnits:
			d.target = append(d.target, i)
		default:
			d.rounds = append(d.rounds, i)
		}
	}
	for i := range o.pools {
		o.pools[i].fill(e, &drawn[i], o.Folds, target, past)
	}
	return o, nil
}

// drawing is the lines that were drawn from the target, and those that were drawn
// from rounds.
type drawing struct{ target, rounds []int }

// fill gives every line its density in the pool.
func (p *yieldPool) fill(e *Evidence, d *drawing, folds int, target *Sampler, past []*Sampler) {
	lines, counts, total := slices.Clone(d.target), make([]float64, len(past)), 0.0
	for _, i := range d.target {
		total += float64(e.Rows[i])
	}
	targets := total
	for at, round := range e.placed(d.rounds, past) {
		i := d.rounds[at]
		if round < 0 {
			p.rows.Unplaced += e.Rows[i]
			continue
		}
		lines = append(lines, i)
		counts[round] += float64(e.Rows[i])
		total += float64(e.Rows[i])
	}
	groups := make(map[uint32]int)
	for _, i := range p.thin(e, lines) {
		line := yieldLine{codes: e.codes(i), n: float64(e.Rows[i]), k: float64(e.Failures[i]), group: -1}
		line.density = target.target.density(line.codes).times(targets / total)
		for r, n := range counts {
			if n > 0 {
				line.density = line.density.plus(past[r].density(line.codes).times(n / total))
			}
		}
		if g := e.Group[i]; g != 0 {
			at, known := groups[g]
			if !known {
				at = len(groups)
				groups[g] = at
			}
			line.group = at
		}
		p.rows.Used += e.Rows[i]
		for fold, part := range e.deal(i, folds) {
			if line.n, line.k, line.fold = float64(part.rows), float64(part.failures), fold; line.n > 0 {
				p.lines = append(p.lines, line)
			}
		}
	}
	p.groups = len(groups)
}

// placed finds the round that each of the lines was drawn from: one whose π/q is
// the weight that was logged with the line; -1 where there is none. Where rounds
// agree at a place, the line goes to the one that has most lines.
func (e *Evidence) placed(lines []int, past []*Sampler) []int {
	fits := make([][]bool, len(lines))
	rows := make([]int64, len(past))
	for at, i := range lines {
		fits[at] = make([]bool, len(past))
		codes := e.codes(i)
		for r, round := range past {
			q := round.density(codes)
			if q.of == 0 {
				continue
			}
			// It was rounded to a whole number, of at least 1.
			weight := round.target.density(codes).over(q) * MicroUnits
			if fits[at][r] = math.Abs(max(1, weight)-float64(e.Weight[i])) <= 1+1e-9*weight; fits[at][r] {
				rows[r] += e.Rows[i]
			}
		}
	}
	placed := make([]int, len(lines))
	for at := range lines {
		placed[at] = -1
		for r := range past {
			if fits[at][r] && (placed[at] < 0 || rows[r] >= rows[placed[at]]) {
				placed[at] = r
			}
		}
	}
	return placed
}

// thin keeps about mostLines of the lines, whole groups or nothing of them.
func (p *yieldPool) thin(e *Evidence, lines []int) []int {
	if len(lines) <= mostLines {
		return lines
	}
	limit := uint64(float64(mostLines) / float64(len(lines)) * whole)
	return slices.DeleteFunc(lines, func(i int) bool {
		name := uint64(i)
		if g := e.Group[i]; g != 0 {
			name = whole + uint64(g)
		}
		out := mix(name)>>32 >= limit
		if out {
			p.rows.Thinned += e.Rows[i]
		}
		return out
	})
}

// Folds of rows, where there are at most mostFolded of the newest model's: with more
// the choice of slices hardly depends on single ones.
const (
	folds      = 5
	mostFolded = 20_000
)

func (e *Evidence) folds() int {
	rows := int64(0)
	for i := range e.Len() {
		if e.Age[i] == 0 {
			rows += e.Rows[i]
		}
	}
	if rows > mostFolded {
		return 1
	}
	return folds
}

// dealt is what a fold has of a line.
type dealt struct{ rows, failures int64 }

// deal deals the rows of line i to so many folds; a group stays together.
func (e *Evidence) deal(i, folds int) []dealt {
	out := make([]dealt, folds)
	if folds == 1 {
		out[0] = dealt{e.Rows[i], e.Failures[i]}
		return out
	}
	if g := e.Group[i]; g != 0 {
		out[mix(mix(uint64(g)))%uint64(folds)] = dealt{e.Rows[i], e.Failures[i]}
		return out
	}
	for row := range e.Rows[i] {
		fold := &out[mix(mix(uint64(i))^uint64(row))%uint64(folds)]
		if fold.rows++; row < e.Failures[i] {
			fold.failures++
		}
	}
	return out
}

// Views are the evidence, and the evidence without each fold of the newest model's
// rows; earlier models' were of other samples. Where there is one fold they are the
// evidence alone.
func (e *Evidence) Views() []*Evidence {
	views := []*Evidence{e}
	if n := e.folds(); n > 1 {
		for fold := range n {
			views = append(views, e.without(fold))
		}
	}
	return views
}

func (e *Evidence) without(fold int) *Evidence {
	out := &Evidence{Learned: e.Learned, Made: e.Made}
	if e.Graded() {
		out.Severity, out.Squares = []int64{}, []int64{}
	}
	n := e.folds()
	for i := range e.Len() {
		l := e.line(i)
		if l.Age == 0 && n > 1 {
			lost := e.deal(i, n)[fold]
			if l.Rows == lost.rows {
				continue
			}
			// What the rows of a line lost and measured besides is shared out evenly.
			left := l.Rows - lost.rows
			l.Loss, l.Severity, l.Squares = portion(l.Loss, left, l.Rows), portion(l.Severity, left, l.Rows), portion(l.Squares, left, l.Rows)
			l.Rows, l.Failures = left, l.Failures-lost.failures
		}
		out.Append(l)
	}
	return out
}

func portion(of, part, all int64) int64 { return int64(float64(of) / float64(all) * float64(part)) }

// codes is the scenario of line i.
func (e *Evidence) codes(i int) []Code {
	codes := make([]Code, len(e.Codes))
	for f := range codes {
		codes[f] = e.Codes[f][i]
	}
	return codes
}

// possible reports whether codes are a whole scenario of the space that its
// constraints allow.
func (s *Space) possible(codes []Code) bool {
	for f, code := range codes {
		present := true
		if when := s.Factors[f].When; when != nil {
			parent := codes[when.Factor]
			present = parent.IsLevel() && when.Contains(int(parent))
		}
		if code.IsLevel() != present {
			return false
		}
	}
	return s.feasible(codes)
}
