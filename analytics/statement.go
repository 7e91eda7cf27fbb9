//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"hone/loop"
)

// statement is one query of an analyst. That it can do no harm is the locked
// instance's affair; here it is made sure that it is one query, so that rows
// can be limited and nothing is left behind for the next.
type statement struct {
	// text is the query without a semicolon at its end.
	text string
	// first is its first word, in lower case.
	first string
}

// queries are the words that a query begins with. wrapped are those whose
// rows may be a table of another query.
var (
	wrapped = []string{"select", "with", "from", "values", "table", "(", "pivot", "unpivot"}
	queries = append(slices.Clone(wrapped), "describe", "desc", "show", "summarize", "explain")
)

// parseStatement refuses what is not one query.
func parseStatement(text string) (statement, error) {
	refuse := func(remedy, format string, args ...any) (statement, error) {
		return statement{}, &loop.Error{Field: "query", Problem: fmt.Sprintf(format, args...), Remedy: remedy}
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return refuse("", "it is not text in UTF-8")
	}
	s := statement{text: text}
	end := -1
	for i := 0; i < len(text); {
		n, blank := token(text[i:])
		switch {
		case blank:
		case text[i] == ';':
			if end < 0 {
				end = i
			}
		case end >= 0:
			return refuse("ask them one at a time", "there are several statements")
		case s.first == "":
			s.first = strings.ToLower(text[i : i+n])
		}
		i += n
	}
	if end >= 0 {
		s.text = text[:end]
	}
	if s.first == "" {
		return refuse("", "there is no query")
	}
	if !slices.Contains(queries, s.first) {
		return refuse("begin with SELECT, WITH, FROM, VALUES, TABLE, PIVOT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN", "only queries are answered here, not %.40q", strings.ToUpper(s.first))
	}
	return s, nil
}

// token is the length of what s begins with: white space or a comment (blank),
// a quoted text, a word, or one other character.
func token(s string) (n int, blank bool) {
	until := func(start int, end string) int {
		if i := strings.Index(s[start:], end); i >= 0 {
			return start + i + len(end)
		}
		return len(s)
	}
	switch c := s[0]; {
	case strings.ContainsRune(" \t\r\n\f\v", rune(c)):
		return 1, true
	case strings.HasPrefix(s, "\u00a0"):
		return len("\u00a0"), true
	case strings.HasPrefix(s, "--"):
		return until(2, "\n"), true
	case strings.HasPrefix(s, "/*"):
		return comment(s), true
	case c == '\'', c == '"':
		return until(1, string(c)), false
	case (c == 'e' || c == 'E') && strings.HasPrefix(s[1:], "'"):
		return escaped(s), false
	case c == '$':
		if tag, ok := dollarTag(s); ok {
			return until(len(tag), tag), false
		}
		return 1, false
	case isWord(c):
		for n < len(s) && (isWord(s[n]) || s[n] == '$') {
			n++
		}
		return n, false
	default:
		return 1, false
	}
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// comment is the length of a comment, in which others may lie.
func comment(s string) int {
	depth := 0
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], "/*"):
			depth++
			i += 2
		case strings.HasPrefix(s[i:], "*/"):
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return len(s)
}

// escaped is the length of a text in which a backslash takes the quote's meaning.
func escaped(s string) int {
	for i := 2; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		}
	}
	return len(s)
}

// dollarTag is the $tag$ that a text quoted by dollars begins with.
func dollarTag(s string) (string, bool) {
	for i := 1; i < len(s); i++ {
		if s[i] == '$' {
			return s[:i+1], true
		}
		if !isWord(s[i]) || i == 1 && s[i] >= '0' && s[i] <= '9' {
			return "", false
		}
	}
	return "", false
}

// limited is the query for at most so many rows. DuckDB holds a whole result in
// memory, so the limit has to be its own.
func (s *statement) limited(rows int) string {
	if !slices.Contains(wrapped, s.first) {
		return s.text
	}
	return fmt.Sprintf("SELECT * FROM (%s\n) LIMIT %d", s.text, rows)
}

// clarify gives the error that the query has as its author wrote it, if it has
// one of its own.
func (s *statement) clarify(ctx context.Context, conn *sql.Conn, err error) error {
	if ctx.Err() != nil || !slices.Contains(wrapped, s.first) {
		return err
	}
	prepared, own := conn.PrepareContext(ctx, s.text)
	if own == nil {
		own = prepared.Close()
	}
	if _, ok := errors.AsType[*duckdb.Error](own); ok {
		return own
	}
	return err
}
