package report

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"hone/loop"
)

// PairCoverage compares what was made of each pair of levels of two factors with
// what deployment has of it.
type PairCoverage struct {
	Rows    string           `json:"rows"`    // a factor
	Columns string           `json:"columns"` // another
	Levels  [2][]string      `json:"levels"`  // of the rows, of the columns
	Cells   [][]CoverageCell `json:"cells"`   // by row, then by column
}

// CoverageCell is one pair of levels.
type CoverageCell struct {
	Samples int64 `json:"samples"`
	// Target is the pair's share of deployment, from 0 to 1, estimated; 0 where it
	// does not occur.
	Target float64 `json:"target"`
	// Ratio is the share of the samples over the target's, 0 where that is 0.
	Ratio float64 `json:"ratio"`
}

// coverageDraws is how many scenarios estimate the target's share of a pair.
const coverageDraws = 20_000

// otherLevels stands for the levels of a factor that have no row of their own.
const otherLevels = "(other)"

// coverage counts committed training samples by the most telling factor pairs.
func (q *queries) coverage(ctx context.Context, n *Numbers) ([]PairCoverage, error) {
	space := q.arm.space
	pairs := choosePairs(space, n)
	if len(pairs) == 0 || q.arm.Committed == 0 {
		return []PairCoverage{}, nil
	}
	out := make([]PairCoverage, len(pairs))
	var each []string
	for i, p := range pairs {
		out[i] = PairCoverage{Rows: space.Factors[p[0]].Name, Columns: space.Factors[p[1]].Name}
		var columns [2]string
		for side, f := range p {
			out[i].Levels[side] = shownLevels(space, f, n)
			columns[side] = folded(&space.Factors[f], out[i].Levels[side])
		}
		each = append(each, fmt.Sprintf("SELECT %d, %s, %s, count(*) FROM s GROUP BY ALL", i, columns[0], columns[1]))
	}
	table, err := q.ask(ctx, "WITH s AS (SELECT * FROM "+q.arm.table("samples")+" WHERE campaign = "+literal(q.arm.Name)+" AND split = 'train')\n"+
		strings.Join(each, "\nUNION ALL "))
	if err != nil {
		return nil, err
	}
	drawn, err := space.Draw(nil, coverageDraws, 1)
	if err != nil {
		return nil, err
	}
	for i, p := range pairs {
		out[i].target(space, p, drawn)
	}
	total := make([]int64, len(out))
	for r := range rowsOf(&table) {
		i := r.integer(0)
		row, column := place(out[i].Levels[0], r.text(1)), place(out[i].Levels[1], r.text(2))
		if row >= 0 && column >= 0 {
			out[i].Cells[row][column].Samples += r.integer(3)
			total[i] += r.integer(3)
		}
	}
	for i := range out {
		for _, row := range out[i].Cells {
			for c := range row {
				if row[c].Target > 0 && total[i] > 0 {
					row[c].Ratio = float64(row[c].Samples) / float64(total[i]) / row[c].Target
				}
			}
		}
	}
	return out, nil
}

// choosePairs picks the factor pairs to look at: those of the slices that were
// charted, in their order, then those of the factors that the base bends most.
func choosePairs(space *loop.Space, n *Numbers) [][2]int {
	var pairs [][2]int
	add := func(a, b int) {
		p := [2]int{min(a, b), max(a, b)}
		if a != b && len(pairs) < maxPairs && !slices.Contains(pairs, p) {
			pairs = append(pairs, p)
		}
	}
	for _, s := range n.Accuracy {
		for i := range s.in {
			for j := range i {
				add(s.in[j].Factor, s.in[i].Factor)
			}
		}
	}
	// A factor of one level has nothing to show.
	var factors []int
	bent := make([]float64, len(space.Factors))
	for f := range space.Factors {
		if len(space.Factors[f].Levels) < 2 {
			continue
		}
		factors = append(factors, f)
		if n.latest == nil || f >= len(n.latest.Base) {
			continue
		}
		for _, l := range n.latest.Base[f].Levels {
			bent[f] += math.Abs(l.Share - l.Target)
		}
	}
	slices.SortStableFunc(factors, func(a, b int) int { return cmp.Compare(bent[b], bent[a]) })
	factors = factors[:min(len(factors), 4)]
	for j := range factors {
		for i := range j {
			add(factors[i], factors[j])
		}
	}
	return pairs
}

// shownLevels are the levels of a factor that get a row: all of them where they
// are few, else those of the charted slices and the most frequent, in the order
// of the space, with the others behind them in one.
func shownLevels(space *loop.Space, factor int, n *Numbers) []string {
	f := &space.Factors[factor]
	keep := make([]bool, len(f.Levels))
	room := maxLevels
	if len(f.Levels) > room {
		for _, s := range n.Accuracy {
			p := s.in.Of(factor)
			for l := range f.Levels {
				if p != nil && p.Holds(loop.Code(l)) && !keep[l] && room > maxLevels/2 {
					keep[l] = true
					room--
				}
			}
		}
		order := make([]int, len(f.Levels))
		for l := range order {
			order[l] = l
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(f.Levels[b].Target, f.Levels[a].Target) })
		for _, l := range order {
			if room > 1 && !keep[l] {
				keep[l] = true
				room--
			}
		}
	}
	var out []string
	for l := range f.Levels {
		if keep[l] || len(f.Levels) <= maxLevels {
			out = append(out, f.Levels[l].Name)
		}
	}
	if len(out) < len(f.Levels) {
		out = append(out, otherLevels)
	}
	if f.When != nil {
		out = append(out, loop.AbsentName)
	}
	return out
}

// folded is a factor's level in SQL, with the levels that have no row as one.
func folded(f *loop.Factor, shown []string) string {
	column := levelColumn(f) + "::VARCHAR"
	if !slices.Contains(shown, otherLevels) {
		return column
	}
	names := make([]string, len(shown))
	for i, s := range shown {
		names[i] = literal(s)
	}
	return fmt.Sprintf("CASE WHEN %s IN (%s) THEN %s ELSE %s END", column, strings.Join(names, ", "), column, literal(otherLevels))
}

// place is the position of a level among those shown, or -1.
func place(shown []string, level string) int {
	if i := slices.Index(shown, level); i >= 0 {
		return i
	}
	return slices.Index(shown, otherLevels)
}

// target estimates what deployment has of each cell.
func (p *PairCoverage) target(space *loop.Space, pair [2]int, drawn []loop.Scenario) {
	p.Cells = make([][]CoverageCell, len(p.Levels[0]))
	for i := range p.Cells {
		p.Cells[i] = make([]CoverageCell, len(p.Levels[1]))
	}
	// Codes lead to places without a look at names.
	var places [2]map[loop.Code]int
	for side, f := range pair {
		places[side] = map[loop.Code]int{loop.Absent: place(p.Levels[side], loop.AbsentName)}
		for l := range space.Factors[f].Levels {
			places[side][loop.Code(l)] = place(p.Levels[side], space.Factors[f].Levels[l].Name)
		}
	}
	for i := range drawn {
		row, column := places[0][drawn[i].Codes[pair[0]]], places[1][drawn[i].Codes[pair[1]]]
		if row >= 0 && column >= 0 {
			p.Cells[row][column].Target += 1 / float64(len(drawn))
		}
	}
}
