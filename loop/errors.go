package loop

import "fmt"

// Error is a refusal of input: which field, what is wrong with it (what was
// got and what is allowed), and, where one is known, the remedy. Servers answer
// it as a client's mistake, never as their own.
type Error struct {
	// Field is a path in the user's own terms, e.g. "factors[2].levels[0].target".
	Field string
	// Problem is a sentence without a capital or full stop.
	Problem string
	// Remedy says what to do about it; it may be empty.
	Remedy string
}

func (e *Error) Error() string {
	s := e.Problem
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Remedy != "" {
		s += " (" + e.Remedy + ")"
	}
	return s
}

func refuse(field, format string, args ...any) *Error {
	return &Error{Field: field, Problem: fmt.Sprintf(format, args...)}
}

func (e *Error) remedy(format string, args ...any) *Error {
	e.Remedy = fmt.Sprintf(format, args...)
	return e
}
