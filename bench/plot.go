package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"

	"hone/loop"
)

// plot draws the accuracy of the worst slice over training samples, a panel per
// world and a line per strategy, as SVG that follows a dark page.
func (o *options) plot(to string) error {
	campaigns, err := o.campaigns(context.Background(), o.sampled()) // all stored by now
	if err != nil {
		return err
	}
	p := &plot{width: 560*len(o.worlds) + 20, height: 470}
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="Accuracy of the worst slice over training samples">`,
		p.width, p.height, p.width, p.height)
	p.b.WriteString(plotStyle)
	fmt.Fprintf(&p.b, `<rect width="%d" height="%d" class="paper"/>`, p.width, p.height)
	fmt.Fprintf(&p.b, `<text x="24" y="32" class="title">Accuracy of the worst slice over training samples</text>`)
	if o.seeds > 1 {
		fmt.Fprintf(&p.b, `<text x="24" y="51" class="soft">mean of %d seeds; bands and whiskers are 95 %% intervals; uniform goes on until it is at %.2f</text>`, o.seeds, mark)
	}
	p.legend(o.compared())
	for i, world := range o.worlds {
		p.panel(float64(24+560*i), world, campaigns, o.compared())
	}
	p.b.WriteString("</svg>\n")
	return os.WriteFile(to, []byte(p.b.String()), 0o644)
}

const plotStyle = `<style>
svg { --paper: #fff; --ink: #1b1f24; --soft: #5b6570; --line: #e3e7ec; --hone: #0b62a8; --uniform: #4a525b;
  --target: #e08a00; --stratified: #009e73; --failure: #c05f94; --learnability: #4aa3d8; --doremi: #d1531a; --odm: #8a7a00; }
@media (prefers-color-scheme: dark) { svg { --paper: #14181d; --ink: #e6e9ed; --soft: #9aa4af; --line: #2c343d; --hone: #58aef0; --uniform: #c2cad3;
  --target: #f0a63a; --stratified: #2bbf93; --failure: #dc8bb5; --learnability: #86c5ee; --doremi: #ec7a45; --odm: #c9b731; } }
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: var(--ink); }
.title { font-size: 17px; font-weight: 600; } .panel { font-size: 14px; font-weight: 600; } .soft { fill: var(--soft); }
.paper { fill: var(--paper); } .grid { stroke: var(--line); } .mark { stroke: var(--soft); stroke-dasharray: 2 4; }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round; } .strong { stroke-width: 3; } .band { opacity: .16; }
</style>`

type plot struct {
	b             strings.Builder
	width, height int
}

// The panel's inside.
const (
	plotTop, plotBottom = 118.0, 424.0
	plotLeft, plotRight = 34.0, 524.0
	plotLeast, plotMost = 1500.0, 72000.0 // samples
)

func plotX(samples float64) float64 {
	part := math.Log(min(max(samples, plotLeast), plotMost)/plotLeast) / math.Log(plotMost/plotLeast)
	return plotLeft + (plotRight-plotLeft)*part
}

func plotY(accuracy float64) float64 {
	return plotBottom - (plotBottom-plotTop)*min(max(accuracy, 0), 1)
}

func prominent(strategy string) bool {
	return strategy == loop.StrategyHone || strategy == loop.StrategyUniform
}

// hue is the variable that holds a strategy's colour; one that has none is gray.
func hue(strategy string) string { return fmt.Sprintf("var(--%s, var(--soft))", strategy) }

func (p *plot) legend(strategies []string) {
	x, y := 24.0, 72
	for _, s := range strategies {
		wide := 27 + 6.6*float64(len(s)) + 20
		if x+wide > float64(p.width) {
			x, y = 24, y+18
		}
		class := "line"
		if prominent(s) {
			class = "line strong"
		}
		fmt.Fprintf(&p.b, `<path d="M%.0f %dh20" class="%s" stroke="%s"/><text x="%.0f" y="%d">%s</text>`, x, y, class, hue(s), x+27, y+4, s)
		x += wide
	}
}

func (p *plot) panel(at float64, world string, campaigns []*campaign, strategies []string) {
	fmt.Fprintf(&p.b, `<g transform="translate(%.0f)"><text x="%.0f" y="%.0f" class="panel">%s</text>`, at, plotLeft, plotTop-12, world)
	for _, v := range []float64{0, .2, .4, .6, .8, 1} {
		fmt.Fprintf(&p.b, `<path d="M%.1f %.1fH%.1f" class="grid"/><text x="%.1f" y="%.1f" text-anchor="end" class="soft">%.0f%%</text>`,
			plotLeft, plotY(v), plotRight, plotLeft-6, plotY(v)+4, 100*v)
	}
	for n := plotLeast; n <= plotMost; n *= 2 {
		fmt.Fprintf(&p.b, `<path d="M%.1f %.1fv4" class="grid"/><text x="%.1f" y="%.1f" text-anchor="middle" class="soft">%gk</text>`,
			plotX(n), plotBottom, plotX(n), plotBottom+18, n/1000)
	}
	fmt.Fprintf(&p.b, `<text x="%.1f" y="%.1f" text-anchor="end" class="soft">training samples</text>`, plotRight, plotBottom+38)
	fmt.Fprintf(&p.b, `<path d="M%.1f %.1fH%.1f" class="mark"/><text x="%.1f" y="%.1f" text-anchor="end" class="soft">%.2f</text>`,
		plotLeft, plotY(mark), plotRight, plotRight, plotY(mark)-5, mark)
	// What matters most is drawn last, on top.
	for i := len(strategies) - 1; i >= 0; i-- {
		if !prominent(strategies[i]) {
			p.line(of(campaigns, world, false, strategies[i]), strategies[i])
		}
	}
	for _, s := range strategies {
		if prominent(s) {
			p.line(of(campaigns, world, false, s), s)
		}
	}
	p.b.WriteString("</g>")
}

// line draws the campaigns by one strategy. One that ended before the others, as
// it was at the mark, counts on as it ended.
func (p *plot) line(campaigns []*campaign, strategy string) {
	rounds := 0
	for _, c := range campaigns {
		rounds = max(rounds, len(c.Points))
	}
	var path, over, under strings.Builder
	var x, lower, upper float64
	for r := range rounds {
		worst := each(campaigns, func(c *campaign) float64 { return c.Points[min(r, len(c.Points)-1)].worst() })
		for _, c := range campaigns {
			if r < len(c.Points) {
				x = plotX(float64(c.Points[r].Samples))
			}
		}
		var m float64
		m, lower, upper = interval(worst)
		if math.IsNaN(lower) {
			lower, upper = m, m
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[r == 0], x, plotY(m))
		fmt.Fprintf(&over, "%.1f,%.1f ", x, plotY(upper))
		back := under.String()
		under.Reset()
		fmt.Fprintf(&under, "%.1f,%.1f %s", x, plotY(lower), back)
	}
	class := "line"
	if prominent(strategy) {
		class = "line strong"
		fmt.Fprintf(&p.b, `<polygon points="%s%s" class="band" fill="%s"/>`, over.String(), under.String(), hue(strategy))
	} else if upper > lower {
		fmt.Fprintf(&p.b, `<path d="M%.1f %.1fV%.1f" class="line" stroke="%s" opacity=".6"/>`, x, plotY(lower), plotY(upper), hue(strategy))
	}
	fmt.Fprintf(&p.b, `<path d="%s" class="%s" stroke="%s"><title>%s</title></path>`, path.String(), class, hue(strategy), strategy)
}
