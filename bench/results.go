package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// resultsTitle begins a file of results.
const resultsTitle = "# Results of the benchmark\n\nA section per part of `go run -tags duckdb_arrow ./bench decision`, with the command, the class of machine and\nthe day of each. Intervals are 95 %, over seeds (Student's t), paired with the baseline's.\n"

// writeResults writes the sections of the parts that ran into a Markdown file and
// leaves those of the others as they are; beside it, the plot of samples.
func writeResults(to string, byPart map[string][]measure, o *options) error {
	old, err := os.ReadFile(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sections := readSections(string(old))
	for name, measures := range byPart {
		picture := ""
		if name == (samples{}).name() {
			plot := strings.TrimSuffix(to, filepath.Ext(to)) + ".svg"
			if err := o.plot(plot); err != nil {
				return err
			}
			picture = fmt.Sprintf("![Accuracy of the worst slice over training samples, by strategy](%s)\n\n", filepath.Base(plot))
		}
		sections[name] = fmt.Sprintf("## %s\n\n`go run -tags duckdb_arrow ./bench %s`  \n%s\n\n%s%s",
			name, commandLine(os.Args[1:]), circumstances(), picture, markdown(measures))
	}
	var b bytes.Buffer
	b.WriteString(resultsTitle)
	for _, p := range parts {
		if section := sections[p.name()]; section != "" {
			b.WriteString("\n" + strings.TrimRight(section, "\n") + "\n")
		}
	}
	return os.WriteFile(to, b.Bytes(), 0o644)
}

// readSections takes a file of results apart.
func readSections(text string) map[string]string {
	sections := map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			name = strings.TrimSpace(heading)
		}
		if name != "" {
			sections[name] += line
		}
	}
	return sections
}

// circumstances are the class of machine and the day: what a figure may depend on.
func circumstances() string {
	words := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	if memory := memoryGiB(); memory > 0 {
		words = append(words, fmt.Sprintf("%.0f GiB", memory))
	}
	words = append(words, runtime.GOOS+"/"+runtime.GOARCH, runtime.Version(), time.Now().UTC().Format(time.DateOnly))
	return strings.Join(words, " · ")
}

// memoryGiB is the machine's memory, 0 where that is not known.
func memoryGiB() float64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib / (1 << 20)
		}
	}
	return 0
}

// markdown is the measures as tables: first those with a goal, then the rest, and
// what differs by two words of its name crosswise.
func markdown(measures []measure) string {
	var b strings.Builder
	var rows [][]string
	for i := range measures {
		if m := &measures[i]; m.Goal != "" {
			row := m.row()
			row[7] = map[bool]string{true: "met", false: "**missed**"}[*m.Met]
			rows = append(rows, row)
		}
	}
	writeMarkdown(&b, header, rows)
	rows = nil
	var groups []string
	for i := range measures {
		if words := strings.Split(measures[i].Name, "/"); len(words) == 4 {
			if group := words[0] + "/" + words[1]; !slices.Contains(groups, group) {
				groups = append(groups, group)
			}
		} else if measures[i].Goal == "" {
			rows = append(rows, measures[i].row()[:6])
		}
	}
	writeMarkdown(&b, header[:6], rows)
	for _, group := range groups {
		crosswise(&b, group, measures)
	}
	for _, note := range notes(measures) {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	return b.String()
}

// crosswise is a table of a group's measures, what is measured across and what it
// is of down. A group of one row stands in the other tables already.
func crosswise(b *strings.Builder, group string, measures []measure) {
	var across, down []string
	cells := map[[2]string]string{}
	for i := range measures {
		m := &measures[i]
		name, ok := strings.CutPrefix(m.Name, group+"/")
		if !ok {
			continue
		}
		of, what, _ := strings.Cut(name, "/")
		if m.Unit != "" {
			what += ", " + m.Unit
		}
		if !slices.Contains(down, of) {
			down = append(down, of)
		}
		if !slices.Contains(across, what) {
			across = append(across, what)
		}
		text := figure(m.Value)
		if m.Ratio != nil {
			text += " (" + m.sign() + figure(*m.Ratio) + "x)"
		}
		if m.Lower != nil {
			text += " [" + figure(*m.Lower) + ", " + figure(*m.Upper) + "]"
		}
		cells[[2]string{of, what}] = text
	}
	if len(down) < 2 {
		return
	}
	var rows [][]string
	for _, of := range down {
		row := []string{of}
		for _, what := range across {
			row = append(row, cells[[2]string{of, what}])
		}
		rows = append(rows, row)
	}
	writeMarkdown(b, append([]string{group}, across...), rows)
}

func writeMarkdown(b *strings.Builder, header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
	b.WriteString("\n")
}

// commandLine writes arguments for others to type: where files lie on this machine
// is nothing to them.
func commandLine(args []string) string {
	out := slices.Clone(args)
	for i := range out {
		if filepath.IsAbs(out[i]) {
			out[i] = filepath.Base(out[i])
		}
	}
	return strings.Join(out, " ")
}
