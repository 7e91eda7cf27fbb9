package coordinator

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/fault"
	"hone/loop"
)

type sealing struct {
	Line    string `path:"line" doc:"The model line" example:"detector"`
	Version string `path:"version" doc:"Its version" example:"7"`
	Body    api.Seal
}

func (c *Control) models(to huma.API) {
	huma.Register(to, operation(http.MethodPost, "/v1/models/{line}/{version}/seal", "seal-model", "Close a model version for posts", "Models"), answering(c, c.sealModel))
	huma.Register(to, operation(http.MethodGet, "/v1/models", "list-models", "List the model versions", "Models"), answering(c, c.listModels))
}

func (c *Control) sealModel(ctx context.Context, in *sealing) (api.Model, error) {
	event, err := c.c.node.Propose(ctx, state.Command{SealModel: &state.SealModel{Line: in.Line, Version: in.Version, Rows: uint64(in.Body.Rows)}})
	if err != nil {
		return api.Model{}, err
	}
	sealed := event.(state.ModelSealed)
	return api.Model{ModelLine: sealed.Line, Version: sealed.Version, Rows: int64(sealed.Rows), Sealed: true, Sequence: sealed.Sequence}, nil
}

func (c *Control) listModels(context.Context, *struct{}) (out api.ModelList, _ error) {
	out.Models = []api.Model{}
	c.c.node.View(func(s *state.State) {
		for _, line := range s.ModelLines() {
			for _, versions := range [][]state.ModelVersion{line.Sealed, line.Open} {
				for _, v := range versions {
					out.Models = append(out.Models, api.Model{ModelLine: line.Line, Version: v.Version, Rows: int64(v.Rows), Sealed: v.Sealed, Sequence: v.Sequence})
				}
			}
		}
	})
	return out, nil
}

// Append proposes a part of outcomes. It is package ingest's Log.
func (c *Coordinator) Append(ctx context.Context, posts []loop.PostRows, object loop.Object) ([]loop.Receipt, error) {
	command := state.Append{Part: object}
	first := uint32(0)
	for _, p := range posts {
		command.Posts = append(command.Posts, state.Posted{Post: p.Post, FirstRow: first, Rows: uint32(len(p.Rows))})
		first += uint32(len(p.Rows))
	}
	event, err := c.node.Propose(ctx, state.Command{Append: &command})
	if err != nil {
		return nil, err
	}
	fault.Point("append-proposed")
	receipts := make([]loop.Receipt, len(posts))
	for i, a := range event.(state.Appended).Posts {
		receipts[i] = loop.Receipt{Sequence: a.Sequence, Accepted: int64(a.Accepted), DuplicateOf: a.DuplicateOf}
		if a.Refused != nil {
			receipts[i].Err = refusal(*a.Refused)
		}
	}
	return receipts, nil
}

// Space is the latest version of a space. It is package ingest's Spaces.
func (c *Coordinator) Space(_ context.Context, name string) (space *loop.Space, err error) {
	c.node.View(func(s *state.State) {
		v, ok := s.Space(name, 0)
		if !ok {
			err = loop.NotFound("space", "there is no space %q", name)
			return
		}
		space = v.Space
	})
	return space, err
}

// Epoch is the open lake epoch.
func (c *Coordinator) Epoch() uint64 { return c.node.epoch() }
