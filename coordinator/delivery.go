package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
)

// delivery is one delivery on its way through gates and commit.
type delivery struct {
	loop.Delivery
	session string
	// judged is what the gates made of it.
	judged loop.Judged
	// answer has room for one.
	answer chan settled
}

type settled struct {
	standing loop.Standing
	err      error
}

// Deliver takes a finished unit through the gates and commits it (C9).
func (c *Coordinator) Deliver(ctx context.Context, session string, d loop.Delivery, staged func()) (loop.Standing, error) {
	t, err := c.leading()
	if err != nil {
		return loop.Standing{}, err
	}
	if err := d.Validate(); err != nil {
		return loop.Standing{}, err
	}
	if _, err := c.node.definition(d.Unit.Campaign, d.Unit.Round); err != nil {
		return loop.Standing{}, &loop.Error{Field: "unit", Problem: fmt.Sprintf("%s is not a unit of this cluster", d.Unit.ID())}
	}
	t.mu.Lock()
	t.schedule.Staged(d.Unit, d.Worker, d.Millis, time.Now())
	t.mu.Unlock()
	item := &delivery{Delivery: d, session: session, answer: make(chan settled, 1)}
	select {
	case t.inbox <- item:
	case <-ctx.Done():
		return loop.Standing{}, fmt.Errorf("deliver: %w: %w", context.Cause(ctx), loop.ErrUnavailable)
	case <-t.ctx.Done():
		return loop.Standing{}, fmt.Errorf("deliver: %w: %w", context.Cause(t.ctx), loop.ErrUnavailable)
	}
	staged()
	select {
	case a := <-item.answer:
		return a.standing, a.err
	case <-ctx.Done():
		return loop.Standing{}, fmt.Errorf("deliver: %w: %w", context.Cause(ctx), loop.ErrUnavailable)
	case <-t.ctx.Done():
		return loop.Standing{}, fmt.Errorf("deliver: %w: %w", context.Cause(t.ctx), loop.ErrUnavailable)
	}
}

// judges is how many batches are before the gates at a time: one is read and
// written while another is judged.
const judges = 2

// judge passes deliveries through the gates, as many together as have arrived,
// up to a pack's worth.
func (t *term) judge(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(judges)
	for {
		var batch []*delivery
		samples := 0
		take := func(d *delivery) {
			batch = append(batch, d)
			samples += d.Unit.Count
		}
		select {
		case d := <-t.inbox:
			take(d)
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), group.Wait())
		}
		linger := time.NewTimer(t.c.o.Linger)
	gather:
		for samples < loop.MaxUnit {
			select {
			case d := <-t.inbox:
				take(d)
			case <-linger.C:
				break gather
			case <-ctx.Done():
				break gather
			}
		}
		linger.Stop()
		group.Go(func() error { return t.judgeBatch(ctx, batch) })
	}
}

func (t *term) judgeBatch(ctx context.Context, batch []*delivery) error {
	deliveries := make([]loop.Delivery, len(batch))
	for i, d := range batch {
		deliveries[i] = d.Delivery
	}
	judged, err := t.c.o.Gates.Judge(ctx, t.c.node.gated, t.epoch(), deliveries)
	if err != nil {
		if ctx.Err() == nil {
			t.c.log.Error("the gate stage failed", "deliveries", len(batch), "error", err)
		}
		for _, d := range batch {
			t.unknown(d, fmt.Errorf("judge: %w", err))
		}
		return nil
	}
	passed := batch[:0:0]
	for i, d := range batch {
		d.judged = judged[i]
		switch err := d.judged.Err; {
		case err == nil:
			passed = append(passed, d)
		case errors.Is(err, loop.ErrStagingGone):
			t.again(d.Unit)
			d.answer <- settled{standing: loop.Standing{Again: true}}
		default:
			if refused, ok := errors.AsType[*loop.Error](err); ok {
				t.c.log.Warn("delivery refused", "worker", d.Worker, "unit", d.Unit.ID(), "error", err)
				t.mu.Lock()
				t.schedule.Failed(d.Unit, d.Worker, time.Now())
				t.wakeAll()
				t.mu.Unlock()
				d.answer <- settled{err: refused}
				continue
			}
			t.c.log.Error("delivery not judged", "worker", d.Worker, "unit", d.Unit.ID(), "error", err)
			t.unknown(d, fmt.Errorf("judge: %w", err))
		}
	}
	if len(passed) == 0 {
		return nil
	}
	select {
	case t.judged <- passed:
		return nil
	case <-ctx.Done():
		return nil // the deliverers hear of it from the term's end
	}
}

// unknown answers that nobody knows what became of a delivery (C10). Its indices
// are open again: the worker will deliver it once more, but it may also have
// died, and then nobody else would ever make them.
func (t *term) unknown(d *delivery, err error) {
	t.again(d.Unit)
	d.answer <- settled{err: fmt.Errorf("%w: %w", err, loop.ErrUnavailable)}
}

func (t *term) again(u loop.Unit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.schedule.Again(u, time.Now())
	t.wakeAll()
}

func (t *term) epoch() (epoch uint64) {
	t.c.node.View(func(s *state.State) { epoch = s.Epoch() })
	return epoch
}

// maxPartRows bounds the rows of one part of samples.
const maxPartRows = 8192

// commit gathers judged deliveries of one version of a space into a part and a log entry.
func (t *term) commit(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(judges)
	var waiting [][]*delivery
	for {
		var batch []*delivery
		var rest [][]*delivery
		space, rows := "", 0
		take := func(judged []*delivery) {
			of := t.spaceOf(judged[0].Unit.Campaign)
			if len(batch) > 0 && (of != space || rows > maxPartRows) {
				rest = append(rest, judged)
				return
			}
			space = of
			batch = append(batch, judged...)
			for _, d := range judged {
				rows += d.Unit.Count
			}
		}
		for _, judged := range waiting {
			take(judged)
		}
		if len(batch) == 0 {
			select {
			case judged := <-t.judged:
				take(judged)
			case <-ctx.Done():
				return errors.Join(context.Cause(ctx), group.Wait())
			}
		}
		linger := time.NewTimer(t.c.o.Linger)
	gather:
		for len(rest) == 0 && rows < maxPartRows {
			select {
			case judged := <-t.judged:
				take(judged)
			case <-linger.C:
				break gather
			case <-ctx.Done():
				break gather
			}
		}
		linger.Stop()
		waiting = rest
		group.Go(func() error { t.commitBatch(ctx, batch); return nil })
	}
}

// spaceOf is the version of the space that a campaign is pinned to: the columns
// of a part.
func (t *term) spaceOf(campaign string) (space string) {
	t.c.node.View(func(s *state.State) {
		if c, ok := s.Campaign(campaign); ok {
			space = fmt.Sprintf("%s@%d", c.Campaign.Space, c.SpaceVersion)
		}
	})
	return space
}

// commitBatch makes the rows durable, proposes, and answers (C17).
func (t *term) commitBatch(ctx context.Context, batch []*delivery) {
	committed, err := t.proposeBatch(ctx, batch)
	if err != nil {
		if ctx.Err() == nil {
			t.c.log.Error("cannot commit deliveries", "deliveries", len(batch), "error", err)
		}
		for _, d := range batch {
			t.unknown(d, fmt.Errorf("commit: %w", err))
		}
		return
	}
	t.mu.Lock()
	now := time.Now()
	t.c.node.View(func(s *state.State) {
		for i, d := range batch {
			standing := committed.Deliveries[i].Standing
			t.committed += uint64(standing.Fresh - standing.Rejected)
			if from := t.sessions[d.session]; from != nil {
				from.committed += uint64(standing.Fresh - standing.Rejected)
				from.rejected += uint64(standing.Rejected)
			}
			t.schedule.Done(d.Unit, now)
			at := schedule.PlaceOf(d.Unit)
			if p := t.places[at]; p != nil {
				t.offer(s, at, p, d.Unit.First, min(p.reserved, d.Unit.First+uint64(d.Unit.Count)), d.Worker)
			}
		}
	})
	t.wakeAll()
	t.mu.Unlock()
	for i, d := range batch {
		if err := t.c.o.Staging.Sweep(ctx, d.Worker, d.Unit.ID()); err != nil && ctx.Err() == nil {
			t.c.log.Warn("cannot sweep staging", "worker", d.Worker, "unit", d.Unit.ID(), "error", err)
		}
		d.answer <- settled{standing: committed.Deliveries[i].Standing}
	}
}

func (t *term) proposeBatch(ctx context.Context, batch []*delivery) (state.Committed, error) {
	var samples []loop.SampleRow
	var verdicts []loop.VerdictRow
	command := state.Commit{}
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
		return state.Committed{}, err
	}
	if len(samples) > 0 {
		part, err := t.c.o.Parts.WriteSamples(ctx, t.epoch(), &definition.Space, samples)
		if err != nil {
			return state.Committed{}, err
		}
		command.Samples = &part
	}
	if len(verdicts) > 0 {
		part, err := t.c.o.Parts.WriteVerdicts(ctx, t.epoch(), &definition.Space, verdicts)
		if err != nil {
			return state.Committed{}, err
		}
		command.Verdicts = &part
	}
	event, err := t.c.node.Propose(ctx, state.Command{Commit: &command})
	if err != nil {
		return state.Committed{}, err
	}
	return event.(state.Committed), nil
}
