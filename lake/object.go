package lake

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"hone/loop"
)

// Path is where an object lies in the file system, for those who read it by
// themselves (DuckDB's read_parquet). It does not look whether it is there.
func (l *Lake) Path(key string) (string, error) {
	if _, err := ParseKey(key); err != nil {
		return "", err
	}
	return filepath.Join(l.dir, filepath.FromSlash(key)), nil
}

// OpenObject opens an object for reading from its start, and says how many
// bytes it has. Its bytes are as on disk; Read and Verify compare their digest.
func (l *Lake) OpenObject(_ context.Context, key string) (io.ReadCloser, int64, error) {
	f, size, err := l.object(key)
	if err != nil {
		return nil, 0, fmt.Errorf("lake: open object: %w", err)
	}
	return f, size, nil
}

func (l *Lake) object(key string) (*os.File, int64, error) {
	if _, err := ParseKey(key); err != nil {
		return nil, 0, err
	}
	return l.regular(key)
}

// regular opens a plain file and nothing else: neither a link, nor a pipe that
// would block.
func (l *Lake) regular(path string) (*os.File, int64, error) {
	named, err := l.root.Lstat(path)
	if err != nil {
		return nil, 0, err
	}
	if !named.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a plain file", path)
	}
	f, err := l.root.Open(path)
	if err != nil {
		return nil, 0, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(named, opened) {
		err = fmt.Errorf("%s changed while it was opened", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, opened.Size(), nil
}

// Read reads a whole object into memory and compares its digest with its key.
func (l *Lake) Read(ctx context.Context, key string) ([]byte, error) {
	f, size, err := l.object(key)
	if err != nil {
		return nil, fmt.Errorf("lake: read: %w", err)
	}
	defer f.Close()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("lake: read %s: %w", key, err)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("lake: read %s: %w", key, err)
	}
	if k, _ := ParseKey(key); sha256.Sum256(b) != k.Digest {
		return nil, fmt.Errorf("lake: read %s: %w", key, ErrCorrupt)
	}
	return b, nil
}

// ReadRange reads length bytes of an object from offset. The bytes are not
// compared with any digest: who reads a sample compares it with the sample's.
func (l *Lake) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	f, size, err := l.object(key)
	if err != nil {
		return nil, fmt.Errorf("lake: read range: %w", err)
	}
	defer f.Close()
	if offset < 0 || length < 0 || length > math.MaxInt64-offset || offset+length > size {
		return nil, fmt.Errorf("lake: read range: %w", &loop.Error{Field: "address",
			Problem: fmt.Sprintf("%d bytes from %d of %s, which has %d", length, offset, key, size)})
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("lake: read range of %s: %w", key, err)
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(io.NewSectionReader(f, offset, length), b); err != nil {
		return nil, fmt.Errorf("lake: read range of %s: %w", key, err)
	}
	return b, nil
}

// Verify reads an object through and compares its digest with its key.
func (l *Lake) Verify(ctx context.Context, key string) error {
	f, _, err := l.object(key)
	if err != nil {
		return fmt.Errorf("lake: verify: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, &obedient{ctx, f}); err != nil {
		return fmt.Errorf("lake: verify %s: %w", key, err)
	}
	if k, _ := ParseKey(key); loop.Digest(sum.Sum(nil)) != k.Digest {
		return fmt.Errorf("lake: verify %s: %w", key, ErrCorrupt)
	}
	return nil
}

// obedient is a reader that stops when its context does.
type obedient struct {
	ctx context.Context
	r   io.Reader
}

func (o *obedient) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.r.Read(p)
}
