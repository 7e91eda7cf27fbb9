package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"hone/loop"
)

// draftWriter writes a drafted space as YAML with comments.
type draftWriter struct {
	strings.Builder
	*spaceDraft
	draft  loop.Draft
	names  []string
	levels [][]string
	tree   []*loop.Dependence // by factor; nil for one that stands for itself
	order  []int
}

// line writes a line. What a file's columns and values are called may hold
// anything, so nothing of it ends the line.
func (w *draftWriter) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.WriteString(strings.TrimRight(comment(text), " ") + "\n")
}

// comment is text on one line.
func comment(text string) string {
	return strings.NewReplacer("\u0085", " ", "\u2028", " ", "\u2029", " ", "\ufeff", "").Replace(printable(strings.ToValidUTF8(text, "?")))
}

func (w *draftWriter) write() {
	w.line("# yaml-language-server: $schema=space.schema.json")
	w.line("# (hone schema space > space.schema.json lets an editor complete and check this file)")
	w.line("#")
	w.line("# What may vary, drafted from the %d rows of %s. Read it, edit it, then", len(w.rows.Error), w.from)
	w.line("#")
	w.line("#   hone space check FILE")
	w.line("#")
	if w.fieldRows != nil {
		w.line("# Each share is what the level has of the %d rows of %s: what deployment looks like.", len(w.fieldRows.Error), w.field)
	} else {
		w.line("# Each share is what the level has of these very rows, for want of better: if they are")
		w.line("# not what deployment looks like, give a table that is by --field, or edit the shares.")
	}
	w.line("")
	w.line("name: %s", w.name)
	w.line("")
	w.line("factors:")
	for i, f := range w.order {
		if i > 0 {
			w.line("")
		}
		w.factor(f)
	}
	w.constraints()
	w.associations()
	if len(w.left) > 0 {
		w.line("")
		w.line("# Columns that are no factors:")
		for _, l := range w.left {
			w.line("#   %s: %s", l.Column, l.Reason)
		}
	}
}

func (w *draftWriter) factor(f int) {
	factor := &w.rows.Space.Factors[f]
	if w.names[f] != w.columns[f] {
		w.line("  # column %q: a factor's name is a letter, then letters, digits or '_'", w.columns[f])
	}
	if unknown := w.draft.Unknown[f]; unknown > 0 && w.draft.When[f] == nil {
		w.line("  # unknown in %s of the rows", percent(unknown))
	}
	dependence := w.tree[f]
	if dependence != nil {
		w.line("  # given %s, which tells %.2g nats about it in %d rows", w.names[dependence.On], dependence.Information, dependence.Counted)
	}
	shares := w.rows.Shares(f)
	if w.fieldRows != nil {
		if field := w.fieldRows.Shares(f); field != nil {
			shares = field
		} else {
			w.line("  # %s says nothing of it: these are its shares in %s", w.field, w.from)
		}
	}
	w.line("  - name: %s", scalar(w.names[f]))
	w.line("    kind: %s", factor.Kind)
	if when := w.draft.When[f]; when != nil {
		w.line("    when: {%s: %s}", scalar(w.names[when.Factor]), w.set(*when))
	}
	if factor.Kind == loop.Numeric {
		edges := []string{edgeText(factor.Levels[0].Low)}
		for _, l := range factor.Levels {
			edges = append(edges, edgeText(l.High))
		}
		w.line("    edges: [%s]", strings.Join(edges, ", "))
		if dependence != nil {
			w.given(f)
		} else if shares != nil {
			w.line("    target: [%s]", strings.Join(shareTexts(shares), ", "))
		}
		return
	}
	texts := shareTexts(shares)
	if texts == nil || dependence != nil { // without shares of its own
		names := make([]string, len(w.levels[f]))
		for l, name := range w.levels[f] {
			names[l] = scalar(name)
		}
		w.line("    levels: [%s]", strings.Join(names, ", "))
		if dependence != nil {
			w.given(f)
		}
		return
	}
	pairs, width := make([]string, len(texts)), 0
	for l, name := range w.levels[f] {
		pairs[l] = scalar(name) + ": " + texts[l]
		width += len(pairs[l]) + 2
	}
	if width <= 110 {
		w.line("    levels: {%s}", strings.Join(pairs, ", "))
		return
	}
	w.line("    levels:")
	for _, pair := range pairs {
		w.line("      %s", pair)
	}
}

// given writes shares that depend on another factor's level.
func (w *draftWriter) given(f int) {
	d := w.tree[f]
	w.line("    given:")
	w.line("      %s:", scalar(w.names[d.On]))
	for l, row := range d.Rows {
		if row == nil {
			continue
		}
		texts := shareTexts(row)
		text := "[" + strings.Join(texts, ", ") + "]"
		if w.rows.Space.Factors[f].Kind != loop.Numeric {
			for y, name := range w.levels[f] {
				texts[y] = scalar(name) + ": " + texts[y]
			}
			if named := "{" + strings.Join(texts, ", ") + "}"; len(named) <= 110 {
				text = named
			}
		}
		w.line("        %s: %s", w.level(d.On, l), text)
	}
}

// set writes the levels of a set.
func (w *draftWriter) set(s loop.LevelSet) string {
	names := make([]string, len(s.Levels))
	for i, l := range s.Levels {
		names[i] = w.level(s.Factor, l)
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// level names a level as the document's reader will: a bin by its edges.
func (w *draftWriter) level(f, l int) string {
	if w.rows.Space.Factors[f].Kind == loop.Numeric {
		bin := w.rows.Space.Factors[f].Levels[l]
		return scalar("[" + edgeText(bin.Low) + "," + edgeText(bin.High) + ")")
	}
	return scalar(w.levels[f][l])
}

func (w *draftWriter) constraints() {
	if len(w.draft.Gaps) == 0 {
		return
	}
	w.line("")
	w.line("# These never occur in the rows, though they would in so many if the factors were")
	w.line("# independent. Uncomment those that cannot be; the others nobody has looked at.")
	w.line("#constraints:")
	for _, g := range w.draft.Gaps {
		a, b := g.Slice[0], g.Slice[1]
		w.line("#  - forbid: {%s: %s, %s: %s} # in %.0f rows", scalar(w.names[a.Factor]), w.level(a.Factor, a.Level),
			scalar(w.names[b.Factor]), w.level(b.Factor, b.Level), g.Expected)
	}
}

func (w *draftWriter) associations() {
	var left []loop.Association
	for _, a := range w.draft.Associations {
		if w.root(a.A) != w.root(a.B) {
			left = append(left, a)
		}
	}
	if len(left) == 0 {
		return
	}
	w.line("")
	w.line("# These go together (Cramér's V, 1 is completely). A space draws its factors")
	w.line("# independently, but for `when`, `given`, `target` and `constraints`: if that makes")
	w.line("# scenarios that are not realistic, let one depend on the other (--dependence fits")
	w.line("# that), or forbid what cannot be.")
	for _, a := range left {
		w.line("#   %s and %s: %.2f", w.names[a.A], w.names[a.B], a.Strength)
	}
}

// root is the factor that one depends on in the end, by what the document says: what
// has the same root goes together in what is drawn, too.
func (w *draftWriter) root(f int) int {
	for w.tree[f] != nil {
		f = w.tree[f].On
	}
	return f
}

func shareTexts(shares []float64) []string {
	var texts []string
	for _, s := range shares {
		texts = append(texts, strconv.FormatFloat(s, 'f', -1, 64))
	}
	return texts
}

// edgeText writes an edge as package spec names the bins.
func edgeText(v float64) string {
	if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e15) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
