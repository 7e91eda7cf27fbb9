package coordinator

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/loop"
)

// staged is a file of a unit; its body is read as it comes in.
type staged struct {
	Worker string `path:"worker"`
	Unit   string `path:"unit" example:"loop.3-t2-0-100-50"`
	Name   string `path:"name" example:"samples.tar"`
	body   io.Reader
}

// Resolve keeps the body for stage.
func (s *staged) Resolve(ctx huma.Context) []error {
	s.body = ctx.BodyReader()
	return nil
}

type stagedBytes struct {
	Bytes int64 `json:"bytes" doc:"How many were staged"`
}

// staging is the route by which a worker can always leave its bytes (C19). Its
// body is streamed, so it is read here and not by huma.
func (c *Control) staging(to huma.API) {
	o := operation(http.MethodPut, "/v1/staging/{worker}/{unit}/{name}", "stage", "Leave a finished unit's bytes for the gates", "Workers")
	o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": {}}}
	o.MaxBodyBytes = -1
	huma.Register(to, o, answering(c, c.stage))
}

func (c *Control) stage(ctx context.Context, in *staged) (stagedBytes, error) {
	if _, err := loop.ParseUnit(in.Unit); err != nil {
		return stagedBytes{}, err
	}
	sent := &sent{in: in.body}
	n, err := c.c.o.Staging.Stage(ctx, in.Worker, in.Unit, in.Name, sent)
	if sent.broken != nil {
		// The sender's trouble, or the network's: nothing of it is kept.
		return stagedBytes{}, api.NewProblem(http.StatusServiceUnavailable, "the body broke off: "+sent.broken.Error()+"; send it again")
	}
	return stagedBytes{n}, err
}

// sent is a body that notes whether it broke off.
type sent struct {
	in     io.Reader
	broken error
}

func (s *sent) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.broken = err
	}
	return n, err
}
