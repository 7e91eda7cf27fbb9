package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hone/loop"
)

func newCommitter(w *world, maxGroup int) *committer {
	return &committer{parts: w, log: w, logger: slog.New(slog.DiscardHandler), linger: 5 * time.Millisecond,
		patience: 20 * time.Second, maxGroup: maxGroup, lanes: map[laneKey]*lane{}}
}

func rowsOf(key string, n int) *pending {
	p := &pending{rows: loop.PostRows{Post: loop.Post{Space: "test", ModelLine: "line", Version: "1", Key: key}}, answer: make(chan answer, 1)}
	p.rows.Rows = make([]loop.Outcome, n)
	return p
}

// inBubble runs a committer in a synctest bubble, so that its waits take no time
// and are exact.
func inBubble(t *testing.T, w *world, maxGroup int, test func(t *testing.T, c *committer, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCommitter(w, maxGroup)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.run(ctx); close(done) }()
		synctest.Wait()
		test(t, c, func() { cancel(); <-done })
		cancel()
		<-done
	})
}

// TestGroups: posts that arrive within the linger share a part and an entry, of
// at most so many rows, in the order of their arrival.
func TestGroups(t *testing.T) {
	w := newWorld()
	inBubble(t, w, 10, func(t *testing.T, c *committer, stop func()) {
		var posters sync.WaitGroup
		for i := range 7 {
			posters.Go(func() {
				time.Sleep(time.Duration(i) * time.Microsecond)
				r, err := c.submit(t.Context(), w.space, rowsOf(fmt.Sprint(i), 3))
				if err != nil || r.Err != nil || r.Accepted != 3 {
					t.Errorf("post %d: %+v, %v", i, r, err)
				}
			})
		}
		posters.Wait()
		for _, part := range w.parts {
			if len(part) > 3 {
				t.Errorf("a part of %d posts, %d rows", len(part), 3*len(part))
			}
		}
		// The fourth post fills the first group; what was left went at once.
		if len(w.parts) != 3 || len(w.parts[0]) != 3 || w.appends != 3 {
			t.Errorf("%d parts, %d appends", len(w.parts), w.appends)
		}
		for i, p := range w.counted {
			if p.Post.Key != fmt.Sprint(i) {
				t.Errorf("post %s was counted as number %d", p.Post.Key, i)
			}
		}
		stop()
		if len(c.lanes) != 0 {
			t.Error("a lane was left behind")
		}
	})
}

// TestLinger: one post waits for company as long as was said, a full group not
// at all.
func TestLinger(t *testing.T) {
	for _, c := range []struct {
		rows int
		want time.Duration
	}{{1, 5 * time.Millisecond}, {10, 0}, {1000, 0}} {
		w := newWorld()
		inBubble(t, w, 10, func(t *testing.T, committer *committer, _ func()) {
			start := time.Now()
			if _, err := committer.submit(t.Context(), w.space, rowsOf("k", c.rows)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != c.want {
				t.Errorf("%d rows took %v, want %v", c.rows, took, c.want)
			}
		})
	}
}

// TestAcknowledgedAfterAppend is I1 and C17: nobody is answered before the log
// has, and nothing is appended before its part is written.
func TestAcknowledgedAfterAppend(t *testing.T) {
	w := newWorld()
	release := make(chan struct{})
	w.before = func(int) error {
		if len(w.parts) != 1 {
			t.Error("appended before the part was written")
		}
		<-release
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		release = make(chan struct{})
		c := newCommitter(w, 10)
		ctx, cancel := context.WithCancel(t.Context())
		go c.run(ctx)
		synctest.Wait()
		answered := make(chan loop.Receipt, 1)
		go func() {
			r, _ := c.submit(t.Context(), w.space, rowsOf("k", 1))
			answered <- r
		}()
		time.Sleep(time.Second)
		select {
		case <-answered:
			t.Error("answered before the log was")
		default:
		}
		close(release)
		if r := <-answered; r.Sequence != 1 {
			t.Errorf("got %+v", r)
		}
		cancel()
		synctest.Wait()
	})
}

// TestPosterGone: who goes away has posted all the same.
func TestPosterGone(t *testing.T) {
	w := newWorld()
	inBubble(t, w, 10, func(t *testing.T, c *committer, stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.submit(ctx, w.space, rowsOf("k", 1)); !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		stop()
		if len(w.counted) != 1 {
			t.Error("the post was not counted")
		}
	})
}

// TestStop: what was taken is finished, and then nothing more is taken.
func TestStop(t *testing.T) {
	w := newWorld()
	tries := 0
	w.before = func(int) error {
		if tries++; tries < 5 {
			return errors.New("no leader")
		}
		return nil
	}
	inBubble(t, w, 10, func(t *testing.T, c *committer, stop func()) {
		answered := make(chan error, 1)
		go func() {
			_, err := c.submit(t.Context(), w.space, rowsOf("k", 1))
			answered <- err
		}()
		synctest.Wait()
		stop()
		if err := <-answered; err != nil || len(w.counted) != 1 {
			t.Errorf("a post that was taken: %v, counted %d", err, len(w.counted))
		}
		if _, err := c.submit(t.Context(), w.space, rowsOf("l", 1)); !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("after the stop: %v", err)
		}
	})
}

// TestPatience: after so long nothing is known, which is said, and the next post
// finds a committer that works.
func TestPatience(t *testing.T) {
	w := newWorld()
	down := true
	w.after = func(int) error {
		if down {
			return errors.New("the answer got lost")
		}
		return nil
	}
	inBubble(t, w, 10, func(t *testing.T, c *committer, _ func()) {
		start := time.Now()
		_, err := c.submit(t.Context(), w.space, rowsOf("k", 1))
		if took := time.Since(start); !errors.Is(err, loop.ErrUnavailable) || took < 20*time.Second || took > 21*time.Second {
			t.Errorf("got %v after %v", err, took)
		}
		if w.appends < 10 || len(w.parts) != 1 || len(w.counted) != 1 {
			t.Errorf("%d appends of %d parts, %d counted", w.appends, len(w.parts), len(w.counted))
		}
		down = false
		// The poster does as it was told: the same key again (C10).
		r, err := c.submit(t.Context(), w.space, rowsOf("k", 1))
		if err != nil || r.DuplicateOf != 1 || len(w.counted) != 1 {
			t.Errorf("sent again: %+v, %v", r, err)
		}
	})
}

// TestRefusedWhole: a log that refuses an entry as such is not asked again.
func TestRefusedWhole(t *testing.T) {
	w := newWorld()
	w.before = func(int) error { return loop.NotFound("space", "there is no such space") }
	inBubble(t, w, 10, func(t *testing.T, c *committer, _ func()) {
		if _, err := c.submit(t.Context(), w.space, rowsOf("k", 1)); !errors.Is(err, loop.ErrNotFound) || w.appends != 1 {
			t.Errorf("got %v after %d appends", err, w.appends)
		}
	})
}

// TestSpacesApart: a lane is a space's version, and a slow one holds up no other.
func TestSpacesApart(t *testing.T) {
	w := newWorld()
	next := *w.space
	next.Version = 2
	w.before = func(n int) error {
		if n == 1 {
			time.Sleep(time.Hour)
		}
		return nil
	}
	inBubble(t, w, 10, func(t *testing.T, c *committer, _ func()) {
		first := make(chan error, 1)
		go func() {
			_, err := c.submit(t.Context(), w.space, rowsOf("a", 1))
			first <- err
		}()
		time.Sleep(time.Second)
		start := time.Now()
		if r, err := c.submit(t.Context(), &next, rowsOf("b", 1)); err != nil || r.Accepted != 1 || time.Since(start) > time.Second {
			t.Errorf("got %+v, %v after %v", r, err, time.Since(start))
		}
		<-first
	})
}

// TestMeter: bodies beyond the bound are told to come again, but one alone never.
func TestMeter(t *testing.T) {
	m := &meter{limit: 10}
	a := m.open(nil, 100)
	if err := a.take(50); err != nil {
		t.Error("a post alone:", err)
	}
	b := m.open(nil, 100)
	if err := b.take(1); !errors.Is(err, errBusy) {
		t.Error("a second post:", err)
	}
	a.close()
	if err := b.take(10); err != nil {
		t.Error("alone again:", err)
	}
	b.close()
	if m.used != 0 || m.posts != 0 {
		t.Errorf("%+v is left", m)
	}
}

// TestEpochClosed: where a part's lake epoch was closed before the log had it, the
// part is put again, and counts once (C18).
func TestEpochClosed(t *testing.T) {
	w := newWorld()
	w.before = func(n int) error {
		if n <= 2 {
			return fmt.Errorf("%w: %w", loop.ErrEpochClosed, &loop.Error{Field: "part.key", Problem: "it is of a closed epoch"})
		}
		return nil
	}
	inBubble(t, w, 10, func(t *testing.T, c *committer, _ func()) {
		r, err := c.submit(t.Context(), w.space, rowsOf("k", 3))
		if err != nil || r.Accepted != 3 || len(w.parts) != 3 || w.appends != 3 || len(w.counted) != 1 {
			t.Errorf("%+v, %v: %d parts, %d appends", r, err, len(w.parts), w.appends)
		}
	})
}
