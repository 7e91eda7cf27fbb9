package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"hone/api"
	"hone/loop"
)

// explain says a decision to a person: what was boosted and why, what the rest
// is, and what was left alone.
func explain(w io.Writer, r *api.Round) {
	d := r.Decision
	if d.Strategy == loop.StrategyMake {
		explainMade(w, r)
		return
	}
	fmt.Fprintf(w, "Round %d of campaign %s, by strategy %s.\n", r.Round, r.Campaign, d.Strategy)
	if d.EvidenceRows == 0 {
		fmt.Fprintln(w, "There was no evidence yet, so the whole mixture is the base.")
	} else {
		fmt.Fprintf(w, "Decided from %s outcomes (everything up to sequence %d); %s of them failed.\n",
			thousands(d.EvidenceRows), r.Sequence, percent(d.FailureRate))
	}
	if r.Round > 1 && d.EvidenceRows > 0 {
		fmt.Fprintf(w, "The mixture went %s of the way to what the evidence asks for (%s nats from the round before).\n",
			percent(d.Step), strconv.FormatFloat(d.KL, 'g', 3, 64))
	}
	if k := d.Canary; k != nil {
		moved := ""
		if r.Round > 1 && d.EvidenceRows > 0 {
			moved = fmt.Sprintf("That is of version %d; the canary's arm went %s of the way to what it wants (%s nats). ", d.PolicyVersion, percent(k.Step), strconv.FormatFloat(k.KL, 'g', 3, 64))
		}
		paragraph(w, "", fmt.Sprintf("%sThe round has two arms: %s samples to train on are decided by version %d of the policy, the canary, by strategy %s; all others by version %d. Shares are of the whole mixture.",
			moved, thousands(k.Quota), k.PolicyVersion, k.Strategy, d.PolicyVersion))
	}
	if d.Effective > 0 {
		fmt.Fprintf(w, "Weighted back to deployment, 100 of its training samples are worth %.0f drawn from there.\n", 100*d.Effective)
	}
	boosts := 0
	for i := range d.Components {
		k := &d.Components[i]
		if k.Domain != loop.Train.String() || len(k.Slice) == 0 {
			continue
		}
		if boosts++; boosts == 1 {
			fmt.Fprint(w, "\nBoosted slices:\n")
		}
		arm := ""
		if d.Canary != nil {
			arm = ", in the " + armOf(k) + " arm"
		}
		fmt.Fprintf(w, "\n  %s: %s of the mixture, %s samples%s\n", printable(k.Name), percent(k.Share), thousands(k.Quota), arm)
		if k.Reason != nil {
			paragraph(w, "    ", k.Reason.Sentence)
			if k.Reason.Value > 0 {
				paragraph(w, "    ", because(k.Reason))
			}
		}
		if k.Accepted > 0 && k.Accepted < 1 {
			paragraph(w, "    ", fmt.Sprintf("The constraints leave %s of its draws.", percent(k.Accepted)))
		}
	}
	if boosts == 0 {
		fmt.Fprint(w, "\nNo slice was boosted.\n")
	}
	writeRest(w, d)
	writeMemory(w, "Damped or quarantined", d.Memory)
	writeNotes(w, "Notes", d.Notes)
	writeCanaryArm(w, d.Canary)
}

// explainMade says a round that makes what was requested.
func explainMade(w io.Writer, r *api.Round) {
	const most = 20
	fmt.Fprintf(w, "Round %d of campaign %s makes what was requested; nothing was decided from evidence.\n\n", r.Round, r.Campaign)
	more := 0
	for i := range r.Decision.Components {
		k := &r.Decision.Components[i]
		switch {
		case k.Domain != loop.Train.String():
		case i >= most:
			more++
		default:
			fmt.Fprintf(w, "  %s: %s samples\n", printable(k.Name), thousands(k.Quota))
		}
	}
	if more > 0 {
		fmt.Fprintf(w, "  and %s more: hone round show %s %d\n", thousands(more), r.Campaign, r.Round)
	}
	writeRest(w, &api.Decision{Components: evaluationOf(r.Decision)})
}

func evaluationOf(d *api.Decision) (out []api.Component) {
	for _, k := range d.Components {
		if k.Domain == loop.Evaluation.String() {
			out = append(out, k)
		}
	}
	return out
}

// because is what a boost's sentence leaves unsaid: how sure it is.
func because(e *loop.Reason) string {
	var b strings.Builder
	fmt.Fprintf(&b, "With the memory of earlier models: %s rows, %s failed, %s standard deviations more than the rest",
		strconv.FormatFloat(e.Support, 'f', 0, 64), percent(e.Rate), strconv.FormatFloat(e.Z, 'f', 1, 64))
	if e.Groups != e.Rows {
		fmt.Fprintf(&b, "; the newest model's rows are of %s groups", thousands(e.Groups))
	}
	if e.Q > 0 {
		fmt.Fprintf(&b, "; chance alone would show it with q = %s", strconv.FormatFloat(e.Q, 'g', 2, 64))
	}
	b.WriteByte('.')
	return b.String()
}

// writeRest says what is not boosted: the base, and what is made for evaluation.
func writeRest(w io.Writer, d *api.Decision) {
	var share float64
	var base, evaluation uint64
	var sources []string
	var coverage *loop.Reason
	made := map[string]uint64{}
	for _, k := range d.Components {
		switch {
		case k.Rows > 0 && k.Domain == loop.Train.String():
			coverage = k.Reason
		case k.Domain == loop.Train.String() && len(k.Slice) == 0:
			share += k.Share
			base += k.Quota
		case k.Domain == loop.Evaluation.String():
			evaluation += k.Quota
			// The parts of the mixture are one source together.
			what := "from the " + k.Source
			if loop.Source(k.Source) == loop.SourceProbe {
				what = "to probe " + k.Name
			}
			if loop.Source(k.Source) == loop.SourcePinned {
				what = "of " + k.Name
			}
			if made[what] == 0 {
				sources = append(sources, what)
			}
			made[what] += k.Quota
		}
	}
	if base > 0 {
		fmt.Fprintf(w, "\nThe base keeps %s of the mixture, %s samples.\n", percent(share), thousands(base))
	}
	if coverage != nil {
		fmt.Fprintln(w)
		paragraph(w, "", "Coverage: "+coverage.Sentence)
	}
	if evaluation > 0 {
		for i, what := range sources {
			sources[i] = thousands(made[what]) + " " + what
		}
		if len(sources) > 6 {
			sources = append(sources[:6], fmt.Sprintf("and %d more", len(sources)-6))
		}
		fmt.Fprintf(w, "For evaluation, never for training: %s.\n", printable(strings.Join(sources, ", ")))
	}
}

func writeMemory(w io.Writer, heading string, memory []api.Memory) {
	said := false
	for _, m := range memory {
		if m.Sentence == "" && !m.Quarantined {
			continue
		}
		if !said {
			fmt.Fprintf(w, "\n%s:\n", heading)
			said = true
		}
		state := "damped to " + percent(m.Damping)
		if m.Quarantined {
			state = "quarantined"
		}
		fmt.Fprintf(w, "  %s: %s after %s samples since round %d\n", printable(m.Name), state, thousands(m.Samples), m.Since)
		paragraph(w, "    ", m.Sentence)
	}
}

// lineWidth is where prose is broken.
const lineWidth = 100

// paragraph prints prose, indented and broken between words.
func paragraph(w io.Writer, indent, text string) {
	line := indent
	for word := range strings.FieldsSeq(printable(text)) {
		if len(line) > len(indent) && len(line)+1+len(word) > lineWidth {
			fmt.Fprintln(w, line)
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	if len(line) > len(indent) {
		fmt.Fprintln(w, line)
	}
}

// thousands writes 12345 as 12,345.
func thousands[T int | int64 | uint64](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
