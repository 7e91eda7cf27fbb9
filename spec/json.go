package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// jsonReader reads a JSON document token by token, so that depth is checked as
// it goes and every value knows its place.
type jsonReader struct {
	refusals
	doc     []byte
	decoder *json.Decoder
	// offset, line and column follow the start of the last token, so that
	// positions cost one pass over the document altogether.
	offset, line, column int
}

func parseJSON(doc []byte) (*node, error) {
	r := &jsonReader{doc: doc, decoder: json.NewDecoder(bytes.NewReader(doc)), line: 1, column: 1}
	var raw json.RawMessage
	if err := json.Unmarshal(doc, &raw); err != nil {
		at := len(doc)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok && int(syntax.Offset) < len(doc) {
			at = max(int(syntax.Offset)-1, 0) // Offset counts the wrong byte too
		}
		r.refuse(position(doc, at), "", "a document that starts with { is JSON", "this is not JSON: %s", err)
		return nil, r.err()
	}
	r.decoder.UseNumber()
	root, err := r.value(0)
	if err != nil && r.list == nil {
		r.refuse(position(doc, int(r.decoder.InputOffset())), "", "", "this is not JSON: %s", err)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return root, nil
}

// move goes on to the start of the token that follows the decoder's last one.
func (r *jsonReader) move() {
	end := int(r.decoder.InputOffset())
	for r.offset < end {
		r.step()
	}
	for r.offset < len(r.doc) && bytes.IndexByte([]byte(" \t\r\n,:"), r.doc[r.offset]) >= 0 {
		r.step()
	}
}

func (r *jsonReader) step() {
	c, size := utf8.DecodeRune(r.doc[r.offset:])
	r.offset += size
	r.column++
	if c == '\n' {
		r.line, r.column = r.line+1, 1
	}
}

func (r *jsonReader) here() *node { return &node{line: r.line, column: r.column} }

var errTooDeep = errors.New("too deep")

func (r *jsonReader) value(depth int) (*node, error) {
	r.move()
	n := r.here()
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case nil:
		n.sort = null
	case bool:
		n.sort, n.text = boolean, "false"
		if token {
			n.text = "true"
		}
	case json.Number:
		n.sort, n.text = number, token.String()
	case string:
		n.sort, n.text = text, token
	case json.Delim:
		if depth == maxDepth {
			r.refuse(n, "", "", "lists and mappings nest more than %d deep", maxDepth)
			return nil, errTooDeep
		}
		n.sort = sequence
		if token == '{' {
			n.sort = mapping
		}
		for r.decoder.More() {
			if n.sort == mapping {
				r.move()
				key := r.here()
				name, err := r.decoder.Token()
				if err != nil {
					return nil, err
				}
				key.sort = text
				key.text, _ = name.(string) // the decoder admits nothing else here
				n.keys = append(n.keys, key)
			}
			item, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		if _, err := r.decoder.Token(); err != nil {
			return nil, err
		}
		if n.sort == mapping {
			r.distinct(n)
		}
	}
	return n, nil
}
