package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"hone/api"
	"hone/spec"
)

// NewAPI is the HTTP API on mux, without a route yet, described at
// /openapi.json. Every refusal is a problem document (RFC 9457).
func NewAPI(mux *http.ServeMux, version string) huma.API {
	config := huma.DefaultConfig("Hone", version)
	config.Info.Description = "Which synthetic data a model needs next, made, checked and counted."
	config.DocsPath = ""
	config.SchemasPath = ""
	config.CreateHooks = nil // no $schema in every answer
	describeProblems()
	return humago.New(mux, config)
}

// describeProblems makes huma's own refusals problem documents like ours. It is
// huma's one setting that is not of an API but of the process.
var describeProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := api.NewProblem(status, message)
		for _, err := range errs {
			if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
				p.Errors = append(p.Errors, api.Mistake{Location: detail.Location, Message: detail.Message, Value: detail.Value})
			} else if err != nil {
				p.Errors = append(p.Errors, api.Mistake{Message: err.Error()})
			}
		}
		return p
	}
})

// Control is the control API of a node.
type Control struct {
	c *Coordinator
	o ControlOptions
}

// ControlOptions are what the control API needs beside the coordinator.
type ControlOptions struct {
	Coordinator *Coordinator
	Objects     Objects
	Queries     Queries
	// Version is the build's.
	Version string
	// Started is when the node was, for its uptime.
	Started time.Time
}

// Register adds the control API's routes.
func Register(to huma.API, o ControlOptions) {
	c := &Control{c: o.Coordinator, o: o}
	c.definitions(to)
	c.campaigns(to)
	c.forecasts(to)
	c.rounds(to)
	c.models(to)
	c.datasets(to)
	c.samples(to)
	c.status(to)
	c.staging(to)
}

// operation describes one route.
func operation(method, path, id, summary, tag string) huma.Operation {
	o := huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{tag},
		MaxBodyBytes: maxDocument, Errors: []int{http.StatusUnprocessableEntity, http.StatusInternalServerError}}
	if strings.Contains(path, "{") {
		o.Errors = append(o.Errors, http.StatusNotFound)
	}
	if method != http.MethodGet {
		o.Errors = append(o.Errors, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict,
			http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusServiceUnavailable)
	}
	return o
}

// maxDocument bounds the documents that people write.
const maxDocument = 4 << 20

// body wraps what a route answers.
type body[T any] struct{ Body T }

// answering turns a plain function into a route's: its error becomes a problem.
func answering[I, O any](c *Control, f func(context.Context, *I) (O, error)) func(context.Context, *I) (*body[O], error) {
	return func(ctx context.Context, in *I) (*body[O], error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, c.problem(err)
		}
		return &body[O]{out}, nil
	}
}

// problem is an error as the API answers it. A document's mistakes are listed
// one by one, each with its line and column.
func (c *Control) problem(err error) error {
	mistakes, ok := errors.AsType[spec.Errors](err)
	if !ok {
		p := api.ProblemFrom(err)
		if p.Status == http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
			c.c.log.Error("a request failed", "error", err)
		}
		return p
	}
	p := api.NewProblem(http.StatusUnprocessableEntity, "the document was refused; nothing was stored")
	for _, m := range mistakes {
		mistake := api.MistakeFrom(m.Refusal)
		mistake.Location = fmt.Sprintf("%d:%d", m.Line, m.Column)
		if m.Refusal.Field != "" {
			mistake.Location += " " + m.Refusal.Field
		}
		p.Errors = append(p.Errors, mistake)
	}
	return p
}
