package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"hone/coordinator/state"
	"hone/fault"
	"hone/loop"
)

// delivery is one delivery on its way through gates and commit.
type delivery struct {
	loop.Delivery
	session string
	// judged is what the gates made of it, and epoch the one under which they put its
	// packs.
	judged loop.Judged
	epoch  uint64
	// answer has room for one.
	answer chan settled
}

type settled struct {
	standing loop.Standing
	err      error
}

// Deliver takes a finished unit through the gates and commits it (C9). The
// session may have ended, and the unit be with another worker: what is made is
// judged by name alone (I5).
func (c *Coordinator) Deliver(ctx context.Context, session string, d loop.Delivery, staged func()) (loop.Standing, error) {
	t, err := c.leading()
	if err != nil {
		return loop.Standing{}, err
	}
	if err := d.Validate(); err != nil {
		return loop.Standing{}, err
	}
	known, standing := t.stands(d.Unit)
	if (!known || standing.Fresh == 0) && !fault.Planted("settle a unit by what a deposed leader has") {
		// This would be the last word on the unit. Who was deposed, or has not applied
		// all there is, may not have heard of the round or the attempt yet.
		if err := c.node.barrier(); err != nil {
			return loop.Standing{}, fmt.Errorf("deliver: %w: %w", err, loop.ErrUnavailable)
		}
		known, standing = t.stands(d.Unit)
	}
	if !known {
		return loop.Standing{}, &loop.Error{Field: "unit", Problem: fmt.Sprintf("%s is not a unit of this cluster", d.Unit.ID())}
	}
	if standing.Fresh == 0 {
		return t.settledBefore(ctx, session, &d, standing), nil
	}
	t.staged(session, &d)
	item := &delivery{Delivery: d, session: session, answer: make(chan settled, 1)}
	select {
	case t.inbox <- item:
	case <-ctx.Done():
		t.giveBack(d.Unit)
		return loop.Standing{}, fmt.Errorf("deliver: %w: %w", context.Cause(ctx), loop.ErrUnavailable)
	case <-t.ctx.Done():
		return loop.Standing{}, fmt.Errorf("deliver: %w: %w", context.Cause(t.ctx), loop.ErrUnavailable)
	}
	fault.Point("deliver-staged")
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

// stands is how a unit would stand if it were committed now; known says whether its
// round is.
func (t *term) stands(u loop.Unit) (known bool, standing loop.Standing) {
	t.c.node.View(func(s *state.State) {
		if _, known = s.Round(u.Campaign, u.Round); known {
			standing = s.JudgeUnit(u)
		}
	})
	return known, standing
}

// settledBefore answers a delivery of which nothing is open any more: its bytes
// may have been swept since, and no gate need see them.
func (t *term) settledBefore(ctx context.Context, session string, d *loop.Delivery, standing loop.Standing) loop.Standing {
	t.mu.Lock()
	now := time.Now()
	if s := t.sessions[session]; s != nil {
		if _, made := s.making[d.Unit]; made { // in vain
			t.charge(session, d.Unit, d.Millis)
		}
		delete(s.making, d.Unit)
		delete(s.charged, d.Unit)
	}
	t.schedule.Done(d.Unit, now)
	t.c.node.View(func(s *state.State) { t.offerUnit(s, d.Unit, standing, "", now) })
	t.wakeWaiting()
	t.mu.Unlock()
	t.sweep(ctx, d)
	return standing
}

func (t *term) staged(session string, d *loop.Delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.charge(session, d.Unit, d.Millis)
	if s := t.sessions[session]; s != nil {
		delete(s.making, d.Unit)
	}
	t.schedule.Staged(d.Unit, d.Worker, d.Millis, time.Now())
	poke(t.armed)
}

// judges is how many batches are before the gates at a time, and how many are being
// committed: while some are judged, others wait for the disks.
const judges = 4

// spacing is how many lingers lie between batches that are less than a pack's worth:
// what trickles in makes ten packs and parts a second, not a hundred, which every
// node's view would have to read.
const spacing = 4

// judge passes deliveries through the gates, as many together as have arrived,
// up to a pack's worth. One that comes after a pause waits for others but briefly.
func (t *term) judge(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(judges)
	var next time.Time
	linger := func() time.Duration { return max(t.c.o.Linger, time.Until(next)) }
	for {
		var batch []*delivery
		samples := 0
		if !gather(ctx, t.inbox, linger, func(d *delivery) bool {
			batch = append(batch, d)
			samples += d.Unit.Count
			return samples < loop.MaxUnit
		}) {
			return errors.Join(context.Cause(ctx), group.Wait())
		}
		next = time.Now().Add(spacing * t.c.o.Linger)
		group.Go(func() error { t.judgeBatch(ctx, batch); return nil })
	}
}

// gather waits for a first item and hands it to take, and then whatever else
// comes within the linger, for as long as take wants more. It reports whether
// there was one before ctx ended.
func gather[T any](ctx context.Context, from <-chan T, linger func() time.Duration, take func(T) (more bool)) bool {
	select {
	case first := <-from:
		if !take(first) {
			return true
		}
	case <-ctx.Done():
		return false
	}
	gatherMore(ctx, from, linger(), take)
	return true
}

// gatherMore is gather for one who has something already.
func gatherMore[T any](ctx context.Context, from <-chan T, linger time.Duration, take func(T) (more bool)) {
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for {
		select {
		case next := <-from:
			if !take(next) {
				return
			}
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (t *term) judgeBatch(ctx context.Context, batch []*delivery) {
	judged, err := t.pass(ctx, t.c.node.epoch(), batch)
	if err != nil {
		if ctx.Err() == nil {
			t.c.log.Error("the gate stage failed", "deliveries", len(batch), "error", err)
		}
		for _, d := range batch {
			t.unknown(d, fmt.Errorf("judge: %w", err))
		}
		return
	}
	// A part has the columns of one version of a space.
	var order []string
	passed := make(map[string][]*delivery)
	for _, d := range judged {
		space := t.spaceOf(d.Unit.Campaign)
		if passed[space] == nil {
			order = append(order, space)
		}
		passed[space] = append(passed[space], d)
	}
	for _, space := range order {
		select {
		case t.judged <- passed[space]:
		case <-ctx.Done():
			return // the deliverers hear of it from the term's end
		}
	}
}

// pass passes a batch through the gates, whose packs are put under the epoch, and
// returns the deliveries that were judged. The others have been answered; after an
// error, none has.
func (t *term) pass(ctx context.Context, epoch uint64, batch []*delivery) (judged []*delivery, err error) {
	deliveries := make([]loop.Delivery, len(batch))
	for i, d := range batch {
		deliveries[i] = d.Delivery
	}
	answers, err := t.c.o.Gates.Judge(ctx, t.gated, epoch, deliveries)
	if err == nil && len(answers) != len(batch) {
		err = fmt.Errorf("%d answers for %d deliveries", len(answers), len(batch))
	}
	if err != nil {
		return nil, err
	}
	for i, d := range batch {
		if d.judged, d.epoch = answers[i], epoch; d.judged.Err != nil {
			t.unjudged(d, d.judged.Err)
			continue
		}
		judged = append(judged, d)
	}
	return judged, nil
}

// unjudged answers a delivery that the gates could not judge.
func (t *term) unjudged(d *delivery, err error) {
	refused, isRefused := errors.AsType[*loop.Error](err)
	switch {
	case errors.Is(err, loop.ErrStagingGone):
		t.giveBack(d.Unit)
		// Delivered twice, its bytes were swept when the first delivery was settled.
		var standing loop.Standing
		t.c.node.View(func(s *state.State) { standing = s.JudgeUnit(d.Unit) })
		if standing.Fresh > 0 && !fault.Planted("answer committed instead of again") {
			standing = loop.Standing{Again: true}
		}
		d.answer <- settled{standing: standing}
	case isRefused && !errors.Is(err, loop.ErrNotFound) && !errors.Is(err, loop.ErrConflict) && !errors.Is(err, loop.ErrUnavailable):
		t.c.log.Warn("delivery refused", "worker", d.Worker, "unit", d.Unit.ID(), "error", err)
		t.mu.Lock()
		t.schedule.Failed(d.Unit, d.Worker, time.Now())
		poke(t.armed)
		t.wakeWaiting()
		t.mu.Unlock()
		d.answer <- settled{err: refused}
	default:
		// That something was not found, or is not available, is the stage's trouble
		// and not the worker's lie.
		t.c.log.Error("delivery not judged", "worker", d.Worker, "unit", d.Unit.ID(), "error", err)
		t.unknown(d, fmt.Errorf("judge: %w", err))
	}
}

// unknown answers that nobody knows what became of a delivery (C10). Its indices
// are open again.
func (t *term) unknown(d *delivery, err error) {
	t.giveBack(d.Unit)
	d.answer <- settled{err: fmt.Errorf("%w: %w", err, loop.ErrUnavailable)}
}
