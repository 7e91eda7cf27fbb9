package ingest

import (
	"fmt"
	"net/http"
	"slices"

	"hone/api"
)

// mistakes are what is wrong with a post: the first ones, and how many more.
type mistakes struct {
	list  []api.Mistake
	limit int
	more  int
	// malformed says that the encoding itself is broken (400, not 422).
	malformed bool
}

func (m *mistakes) add(location string, value any, format string, args ...any) {
	if len(m.list) >= m.limit {
		m.more++
		return
	}
	m.list = append(m.list, api.Mistake{Location: location, Message: fmt.Sprintf(format, args...), Value: shorten(value)})
}

// problem is nil where there is nothing wrong.
func (m *mistakes) problem() *api.Problem {
	if len(m.list) == 0 {
		return nil
	}
	status := http.StatusUnprocessableEntity
	if m.malformed {
		status = http.StatusBadRequest
	}
	detail := "nothing of the post was counted: 1 mistake"
	switch n := len(m.list) + m.more; {
	case m.more > 0:
		detail = fmt.Sprintf("nothing of the post was counted: %d mistakes, of which the first %d", n, len(m.list))
	case n > 1:
		detail = fmt.Sprintf("nothing of the post was counted: %d mistakes", n)
	}
	return api.NewProblem(status, detail, m.list...)
}

// malformed ends decoding: the rest of the body has no meaning.
type malformed struct {
	location, message string
}

func (e *malformed) Error() string { return e.location + ": " + e.message }

func malformedf(location, format string, args ...any) error {
	return &malformed{location, fmt.Sprintf(format, args...)}
}

// shorten keeps an answer from repeating megabytes to whoever sent them.
func shorten(value any) any {
	if s, ok := value.(string); ok && len(s) > 80 {
		return s[:80] + "..."
	}
	return value
}

func quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return fmt.Sprintf("%q", s)
}

// suggest is ` (did you mean "x"?)` with the nearest of the names, or what is
// allowed where none is near.
func suggest(name string, names []string) string {
	if len(name) <= 64 {
		best, distance := "", 1+len(name)/2
		for _, n := range names {
			if len(n) > 64 {
				continue
			}
			if d := edits(name, n); d < distance {
				best, distance = n, d
			}
		}
		if best != "" {
			return fmt.Sprintf(" (did you mean %q?)", best)
		}
	}
	if len(names) > 12 {
		return fmt.Sprintf(" (there are %q and %d more)", names[:12], len(names)-12)
	}
	return fmt.Sprintf(" (there are %q)", names)
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + slices.Min([]int{diagonal, row[j], row[j+1]})
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
