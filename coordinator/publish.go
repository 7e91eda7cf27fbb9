package coordinator

import (
	"context"
	"fmt"
	"iter"

	"hone/coordinator/state"
	"hone/fault"
	"hone/loop"
)

// publish makes the latest round's dataset version: all training samples so
// far, or this round's evaluation samples (C26).
func (t *term) publish(ctx context.Context, campaign *state.Campaign, domain loop.Domain) error {
	name := campaign.Campaign.Name
	wanted := loop.Selection{Space: campaign.Campaign.Space, Campaign: name, Domain: domain,
		FirstRound: 1, LastRound: campaign.Round}
	set := name
	if domain == loop.Evaluation {
		set, wanted.FirstRound = loop.EvaluationSet(name), campaign.Round
	}
	var command state.Publish
	_, err := t.c.node.proposePut(ctx, func(epoch uint64) (state.Command, error) {
		command = state.Publish{Name: set, Version: campaign.Round, Campaign: name}
		frozen, err := t.c.node.freeze()
		if err != nil {
			return state.Command{}, err
		}
		if latest, ok := frozen.Dataset(set, 0); ok {
			command.ExpectedLatest = latest.Version
		}
		command.Sequence = frozen.Sequence()
		command.Selection = frozen.Select(name, domain, wanted.FirstRound, wanted.LastRound)
		wanted.AtLeast = command.Sequence
		err = t.writeManifest(ctx, epoch, wanted, command.Selection, &command)
		fault.Point("publish-written")
		return state.Command{Publish: &command}, err
	})
	if err != nil {
		return fmt.Errorf("publish %s@%d: %w", set, campaign.Round, err)
	}
	t.c.log.Info("published", "dataset", fmt.Sprintf("%s@%d", set, command.Version), "samples", command.Manifest.Rows)
	return nil
}

// writeManifest writes the manifest of what the command selects, and names the
// packs that its samples lie in. The view must yield exactly the samples that
// state has committed, all of them, in the same order: what one of the two does
// not know is never published.
func (t *term) writeManifest(ctx context.Context, epoch uint64, wanted loop.Selection, committed []state.Selected, command *state.Publish) (err error) {
	rows := uint64(0)
	for _, s := range command.Selection {
		rows += s.Indices.Count()
	}
	expected, stop := iter.Pull2(names(committed))
	defer stop()
	selected := selector(command.Selection)
	packs := make(map[string]bool)
	var broken error
	samples := func(yield func(loop.ManifestRow, loop.Address) bool) {
		for sample, err := range t.c.o.View.Committed(ctx, wanted) {
			if err != nil {
				broken = err
				return
			}
			of, index, ok := expected()
			if n := sample.Row.Name; !ok || of.Round != n.Round || of.Domain != n.Domain || of.Component != n.Component || index != n.Index {
				broken = fmt.Errorf("the view has sample %s, which state has not committed at this place", sample.Row.Name.Key())
				return
			}
			if !selected(of, index) {
				continue
			}
			if !packs[sample.Address.Key] {
				packs[sample.Address.Key] = true
				command.Packs = append(command.Packs, sample.Address.Key)
			}
			if !yield(sample.Row, sample.Address) {
				return
			}
		}
		if of, index, ok := expected(); ok {
			broken = fmt.Errorf("the view lacks index %d of round %d, %s component %d, which state has committed", index, of.Round, of.Domain, of.Component)
		}
	}
	command.Manifest, command.Addresses, err = t.c.o.Parts.WriteManifest(ctx, epoch, command.Name, int64(rows), samples)
	if broken != nil {
		return broken
	}
	return err
}

// selector tells which samples are in a selection; it is asked in its order.
func selector(of []state.Selected) func(in *state.Selected, index uint64) bool {
	return func(in *state.Selected, index uint64) bool {
		for len(of) > 0 && (of[0].Round != in.Round || of[0].Component != in.Component) {
			if of[0].Round > in.Round || of[0].Round == in.Round && of[0].Component > in.Component {
				return false
			}
			of = of[1:]
		}
		return len(of) > 0 && of[0].Indices.Contains(index)
	}
}

// names are the samples of a selection, in order.
func names(of []state.Selected) iter.Seq2[*state.Selected, uint64] {
	return func(yield func(*state.Selected, uint64) bool) {
		for i := range of {
			for index := range of[i].Indices.All() {
				if !yield(&of[i], index) {
					return
				}
			}
		}
	}
}
