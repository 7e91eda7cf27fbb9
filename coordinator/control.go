package coordinator

import (
	"context"
	"encoding/json"
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

// NewAPI is the HTTP API on mux, without a route yet, described at /openapi.json
// and, for people, at /docs. Every refusal is a problem document (RFC 9457), also
// that of a path that there is not.
func NewAPI(mux *http.ServeMux, version string) huma.API {
	config := huma.DefaultConfig("Hone", version)
	config.Info.Description = "Which synthetic data a model needs next, made, checked and counted."
	config.DocsPath = ""
	config.SchemasPath = ""
	config.CreateHooks = nil // no $schema in every answer
	config.Tags = tags
	describeProblems()
	to := humago.New(mux, config)
	serveDocs(mux, to)
	mux.Handle("/", unknown(mux))
	return to
}

// tags are the nouns of the API, in the order in which one meets them.
var tags = []*huma.Tag{
	{Name: "Spaces", Description: "What may vary in a sample, and what deployment looks like."},
	{Name: "Policies", Description: "How evidence becomes a mixture."},
	{Name: "Campaigns", Description: "Requests for samples: what to make, how many, and what to learn from."},
	{Name: "Rounds", Description: "The decisions of a campaign, each with its reasons."},
	{Name: "Datasets", Description: "What was published: immutable versions of committed samples."},
	{Name: "Samples", Description: "The samples' bytes."},
	{Name: "Outcomes", Description: "How models did, example by example."},
	{Name: "Models", Description: "The trainings that outcomes were posted of; sealing one moves the campaigns that learn from it."},
	{Name: "Queries", Description: "All of it as tables."},
	{Name: "Lake", Description: "Where all bytes lie."},
	{Name: "Workers", Description: "What those speak who make samples."},
	{Name: "Cluster", Description: "The nodes, and who leads them."},
	{Name: "Status", Description: "How the server is."},
}

// unknown answers for paths and methods that no route has.
func unknown(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" && pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			writeProblem(w, api.NewProblem(http.StatusNotFound, fmt.Sprintf("there is no %s (GET /docs lists what there is)", r.URL.Path)))
			return
		}
		allow := strings.Join(allowed, ", ")
		w.Header().Set("Allow", allow)
		writeProblem(w, api.NewProblem(http.StatusMethodNotAllowed, fmt.Sprintf("%s takes no %s, only %s", r.URL.Path, r.Method, allow)))
	})
}

func writeProblem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // to a caller who may be gone
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
	// simulating is held by the one simulation that is under way.
	simulating chan struct{}
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
	c.suspicions(to)
	c.simulations(to)
	c.rounds(to)
	c.replays(to)
	c.proposals(to)
	c.models(to)
	c.datasets(to)
	c.samples(to)
	c.status(to)
	c.staging(to)
	c.collections(to)
	c.cluster(to)
}

// operation describes one route.
func operation(method, path, id, summary, tag string) huma.Operation {
	o := huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{tag},
		MaxBodyBytes: maxDocument, Errors: []int{http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable}}
	if strings.Contains(path, "{") {
		o.Errors = append(o.Errors, http.StatusNotFound)
	}
	if method != http.MethodGet {
		o.Errors = append(o.Errors, http.StatusBadRequest, http.StatusNotFound, http.StatusConflict,
			http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	return o
}

// streams describes a route whose answer is no JSON that the framework writes.
func streams(o huma.Operation, contentType, description string) huma.Operation {
	o.Responses = map[string]*huma.Response{"200": {Description: description, Content: map[string]*huma.MediaType{
		contentType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}
	return o
}

// written describes the document that a route takes, which a person wrote. The
// framework knows only that it is bytes.
func written(to huma.API, path, what, example string) {
	body := to.OpenAPI().Paths[path].Post.RequestBody
	body.Description = "YAML, or JSON, which is YAML. Its JSON Schema is what the command \"hone schema " + what + "\" prints"
	body.Content["application/yaml"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
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
	if !ok && errors.Is(err, context.Canceled) {
		// Unless it is the client who is gone, and hears nothing of it.
		return api.NewProblem(http.StatusServiceUnavailable, "this node stops, or leads no more; send it again")
	}
	if !ok {
		p := api.ProblemFrom(err)
		if p.Status == http.StatusInternalServerError {
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
