package coordinator

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
	"hone/spec"
)

// document is a body that a person wrote: YAML, or JSON, which is YAML.
type document struct {
	RawBody []byte `contentType:"application/yaml"`
}

type named struct {
	Name string `path:"name" doc:"The name" example:"shapes"`
}

type namedVersion struct {
	Name    string `path:"name" doc:"The name" example:"shapes"`
	Version int    `query:"version" minimum:"0" doc:"A version; the latest if it is left out"`
}

// What the page shows of the documents that people write.
const (
	spaceExample = `name: parts
factors:
  - {name: light, kind: ordinal, levels: {low: 0.2, mid: 0.5, high: 0.3}}
  - {name: glove, kind: categorical, levels: {worn: 0.4, bare: 0.6}}
`
	policyExample = `name: follow
strategy: hone
`
	campaignExample = `name: loop
space: parts
policy: follow
generator: render
seed: 7
samples: 6000
rounds: 4
learn_from: [{model_line: detector}]
`
)

// definitions are the routes of spaces and policies.
func (c *Control) definitions(to huma.API) {
	huma.Register(to, operation(http.MethodPost, "/v1/spaces", "put-space", "Put a space", "Spaces"), answering(c, c.putSpace))
	written(to, "/v1/spaces", "space", spaceExample)
	huma.Register(to, operation(http.MethodGet, "/v1/spaces", "list-spaces", "List the spaces", "Spaces"), answering(c, c.listSpaces))
	huma.Register(to, operation(http.MethodGet, "/v1/spaces/{name}", "show-space", "Show a space as it was written", "Spaces"), answering(c, c.showSpace))
	c.policies(to)
}

func (c *Control) putSpace(ctx context.Context, in *document) (api.Put, error) {
	space, err := spec.ParseSpace(in.RawBody)
	if err != nil {
		return api.Put{}, err
	}
	event, err := c.c.node.proposeAnew(ctx, func(s *state.State) (state.Command, error) {
		next := 1
		if v, ok := s.Space(space.Name, 0); ok {
			next += v.Space.Version
		}
		return state.Command{PutSpace: &state.PutSpace{Space: space, Document: string(in.RawBody), Next: next}}, nil
	})
	if err != nil {
		return api.Put{}, err
	}
	put := event.(state.SpacePut)
	return api.Put{Name: put.Name, Version: put.Version, Created: put.Created}, nil
}

func (c *Control) listSpaces(context.Context, *struct{}) (out api.SpaceList, _ error) {
	out.Spaces = []api.Defined{}
	c.c.node.View(func(s *state.State) {
		for _, v := range s.Spaces() {
			out.Spaces = append(out.Spaces, api.Defined{Name: v.Space.Name, Version: v.Space.Version, Owner: v.Space.Owner})
		}
	})
	return out, nil
}

func (c *Control) listPolicies(context.Context, *struct{}) (out api.PolicyList, _ error) {
	out.Policies = []api.Defined{}
	c.c.node.View(func(s *state.State) {
		for _, v := range s.Policies() {
			out.Policies = append(out.Policies, api.Defined{Name: v.Policy.Name, Version: v.Policy.Version, Owner: v.Policy.Owner})
		}
	})
	return out, nil
}

func (c *Control) showSpace(_ context.Context, in *namedVersion) (out api.Definition, err error) {
	c.c.node.View(func(s *state.State) {
		v, ok := s.Space(in.Name, in.Version)
		if !ok {
			err = missing("space", in)
			return
		}
		latest, _ := s.Space(in.Name, 0)
		out = api.Definition{Name: v.Space.Name, Version: v.Space.Version, Versions: latest.Space.Version,
			Owner: v.Space.Owner, Document: v.Document, At: rfc3339(v.At)}
	})
	return out, err
}

func (c *Control) showPolicy(_ context.Context, in *namedVersion) (out api.Definition, err error) {
	c.c.node.View(func(s *state.State) {
		v, ok := s.Policy(in.Name, in.Version)
		if !ok {
			err = missing("policy", in)
			return
		}
		out = api.Definition{Name: v.Policy.Name, Version: v.Policy.Version, Versions: len(s.PolicyVersions(in.Name)),
			Owner: v.Policy.Owner, Document: v.Document, At: rfc3339(v.At)}
	})
	return out, err
}

func missing(what string, in *namedVersion) error {
	if in.Version > 0 {
		return loop.NotFound(what, "there is no version %d of %s %q", in.Version, what, in.Name)
	}
	return loop.NotFound(what, "there is no %s %q", what, in.Name)
}

// rfc3339 writes a time of state, in microseconds since 1970.
func rfc3339(at int64) string { return time.UnixMicro(at).UTC().Format(time.RFC3339Nano) }
