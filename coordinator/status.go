package coordinator

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
)

// Queries answers analysts: package analytics', in a locked-down instance.
type Queries interface {
	// Query runs SQL that sees at least a sequence.
	Query(ctx context.Context, query string, atLeast uint64) (api.Table, error)
	// Sequence is up to which change the view is built.
	Sequence() uint64
}

type query struct {
	Body api.Query
}

func (c *Control) status(to huma.API) {
	huma.Register(to, operation(http.MethodGet, "/v1/status", "status", "How the node and its fleet are", "Status"), answering(c, c.showStatus))
	huma.Register(to, operation(http.MethodPost, "/v1/sql", "sql", "Query the samples and outcomes, read-only", "Queries"), answering(c, c.query))
}

func (c *Control) query(ctx context.Context, in *query) (api.Table, error) {
	return c.o.Queries.Query(ctx, in.Body.Query, in.Body.AtLeast)
}

func (c *Control) showStatus(context.Context, *struct{}) (api.Status, error) {
	out := api.Status{
		Version: c.o.Version, Node: c.c.node.o.Name, Role: "follower", UptimeSeconds: time.Since(c.o.Started).Seconds(),
		ViewSequence: c.o.Queries.Sequence(), Campaigns: c.summaries(), Workers: []api.Worker{},
	}
	out.Sequence = c.c.node.Sequence()
	if leader, ok := c.c.node.Leader(); ok {
		out.Leader = leader.Name
	}
	t, err := c.c.leading()
	if err != nil {
		return out, nil
	}
	out.Role, out.Leader = "leader", c.c.node.o.Name
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, s := range t.sessions {
		w := api.Worker{Name: s.worker.Name, Type: s.worker.Type, Slots: s.worker.Slots,
			Busy: len(s.making), Committed: s.committed, Rejected: s.rejected}
		if seconds := now.Sub(s.since).Seconds(); seconds > 0 {
			w.Rate = float64(s.committed) / seconds
		}
		for _, g := range s.worker.Generators {
			w.Generators = append(w.Generators, g.Name+"@"+g.Version)
		}
		out.Workers = append(out.Workers, w)
	}
	slices.SortFunc(out.Workers, func(a, b api.Worker) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}
