package ingest

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync"

	"hone/loop"
)

// Reasons not to read on.
var (
	errTooLarge = errors.New("the body is too large")
	errBusy     = errors.New("too much is being posted at the moment")
)

// meter counts the bytes of all posts in flight.
type meter struct {
	limit int64
	mu    sync.Mutex
	used  int64
	posts int
}

// body reads a request's body: it hashes, counts and bounds it.
type body struct {
	r    io.Reader
	hash hash.Hash
	// left is how many bytes may still come.
	left  int64
	taken int64
	meter *meter
	err   error
}

func (m *meter) open(r io.Reader, limit int64) *body {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.posts++
	return &body{r: r, hash: sha256.New(), left: limit, meter: m}
}

// take accounts for n more bytes of memory. The only post in flight always gets
// what it asks for: its own bounds hold it.
func (b *body) take(n int64) error {
	b.meter.mu.Lock()
	defer b.meter.mu.Unlock()
	if b.meter.posts > 1 && b.meter.used+n > b.meter.limit {
		return errBusy
	}
	b.meter.used += n
	b.taken += n
	return nil
}

// close gives back what the post took.
func (b *body) close() {
	b.meter.mu.Lock()
	defer b.meter.mu.Unlock()
	b.meter.used -= b.taken
	b.meter.posts--
	b.taken = 0
}

// Read reads on. Its errors stay, also when a decoder hides them.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.hash.Write(p[:n])
	if b.left -= int64(n); b.left < 0 {
		err = errTooLarge
	} else if e := b.take(int64(n)); e != nil {
		err = e
	}
	b.err = err
	return n, err
}

// digest is that of all bytes read.
func (b *body) digest() loop.Digest { return loop.Digest(b.hash.Sum(nil)) }
