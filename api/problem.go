package api

import (
	"errors"
	"net/http"
	"strings"

	"hone/loop"
)

// ProblemType is the content type of a Problem.
const ProblemType = "application/problem+json"

// Problem is an error as HTTP carries it (RFC 9457).
type Problem struct {
	Type   string `json:"type,omitempty" doc:"A URI that identifies the kind of problem; about:blank if absent"`
	Title  string `json:"title,omitempty" example:"Unprocessable Entity" doc:"The HTTP status in words"`
	Status int    `json:"status" example:"422" doc:"The HTTP status"`
	Detail string `json:"detail,omitempty" doc:"What is wrong, in a sentence"`
	// Errors are the single mistakes, in the order of the input; the first ones
	// where there are many.
	Errors []Mistake `json:"errors,omitempty" doc:"Each mistake and where it is"`

	// Unreached says that no server answered: this Problem is the client's own.
	Unreached bool `json:"-"`
}

// Mistake is one thing that is wrong with a request.
type Mistake struct {
	Location string `json:"location,omitempty" example:"row 17, column light" doc:"Where: a field's path, or a row and column"`
	Message  string `json:"message" example:"\"lo\" is not a level (did you mean \"low\"?)" doc:"What is wrong, and the remedy"`
	Value    any    `json:"value,omitempty" doc:"What was got"`
}

func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	if p.Detail == "" {
		b.WriteString(p.Title)
	}
	for _, m := range p.Errors {
		line := m.Message
		if m.Location != "" {
			line = m.Location + ": " + line
		}
		// A single mistake is often the whole detail already.
		if line != p.Detail {
			b.WriteString("\n  " + line)
		}
	}
	return b.String()
}

// Unwrap lets callers ask errors.Is(err, loop.ErrNotFound) and the like.
func (p *Problem) Unwrap() error {
	switch p.Status {
	case http.StatusNotFound:
		return loop.ErrNotFound
	case http.StatusConflict:
		return loop.ErrConflict
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return loop.ErrUnavailable
	}
	return nil
}

// GetStatus is the HTTP status; huma asks for it.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes huma send a problem as what it is.
func (p *Problem) ContentType(string) string { return ProblemType }

// NewProblem is a problem of that status.
func NewProblem(status int, detail string, mistakes ...Mistake) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail, Errors: mistakes}
}

// ProblemFrom is err as a problem: a *Problem as it is; loop.ErrNotFound 404,
// loop.ErrConflict 409, loop.ErrUnavailable 503; any other *loop.Error 422;
// everything else 500, whose cause is for the log and not for the client.
func ProblemFrom(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	status := http.StatusInternalServerError
	refusal, refused := errors.AsType[*loop.Error](err)
	switch {
	case errors.Is(err, loop.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, loop.ErrConflict):
		status = http.StatusConflict
	case errors.Is(err, loop.ErrUnavailable):
		p := NewProblem(http.StatusServiceUnavailable, "nobody could answer in time; what became of the request is not known: send it again")
		if refused {
			p.Detail = refusal.Error()
		}
		return p
	case refused:
		status = http.StatusUnprocessableEntity
	default:
		return NewProblem(status, "the server failed; its log says why")
	}
	if !refused {
		return NewProblem(status, err.Error())
	}
	return NewProblem(status, refusal.Error(), MistakeFrom(refusal))
}

// MistakeFrom is a refusal as a mistake.
func MistakeFrom(e *loop.Error) Mistake {
	m := Mistake{Location: e.Field, Message: e.Problem}
	if e.Remedy != "" {
		m.Message += " (" + e.Remedy + ")"
	}
	return m
}
