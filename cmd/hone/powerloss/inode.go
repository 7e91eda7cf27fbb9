//go:build linux

package powerloss

import (
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	page   = 4096 // what is remembered of old bytes at a time
	sector = 512  // what a disk writes as a whole
)

// zeros are the old bytes of every page that had none.
var zeros = make([]byte, page)

// inode is a file or a directory: as it is, and as it was when last synced.
type inode struct {
	id   uint64
	mode uint32
	// refs counts the entries, synced entries, changes and open files that need it.
	refs  int
	mtime time.Time

	// A directory's. entries are those in force, synced those that are kept, and
	// changes leads from these to those.
	entries, synced map[string]*inode
	changes         []change

	// A file's: its size when last synced, and what pages that were written since
	// had in them then.
	mu   sync.Mutex
	size int64
	old  map[int64][]byte
}

// change is what one operation makes of a directory's names: two in a rename.
type change []entry

// entry is a name and what it names; nil if it is gone.
type entry struct {
	name string
	of   *inode
}

func (in *inode) isDir() bool { return in.mode&syscall.S_IFDIR != 0 }

// remember keeps the old bytes of what is about to be changed. in.mu is held.
func (in *inode) remember(file *os.File, from, to int64) error {
	for at := from / page * page; at < to; at += page {
		if in.old[at] != nil {
			continue
		}
		before := zeros
		if at < in.size {
			before = make([]byte, page)
			if n, err := file.ReadAt(before[:min(page, in.size-at)], at); err != nil && err != io.EOF {
				return err
			} else if allZero(before[:n]) {
				before = zeros
			}
		}
		if in.old == nil {
			in.old = map[int64][]byte{}
		}
		in.old[at] = before
	}
	return nil
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

func (in *inode) write(file *os.File, b []byte, at int64) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.remember(file, at, at+int64(len(b))); err != nil {
		return 0, err
	}
	return file.WriteAt(b, at)
}

func (in *inode) truncate(file *os.File, size int64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.remember(file, size, in.size); err != nil {
		return err
	}
	return file.Truncate(size)
}

func (in *inode) allocate(file *os.File, mode uint32, at, length int64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	// Without the bytes of a mode that punches holes, it changes at most the size.
	if mode != 0 {
		if err := in.remember(file, at, min(in.size, at+length)); err != nil {
			return err
		}
	}
	return syscall.Fallocate(int(file.Fd()), mode, at, length)
}

func (in *inode) sync(file *os.File) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	now, err := file.Stat()
	if err != nil {
		return err
	}
	in.size, in.old = now.Size(), nil
	return nil
}

// lose makes the file what it was when last synced. With random, each changed
// sector, and the size, may have been written all the same.
func (in *inode) lose(file *os.File, random *rand.Rand) (lost int64, err error) {
	now, err := file.Stat()
	if err != nil {
		return 0, err
	}
	size := in.size
	if random != nil && random.IntN(2) == 0 {
		size = now.Size()
	}
	for at, before := range inOrder(in.old) {
		for i := int64(0); i < page; i += sector {
			if random != nil && random.IntN(2) == 0 {
				continue
			}
			lost += sector
			if _, err := file.WriteAt(before[i:i+sector], at+i); err != nil {
				return lost, err
			}
		}
	}
	in.size, in.old = size, nil
	return lost, file.Truncate(size)
}
