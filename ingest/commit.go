package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hone/fault"
	"hone/loop"
)

// pending is a validated post that waits for its receipt.
type pending struct {
	rows loop.PostRows
	// assigned says that ingest chose the key, so that only ingest sends it twice.
	assigned bool
	answer   chan answer // of size 1: the poster may be gone
}

type answer struct {
	receipt loop.Receipt
	err     error
}

// committer is the group commit. There is a lane per space version, and at most
// one group of a lane under way: posts that arrive meanwhile make up the next,
// so that groups grow with the load.
type committer struct {
	parts    Parts
	log      Log
	logger   *slog.Logger
	linger   time.Duration
	patience time.Duration
	maxGroup int

	mu    sync.Mutex // guards all below
	open  bool
	work  context.Context // outlives the run's context: what is held gets finished
	lanes map[laneKey]*lane
	group sync.WaitGroup
}

type laneKey struct {
	space   string
	version int
}

type lane struct {
	space   *loop.Space
	waiting []*pending
	rows    int
	full    chan struct{} // of size 1: the group need not linger on
}

func (c *committer) run(ctx context.Context) error {
	c.mu.Lock()
	c.open, c.work = true, context.WithoutCancel(ctx)
	c.mu.Unlock()
	<-ctx.Done()
	c.mu.Lock()
	c.open = false
	c.mu.Unlock()
	c.group.Wait()
	return nil
}

// submit hands a post to its lane and waits for its receipt. When ctx ends first
// the post is committed all the same.
func (c *committer) submit(ctx context.Context, space *loop.Space, p *pending) (loop.Receipt, error) {
	if err := c.enqueue(space, p); err != nil {
		return loop.Receipt{}, err
	}
	select {
	case a := <-p.answer:
		return a.receipt, a.err
	case <-ctx.Done():
		return loop.Receipt{}, fmt.Errorf("%w: %w", loop.ErrUnavailable, ctx.Err())
	}
}

func (c *committer) enqueue(space *loop.Space, p *pending) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		return fmt.Errorf("the server is starting or stopping: %w", loop.ErrUnavailable)
	}
	key := laneKey{space.Name, space.Version}
	l := c.lanes[key]
	if l == nil {
		l = &lane{space: space, full: make(chan struct{}, 1)}
		c.lanes[key] = l
		c.group.Go(func() { c.drain(key, l) })
	}
	l.waiting = append(l.waiting, p)
	l.rows += len(p.rows.Rows)
	if l.rows >= c.maxGroup {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
	return nil
}

// drain commits a lane's groups until none is left, and then forgets the lane.
func (c *committer) drain(key laneKey, l *lane) {
	timer := time.NewTimer(c.linger)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-l.full:
		}
		group := c.take(key, l)
		if len(group) == 0 {
			return
		}
		c.commit(l.space, group)
		// Whoever came during the commit has lingered already.
		timer.Reset(0)
	}
}

// take removes the next group from the lane, or the lane if it is empty.
func (c *committer) take(key laneKey, l *lane) []*pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(l.waiting) == 0 {
		delete(c.lanes, key)
		return nil
	}
	n, rows := 0, 0
	for n < len(l.waiting) && (n == 0 || rows+len(l.waiting[n].rows.Rows) <= c.maxGroup) {
		rows += len(l.waiting[n].rows.Rows)
		n++
	}
	group := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	l.rows -= rows
	return group
}

// commit makes one part of a group and appends it, and answers every post.
func (c *committer) commit(space *loop.Space, group []*pending) {
	ctx, cancel := context.WithTimeout(c.work, c.patience)
	defer cancel()
	posts := make([]loop.PostRows, len(group))
	for i, p := range group {
		posts[i] = p.rows
	}
	receipts, resent, err := c.write(ctx, space, posts)
	for i, p := range group {
		if err != nil {
			p.answer <- answer{err: err}
			continue
		}
		r := receipts[i]
		if r.DuplicateOf != 0 && resent && p.assigned {
			// Nobody else has this key: what the log has seen before is our own
			// earlier try, whose answer got lost.
			r = loop.Receipt{Sequence: r.DuplicateOf, Accepted: int64(len(p.rows.Rows))}
		}
		p.answer <- answer{receipt: r}
	}
}

// write writes and appends until both have answered or ctx ends; resent says
// that the append was sent more than once. A refusal of the log is final;
// everything else is unknown, and is tried again with the same keys (C10). Only that
// the part's lake epoch was closed asks for another part.
func (c *committer) write(ctx context.Context, space *loop.Space, posts []loop.PostRows) (receipts []loop.Receipt, resent bool, err error) {
	var object loop.Object
	written := false
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if !written {
			if object, err = c.parts.WriteOutcomes(ctx, space, posts); err == nil {
				written = true
			}
		}
		if written && fault.Planted("answer a post before the log") {
			return make([]loop.Receipt, len(posts)), resent, nil
		}
		if written {
			receipts, err = c.log.Append(ctx, posts, object)
			if err == nil && len(receipts) != len(posts) {
				err = fmt.Errorf("%d receipts for %d posts", len(receipts), len(posts))
			}
			if err == nil {
				return receipts, resent, nil
			}
			if errors.Is(err, loop.ErrEpochClosed) {
				written = false // and refused without effect: put it again (C18)
				continue
			}
			resent = true
		}
		if _, refused := errors.AsType[*loop.Error](err); refused && !errors.Is(err, loop.ErrUnavailable) {
			return nil, resent, err
		}
		c.logger.Warn("outcomes not committed yet", "space", space.Name, "posts", len(posts), "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, resent, fmt.Errorf("commit outcomes: %w: %w", loop.ErrUnavailable, err)
		}
	}
}
