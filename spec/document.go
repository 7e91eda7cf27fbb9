package spec

import (
	"bytes"
	"unicode/utf8"

	"hone/loop"
)

// Bounds of a document, checked before a tree is built.
const (
	// MaxBytes is the size of the largest document, 4 MiB.
	MaxBytes = 4 << 20
	// maxDepth is how deep mappings and sequences may nest; a space needs 6.
	maxDepth = 32
	// maxTokens and maxKeys bound the time of the YAML parser, which grows with
	// the square of the keys of one mapping. A JSON document needs no such bound.
	maxTokens = 250_000
	maxKeys   = loop.MaxLevels
)

// sort of a node.
type sort uint8

const (
	null sort = iota
	boolean
	number
	text
	sequence
	mapping
)

func (s sort) String() string {
	return [...]string{"null", "a truth value", "a number", "text", "a list", "a mapping"}[s]
}

// node is one value of a document with its place in it.
type node struct {
	sort         sort
	line, column int
	// text is the value of a text, and a number or truth value as it is spelt.
	text string
	// items are the entries of a sequence, or the values of a mapping.
	items []*node
	// keys are parallel to the items of a mapping, in the order of the document.
	keys []*node
}

// scalar reports whether the node is a text, number or truth value.
func (n *node) scalar() bool { return n.sort == boolean || n.sort == number || n.sort == text }

var start = &node{line: 1, column: 1}

// parse reads a document into a tree. It refuses what no document may be:
// too big, not UTF-8, more than one, too deep, with a key twice.
func parse(doc []byte) (*node, error) {
	var r refusals
	if len(doc) > MaxBytes {
		r.refuse(start, "", "at most 4 MiB are allowed", "the document has %d bytes", len(doc))
		return nil, r.err()
	}
	doc = bytes.TrimPrefix(doc, []byte("\xEF\xBB\xBF"))
	if !utf8.Valid(doc) {
		for i, line := range bytes.Split(doc, []byte("\n")) {
			if !utf8.Valid(line) {
				r.refuse(&node{line: i + 1, column: firstInvalid(line) + 1}, "", "save it as UTF-8", "the document is not UTF-8")
				break
			}
		}
		return nil, r.err()
	}
	if i := bytes.IndexFunc(doc, control); i >= 0 {
		r.refuse(position(doc, i), "", "remove it, or write it as an escape in quotes", "there is a control character, %#02x", doc[i])
		return nil, r.err()
	}
	if first := bytes.TrimLeft(doc, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		return parseJSON(doc)
	}
	return parseYAML(doc)
}

// control reports a character that neither YAML nor JSON has as itself.
func control(c rune) bool { return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7F }

func firstInvalid(line []byte) int {
	n := 0
	for len(line) > 0 {
		c, size := utf8.DecodeRune(line)
		if c == utf8.RuneError && size == 1 {
			return n
		}
		line = line[size:]
		n++
	}
	return n
}

// position is the line and column of a byte of the document.
func position(doc []byte, offset int) *node {
	before := doc[:min(offset, len(doc))]
	line := bytes.Count(before, []byte("\n"))
	return &node{line: line + 1, column: utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1}
}

// distinct refuses a mapping that has a key twice: whichever of the two a reader
// takes, somebody meant the other.
func (r *refusals) distinct(n *node) {
	seen := make(map[string]*node, len(n.keys))
	for _, k := range n.keys {
		if first := seen[k.text]; first != nil {
			r.refuse(k, k.text, "keep one of them", "the key is there already in line %d", first.line)
			continue
		}
		seen[k.text] = k
	}
}
