package api

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
)

// reopen makes a body that can be read any number of times, and its length.
func reopen(body io.Reader) (open func() (io.ReadCloser, error), size int64, err error) {
	if seeker, ok := body.(io.ReadSeeker); ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			end, err := seeker.Seek(0, io.SeekEnd)
			if err != nil {
				return nil, 0, fmt.Errorf("body: %w", err)
			}
			return func() (io.ReadCloser, error) {
				if _, err := seeker.Seek(start, io.SeekStart); err != nil {
					return nil, err
				}
				// The transport may still hold the body of the try before, so that the
				// reader must not be closed under it; the caller owns it anyway.
				return io.NopCloser(io.LimitReader(seeker, end-start)), nil
			}, end - start, nil
		}
	}
	// A pipe, though it may have a Seek method, cannot be read twice.
	held, err := io.ReadAll(body)
	if err != nil {
		return nil, 0, fmt.Errorf("body: %w", err)
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(held)), nil }, int64(len(held)), nil
}

// freshKey is a key that nobody else chooses.
func freshKey() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
