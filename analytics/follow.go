//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"hone/loop"
)

// Catalogue is the replicated list of changes.
type Catalogue interface {
	// Changes returns at least one and at most max changes after a sequence, in order
	// and without leaving out one that is retained; it waits until there are some, or
	// the context ends. Behind a gap a change says from where on who lacks what was
	// there is whole. It answers ErrBehind when nobody can tell.
	Changes(ctx context.Context, after uint64, max int) ([]loop.Change, error)
}

// Parts finds the objects of the lake.
type Parts interface {
	// Path is a local Parquet file with the object's bytes. An error that is
	// fs.ErrNotExist means that the object is gone for good.
	Path(key string) (string, error)
}

// follower keeps one file in step with the catalogue. Only one goroutine at a
// time calls its methods; those who only read hold mu for reading.
type follower struct {
	path      string
	settings  string
	cluster   string
	catalogue Catalogue
	parts     Parts
	batch     int
	logger    *slog.Logger

	// mu is held for writing while tables change their shape or the file its
	// instance.
	mu    sync.RWMutex
	store *store

	// A batch that failed began after good and ended with suspect: between the
	// two, changes are applied one at a time, to get as far as possible. failures
	// counts those at the same change; rebuilt tells that failing at failedAt has
	// already led to a new building.
	good, suspect uint64
	failures      int
	rebuilt       bool
	failedAt      uint64
}

// open opens the file if it is not open.
func (f *follower) open(ctx context.Context) error {
	if f.store != nil {
		return nil
	}
	s, fresh, err := openStore(ctx, f.path, f.settings, f.cluster)
	if fresh != nil {
		f.logger.Warn("the view is built again", "file", filepath.Base(f.path), "reason", fresh)
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.store = s
	f.mu.Unlock()
	return nil
}

func (f *follower) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.store == nil {
		return nil
	}
	err := f.store.close()
	f.store = nil
	return err
}

// attempts is how often a change that fails is tried before the view is built
// again, where the failure does not itself call for that.
const attempts = 3

// advance applies the next changes, waiting for them; or builds the file again,
// where that is due. After an error the caller pauses and calls it again.
func (f *follower) advance(ctx context.Context) error {
	if err := f.open(ctx); err != nil {
		return err
	}
	after, limit := f.store.sequence, f.batch
	switch {
	case after < f.good:
		limit = int(min(uint64(limit), f.good-after))
	case after < f.suspect:
		limit = 1
	}
	changes, err := f.catalogue.Changes(ctx, after, limit)
	if err == nil && len(changes) > 0 && changes[0].Sequence != after+1 && changes[0].Whole == 0 {
		err = fmt.Errorf("%w: change %d follows %d", ErrBehind, changes[0].Sequence, after)
	}
	if err != nil {
		if errors.Is(err, ErrBehind) && after > 0 {
			return f.rebuild(ctx, err)
		}
		return fmt.Errorf("changes after %d: %w", after, err)
	}
	if err := f.apply(ctx, changes); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return f.mend(ctx, err, changes)
	}
	f.good, f.failures = max(f.good, f.store.sequence), 0
	if f.rebuilt && f.store.sequence > f.failedAt {
		f.rebuilt = false
	}
	return nil
}

// apply applies changes, those of spaces each by itself: they change the shape
// of tables, and while they do so nobody reads.
func (f *follower) apply(ctx context.Context, changes []loop.Change) error {
	for len(changes) > 0 {
		n := 0
		for n < len(changes) && changes[n].Space == nil {
			n++
		}
		if n > 0 {
			if err := f.store.apply(ctx, f.parts, changes[:n]); err != nil {
				return err
			}
			changes = changes[n:]
			continue
		}
		f.mu.Lock()
		err := f.store.apply(ctx, f.parts, changes[:1])
		f.mu.Unlock()
		if err != nil {
			return err
		}
		changes = changes[1:]
	}
	return nil
}

// mend decides what follows a failure to apply: another attempt, building the
// file again, or, if that has been done in vain, more attempts.
func (f *follower) mend(ctx context.Context, err error, changes []loop.Change) error {
	position := f.store.sequence
	if len(changes) > 1 && !ruinous(err) {
		f.good, f.suspect = position, changes[len(changes)-1].Sequence
		return err
	}
	f.failures++
	if f.rebuilt && position <= f.failedAt {
		// Building again did not help. An instance that failed from within has to
		// be left all the same, but not without a pause.
		if ruinous(err) {
			return errors.Join(err, f.rebuild(ctx, err))
		}
		return err
	}
	if !errors.Is(err, fs.ErrNotExist) && !ruinous(err) && f.failures < attempts {
		return err
	}
	f.rebuilt, f.failedAt, f.failures = true, position, 0
	return f.rebuild(ctx, err)
}

// rebuild starts the file again from nothing.
func (f *follower) rebuild(ctx context.Context, reason error) error {
	f.logger.Warn("the view is built again", "file", filepath.Base(f.path), "at", f.store.sequence, "reason", reason)
	f.mu.Lock()
	defer f.mu.Unlock()
	// What cannot be closed well is deleted all the same.
	_ = f.store.db.Close()
	f.store = nil
	if err := removeFile(f.path); err != nil {
		return err
	}
	s, _, err := openStore(ctx, f.path, f.settings, f.cluster)
	if err != nil {
		return err
	}
	f.store = s
	return nil
}

// forget deletes a closed file whose bytes are not to be trusted.
func (f *follower) forget() error {
	if err := os.Remove(f.path + ".opening"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return removeFile(f.path)
}
