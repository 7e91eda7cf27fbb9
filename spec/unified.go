package spec

import (
	"fmt"
	"strings"
)

// unifiedContext is how many equal lines surround a difference, and
// unifiedLimit how many pairs of differing lines are compared before two texts
// count as wholly different.
const (
	unifiedContext = 3
	unifiedLimit   = 4 << 20
)

// Unified is what turns one text into another, in the unified format that patch
// and people read; empty where they are equal.
func Unified(nameA, nameB, a, b string) string {
	if a == b {
		return ""
	}
	script := compareLines(split(a), split(b))
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", nameA, nameB)
	for from := 0; from < len(script); {
		if script[from].sign == ' ' {
			from++
			continue
		}
		// A hunk ends where more is equal than two hunks would show.
		last := from
		for at := from; at < len(script) && at <= last+2*unifiedContext; at++ {
			if script[at].sign != ' ' {
				last = at
			}
		}
		first, end := max(0, from-unifiedContext), min(len(script), last+1+unifiedContext)
		var lines [2]int
		for _, l := range script[first:end] {
			if l.sign != '+' {
				lines[0]++
			}
			if l.sign != '-' {
				lines[1]++
			}
		}
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span(script[first].a, lines[0]), span(script[first].b, lines[1]))
		for _, l := range script[first:end] {
			out.WriteByte(l.sign)
			out.WriteString(l.text)
			if !strings.HasSuffix(l.text, "\n") {
				out.WriteString("\n\\ No newline at end of file\n")
			}
		}
		from = end
	}
	return out.String()
}

// span is the place of a hunk: its first line, from 1, and how many; the line
// before where there are none.
func span(first, lines int) string {
	if lines > 0 {
		first++
	}
	return fmt.Sprintf("%d,%d", first, lines)
}

func split(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// diffLine is one line of an edit script: ' ' kept, '-' of a alone, '+' of b
// alone; a and b are how many lines of each precede it.
type diffLine struct {
	sign byte
	text string
	a, b int
}

// compareLines is a shortest edit script, by the longest common subsequence of
// what differs (Wagner and Fischer 1974).
func compareLines(a, b []string) []diffLine {
	var script []diffLine
	i, j := 0, 0
	add := func(sign byte, text string) {
		script = append(script, diffLine{sign, text, i, j})
		if sign != '+' {
			i++
		}
		if sign != '-' {
			j++
		}
	}
	endA, endB := len(a), len(b)
	for endA > 0 && endB > 0 && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
	}
	for i < endA && j < endB && a[i] == b[j] {
		add(' ', a[i])
	}
	startA, startB := i, j
	width := endB - startB + 1
	var common []int32 // of a from line x on and b from line y on
	if (endA-startA)*(endB-startB) <= unifiedLimit {
		common = make([]int32, (endA-startA+1)*width)
		for x := endA - 1; x >= startA; x-- {
			for y := endB - 1; y >= startB; y-- {
				at := (x-startA)*width + y - startB
				if a[x] == b[y] {
					common[at] = common[at+width+1] + 1
				} else {
					common[at] = max(common[at+width], common[at+1])
				}
			}
		}
	}
	for i < endA && j < endB {
		at := (i-startA)*width + j - startB
		switch {
		case a[i] == b[j]:
			add(' ', a[i])
		case common == nil || common[at+width] >= common[at+1]:
			add('-', a[i])
		default:
			add('+', b[j])
		}
	}
	for i < endA {
		add('-', a[i])
	}
	for j < endB {
		add('+', b[j])
	}
	for i < len(a) {
		add(' ', a[i])
	}
	return script
}
