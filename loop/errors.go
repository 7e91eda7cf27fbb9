package loop

import (
	"errors"
	"fmt"
)

// The kinds of refusal that callers tell apart. A refusal wraps one of them
// beside its *Error; an *Error that wraps none of them is simply invalid.
var (
	// ErrNotFound: what was named does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict: it exists, in a state that does not allow what was asked.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: nobody could answer in time, so that what became of the
	// request is not known. Send it again; never report it as failed (C10).
	ErrUnavailable = errors.New("unavailable")
	// ErrStagingGone: the staged bytes of a delivery are not there any more (C9).
	ErrStagingGone = errors.New("staging gone")
	// ErrEpochClosed: an object that was named is of a lake epoch that was closed
	// meanwhile, and may be deleted at any time. Put it again under the open one, and
	// propose that (C18).
	ErrEpochClosed = errors.New("lake epoch closed")
)

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

// NotFound is an *Error that errors.Is ErrNotFound.
func NotFound(field, format string, args ...any) error {
	return &refusal{ErrNotFound, refuse(field, format, args...)}
}

// Conflict is an *Error that errors.Is ErrConflict.
func Conflict(field, format string, args ...any) error {
	return &refusal{ErrConflict, refuse(field, format, args...)}
}

// refusal is an *Error of a kind.
type refusal struct {
	kind error
	err  *Error
}

func (r *refusal) Error() string   { return r.err.Error() }
func (r *refusal) Unwrap() []error { return []error{r.kind, r.err} }
