package export

import (
	"crypto/sha256"
	"hash"
	"io"
	"os"
	"path/filepath"

	"hone/loop"
)

// partial is a file that gets its name when it is whole.
type partial struct {
	dir, name string
	file      *os.File // nil once it has its name, or is discarded
	hash      hash.Hash
	bytes     int64
}

func (t *target) create(name string) (*partial, error) {
	p := &partial{dir: t.dir, name: name, hash: sha256.New()}
	var err error
	p.file, err = os.Create(p.path())
	return p, err
}

func (p *partial) path() string { return filepath.Join(p.dir, "."+p.name+partialSuffix) }

func (p *partial) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.bytes += int64(n)
	return n, err
}

// commit syncs the file and gives it its name.
func (p *partial) commit() (loop.Digest, error) {
	if err := p.file.Sync(); err != nil {
		return loop.Digest{}, err
	}
	err := p.file.Close()
	p.file = nil
	if err == nil {
		err = os.Rename(p.path(), filepath.Join(p.dir, p.name))
	}
	if err != nil {
		_ = os.Remove(p.path())
		return loop.Digest{}, err
	}
	return loop.Digest(p.hash.Sum(nil)), syncDir(p.dir)
}

// discard removes the file, unless it is committed.
func (p *partial) discard() {
	if p.file != nil {
		p.file.Close()
		_ = os.Remove(p.path())
		p.file = nil
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func hashFile(path string) (loop.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return loop.Digest{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return loop.Digest{}, err
	}
	return loop.Digest(h.Sum(nil)), nil
}
