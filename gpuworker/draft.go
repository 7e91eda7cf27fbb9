package gpuworker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"hone/loop"
)

// maxAhead bounds the bytes of samples that were emitted before their turn: the
// bundle holds them in order.
const maxAhead = 256 << 20

// draft is a bundle that is being made. Emit may be called from any goroutine.
type draft struct {
	unit loop.Unit
	dir  string

	mu    sync.Mutex
	file  io.WriteCloser
	rows  []loop.Staged
	ahead map[uint64]early
	bytes int64 // of ahead
	size  int64
	// err is the first thing that went wrong, and final.
	err    error
	closed bool
}

// early is a sample that was emitted before its turn.
type early struct {
	bytes  []byte
	digest loop.Digest
}

func newDraft(u loop.Unit, dir string, file io.WriteCloser) *draft {
	return &draft{unit: u, dir: dir, file: file, ahead: make(map[uint64]early)}
}

// emit takes one sample.
func (d *draft) emit(index uint64, members []loop.Member) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = d.take(index, members)
	}
	return d.err
}

func (d *draft) take(index uint64, members []loop.Member) error {
	if d.closed {
		return errors.New("emitted after Make had returned")
	}
	if index < d.unit.First || index >= d.unit.First+uint64(d.unit.Count) {
		return fmt.Errorf("emitted index %d; the unit has %d to %d", index, d.unit.First, d.unit.First+uint64(d.unit.Count)-1)
	}
	next := d.unit.First + uint64(len(d.rows))
	if _, twice := d.ahead[index]; twice || index < next {
		return fmt.Errorf("emitted index %d twice", index)
	}
	name := d.unit.Name(int(index - d.unit.First))
	b, digest, err := loop.AppendSample(nil, name.Key(), members)
	if err != nil {
		return fmt.Errorf("sample %s: %w", name.Key(), err)
	}
	if index > next {
		if d.bytes += int64(len(b)); d.bytes > maxAhead {
			return fmt.Errorf("more than %d bytes were emitted before index %d", maxAhead, next)
		}
		d.ahead[index] = early{b, digest}
		return nil
	}
	for {
		if _, err := d.file.Write(b); err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
		d.rows = append(d.rows, loop.Staged{Index: index, Digest: digest, Offset: d.size, Length: int64(len(b))})
		d.size += int64(len(b))
		index++
		e, ok := d.ahead[index]
		if !ok {
			return nil
		}
		delete(d.ahead, index)
		b, digest = e.bytes, e.digest
		d.bytes -= int64(len(b))
	}
}

// close refuses all further samples; cause is what emit answers from now on.
func (d *draft) close(cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.err == nil {
		d.err = cause
	}
}

// complete ends emission and says what is wrong with what was emitted.
func (d *draft) complete() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.err == nil && len(d.rows) != d.unit.Count {
		d.err = fmt.Errorf("emitted %d of %d samples", len(d.rows)+len(d.ahead), d.unit.Count)
	}
	return d.err
}

// finish ends the tar and makes it durable.
func (d *draft) finish() (rows []loop.Staged, size int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, 0, d.err
	}
	end := loop.AppendEnd(nil)
	if _, err := d.file.Write(end); err != nil {
		return nil, 0, fmt.Errorf("bundle: %w", err)
	}
	if f, ok := d.file.(*os.File); ok {
		if err := f.Sync(); err != nil {
			return nil, 0, fmt.Errorf("bundle: %w", err)
		}
	}
	if err := d.file.Close(); err != nil {
		return nil, 0, fmt.Errorf("bundle: %w", err)
	}
	return d.rows, d.size + int64(len(end)), nil
}

// discard removes what is left of a draft; of one that was put on the shelf
// nothing is.
func (d *draft) discard() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.err == nil {
		d.err = errors.New("emitted after Make had returned")
	}
	_ = d.file.Close()      // closed already, if all went well
	_ = os.RemoveAll(d.dir) // renamed already, if all went well
}
