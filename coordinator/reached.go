package coordinator

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// reached is the file that says up to which entry the log is on disk. It is
// written after the log, and without waiting for the disk: what it says after a
// loss of power is older, never more than is true. Two slots take turns, so that
// one is whole whatever happens to the other.
type reached struct {
	mu    sync.Mutex
	file  *os.File
	last  uint64
	turns int64
}

// A slot is an index and its checksum.
const slot = 8 + 4

func openReached(path string) (_ *reached, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close() // nothing was written to it
		}
	}()
	var slots [2 * slot]byte
	n, err := file.ReadAt(slots[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r := &reached{file: file}
	// Where the power failed before anything of it was on disk, its size may be.
	whole := slots == [2 * slot]byte{}
	for i := range int64(2) {
		s := slots[i*slot : (i+1)*slot]
		if n < int(i+1)*slot {
			continue
		}
		if [slot]byte(s) == [slot]byte{} { // never written, or lost with the power
			whole = true
			continue
		}
		if binary.BigEndian.Uint32(s[8:]) != crc32.Checksum(s[:8], castagnoli) {
			continue
		}
		if index := binary.BigEndian.Uint64(s); index > r.last {
			r.last, r.turns = index, i+1
		}
		whole = true
	}
	if !whole {
		return nil, damaged(path, errors.New("neither of its two entries is whole"))
	}
	return r, nil
}

func (r *reached) index() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *reached) advance(to uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.write(to)
}

// withdraw says durably that the log ends with an entry, before others of it are
// removed.
func (r *reached) withdraw(to uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if to >= r.last {
		return nil
	}
	// Both slots: the greater one counts.
	for range 2 {
		if err := r.write(to); err != nil {
			return err
		}
	}
	return r.file.Sync()
}

func (r *reached) write(index uint64) error {
	var s [slot]byte
	binary.BigEndian.PutUint64(s[:], index)
	binary.BigEndian.PutUint32(s[8:], crc32.Checksum(s[:8], castagnoli))
	if _, err := r.file.WriteAt(s[:], r.turns%2*slot); err != nil {
		return err
	}
	r.turns++
	r.last = index
	return nil
}

func (r *reached) Close() error { return r.file.Close() }
