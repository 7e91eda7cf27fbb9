package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// budgetChart is the stacked bars of the rounds.
type budgetChart struct {
	Width, Height int
	Bottom, Left  float64
	Bars          []budgetBar
	Segments      []budgetSegment
	Legend        []budgetLegend
	YTicks        []chartTick
	Label         string
}

type budgetBar struct {
	X, Width float64
	Text     string
}

type budgetSegment struct {
	X, Y, Width, Height float64
	Class, Title        string
}

type budgetLegend struct {
	Class, Name string
	Samples     int64
	Share       float64
	Rounds      string
	// Sentence is that of the round that first boosted it.
	Sentence string
	First    int
}

// budgetColours is how many slices have a colour of their own, legendRows how
// many a row.
const (
	budgetColours = 8
	legendRows    = 13
)

// newBudgetChart stacks the base and the boosts that got most.
func newBudgetChart(rounds []RoundBudget) budgetChart {
	c := budgetChart{Width: 900, Height: 240, Left: 50, Bottom: 216}
	var list []budgetLegend
	at := map[string]int{}
	var total int64
	for _, r := range rounds {
		total += r.Samples
		for _, p := range r.Parts {
			i, ok := at[p.Name]
			if !ok {
				i = len(list)
				at[p.Name] = i
				list = append(list, budgetLegend{Name: p.Name, Sentence: p.Sentence, First: r.Round})
			}
			list[i].Samples += p.Samples
			list[i].Rounds = strings.TrimPrefix(list[i].Rounds+", "+strconv.Itoa(r.Round), ", ")
		}
	}
	sortLegend(list)
	class := map[string]string{}
	coloured := 0
	for i := range list {
		list[i].Share = float64(list[i].Samples) / float64(max(1, total))
		list[i].Rounds = ranges(list[i].Rounds)
		switch {
		case list[i].Sentence == "":
			list[i].Class = "base"
		case coloured < budgetColours:
			list[i].Class = "c" + strconv.Itoa(coloured)
			coloured++
		default:
			list[i].Class = "more"
		}
		class[list[i].Name] = list[i].Class
	}
	if len(list) > legendRows {
		rest := budgetLegend{Class: "more", Name: fmt.Sprintf("%d more slices", len(list)-legendRows)}
		for _, l := range list[legendRows:] {
			rest.Samples, rest.Share = rest.Samples+l.Samples, rest.Share+l.Share
		}
		list = append(list[:legendRows:legendRows], rest)
	}
	c.Legend = list
	for _, v := range []float64{0, .5, 1} {
		c.YTicks = append(c.YTicks, chartTick{c.Bottom - v*(c.Bottom-10), strconv.Itoa(int(100*v)) + "%"})
	}
	step := (float64(c.Width) - c.Left - 8) / float64(max(1, len(rounds)))
	width := min(step*.8, 56)
	for i, r := range rounds {
		x, y := c.Left+step*(float64(i)+.5)-width/2, c.Bottom
		every := 1 + len(rounds)/16
		bar := budgetBar{X: x + width/2, Width: width}
		if i%every == 0 {
			bar.Text = strconv.Itoa(r.Round)
		}
		c.Bars = append(c.Bars, bar)
		for _, group := range []string{"base", "", "more"} {
			for _, p := range r.Parts {
				k := class[p.Name]
				if k != group && (group != "" || k == "base" || k == "more") {
					continue
				}
				height := (c.Bottom - 10) * float64(p.Samples) / float64(max(1, r.Samples))
				y -= height
				c.Segments = append(c.Segments, budgetSegment{x, y, width, height, k,
					fmt.Sprintf("round %d: %s, %s samples (%s)", r.Round, p.Name, thousands(p.Samples), percent(float64(p.Samples)/float64(max(1, r.Samples))))})
			}
		}
	}
	c.Label = fmt.Sprintf("The training samples of %d rounds by what they were spent on; the table below has the same.", len(rounds))
	return c
}

// sortLegend puts the base first, then what got most.
func sortLegend(list []budgetLegend) {
	slices.SortStableFunc(list, func(a, b budgetLegend) int {
		if (a.Sentence == "") != (b.Sentence == "") {
			return cmp.Compare(len(a.Sentence), len(b.Sentence))
		}
		return cmp.Compare(b.Samples, a.Samples)
	})
}

// ranges writes "1, 2, 3, 5" as "1-3, 5".
func ranges(list string) string {
	var out []string
	first, previous := 0, -1
	end := func() {
		if previous > first {
			out[len(out)-1] += "–" + strconv.Itoa(previous)
		}
	}
	for text := range strings.SplitSeq(list, ", ") {
		n, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		if n != previous+1 || len(out) == 0 {
			if len(out) > 0 {
				end()
			}
			first, out = n, append(out, text)
		}
		previous = n
	}
	if len(out) > 0 {
		end()
	}
	return strings.Join(out, ", ")
}
