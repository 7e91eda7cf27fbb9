package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
	"hone/spec"
)

type publishBody struct {
	Body api.Publish
}

// publishDataset publishes some of a version's samples under another name: the
// express wish by which probe and evaluation samples may come into what is
// trained on (C7). The new version holds what of the other is still committed,
// in the very attempt.
func (c *Control) publishDataset(ctx context.Context, in *publishBody) (api.Published, error) {
	t, err := c.c.leading()
	if err != nil {
		return api.Published{}, err
	}
	name, version, err := splitVersion(in.Body.From)
	if err != nil {
		return api.Published{}, err
	}
	from, err := c.version(&datasetOf{name, version})
	if err != nil {
		return api.Published{}, err
	}
	if from.Import != nil {
		return api.Published{}, &loop.Error{Field: "from", Problem: fmt.Sprintf("%s@%d was imported, and only what was made here is published again", from.Name, from.Version),
			Remedy: "import what is wanted of it under another name"}
	}
	x, err := c.newExpansion(ctx, &from)
	if err != nil {
		return api.Published{}, err
	}
	where, err := spec.PredicatesOf(x.space, "where", in.Body.Where)
	if err != nil {
		return api.Published{}, err
	}
	p := &subset{t: t, name: in.Body.Name, from: &from, where: where, x: x}
	if err := t.checkDatasetName(p.name); err != nil {
		return api.Published{}, err
	}
	for tries := 0; ; tries++ {
		published, err := p.publish(ctx)
		// A revoke or another publish in between makes another selection needed.
		if err != nil && tries < 3 && ctx.Err() == nil && p.changed() {
			continue
		}
		if errors.Is(err, errStale) {
			err = fmt.Errorf("%w: %w", loop.ErrConflict, err)
		}
		return published, err
	}
}

// splitVersion reads NAME or NAME@VERSION; 0 is the latest.
func splitVersion(s string) (name string, version int, err error) {
	name, text, ok := strings.Cut(s, "@")
	if ok {
		if version, err = strconv.Atoi(text); err != nil || version < 1 {
			return "", 0, &loop.Error{Field: "from", Problem: fmt.Sprintf("%q is not NAME or NAME@VERSION", s)}
		}
	}
	return name, version, nil
}

// subset is one explicit publish.
type subset struct {
	t     *term
	name  string
	from  *state.DatasetVersion
	where loop.Slice
	x     *expansion
	// sequence, latest and epoch are what the last try has read.
	sequence uint64
	latest   int
	epoch    uint64
}

// changed reports whether something that a try has read is not so any more.
func (p *subset) changed() (changed bool) {
	p.t.c.node.View(func(s *state.State) {
		latest, _ := s.Dataset(p.name, 0)
		changed = s.Sequence() != p.sequence || latest.Version != p.latest || s.Epoch() != p.epoch
	})
	return changed
}

// checkDatasetName refuses the names that rounds are published under.
func (t *term) checkDatasetName(name string) (err error) {
	if !loop.ValidName(name) {
		return &loop.Error{Field: "name", Problem: fmt.Sprintf("%q is not a name", name), Remedy: "a letter, then up to 62 letters, digits, '_', '.' or '-'"}
	}
	t.c.node.View(func(s *state.State) {
		for _, owner := range []string{name, loop.EvaluatedCampaign(name)} {
			if _, ok := s.Campaign(owner); ok {
				err = loop.Conflict("name", "%q is kept for the rounds of campaign %q; choose another name", name, owner)
			}
		}
	})
	return err
}

func (p *subset) publish(ctx context.Context) (out api.Published, err error) {
	if len(p.from.Selection) == 0 {
		return out, &loop.Error{Field: "from", Problem: fmt.Sprintf("%s@%d holds no sample", p.from.Name, p.from.Version)}
	}
	first, last := p.from.Selection[0], p.from.Selection[len(p.from.Selection)-1]
	wanted := loop.Selection{Space: p.x.space.Name, Campaign: p.from.Campaign, Domain: first.Domain, FirstRound: first.Round, LastRound: last.Round}
	command := state.Publish{Name: p.name, Campaign: p.from.Campaign}
	frozen, err := p.t.c.node.freeze()
	if err != nil {
		return out, err
	}
	latest, _ := frozen.Dataset(p.name, 0)
	from, _ := frozen.Dataset(p.from.Name, p.from.Version) // its advisory may have grown
	committed := frozen.Select(p.from.Campaign, wanted.Domain, wanted.FirstRound, wanted.LastRound)
	command.Sequence, p.epoch = frozen.Sequence(), frozen.Epoch()
	p.sequence, p.latest = command.Sequence, latest.Version
	command.ExpectedLatest, command.Version = latest.Version, latest.Version+1
	if command.Selection, out.Revoked, err = p.selection(&from); err != nil {
		return out, err
	}
	wanted.AtLeast = command.Sequence
	if err := p.t.writeManifest(ctx, p.epoch, wanted, committed, &command); err != nil {
		return out, fmt.Errorf("publish %s@%d: %w", command.Name, command.Version, err)
	}
	if latest.Version == 0 || latest.Manifest.Digest != command.Manifest.Digest {
		if _, err := p.t.c.node.Propose(ctx, state.Command{Publish: &command}); err != nil {
			return out, fmt.Errorf("publish %s@%d: %w", command.Name, command.Version, err)
		}
		out.Created = true
		p.t.c.node.View(func(s *state.State) { latest, _ = s.Dataset(p.name, command.Version) })
	}
	out.Dataset = dataset(&latest)
	return out, nil
}

// selection is what of a version lies in the slice and was not revoked since.
func (p *subset) selection(from *state.DatasetVersion) (out []state.Selected, revoked int64, err error) {
	gone := selector(from.Advisory)
	for i := range from.Selection {
		of := &from.Selection[i]
		var indices []uint64
		for index := range of.Indices.All() {
			if len(p.where) > 0 {
				scenario, err := p.x.scenario(loop.Name{Domain: of.Domain, Round: of.Round, Component: of.Component, Index: index})
				if err != nil {
					return nil, 0, err
				}
				if !p.where.Matches(scenario.Codes) {
					continue
				}
			}
			if gone(of, index) {
				revoked++
				continue
			}
			indices = append(indices, index)
		}
		if len(indices) > 0 {
			out = append(out, state.Selected{Round: of.Round, Domain: of.Domain, Component: of.Component, Indices: state.IndicesOf(indices...)})
		}
	}
	if len(out) == 0 {
		return nil, 0, &loop.Error{Field: "where", Problem: fmt.Sprintf("%s@%d has no committed sample of %s", from.Name, from.Version, p.x.space.Describe(p.where))}
	}
	return out, revoked, nil
}
