//go:build linux

package powerloss

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Disk is a file system that can lose its power. It is not safe for concurrent
// use, but for Stall and by those who use it as a file system.
type Disk struct {
	// store is where the contents of files lie, by inode.
	store  string
	root   *inode
	server *fuse.Server
	at     string // where it is mounted

	mu     sync.Mutex // guards what follows, and the names of all directories
	last   uint64     // inode or handle that was given out
	inodes map[uint64]*inode
	open   map[uint64]*handle
	// stalled is closed when syncs may go on; nil while they may.
	stalled chan struct{}
}

type handle struct {
	in      *inode
	file    *os.File
	listing []fuse.DirEntry // of a directory, as it was opened
}

// Loss is what a loss of power took.
type Loss struct {
	Files, Names int
	Bytes        int64
}

const rootID = 1

// New makes an empty disk that keeps the contents of its files in a directory,
// which is made, and whose free space is its own.
func New(store string) (*Disk, error) {
	if err := os.MkdirAll(store, 0o755); err != nil {
		return nil, fmt.Errorf("powerloss: %w", err)
	}
	root := &inode{id: rootID, mode: syscall.S_IFDIR | 0o755, refs: 1, mtime: time.Now(), entries: map[string]*inode{}, synced: map[string]*inode{}}
	return &Disk{store: store, root: root, last: rootID, inodes: map[uint64]*inode{rootID: root}, open: map[uint64]*handle{}}, nil
}

// Mount mounts the disk at a directory, which is made.
func (d *Disk) Mount(at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return fmt.Errorf("powerloss: mount: %w", err)
	}
	// Else every child would hold the disk's other end, and keep it from ending with us.
	syscall.ForkLock.RLock()
	server, err := fuse.NewServer(&names{RawFileSystem: fuse.NewDefaultRawFileSystem(), disk: d}, at, &fuse.MountOptions{
		FsName: "powerloss", Name: "powerloss", DirectMountStrict: true, DisableXAttrs: true, DisableReadDirPlus: true, MaxWrite: 1 << 20,
	})
	err = errors.Join(err, closeOnExec("/dev/fuse"))
	syscall.ForkLock.RUnlock()
	if err != nil {
		return fmt.Errorf("powerloss: mount: %w", err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return fmt.Errorf("powerloss: mount: %w", err)
	}
	d.server, d.at = server, at
	return nil
}

// closeOnExec keeps what is open of a file from our children.
func closeOnExec(path string) error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, fd := range open {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == path {
			n, err := strconv.Atoi(fd.Name())
			if err != nil {
				return err
			}
			syscall.CloseOnExec(n)
		}
	}
	return nil
}

// Unmount takes the disk away, also from whoever still uses it. What was not
// synced stays: whoever mounts it again finds all as it was.
func (d *Disk) Unmount() error {
	if d.server == nil {
		return nil
	}
	d.Stall(false)
	if err := syscall.Unmount(d.at, syscall.MNT_FORCE|syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("powerloss: unmount %s: %w", d.at, err)
	}
	d.server.Wait()
	d.server = nil
	// Who was killed has closed nothing that we heard of.
	for id := range d.open {
		d.release(id)
	}
	return nil
}

// Stall has every sync wait from now on, or lets them go on: a disk that hangs.
func (d *Disk) Stall(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case on && d.stalled == nil:
		d.stalled = make(chan struct{})
	case !on && d.stalled != nil:
		close(d.stalled)
		d.stalled = nil
	}
}

// Lose makes the disk, which is not mounted, what a loss of power would have
// left: without randomness what was synced and nothing else, with it perhaps
// some of the rest.
func (d *Disk) Lose(random *rand.Rand) (loss Loss, err error) {
	if d.server != nil {
		return loss, errors.New("powerloss: the disk is mounted")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return loss, d.lose(d.root, random, &loss)
}

func (d *Disk) lose(dir *inode, random *rand.Rand, loss *Loss) error {
	survive := 0
	if random != nil {
		survive = random.IntN(len(dir.changes) + 1)
	}
	loss.Names += len(dir.changes) - survive
	for i, c := range dir.changes {
		for _, e := range c {
			if i < survive {
				d.put(dir.synced, e)
			}
			d.drop(e.of)
		}
	}
	dir.changes = nil
	before := dir.entries
	dir.entries = maps.Clone(dir.synced)
	for _, in := range dir.entries {
		in.refs++
	}
	for _, in := range before {
		d.drop(in)
	}
	for _, in := range inOrder(dir.entries) {
		if in.isDir() {
			if err := d.lose(in, random, loss); err != nil {
				return err
			}
			continue
		}
		file, err := os.OpenFile(d.path(in), os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("powerloss: %w", err)
		}
		lost, err := in.lose(file, random)
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("powerloss: %w", err)
		}
		if loss.Bytes += lost; lost > 0 {
			loss.Files++
		}
	}
	return nil
}

// Wipe makes the disk, which is not mounted, empty.
func (d *Disk) Wipe() error {
	if d.server != nil {
		return errors.New("powerloss: the disk is mounted")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range list(d.root) {
		d.set(d.root, change{{e.Name, nil}})
	}
	d.settle(d.root)
	return nil
}

// Show puts a tree of links to the disk's files, as they are, into a directory,
// which is made: for those who want to read them without mounting the disk.
func (d *Disk) Show(at string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.show(d.root, at)
}

func (d *Disk) show(dir *inode, at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return fmt.Errorf("powerloss: show: %w", err)
	}
	for name, in := range dir.entries {
		to := filepath.Join(at, name)
		if in.isDir() {
			if err := d.show(in, to); err != nil {
				return err
			}
		} else if err := os.Symlink(d.path(in), to); err != nil {
			return fmt.Errorf("powerloss: show: %w", err)
		}
	}
	return nil
}

func (d *Disk) path(in *inode) string { return filepath.Join(d.store, strconv.FormatUint(in.id, 36)) }

// fresh is a new inode, which nobody needs yet. d.mu is held, here and below.
func (d *Disk) fresh(mode uint32) *inode {
	d.last++
	in := &inode{id: d.last, mode: mode, mtime: time.Now()}
	if in.isDir() {
		in.entries, in.synced = map[string]*inode{}, map[string]*inode{}
	}
	d.inodes[in.id] = in
	return in
}

// set changes names of a directory.
func (d *Disk) set(dir *inode, c change) {
	for _, e := range c {
		if e.of != nil {
			e.of.refs++ // the change's own
		}
	}
	for _, e := range c {
		d.put(dir.entries, e)
	}
	dir.changes = append(dir.changes, c)
	dir.mtime = time.Now()
}

// settle makes the names of a directory durable.
func (d *Disk) settle(dir *inode) {
	for _, c := range dir.changes {
		for _, e := range c {
			d.put(dir.synced, e)
			d.drop(e.of)
		}
	}
	dir.changes = nil
}

func (d *Disk) put(names map[string]*inode, e entry) {
	before := names[e.name]
	if e.of != nil {
		e.of.refs++
		names[e.name] = e.of
	} else {
		delete(names, e.name)
	}
	d.drop(before)
}

// drop takes a reference back; what nobody needs is gone.
func (d *Disk) drop(in *inode) {
	if in == nil {
		return
	}
	if in.refs--; in.refs > 0 {
		return
	}
	delete(d.inodes, in.id)
	if !in.isDir() {
		_ = os.Remove(d.path(in)) // it costs space, nothing else
		return
	}
	for _, c := range in.changes {
		for _, e := range c {
			d.drop(e.of)
		}
	}
	for _, names := range []map[string]*inode{in.entries, in.synced} {
		for _, child := range names {
			d.drop(child)
		}
	}
}

// hold opens an inode, whose file may be nil.
func (d *Disk) hold(in *inode, file *os.File) uint64 {
	in.refs++
	d.last++
	d.open[d.last] = &handle{in: in, file: file}
	return d.last
}

func (d *Disk) release(id uint64) {
	h := d.open[id]
	delete(d.open, id)
	if h == nil {
		return
	}
	if h.file != nil {
		_ = h.file.Close() // it is not what keeps anything
	}
	d.drop(h.in)
}

// inOrder goes through a map in the order of its keys.
func inOrder[K interface{ ~int64 | ~string }, V any](m map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
