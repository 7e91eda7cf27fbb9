package coordinator

import (
	"context"
	"errors"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// Merger merges parts: package lake's.
type Merger interface {
	// Merge puts what counts of the rows of parts, in their order, into one part, each
	// with the sequence and time of the change that it came in by. It takes as many
	// parts, from the first, as go together, and puts nothing where it takes one of
	// several, or these have no row that counts.
	Merge(ctx context.Context, epoch uint64, parts []loop.Added) (object loop.Object, taken int, err error)
}

// Parts of fewer rows than one of these are merged when there are enough of them; one
// that has the most is left as it is. So a row is written a few times at most, and
// references grow with rows, not with commits.
var mergedBelow = [...]int64{16, 256, 4096, 65_536}

// maxVoids is how often rows may be taken out of a part before it is written anew
// without them: each time is a change that stays as long as the part.
const maxVoids = 256

// compactEvery is how often the leader looks for parts to merge.
const compactEvery = 2 * time.Second

// compact merges small parts that stand one after another (C21).
func (t *term) compact(ctx context.Context) error {
	ticker := time.NewTicker(compactEvery)
	defer ticker.Stop()
	c := &compaction{t: t, apart: make(map[uint64]bool)}
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for {
			merged, err := c.step(ctx)
			if err != nil && ctx.Err() == nil && !errors.Is(err, errStale) { // a revoke came between
				t.c.log.Warn("cannot compact parts; trying again", "error", err)
			}
			if err != nil || !merged {
				break
			}
		}
	}
}

// compaction is what a term knows of what can be merged.
type compaction struct {
	t *term
	// looked is the sequence at which nothing was left to merge.
	looked uint64
	// apart are the parts, by reference, that do not go together with the next one.
	apart map[uint64]bool
}

// step merges the parts that are ripe first, and reports whether there were any.
func (c *compaction) step(ctx context.Context) (merged bool, err error) {
	var run []loop.Added
	c.t.c.node.View(func(s *state.State) {
		if s.Version() < 2 || s.Sequence() == c.looked {
			return
		}
		for _, shelf := range s.Shelves() {
			if first, n := ripe(shelf.Parts, c.t.c.o.MergeParts, c.apart); n > 0 {
				run = s.Parts(shelf.Kind, shelf.Space)[first : first+n]
				return
			}
		}
		c.looked = s.Sequence()
	})
	if len(run) == 0 {
		return false, nil
	}
	taken := 0
	event, err := c.t.c.node.proposePut(ctx, func(epoch uint64) (state.Command, error) {
		var command state.Compact
		if command.Part, taken, err = c.t.c.o.Merger.Merge(ctx, epoch, run); err != nil {
			return state.Command{}, err
		}
		if command.Part.Key == "" {
			return state.Command{}, errApart
		}
		for i := range run[:taken] {
			void := make([]uint64, len(run[i].Part.Void))
			for j, row := range run[i].Part.Void {
				void[j] = uint64(row)
			}
			command.Inputs = append(command.Inputs, state.Compacting{Reference: run[i].Reference, Void: state.IndicesOf(void...)})
		}
		return state.Command{Compact: &command}, nil
	})
	if errors.Is(err, errApart) {
		for i := range run[:max(1, taken)] { // these alone, or no row of theirs counts
			c.apart[run[i].Reference] = true
		}
		return true, nil
	}
	if err != nil {
		return false, err
	}
	c.t.c.log.Info("parts compacted", "kind", run[0].Part.Kind, "space", run[0].Part.Space, "parts", taken, "sequence", event.(state.Compacted).Sequence)
	return true, nil
}

// errApart says that parts cannot be merged.
var errApart = errors.New("the parts do not go together")

// ripe are the first parts that are to be merged: as many of a size as that, that stand
// one after another and go together, with the smaller ones between them; or one alone
// that rows were taken out of too often. n is 0 where none are.
func ripe(parts []state.Shelved, fan int, apart map[uint64]bool) (first, n int) {
	for i := range parts {
		if parts[i].Voids >= maxVoids && parts[i].Rows > 0 {
			return i, 1
		}
	}
	above := int64(0)
	for _, below := range mergedBelow {
		first, of := 0, 0
		for i := range parts {
			if parts[i].Rows >= below {
				first, of = i+1, 0
				continue
			}
			if i > first && apart[parts[i-1].Reference] {
				first, of = i, 0
			}
			if parts[i].Rows >= above {
				of++
			}
			if of == fan {
				return first, i + 1 - first
			}
		}
		above = below
	}
	return 0, 0
}
