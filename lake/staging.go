package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"hone/loop"
)

// stagedName is what a staged file may be called: it never starts with a dot.
var stagedName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

func workerPath(worker string) (string, error) {
	if !loop.ValidName(worker) {
		return "", &loop.Error{Field: "worker", Problem: fmt.Sprintf("%q is not a name", worker),
			Remedy: "a letter, then up to 62 letters, digits, '_', '.' or '-'"}
	}
	return "staging/" + worker, nil
}

func unitPath(worker, unitID string) (parent, path string, err error) {
	if parent, err = workerPath(worker); err != nil {
		return "", "", err
	}
	if _, err := loop.ParseUnit(unitID); err != nil {
		return "", "", err
	}
	return parent, parent + "/" + unitID, nil
}

func stagedPath(worker, unitID, name string) (parent, unit, path string, err error) {
	if parent, unit, err = unitPath(worker, unitID); err != nil {
		return "", "", "", err
	}
	if !stagedName.MatchString(name) {
		return "", "", "", &loop.Error{Field: "name", Problem: fmt.Sprintf("%q is not the name of a staged file", name),
			Remedy: "a letter or digit, then up to 62 letters, digits, '_', '.' or '-'"}
	}
	return parent, unit, unit + "/" + name, nil
}

// Stage keeps a file in a unit's staging area, durably, and returns its size.
// The file appears whole or not at all; one of the same name is replaced. More
// than Options.StageLimit bytes are refused.
func (l *Lake) Stage(ctx context.Context, worker, unitID, name string, r io.Reader) (int64, error) {
	parent, unit, path, err := stagedPath(worker, unitID, name)
	if err != nil {
		return 0, err
	}
	size, err := l.stage(ctx, parent, unit, path, r)
	if err != nil {
		return 0, fmt.Errorf("lake: stage %s: %w", path, err)
	}
	return size, nil
}

func (l *Lake) stage(ctx context.Context, parent, unit, path string, r io.Reader) (int64, error) {
	d, err := l.draft(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(d, io.LimitReader(r, l.limit+1)); err != nil {
		d.discard()
		return 0, err
	}
	if d.size > l.limit {
		d.discard()
		return 0, &loop.Error{Field: "body", Problem: fmt.Sprintf("more than %d bytes", l.limit),
			Remedy: "make smaller units, or raise the limit of staged files"}
	}
	err = d.finish()
	if err == nil {
		err = l.nameStaged(parent, unit, d.path, path)
	}
	if err != nil {
		_ = l.disk.remove(d.path)
		return 0, err
	}
	return d.size, nil
}

func (l *Lake) nameStaged(parent, unit, draft, path string) error {
	err := l.dirs.ensure(parent)
	if err != nil {
		return err
	}
	// A unit's directory goes when it is swept, so it is never taken as known, and made
	// again where that happens right now, to what an earlier delivery left.
	for range stageTries {
		if err = l.dirs.make(parent, unit); err != nil {
			return err
		}
		if err = l.disk.rename(draft, path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return err
	}
	return l.dirs.sync(unit)
}

const stageTries = 4

// OpenStaged opens a staged file for reading from its start, and says how many
// bytes it has. It is fs.ErrNotExist where there is none, or none any more.
func (l *Lake) OpenStaged(_ context.Context, worker, unitID, name string) (io.ReadCloser, int64, error) {
	_, _, path, err := stagedPath(worker, unitID, name)
	if err != nil {
		return nil, 0, err
	}
	f, size, err := l.regular(path)
	if err != nil {
		return nil, 0, fmt.Errorf("lake: open staged %s: %w", path, err)
	}
	return f, size, nil
}

// Sweep removes a unit's staging area. It may be repeated; one that is not
// there is swept.
func (l *Lake) Sweep(_ context.Context, worker, unitID string) error {
	_, path, err := unitPath(worker, unitID)
	if err != nil {
		return err
	}
	// The durability of a sweep is nobody's business: what comes back after a
	// power loss is swept again, or judged as the duplicate that it is.
	if err := l.disk.removeAll(path); err != nil {
		return fmt.Errorf("lake: sweep %s: %w", path, err)
	}
	return nil
}

// StagedUnits lists the units that a worker has staged anything of, by id.
func (l *Lake) StagedUnits(_ context.Context, worker string) ([]loop.Unit, error) {
	path, err := workerPath(worker)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(l.root.FS(), path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lake: list %s: %w", path, err)
	}
	var units []loop.Unit
	for _, e := range entries {
		// What is no unit was put there by somebody else, and is left alone.
		if u, err := loop.ParseUnit(e.Name()); err == nil && e.IsDir() {
			units = append(units, u)
		}
	}
	slices.SortFunc(units, func(a, b loop.Unit) int { return strings.Compare(a.ID(), b.ID()) })
	return units, nil
}
