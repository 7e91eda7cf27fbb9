package spec

import (
	"errors"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

func parseYAML(doc []byte) (*node, error) {
	// The parser recurses and copies; the lexer does neither. So tokens are
	// judged first, and what could hurt the parser never reaches it.
	tokens := lexer.Tokenize(string(doc))
	if err := judge(tokens); err != nil {
		return nil, err
	}
	var r refusals
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		if known, ok := errors.AsType[yaml.Error](err); ok && known.GetToken() != nil {
			r.refuse(of(known.GetToken()), "", "", "this is not YAML: %s", known.GetMessage())
		} else {
			r.refuse(start, "", "", "this is not YAML: %s", strings.SplitN(err.Error(), "\n", 2)[0])
		}
		return nil, r.err()
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			r.refuse(of(d.Body.GetToken()), "", "one document at a time", "a second document starts here")
			return nil, r.err()
		}
		body = d.Body
	}
	if body == nil {
		r.refuse(start, "", "", "the document is empty")
		return nil, r.err()
	}
	root := r.convert(body)
	if err := r.err(); err != nil {
		return nil, err
	}
	return root, nil
}

// of is the place of a token.
func of(t *token.Token) *node {
	if t == nil || t.Position == nil {
		return start
	}
	return &node{line: t.Position.Line, column: t.Position.Column}
}

// judge bounds what the parser is given: how many tokens, how deep, how many
// keys in a block mapping, and none of the constructs that are not taken.
func judge(tokens token.Tokens) error {
	var r refusals
	if len(tokens) > maxTokens {
		r.refuse(of(tokens[maxTokens]), "", "write it as JSON, or bin the factors with most levels",
			"the document has more than %d tokens", maxTokens)
		return r.err()
	}
	// Open blocks by column: whatever starts a line, or a compact entry within
	// it, closes the blocks to its right.
	type block struct{ column, entries int }
	var blocks []block
	flow, line := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.CommentType:
			continue
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			r.refuse(of(t), "", "write out what it stands for", "anchors, aliases and merge keys are not taken")
			return r.err()
		case token.TagType:
			r.refuse(of(t), "", "remove it", "tags are not taken")
			return r.err()
		case token.DirectiveType:
			r.refuse(of(t), "", "remove it", "directives are not taken")
			return r.err()
		case token.InvalidType:
			if strings.Contains(t.Error, "'\t'") {
				r.refuse(of(t), "", "put spaces there", "a tab; YAML is indented by spaces")
				return r.err()
			}
			r.refuse(of(t), "", "", "this is not YAML: %s", t.Error)
			return r.err()
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		default:
		}
		if first := t.Position.Line != line; flow <= 0 && (first || t.Type == token.SequenceEntryType || t.Type == token.MappingKeyType) {
			for len(blocks) > 0 && blocks[len(blocks)-1].column > t.Position.Column {
				blocks = blocks[:len(blocks)-1]
			}
			if len(blocks) == 0 || blocks[len(blocks)-1].column < t.Position.Column {
				blocks = append(blocks, block{column: t.Position.Column})
			}
			last := &blocks[len(blocks)-1]
			if t.Type != token.SequenceEntryType {
				last.entries++
			}
			if last.entries > maxKeys {
				r.refuse(of(t), "", "", "a mapping has more than %d keys", maxKeys)
				return r.err()
			}
		}
		line = t.Position.Line
		if len(blocks)+flow > maxDepth {
			r.refuse(of(t), "", "", "lists and mappings nest more than %d deep", maxDepth)
			return r.err()
		}
	}
	return nil
}

// convert turns the parser's tree into ours.
func (r *refusals) convert(n ast.Node) *node {
	out := of(n.GetToken())
	switch n := n.(type) {
	case *ast.MappingNode:
		out.sort = mapping
		for _, entry := range n.Values {
			r.entry(out, entry)
		}
		if len(n.Values) > 0 && !n.IsFlowStyle {
			out.line, out.column = out.keys[0].line, out.keys[0].column
		}
		r.distinct(out)
	case *ast.MappingValueNode:
		out.sort = mapping
		r.entry(out, n)
		out.line, out.column = out.keys[0].line, out.keys[0].column
	case *ast.SequenceNode:
		out.sort = sequence
		for _, v := range n.Values {
			out.items = append(out.items, r.convert(v))
		}
	case *ast.StringNode:
		out.sort, out.text = text, n.Value
		if n.Token.Type == token.StringType {
			out.sort = resolve(n.Value)
		}
	case *ast.LiteralNode:
		out.sort, out.text = text, n.Value.Value
	case *ast.NullNode:
		out.sort = null
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		// Read again as they are spelt: YAML 1.1 would make 017 fifteen.
		out.text = n.GetToken().Value
		out.sort = resolve(out.text)
	default:
		r.refuse(out, "", "", "%s is not taken", n.Type())
	}
	return out
}

func (r *refusals) entry(out *node, entry *ast.MappingValueNode) {
	var key *node
	if explicit, ok := entry.Key.(*ast.MappingKeyNode); ok {
		key = of(explicit.GetToken())
		r.refuse(key, "", "write key: value", "keys after ? are not taken")
	} else {
		key = r.convert(entry.Key)
		if !key.scalar() {
			r.refuse(key, "", "a word, or text in quotes", "%s cannot be a key", key.sort)
		}
	}
	out.keys = append(out.keys, key)
	out.items = append(out.items, r.convert(entry.Value))
}

// The scalars of YAML's 1.2 core schema, but for octal and hexadecimal numbers,
// which are text here, and leading zeros, which mean different things to
// different readers.
var (
	nulls    = regexp.MustCompile(`^(~|null|Null|NULL|)$`)
	booleans = regexp.MustCompile(`^(true|True|TRUE|false|False|FALSE)$`)
	numbers  = regexp.MustCompile(`^[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$`)
)

func resolve(plain string) sort {
	switch {
	case nulls.MatchString(plain):
		return null
	case booleans.MatchString(plain):
		return boolean
	case numbers.MatchString(plain):
		return number
	default:
		return text
	}
}
