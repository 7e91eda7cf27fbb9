package coordinator

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

type rowsOf struct {
	Name    string `path:"name" example:"loop"`
	Version int    `path:"version" minimum:"1"`
	From    int64  `query:"from" minimum:"0" doc:"Begin with this row, counted from 0: where a download broke off"`
}

// rows streams a version's samples with their scenarios. These are not read
// anywhere but drawn again: a name decides them (I4), so a version keeps them as
// long as it is there, whatever became of its samples since. Those of imported
// samples, which nobody revokes, the view has.
func (c *Control) rows(ctx context.Context, in *rowsOf) (*huma.StreamResponse, error) {
	d, err := c.version(&datasetOf{in.Name, in.Version})
	if err != nil {
		return nil, c.problem(err)
	}
	if uint64(in.From) > d.Samples {
		return nil, c.problem(&loop.Error{Field: "from", Problem: fmt.Sprintf("%s@%d has only %d rows", in.Name, in.Version, d.Samples)})
	}
	x, err := c.newExpansion(ctx, &d)
	if err != nil {
		return nil, c.problem(err)
	}
	object, _, err := c.o.Objects.OpenObject(ctx, d.Manifest.Key)
	if err != nil {
		return nil, c.problem(fmt.Errorf("open manifest: %w", err))
	}
	return &huma.StreamResponse{Body: func(answer huma.Context) {
		defer object.Close()
		answer.SetHeader("Content-Type", api.NDJSON)
		to := bufio.NewWriterSize(answer.BodyWriter(), 1<<16)
		err := x.write(ctx, to, object, in.From)
		if err == nil {
			err = to.Flush()
		}
		if err != nil && ctx.Err() == nil {
			// As with samples, the status is sent already.
			c.c.log.Error("rows not sent whole", "dataset", in.Name, "error", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// expansion draws the scenarios of a version's samples again.
type expansion struct {
	node    *Node
	version *state.DatasetVersion
	space   *loop.Space
	seed    uint64 // the campaign's
	// sampler is of round, that of the last row: a manifest is in their order.
	sampler *loop.Sampler
	round   int
	// page are samples of an imported version.
	view View
	page []loop.ImportedSample
}

func (c *Control) newExpansion(ctx context.Context, d *state.DatasetVersion) (*expansion, error) {
	x := &expansion{node: c.c.node, version: d, view: c.c.o.View}
	if d.Import != nil {
		return x, x.turn(ctx, 0)
	}
	ok := false
	c.c.node.View(func(s *state.State) {
		if campaign, there := s.Campaign(d.Campaign); there {
			space, _ := s.Space(campaign.Campaign.Space, campaign.SpaceVersion)
			x.space, x.seed, ok = space.Space, campaign.Campaign.Seed, space.Space != nil
		}
	})
	if !ok {
		return nil, fmt.Errorf("dataset %s@%d: there is no campaign %q", d.Name, d.Version, d.Campaign)
	}
	return x, nil
}

// scenario is what a sample shows.
func (x *expansion) scenario(name loop.Name) (loop.Scenario, error) {
	if x.sampler == nil || x.round != name.Round {
		var round state.Round
		ok := false
		x.node.View(func(s *state.State) { round, ok = s.Round(x.version.Campaign, name.Round) })
		if !ok {
			return loop.Scenario{}, fmt.Errorf("campaign %q has no round %d", x.version.Campaign, name.Round)
		}
		sampler, err := loop.NewSampler(x.space, &round.Decided.Round)
		if err != nil {
			return loop.Scenario{}, err
		}
		x.sampler, x.round = sampler, name.Round
	}
	return x.sampler.Scenario(name.Domain, name.Component, name.Index)
}

// pageRows is how many imported samples are read at a time.
const pageRows = 8192

// turn reads the page of imported samples that begins with an index.
func (x *expansion) turn(ctx context.Context, from uint64) error {
	d := x.version
	space, page, err := x.view.Imported(ctx, d.Import.Space, d.Name, d.Version, from, pageRows, d.Sequence)
	if err != nil {
		return err
	}
	if x.space != nil && x.space.Version != space.Version {
		return fmt.Errorf("space %q got another version meanwhile: %w", space.Name, loop.ErrUnavailable)
	}
	x.space, x.page = space, page
	return nil
}

// imported is the sample of a row of an imported version.
func (x *expansion) imported(ctx context.Context, row *api.ManifestRow) (*loop.ImportedSample, error) {
	if len(x.page) == 0 || row.Index < x.page[0].Index || row.Index > x.page[len(x.page)-1].Index {
		if err := x.turn(ctx, row.Index); err != nil {
			return nil, err
		}
	}
	if len(x.page) > 0 && row.Index-x.page[0].Index < uint64(len(x.page)) {
		if s := &x.page[row.Index-x.page[0].Index]; s.Index == row.Index && s.Digest == row.Digest {
			return s, nil
		}
	}
	return nil, fmt.Errorf("the view lacks sample %d of %s@%d", row.Index, x.version.Name, x.version.Version)
}

func (x *expansion) header() api.RowsHeader {
	d := x.version
	h := api.RowsHeader{Hone: api.RowsFormat, Dataset: fmt.Sprintf("%s@%d", d.Name, d.Version), Manifest: d.Manifest.Digest,
		Samples: int64(d.Samples), Campaign: d.Campaign, Space: fmt.Sprintf("%s@%d", x.space.Name, x.space.Version)}
	for i := range x.space.Factors {
		h.Factors = append(h.Factors, api.RowFactor{Name: x.space.Factors[i].Name, Kind: x.space.Factors[i].Kind})
	}
	for i := range x.space.Derived {
		h.Labels = append(h.Labels, x.space.Derived[i].Name)
	}
	return h
}

// write writes the rows of a manifest from one on, behind the header.
func (x *expansion) write(ctx context.Context, to io.Writer, manifest io.Reader, from int64) error {
	lines := json.NewEncoder(to)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(x.header()); err != nil {
		return err
	}
	n := int64(0)
	for row, err := range api.DecodeManifest(manifest) {
		if err != nil {
			return err
		}
		if n++; n <= from {
			continue
		}
		name, err := nameOf(&row)
		if err != nil {
			return err
		}
		if x.version.Import != nil {
			s, err := x.imported(ctx, &row)
			if err == nil {
				err = lines.Encode(api.Row{ManifestRow: row, Key: name.Key(), Example: s.Example, Described: api.DescribeImported(x.space, s)})
			}
			if err != nil {
				return err
			}
			continue
		}
		scenario, err := x.scenario(name)
		if err != nil {
			return err
		}
		if err := lines.Encode(api.Row{ManifestRow: row, Key: name.Key(), Seed: loop.SampleSeed(x.seed, name),
			Described: api.Describe(x.space, scenario)}); err != nil {
			return err
		}
	}
	return nil
}

func nameOf(row *api.ManifestRow) (loop.Name, error) {
	domain, ok := loop.ParseDomain(row.Split)
	if !ok {
		return loop.Name{}, fmt.Errorf("manifest: %q is not a split", row.Split)
	}
	return loop.Name{Domain: domain, Round: row.Round, Component: row.Component, Index: row.Index, Attempt: row.Attempt}, nil
}
