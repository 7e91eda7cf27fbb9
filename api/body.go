package api

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
)

// reopen makes a body that can be read any number of times, and its length.
func reopen(body io.Reader) (open func() (io.ReadCloser, error), size int64, err error) {
	if seeker, ok := body.(io.ReadSeeker); ok {
		// A pipe has a Seek method too, which fails.
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			end, err := seeker.Seek(0, io.SeekEnd)
			if err != nil {
				return nil, 0, fmt.Errorf("body: %w", err)
			}
			r := &replay{seeker: seeker, start: start}
			return func() (io.ReadCloser, error) { return r.open() }, end - start, nil
		}
	}
	held, err := io.ReadAll(body)
	if err != nil {
		return nil, 0, fmt.Errorf("body: %w", err)
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(held)), nil }, int64(len(held)), nil
}

// replay reads a seeker again and again. The transport may still be reading for
// the try before when the next one starts, so only the latest turn may read.
type replay struct {
	mu     sync.Mutex
	seeker io.ReadSeeker
	start  int64
	latest *turn
}

func (r *replay) open() (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.seeker.Seek(r.start, io.SeekStart); err != nil {
		return nil, err
	}
	r.latest = &turn{r}
	return r.latest, nil
}

type turn struct{ of *replay }

func (t *turn) Read(p []byte) (int, error) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	if t.of.latest != t {
		return 0, errors.New("body: read by a later try")
	}
	return t.of.seeker.Read(p)
}

// Close closes nothing: the seeker is the caller's.
func (t *turn) Close() error { return nil }

// freshKey is a key that nobody else chooses.
func freshKey() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
