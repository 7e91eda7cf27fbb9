package spec

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hone/loop"
)

// The columns of a table of scenarios beside the factors.
const (
	scenarioWhere = "where"
	scenarioCount = "count"
)

// PredicatesOf is SliceOf for a slice of any length, none included.
func PredicatesOf(space *loop.Space, field string, names map[string]string) (loop.Slice, error) {
	n := &node{sort: mapping}
	for _, factor := range slices.Sorted(maps.Keys(names)) {
		n.keys = append(n.keys, &node{sort: text, text: factor})
		n.items = append(n.items, &node{sort: text, text: names[factor]})
	}
	var d document
	slice := d.readPredicates(space, n, field)
	if err := d.err(); err != nil {
		refusal, _ := errors.AsType[*loop.Error](err)
		return nil, refusal
	}
	return slice, nil
}

// ParseScenarios reads a list of partial scenarios of a space, each with the
// number of samples that are wanted of it (1 where it has no count): a YAML or
// JSON list, JSON objects one a line (NDJSON), or a table (CSV) with a column
// per factor. An entry is a mapping from factor to level, with its count beside
// them or, as in a campaign, {where: {...}, count: N}. What it leaves out, or
// empty, is free.
//
// Scenarios that are there twice are put together, at the place of the first.
// Mistakes are Errors, with line and column.
func ParseScenarios(doc []byte, space *loop.Space) ([]loop.Request, error) {
	list, err := scenarioList(doc)
	if err != nil {
		return nil, err
	}
	d := &document{root: list, places: make(map[string]*node)}
	const example = "for example [{light: low, count: 100}]"
	if list.sort != sequence {
		d.refuse(list, "", example, "a list of scenarios is expected, not %s", list.sort)
	} else if len(list.items) == 0 {
		d.refuse(list, "", example, "no scenario is listed")
	}
	var requests []loop.Request
	seen := make(map[string]int)
	for i, n := range list.items {
		r, ok := d.readScenario(space, n, at("scenarios", i))
		if !ok {
			continue
		}
		key := fmt.Sprint(r.Slice)
		if first, twice := seen[key]; twice {
			requests[first].Count += r.Count
			continue
		}
		seen[key] = len(requests)
		requests = append(requests, r)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return requests, nil
}

func (d *document) readScenario(space *loop.Space, n *node, field string) (loop.Request, bool) {
	r := loop.Request{Count: 1}
	if n.sort != mapping {
		d.refuse(n, field, "for example {light: low, count: 100}", "a mapping from factor to level is expected, not %s", n.sort)
		return r, false
	}
	where, o := n, object{document: d, node: n, field: field}
	if inner := o.get(scenarioWhere); inner != nil && space.Factor(scenarioWhere) < 0 {
		if o, ok := d.object(n, field, scenarioWhere, scenarioCount); ok {
			o.count(scenarioCount, loop.MaxQuota, &r.Count)
		}
		where = inner
	} else if space.Factor(scenarioCount) < 0 {
		o.count(scenarioCount, loop.MaxQuota, &r.Count)
		where = &node{sort: mapping, line: n.line, column: n.column}
		for i, k := range n.keys {
			if k.text != scenarioCount {
				where.keys, where.items = append(where.keys, k), append(where.items, n.items[i])
			}
		}
	}
	r.Slice = d.readPredicates(space, where, field)
	if r.Count == 0 {
		d.refuse(n, field+"."+scenarioCount, "leave the scenario out", "none are wanted")
	}
	return r, true
}

// scenarioList reads a list in whichever form it is written.
func scenarioList(doc []byte) (*node, error) {
	first, _, _ := bytes.Cut(bytes.TrimLeft(bytes.TrimPrefix(doc, []byte("\xEF\xBB\xBF")), " \t\r\n"), []byte("\n"))
	line := strings.TrimSpace(string(first))
	switch {
	case strings.HasPrefix(line, "{") && strings.HasSuffix(line, "}"):
		return ndjsonList(doc)
	case strings.HasPrefix(line, "{") || strings.HasPrefix(line, "[") || strings.HasPrefix(line, "-") || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "%"):
		return parse(doc)
	default:
		return csvList(doc)
	}
}

// ndjsonList is the list of the lines' objects, each at its line.
func ndjsonList(doc []byte) (*node, error) {
	list := &node{sort: sequence, line: 1, column: 1}
	if len(doc) > MaxBytes {
		return parse(doc) // refuses it
	}
	number := 0
	for line := range bytes.Lines(doc) {
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		n, err := parse(line)
		if mistakes, ok := errors.AsType[Errors](err); ok {
			for i := range mistakes {
				mistakes[i].Line = number
			}
			return nil, mistakes
		}
		if err != nil {
			return nil, err
		}
		n.move(number - 1)
		list.items = append(list.items, n)
	}
	return list, nil
}

// move puts a tree some lines further down.
func (n *node) move(lines int) {
	n.line += lines
	for _, k := range n.keys {
		k.move(lines)
	}
	for _, k := range n.items {
		k.move(lines)
	}
}

// csvList is the list of a table's rows. An empty cell says nothing.
func csvList(doc []byte) (*node, error) {
	var r refusals
	if len(doc) > MaxBytes {
		return parse(doc) // refuses it
	}
	table := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(doc, []byte("\xEF\xBB\xBF"))))
	header, err := table.Read()
	list := &node{sort: sequence, line: 1, column: 1}
	var keys []*node
	for i, name := range header {
		line, column := table.FieldPos(i)
		keys = append(keys, &node{sort: text, text: strings.TrimSpace(name), line: line, column: column})
	}
	r.distinct(&node{keys: keys})
	for err == nil {
		var cells []string
		if cells, err = table.Read(); err != nil {
			break
		}
		row := &node{sort: mapping}
		row.line, row.column = table.FieldPos(0)
		for i, cell := range cells {
			if cell = strings.TrimSpace(cell); cell == "" {
				continue
			}
			n := &node{sort: text, text: cell}
			n.line, n.column = table.FieldPos(i)
			if _, bad := strconv.ParseFloat(cell, 64); bad == nil {
				n.sort = number
			}
			row.keys, row.items = append(row.keys, keys[i]), append(row.items, n)
		}
		list.items = append(list.items, row)
	}
	if mistake, ok := errors.AsType[*csv.ParseError](err); ok {
		r.refuse(&node{line: mistake.Line, column: max(mistake.Column, 1)}, "", "write a list in YAML, or a table with a column per factor", "not a table: %v", mistake.Err)
	} else if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return list, r.err()
}
