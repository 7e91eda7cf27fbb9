package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/fault"
	"hone/loop"
)

// Collection is the lake as who collects its garbage sees it: package lake's.
type Collection interface {
	// Objects lists the objects of a kind that were put under an epoch up to last.
	Objects(ctx context.Context, kind string, last uint64) iter.Seq2[loop.Object, error]
	// Packs are the keys of the packs that a part of samples names.
	Packs(ctx context.Context, part string) ([]string, error)
	// Delete removes an object; one that is not there is deleted.
	Delete(ctx context.Context, key string) error
}

// collected are the kinds of object, by the first word of their keys (C16).
var collected = [...]string{"packs", "parts", "manifests", "evidence"}

type collection struct {
	Body api.Collect
}

func (c *Control) collections(to huma.API) {
	o := operation(http.MethodPost, "/v1/lake/collect", "collect-lake", "Delete the objects of the lake that nothing references", "Lake")
	o.Description = "The lake's epoch is closed, and what was put under it or an earlier one, and is referenced by nothing, is deleted. " +
		"What is under way meanwhile is put again under the open epoch, so that nothing that counts is ever lost. It may be asked for at any time, any number of times."
	huma.Register(to, o, answering(c, c.collect))
}

func (c *Control) collect(ctx context.Context, in *collection) (api.Collected, error) {
	t, err := c.c.leading()
	if err != nil {
		return api.Collected{}, err
	}
	return t.collect(ctx, in.Body.DryRun)
}

// collect deletes garbage: the keys of closed epochs that nothing references, read
// at one sequence after the closing (C18). Such a key is garbage for ever, since
// Apply refuses whatever names it from now on. So no one need be told, no lock is
// held, and a deletion that comes late, or twice, or from who leads no more, does
// no harm.
func (t *term) collect(ctx context.Context, dryRun bool) (out api.Collected, err error) {
	out.DryRun, out.Epoch = dryRun, t.c.node.epoch()
	last := out.Epoch
	if !dryRun {
		event, err := t.c.node.proposeAnew(ctx, func(s *state.State) (state.Command, error) {
			return state.Command{RaiseEpoch: &state.RaiseEpoch{Closes: s.Epoch()}}, nil
		})
		if err != nil {
			return out, fmt.Errorf("collect: close the lake epoch: %w", err)
		}
		out.Epoch = event.(state.EpochRaised).Epoch
		last = out.Epoch - 1
		if fault.Planted("delete a key of the open epoch") {
			last = out.Epoch
		}
	}
	kept, sequence, err := t.referenced(ctx)
	if err != nil {
		return out, fmt.Errorf("collect: %w", err)
	}
	out.Sequence = sequence
	for _, kind := range collected {
		of := api.CollectedKind{Kind: kind}
		for object, err := range t.c.o.Collection.Objects(ctx, kind, last) {
			if err != nil {
				return out, fmt.Errorf("collect: %w", err)
			}
			if kept[object.Key] {
				of.Kept, of.KeptBytes = of.Kept+1, of.KeptBytes+object.Bytes
				continue
			}
			if !dryRun {
				if err := t.c.o.Collection.Delete(ctx, object.Key); err != nil {
					return out, fmt.Errorf("collect: %w", err)
				}
			}
			of.Objects, of.Bytes = of.Objects+1, of.Bytes+object.Bytes
		}
		if of.Objects > 0 && !dryRun {
			t.c.log.Info("collected garbage", "kind", kind, "objects", of.Objects, "bytes", of.Bytes, "before_epoch", out.Epoch)
		}
		out.Kinds = append(out.Kinds, of)
	}
	return out, nil
}

// referenced are the keys that are referenced at one sequence: by state, and the
// packs by the rows of the parts that its catalogue holds. Rows that are void count,
// too: until a compaction leaves them out, their packs stay.
func (t *term) referenced(ctx context.Context) (kept map[string]bool, sequence uint64, err error) {
	for {
		var parts []string
		t.c.node.View(func(s *state.State) {
			sequence, parts, kept = s.Sequence(), s.SampleParts(), make(map[string]bool)
			for key := range s.Referenced() {
				kept[key] = true
			}
		})
		gone := ""
		for _, part := range parts {
			packs, err := t.c.o.Collection.Packs(ctx, part)
			if errors.Is(err, fs.ErrNotExist) {
				gone = part
				break
			}
			if err != nil {
				return nil, 0, err
			}
			for _, pack := range packs {
				kept[pack] = true
			}
		}
		if gone == "" {
			return kept, sequence, nil
		}
		// It was compacted and collected meanwhile, or it is lost.
		lost := false
		t.c.node.View(func(s *state.State) { lost = s.References(gone) })
		if lost {
			return nil, 0, fmt.Errorf("the lake lacks part %s, which is referenced; nothing is deleted", gone)
		}
	}
}
