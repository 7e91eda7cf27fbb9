package loop

import (
	"cmp"
	"slices"
)

// learnability replays the pairs of levels that a model gets right about half of
// the time: score p·(1-p), as sampling for learnability has it (Tzannetos et al.
// 2023; Rutherford et al. 2024), which prioritised level replay turns into shares
// (Jiang et al. 2021): P = (1-ρ)·P_score + ρ·P_stale, with P_score ∝ 1/rank and
// P_stale in proportion to the rounds since a pair was last drawn. Replay has the
// policy's boosted share, the rest is the base. What always fails has a score of
// 0, however easily more samples would mend it: that is its weakness here.
type learnability struct{}

const (
	// replayed is the most pairs that a round replays, a component each.
	replayed = 64
	// staleness is ρ.
	staleness = .1
	// remembered is the most pairs whose last round is remembered.
	remembered = 4 * replayed
	// pairSupport is how many rows a pair's failure rate is drawn by to that of
	// deployment.
	pairSupport = 8
)

func (learnability) floor(p *Policy) float64 { return p.Floor }

// pair is a slice of two predicates that can be replayed.
type pair struct {
	slice Slice
	seen  seen
	rate  float64
	score float64
	last  int // the round in which it was last drawn, 0: never
	share float64
}

func (learnability) want(d *decision) (wanted, error) {
	scores := d.scores()
	d.round.Memory.Scores = scores
	e := d.deployed()
	if e == nil {
		return wanted{}, nil
	}
	pairs := e.pairs(d.space, d.policy.Search.MinimumSupport)
	for i := range pairs {
		p := &pairs[i]
		p.rate = p.seen.drawn(e.rate, pairSupport)
		p.score = p.rate * (1 - p.rate)
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.score, a.score) })
	pairs = slices.DeleteFunc(pairs, func(p pair) bool { return p.score <= 0 })
	if len(pairs) == 0 {
		return wanted{}, nil
	}
	stale := 0.0
	for i := range pairs {
		at, known := slices.BinarySearchFunc(scores, pairs[i].slice, func(s Scored, slice Slice) int { return s.Slice.compare(slice) })
		if known {
			pairs[i].last = scores[at].Round
			stale += float64(d.budget.Number - pairs[i].last)
		}
	}
	for i := range pairs {
		p := &pairs[i]
		p.share = (1 - staleness) / float64(i+1)
		if p.last > 0 && stale > 0 {
			p.share += staleness * harmonic(len(pairs)) * float64(d.budget.Number-p.last) / stale
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.share, a.share) })
	boosts, err := d.replay(pairs, e.rate)
	if err != nil {
		return wanted{}, err
	}
	d.played(boosts)
	return wanted{boosts: boosts}, nil
}

// harmonic is the sum of 1/rank over so many ranks.
func harmonic(n int) float64 {
	sum := 0.0
	for i := range n {
		sum += 1 / float64(i+1)
	}
	return sum
}

// replay makes components of the first pairs that can be drawn.
func (d *decision) replay(pairs []pair, rate float64) ([]boost, error) {
	var boosts []boost
	total := 0.0
	for i := range pairs {
		if len(boosts) == replayed {
			break
		}
		p := &pairs[i]
		prevalence, err := d.feasibility.mass(d.round.Target, p.slice)
		if err != nil {
			return nil, err
		}
		drawable, err := d.feasibility.drawable(d.round.Base, p.slice)
		if err != nil {
			return nil, err
		}
		if prevalence <= 0 || !drawable || banned(d.protected.bans, p.slice) {
			continue
		}
		reason := &Reason{Support: p.seen.rows(), Rate: p.rate, Lift: 1, P: 1, Q: 1, Prevalence: prevalence, Risk: 1, Damping: 1, Value: p.score}
		if rate > 0 {
			reason.Lift = p.rate / rate
		}
		d.count(reason, p.slice)
		boosts = append(boosts, boost{cell: cell{slice: p.slice}, share: p.share, reason: reason})
		total += p.share
	}
	kept := boosts[:0]
	for _, b := range boosts {
		b.share = min(d.policy.Shares.Cap, d.policy.Shares.Boosted*b.share/total)
		if b.share >= d.policy.Shares.Smallest {
			kept = append(kept, b)
		}
	}
	if len(kept) > 0 {
		d.note("%d pairs of levels are replayed that the model gets right about as often as not, the one of the highest score most: %s.", len(kept), d.space.Describe(kept[0].cell.slice))
	}
	return kept, nil
}

// played remembers which pairs were drawn in this round; of the others those that
// were drawn last.
func (d *decision) played(boosts []boost) {
	scores := d.round.Memory.Scores
	for _, b := range boosts {
		at, known := slices.BinarySearchFunc(scores, b.cell.slice, func(s Scored, slice Slice) int { return s.Slice.compare(slice) })
		if !known {
			scores = slices.Insert(scores, at, Scored{Slice: b.cell.slice})
		}
		scores[at].Value, scores[at].Round = b.reason.Value, d.budget.Number
	}
	if len(scores) > remembered {
		newest := slices.Clone(scores)
		slices.SortStableFunc(newest, func(a, b Scored) int { return cmp.Compare(b.Round, a.Round) })
		scores = newest[:remembered]
		slices.SortFunc(scores, func(a, b Scored) int { return a.Slice.compare(b.Slice) })
	}
	d.round.Memory.Scores = scores
}

// densePairs is the largest table of pairs that is counted as one; larger ones are
// counted by sorting.
const densePairs = 1 << 18

// pairs is what deployment shows of every pair of levels that has so many rows, in
// order of slices.
func (d *deployment) pairs(s *Space, support float64) []pair {
	var out []pair
	for f := range s.Factors {
		for g := f + 1; g < len(s.Factors); g++ {
			columns := len(s.Factors[g].Levels)
			d.count(d.evidence.Codes[f], d.evidence.Codes[g], len(s.Factors[f].Levels), columns, func(at int, seen seen) {
				if seen.rows() >= support {
					out = append(out, pair{slice: Slice{{Factor: f, Level: at / columns}, {Factor: g, Level: at % columns}}, seen: seen})
				}
			})
		}
	}
	return out
}

// count emits every pair of two columns that was seen, by its place in a table.
func (d *deployment) count(first, second []Code, rows, columns int, emit func(at int, s seen)) {
	place := func(line int) int { return int(first[line])*columns + int(second[line]) }
	counts := func(line int) bool { return first[line].IsLevel() && second[line].IsLevel() && d.weight[line] > 0 }
	if rows*columns <= densePairs {
		table := make([]seen, rows*columns)
		for i := range first {
			if counts(i) {
				table[place(i)].add(d, i)
			}
		}
		for at := range table {
			if table[at].weight > 0 {
				emit(at, table[at])
			}
		}
		return
	}
	var lines []int
	for i := range first {
		if counts(i) {
			lines = append(lines, i)
		}
	}
	slices.SortStableFunc(lines, func(a, b int) int { return cmp.Compare(place(a), place(b)) })
	var sum seen
	for i, line := range lines {
		sum.add(d, line)
		if i+1 == len(lines) || place(lines[i+1]) != place(line) {
			emit(place(line), sum)
			sum = seen{}
		}
	}
}
