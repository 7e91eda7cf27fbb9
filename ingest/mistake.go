package ingest

import (
	"fmt"
	"net/http"

	"hone/api"
	"hone/spec"
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

// suggest is what a name that there is not may have been meant to be.
func suggest(name string, names []string) string {
	return " (" + spec.Suggest(name, names) + ")"
}
