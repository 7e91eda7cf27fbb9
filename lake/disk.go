package lake

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
)

// disk is all that a lake does to change a file system. It is an interface so
// that tests can watch the order of the calls and let any of them fail; reading
// goes to the os.Root itself. Paths are relative and slash-separated.
type disk interface {
	// create makes a new file; it fails where one exists.
	create(path string) (file, error)
	rename(from, to string) error
	// mkdir makes one directory; fs.ErrExist where there is one.
	mkdir(path string) error
	// syncDir makes the names in a directory durable.
	syncDir(path string) error
	remove(path string) error
	removeAll(path string) error
}

// file is a file being written. Sync makes its bytes durable.
type file interface {
	io.WriteCloser
	Sync() error
}

// rooted is the real disk. The root refuses any path, and any symbolic link,
// that leads out of the lake's directory.
type rooted struct{ root *os.Root }

func (d rooted) create(path string) (file, error) {
	return d.root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}
func (d rooted) rename(from, to string) error { return d.root.Rename(from, to) }
func (d rooted) mkdir(path string) error      { return d.root.Mkdir(path, 0o755) }
func (d rooted) remove(path string) error     { return d.root.Remove(path) }
func (d rooted) removeAll(path string) error  { return d.root.RemoveAll(path) }

func (d rooted) syncDir(path string) error {
	f, err := d.root.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

// directories makes directories and their names durable, coalescing the syncs
// of many writers: whoever finds a sync of the same directory under way waits
// for the next one, which serves all that wait by then.
type directories struct {
	disk disk

	mu sync.Mutex
	// ready holds the directories that this process knows to be durable, all the
	// way up. Only directories that are never removed are entered.
	ready map[string]bool
	turns map[string]*turn
}

// turn is the syncing of one directory.
type turn struct {
	users   int
	running sync.Mutex
	next    *wave
}

// wave is one sync and those who wait for it.
type wave struct {
	done chan struct{}
	err  error
}

// sync makes all names durable that were entered into the directory before the
// call.
func (d *directories) sync(path string) error {
	d.mu.Lock()
	t := d.turns[path]
	if t == nil {
		t = &turn{}
		d.turns[path] = t
	}
	t.users++
	w, leads := t.next, t.next == nil
	if leads {
		w = &wave{done: make(chan struct{})}
		t.next = w
	}
	d.mu.Unlock()

	if leads {
		t.running.Lock()
		d.mu.Lock()
		t.next = nil // who comes now may have renamed after the sync below began
		d.mu.Unlock()
		w.err = d.disk.syncDir(path)
		t.running.Unlock()
		close(w.done)
	}
	<-w.done

	d.mu.Lock()
	if t.users--; t.users == 0 {
		delete(d.turns, path)
	}
	d.mu.Unlock()
	return w.err
}

// ensure makes the directory and those above it, durably. A directory that is
// already there is synced too, once per process: the one that made it may have
// been killed before it came to that.
func (d *directories) ensure(path string) error {
	d.mu.Lock()
	ready := d.ready[path]
	d.mu.Unlock()
	if ready {
		return nil
	}
	parent := parentOf(path)
	if parent != "." {
		if err := d.ensure(parent); err != nil {
			return err
		}
	}
	if err := d.make(parent, path); err != nil {
		return err
	}
	d.mu.Lock()
	d.ready[path] = true
	d.mu.Unlock()
	return nil
}

// make makes one directory and its name durable.
func (d *directories) make(parent, path string) error {
	if err := d.disk.mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.sync(parent)
}

func parentOf(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return "."
}
