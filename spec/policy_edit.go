package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"hone/loop"
)

// The lists of overrides that a policy document may have.
const (
	Pins = "pins"
	Bans = "bans"
)

// SetOverride writes a pin or a ban into a policy document, which keeps every
// other byte: comments, order and style. One of the same slice takes the place of
// the one there. What no policy may be is a *loop.Error.
func SetOverride(doc []byte, list string, o loop.Override) ([]byte, error) {
	return editOverrides(doc, list, func(all *[]loop.Override) (int, error) {
		at := overrideOf(*all, o.Slice)
		if at < 0 {
			*all = append(*all, o)
		} else {
			(*all)[at] = o
		}
		return at, nil
	}, &o)
}

// RemoveOverride takes a pin or a ban out of a policy document.
func RemoveOverride(doc []byte, list string, slice map[string]string) ([]byte, error) {
	return editOverrides(doc, list, func(all *[]loop.Override) (int, error) {
		at := overrideOf(*all, slice)
		if at < 0 {
			return 0, notThere(list, slice, *all)
		}
		*all = slices.Delete(*all, at, at+1)
		return at, nil
	}, nil)
}

func overrideOf(all []loop.Override, slice map[string]string) int {
	return slices.IndexFunc(all, func(o loop.Override) bool { return maps.Equal(o.Slice, slice) })
}

func notThere(list string, slice map[string]string, all []loop.Override) error {
	remedy := "there is none"
	if len(all) > 0 {
		names := make([]string, min(len(all), 5))
		for i := range names {
			names[i] = all[i].Words()
		}
		remedy = "there is " + strings.Join(names, ", ")
		if more := len(all) - len(names); more > 0 {
			remedy += fmt.Sprintf(" and %d more", more)
		}
	}
	what := map[string]string{Pins: "pinned", Bans: "banned"}[list]
	wanted := loop.Override{Slice: slice}
	return loop.NotFound(list, "%s is not %s (%s)", wanted.Words(), what, remedy)
}

// editOverrides changes one entry of a list: the one at the index that change
// returns, or a new one where that is negative; set is nil to remove it. The
// document that comes out is read again, and is the policy that was meant.
func editOverrides(doc []byte, list string, change func(*[]loop.Override) (int, error), set *loop.Override) ([]byte, error) {
	want, err := ParsePolicy(doc)
	if err != nil {
		return nil, err
	}
	all := &want.Pins
	if list == Bans {
		all = &want.Bans
	}
	*all = slices.Clone(*all)
	at, err := change(all)
	if err != nil {
		return nil, err
	}
	if err := want.Validate(); err != nil {
		return nil, err
	}
	e, err := newEditor(doc)
	if err != nil {
		return nil, err
	}
	edited, ok := e.edit(list, at, set)
	got, err := ParsePolicy(edited)
	if !ok || err != nil || !reflect.DeepEqual(normal(got), normal(want)) {
		return nil, &loop.Error{Field: list, Problem: "the document is written so that it cannot be edited from here",
			Remedy: "edit it by hand and put it; a list has an entry a line: - {slice: {light: low}, share: 0.1}"}
	}
	return edited, nil
}

// normal makes an empty list no list.
func normal(p loop.Policy) loop.Policy {
	if len(p.Pins) == 0 {
		p.Pins = nil
	}
	if len(p.Bans) == 0 {
		p.Bans = nil
	}
	return p
}

// editor cuts and pastes text by the places of the document's tree.
type editor struct {
	text []byte
	root *node
	// lines are the offsets at which lines begin.
	lines []int
}

var byteOrderMark = []byte("\xEF\xBB\xBF")

func newEditor(doc []byte) (*editor, error) {
	root, err := parse(doc)
	if err != nil {
		return nil, err
	}
	e := &editor{text: doc, root: root, lines: []int{0}}
	for i, c := range doc {
		if c == '\n' {
			e.lines = append(e.lines, i+1)
		}
	}
	if bytes.HasPrefix(doc, byteOrderMark) {
		e.lines[0] = len(byteOrderMark)
	}
	return e, nil
}

// offset is where a node begins.
func (e *editor) offset(n *node) int {
	at := e.lines[min(n.line, len(e.lines))-1]
	for range n.column - 1 {
		_, size := utf8.DecodeRune(e.text[at:])
		at += size
	}
	return min(at, len(e.text))
}

// line is the number of the line, from 0, of an offset.
func (e *editor) line(offset int) int {
	at, found := slices.BinarySearch(e.lines, offset)
	if found {
		return at
	}
	return at - 1
}

// end is where a line ends, its line break included.
func (e *editor) end(line int) int {
	if line+1 < len(e.lines) {
		return e.lines[line+1]
	}
	return len(e.text)
}

func (e *editor) replace(from, to int, by string) []byte {
	return slices.Concat(e.text[:from], []byte(by), e.text[to:])
}

func (e *editor) newline() string {
	if bytes.Contains(e.text, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// opens reports that a node is written in brackets.
func (e *editor) opens(n *node) bool {
	at := e.offset(n)
	return at < len(e.text) && (e.text[at] == '{' || e.text[at] == '[')
}

// edit makes the change; ok is false where the text is of no form that it knows.
func (e *editor) edit(list string, at int, set *loop.Override) (out []byte, ok bool) {
	flow := e.opens(e.root) // JSON is all flow
	var value *node
	for i, k := range e.root.keys {
		if k.text == list {
			value = e.root.items[i]
		}
	}
	entry := ""
	if set != nil {
		entry = written(set, list, flow)
	}
	switch {
	case value == nil && flow:
		return e.addKey(list, entry)
	case value == nil:
		text := strings.TrimRight(string(e.text), " \t\r\n") + e.newline()
		return []byte(text + e.newline() + list + ":" + e.newline() + "  - " + entry + e.newline()), true
	case len(value.items) == 0:
		return e.fill(value, entry, flow)
	case e.opens(value):
		return e.editFlow(value, at, entry)
	}
	return e.editBlock(value, at, entry)
}

// addKey gives a mapping in brackets a list of one.
func (e *editor) addKey(list, entry string) ([]byte, bool) {
	end, ok := e.closing(e.offset(e.root))
	if !ok {
		return nil, false
	}
	last := len(bytes.TrimRight(e.text[:end], " \t\r\n"))
	between := ", "
	if first := e.offset(e.root.keys[0]); bytes.ContainsRune(e.text[last:end], '\n') {
		between = "," + e.newline() + string(e.text[e.lines[e.line(first)]:first])
	}
	return e.replace(last, last, between+strconv.Quote(list)+": ["+entry+"]"), true
}

// fill puts the first entry into an empty list: [].
func (e *editor) fill(value *node, entry string, flow bool) ([]byte, bool) {
	from := e.offset(value)
	if !e.opens(value) {
		return nil, false
	}
	to, ok := e.closing(from)
	if !ok {
		return nil, false
	}
	if flow {
		return e.replace(from, to+1, "["+entry+"]"), true
	}
	// In a document of blocks it becomes a block; what follows [] in its line stays.
	end := e.end(e.line(to))
	rest := strings.TrimRight(string(e.text[to+1:end]), "\r\n")
	head := strings.TrimRight(string(e.text[:from]), " ")
	return []byte(head + rest + e.newline() + "  - " + entry + e.newline() + string(e.text[end:])), true
}

func (e *editor) editFlow(value *node, at int, entry string) ([]byte, bool) {
	which := at
	if at < 0 {
		which = len(value.items) - 1
	}
	from := e.offset(value.items[which])
	if !e.opens(value.items[which]) {
		return nil, false
	}
	last, ok := e.closing(from)
	to := last + 1
	switch {
	case !ok:
		return nil, false
	case at < 0:
		between := ", "
		if before := e.text[e.lines[e.line(from)]:from]; len(bytes.TrimSpace(before)) == 0 {
			between = "," + e.newline() + string(before)
		}
		return e.replace(to, to, between+entry), true
	case entry != "":
		return e.replace(from, to, entry), true
	}
	// The comma that follows goes as well, or else the one before.
	if after := skip(e.text, to); after < len(e.text) && e.text[after] == ',' {
		return e.replace(from, skip(e.text, after+1), ""), true
	}
	if before := len(bytes.TrimRight(e.text[:from], " \t\r\n")); before > 0 && e.text[before-1] == ',' {
		from = before - 1
	}
	return e.replace(from, to, ""), true
}

func skip(text []byte, at int) int {
	for at < len(text) && bytes.IndexByte([]byte(" \t\r\n"), text[at]) >= 0 {
		at++
	}
	return at
}

func (e *editor) editBlock(value *node, at int, entry string) ([]byte, bool) {
	which := at
	if at < 0 {
		which = len(value.items) - 1
	}
	item := value.items[which]
	dash := len(bytes.TrimRight(e.text[:e.offset(item)], " \t\r\n")) - 1
	if dash < 0 || e.text[dash] != '-' {
		return nil, false
	}
	first := e.line(dash)
	indent := string(e.text[e.lines[first]:dash])
	if strings.Trim(indent, " ") != "" {
		return nil, false
	}
	if at >= 0 && entry != "" && e.opens(item) {
		last, ok := e.closing(e.offset(item))
		return e.replace(e.offset(item), last+1, entry), ok
	}
	// An entry ends before the next line that is not indented by more than its dash.
	last := first
	for next := first + 1; next < len(e.lines); next++ {
		text := strings.TrimRight(string(e.text[e.lines[next]:e.end(next)]), " \r\n")
		if text == "" {
			continue
		}
		if len(text)-len(strings.TrimLeft(text, " ")) <= len(indent) {
			break
		}
		last = next
	}
	from, to := e.lines[first], e.end(last)
	line := indent + "- " + entry + e.newline()
	switch {
	case at < 0:
		if to > 0 && e.text[to-1] != '\n' {
			line = e.newline() + line
		}
		return e.replace(to, to, line), true
	case entry != "":
		return e.replace(from, to, line), true
	case len(value.items) > 1:
		return e.replace(from, to, ""), true
	}
	// The last one: the key and the comments about it stay.
	for i, k := range e.root.keys {
		if e.root.items[i] == value {
			colon := e.offset(k) + len(k.text)
			if !bytes.HasPrefix(e.text[colon:], []byte(":")) {
				return nil, false
			}
			return slices.Concat(e.text[:colon+1], []byte(" []"), e.text[colon+1:from], e.text[to:]), true
		}
	}
	return nil, false
}

// closing is the offset of the bracket that closes the one at an offset.
func (e *editor) closing(open int) (int, bool) {
	depth, before := 0, byte(' ')
	for at := open; at < len(e.text); at++ {
		c := e.text[at]
		switch {
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return at, true
			}
		case (c == '"' || c == '\'') && bytes.IndexByte([]byte("{[,: \t\r\n"), before) >= 0:
			for at++; at < len(e.text) && e.text[at] != c; at++ {
				if c == '"' && e.text[at] == '\\' {
					at++
				}
			}
		case c == '#' && bytes.IndexByte([]byte(" \t\r\n"), before) >= 0:
			for at+1 < len(e.text) && e.text[at+1] != '\n' {
				at++
			}
		}
		before = c
	}
	return 0, false
}

// written is an override as an entry of its list.
func written(o *loop.Override, list string, quoted bool) string {
	word := func(s string) string {
		if !quoted && plain.MatchString(s) && resolve(s) == text {
			return s
		}
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(s); err != nil {
			return strconv.Quote(s)
		}
		return strings.TrimSpace(b.String())
	}
	var where []string
	for _, factor := range slices.Sorted(maps.Keys(o.Slice)) {
		where = append(where, word(factor)+": "+word(o.Slice[factor]))
	}
	fields := []string{word("slice") + ": {" + strings.Join(where, ", ") + "}"}
	if list == Pins {
		fields = append(fields, word("share")+": "+strconv.FormatFloat(o.Share, 'f', -1, 64))
	}
	for _, f := range [...][2]string{{"author", o.Author}, {"reason", o.Reason}, {"expires", o.Expires}} {
		if f[1] != "" {
			fields = append(fields, word(f[0])+": "+word(f[1]))
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// plain is text that needs no quotes, in brackets or out of them.
var plain = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_ ./()%-]*[A-Za-z0-9_./)%])?$`)
