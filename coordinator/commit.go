package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"hone/coordinator/state"
	"hone/fault"
	"hone/loop"
)

// maxPartRows bounds the rows of one part of samples. Of enoughRows a part is worth
// what it costs to write, to sync and to read into every node's view: they wait for
// no others.
const (
	maxPartRows = 8192
	enoughRows  = 1024
)

// commit gathers judged deliveries of one version of a space into a part and a
// log entry.
func (t *term) commit(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	slots := make(chan struct{}, judges)
	var waiting [][]*delivery
	for {
		var batch []*delivery
		var rest [][]*delivery
		space, rows := "", 0
		// It takes what fits, keeps the rest for the next batch, and wants more
		// until there is a rest or enough.
		take := func(judged []*delivery) (more bool) {
			of := t.spaceOf(judged[0].Unit.Campaign)
			if len(batch) > 0 && (of != space || rows > maxPartRows) {
				rest = append(rest, judged)
				return false
			}
			space = of
			batch = append(batch, judged...)
			for _, d := range judged {
				rows += d.Unit.Count
			}
			return len(rest) == 0 && rows < enoughRows
		}
		more := true
		for _, judged := range waiting {
			more = take(judged)
		}
		switch {
		case len(batch) == 0:
			if !gather(ctx, t.judged, func() time.Duration { return t.c.o.Linger }, take) {
				return errors.Join(context.Cause(ctx), group.Wait())
			}
		case more:
			gatherMore(ctx, t.judged, t.c.o.Linger, take)
		}
		// While those before it keep the disks busy, more may join it.
		for held := false; !held; {
			more := t.judged
			if len(rest) > 0 || rows >= maxPartRows {
				more = nil
			}
			select {
			case judged := <-more:
				take(judged)
			case slots <- struct{}{}:
				held = true
			case <-ctx.Done():
				return errors.Join(context.Cause(ctx), group.Wait())
			}
		}
		waiting = rest
		group.Go(func() error {
			t.commitBatch(ctx, batch)
			<-slots
			return nil
		})
	}
}

// spaceOf is the version of the space that a campaign is pinned to: the columns
// of a part.
func (t *term) spaceOf(campaign string) (space string) {
	t.c.node.View(func(s *state.State) {
		if d, ok := s.Definition(campaign, 1); ok {
			space = fmt.Sprintf("%s@%d", d.Space.Name, d.Space.Version)
		}
	})
	return space
}

// commitBatch makes the rows durable, proposes, and answers (C17).
func (t *term) commitBatch(ctx context.Context, batch []*delivery) {
	if fault.Planted("acknowledge before apply") {
		for _, d := range batch {
			d.answer <- settled{standing: loop.Standing{Fresh: d.Unit.Count}}
		}
	}
	var readings []state.Meter
	event, err := t.c.node.proposePut(ctx, func(epoch uint64) (state.Command, error) {
		packed, err := t.packed(ctx, epoch, batch)
		if err != nil {
			return state.Command{}, err
		}
		batch = packed
		commit, err := t.commitOf(ctx, epoch, batch)
		commit.Meters = t.readingsOf(batch)
		readings = commit.Meters
		return state.Command{Commit: &commit}, err
	})
	if err != nil {
		if ctx.Err() == nil {
			t.c.log.Error("cannot commit deliveries", "deliveries", len(batch), "error", err)
		}
		for _, d := range batch {
			t.unknown(d, fmt.Errorf("commit: %w", err))
		}
		return
	}
	fault.Point("commit-answered")
	committed := event.(state.Committed)
	t.account(batch, committed.Deliveries, readings)
	for i, d := range batch {
		t.sweep(ctx, &d.Delivery)
		d.answer <- settled{standing: committed.Deliveries[i].Standing}
	}
}

// account takes committed deliveries off the schedule, and offers what of them
// was sent back to other workers.
func (t *term) account(batch []*delivery, judged []state.Judged, readings []state.Meter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.c.node.View(func(s *state.State) {
		t.noted(s, readings)
		for i, d := range batch {
			standing := judged[i].Standing
			if from := t.sessions[d.session]; from != nil {
				from.committed += uint64(standing.Fresh - standing.Rejected)
				from.rejected += uint64(standing.Rejected)
				delete(from.charged, d.Unit)
			}
			t.schedule.Done(d.Unit, now)
			t.offerUnit(s, d.Unit, standing, d.Worker, now)
		}
	})
	poke(t.armed)
	t.wakeWaiting()
}

// sweep removes a unit's staging area after its last verdict (C9).
func (t *term) sweep(ctx context.Context, d *loop.Delivery) {
	if d.Bytes != nil {
		return // it was never staged
	}
	if err := t.c.o.Staging.Sweep(ctx, d.Worker, d.Unit.ID()); err != nil && ctx.Err() == nil {
		t.c.log.Warn("cannot sweep staging", "worker", d.Worker, "unit", d.Unit.ID(), "error", err)
	}
}

// sweepLeft removes what lies staged of units that are settled and that the worker
// does not announce: it has had its last word about them, and as a sweep is not
// durable, a loss of power may have brought them back.
func (t *term) sweepLeft(ctx context.Context, w *loop.Worker) {
	staged, err := t.c.o.Staging.StagedUnits(ctx, w.Name)
	if err != nil {
		t.c.log.Warn("cannot see what is staged", "worker", w.Name, "error", err)
		return
	}
	t.c.node.View(func(s *state.State) {
		staged = slices.DeleteFunc(staged, func(u loop.Unit) bool {
			_, known := s.Round(u.Campaign, u.Round)
			return !known || slices.Contains(w.Holds, u) || s.JudgeUnit(u).Fresh > 0
		})
	})
	for _, u := range staged {
		t.sweep(ctx, &loop.Delivery{Worker: w.Name, Unit: u})
	}
}

// packed sees to it that the packs of a batch are of the epoch: what was judged
// before it opened is judged again, from its staged bytes, and is answered here
// where that fails.
func (t *term) packed(ctx context.Context, epoch uint64, batch []*delivery) ([]*delivery, error) {
	var packed, again []*delivery
	for _, d := range batch {
		if d.epoch == epoch || len(d.judged.Packs) == 0 {
			packed = append(packed, d)
		} else {
			again = append(again, d)
		}
	}
	if len(again) == 0 {
		return batch, nil
	}
	judged, err := t.pass(ctx, epoch, again)
	return append(packed, judged...), err
}

// commitOf makes the rows of a batch durable under the epoch, and its command.
func (t *term) commitOf(ctx context.Context, epoch uint64, batch []*delivery) (command state.Commit, err error) {
	if len(batch) == 0 { // all were answered otherwise
		return command, nil
	}
	fault.Point("commit-judged")
	var samples []loop.SampleRow
	var verdicts []loop.VerdictRow
	packs := make(map[string]bool)
	for _, d := range batch {
		delivered := state.Delivered{Worker: d.Worker, Unit: d.Unit,
			FirstRow: uint32(len(samples)), FirstVerdict: uint32(len(verdicts))}
		for i, v := range d.judged.Verdicts {
			if v.Accepted {
				delivered.Accepted.Add(i)
			} else {
				delivered.Rejected = append(delivered.Rejected, state.Rejected{Offset: uint16(i), Gate: v.Gate, Reason: v.Reason})
			}
		}
		samples = append(samples, d.judged.Samples...)
		verdicts = append(verdicts, d.judged.Rejected...)
		command.Deliveries = append(command.Deliveries, delivered)
		for _, pack := range d.judged.Packs {
			if !packs[pack.Key] {
				packs[pack.Key] = true
				command.Packs = append(command.Packs, pack)
			}
		}
	}
	definition, err := t.c.node.definition(batch[0].Unit.Campaign, batch[0].Unit.Round)
	if err != nil {
		return command, err
	}
	if len(samples) > 0 {
		part, err := t.c.o.Parts.WriteSamples(ctx, epoch, &definition.Space, samples)
		if err != nil {
			return command, err
		}
		command.Samples = &part
	}
	if len(verdicts) > 0 {
		part, err := t.c.o.Parts.WriteVerdicts(ctx, epoch, &definition.Space, verdicts)
		if err != nil {
			return command, err
		}
		command.Verdicts = &part
	}
	fault.Point("commit-written")
	return command, nil
}

// readingsOf are those of the connections that a batch came by.
func (t *term) readingsOf(batch []*delivery) (readings []state.Meter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	by := make(map[metered]bool, len(batch))
	for _, d := range batch {
		by[metered{t.meters.connection(d.session), d.Unit.Campaign}] = true
	}
	t.c.node.View(func(s *state.State) { readings = t.readings(s, func(at metered) bool { return by[at] }) })
	return readings
}
