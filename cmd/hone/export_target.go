package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hone/loop"
)

// The files of an export beside its shards. Only what is whole has one of the
// names without a leading dot; exportDescription comes last of all.
const (
	exportDescription = "dataset.json"
	exportManifest    = "manifest.ndjson"
	exportJournal     = ".export.ndjson"
	exportLock        = ".export.lock"
	partialSuffix     = ".partial"
)

// exportHead says what an export is of. Two exports with one head have the same
// shards.
type exportHead struct {
	Hone         string      `json:"hone"` // exportFormat
	Dataset      string      `json:"dataset"`
	Manifest     loop.Digest `json:"manifest_sha256"`
	Format       string      `json:"format"`
	ShardSamples int         `json:"shard_samples"`
	ShardBytes   int64       `json:"shard_bytes"`
}

const exportFormat = "export/1"

// exportShard is a shard that is whole: a line of the journal.
type exportShard struct {
	File    string      `json:"file"`
	SHA256  loop.Digest `json:"sha256"`
	Bytes   int64       `json:"bytes"`
	Samples int64       `json:"samples"`
	// Members are those that a sample of the shard may have.
	Members []string `json:"members"`
}

// exportTarget is the directory that an export goes into. What of it is whole is
// listed in a journal, so that an export that was killed goes on behind it.
type exportTarget struct {
	dir    string
	head   exportHead
	shards []exportShard
	// done: the description is there, and lists the shards.
	done    bool
	lock    *os.File
	journal *os.File
}

// openTarget makes the directory if there is none, locks it and reads what an
// earlier export has left. It refuses a directory in which something else lies.
func openTarget(dir string, head exportHead) (*exportTarget, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	// Into a stranger's directory not even a lock is put.
	if err := refuseStrange(dir); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, exportLock), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	t := &exportTarget{dir: dir, head: head, lock: lock}
	if lockFile(lock) != nil {
		err = loop.Conflict("--to", "another export into %s is running", dir)
	} else if err = t.readDescription(); err == nil && !t.done {
		err = t.openJournal()
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// refuseStrange refuses a directory that is neither empty nor an export's.
func refuseStrange(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	strange := ""
	for _, e := range entries {
		switch e.Name() {
		case exportDescription, exportJournal, exportLock:
			return nil
		}
		strange = e.Name()
	}
	if strange != "" {
		return loop.Conflict("--to", "%s is not empty (there is %q), and no export lies in it; choose another directory", dir, strange)
	}
	return nil
}

func (t *exportTarget) path(name string) string { return filepath.Join(t.dir, name) }

func (t *exportTarget) close() {
	for _, f := range []*os.File{t.journal, t.lock} {
		if f != nil {
			f.Close()
		}
	}
}

// matches refuses to mix two exports.
func (t *exportTarget) matches(there exportHead) error {
	switch {
	case there == t.head:
		return nil
	case there.Hone != t.head.Hone || there.Dataset != t.head.Dataset || there.Manifest != t.head.Manifest:
		return loop.Conflict("--to", "%s holds %s, manifest %s; choose another directory for %s", t.dir, there.Dataset, there.Manifest, t.head.Dataset)
	default:
		return loop.Conflict("--to", "%s holds %s as %s, with shards of up to %d samples and %d MiB; say the same again, or choose another directory",
			t.dir, there.Dataset, there.Format, there.ShardSamples, there.ShardBytes>>20)
	}
}

func (t *exportTarget) readDescription() error {
	text, err := os.ReadFile(t.path(exportDescription))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var there exported
	if err := json.Unmarshal(text, &there); err != nil || there.Hone != exportFormat {
		return loop.Conflict("--to", "%s in %s is not of an export of this program; choose another directory", exportDescription, t.dir)
	}
	t.done, t.shards = true, there.Shards
	return t.matches(there.exportHead)
}

// openJournal reads the journal as far as it is whole, and goes on behind that.
func (t *exportTarget) openJournal() (err error) {
	if t.journal, err = os.OpenFile(t.path(exportJournal), os.O_CREATE|os.O_RDWR, 0o666); err != nil {
		return err
	}
	whole := int64(0)
	lines := bufio.NewReader(t.journal)
	for n := 0; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil {
			break
		}
		if n == 0 {
			var there exportHead
			if err := json.Unmarshal(line, &there); err != nil {
				return loop.Conflict("--to", "%s in %s is not of an export; choose another directory", exportJournal, t.dir)
			}
			if err := t.matches(there); err != nil {
				return err
			}
		} else {
			var s exportShard
			if json.Unmarshal(line, &s) != nil || s.File != filepath.Base(s.File) || !t.place(s) {
				break
			}
		}
		whole += int64(len(line))
	}
	if err := t.journal.Truncate(whole); err != nil {
		return err
	}
	if _, err := t.journal.Seek(whole, io.SeekStart); err != nil {
		return err
	}
	if whole > 0 {
		return nil
	}
	return errors.Join(t.note(t.head), syncDir(t.dir))
}

// note adds a line to the journal, durably.
func (t *exportTarget) note(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := t.journal.Write(append(text, '\n')); err != nil {
		return err
	}
	return t.journal.Sync()
}

// place lists a shard at the place that its name gives; shards come in order,
// or again.
func (t *exportTarget) place(s exportShard) bool {
	for i := range t.shards {
		if t.shards[i].File == s.File {
			t.shards[i] = s
			return true
		}
	}
	if s.File != t.shardName(len(t.shards)) {
		return false
	}
	t.shards = append(t.shards, s)
	return true
}

// add lists a shard that is whole.
func (t *exportTarget) add(s exportShard) error {
	if !t.place(s) {
		return fmt.Errorf("shard %s is out of order", s.File)
	}
	return t.note(s)
}

func (t *exportTarget) shardName(n int) string {
	name, _, _ := strings.Cut(t.head.Dataset, "@")
	return fmt.Sprintf("%s-%06d.%s", name, n, exportFormats[t.head.Format].ext)
}

// damaged hashes every listed shard again and returns which are not what they
// were.
func (t *exportTarget) damaged() (bad []int, err error) {
	for i, s := range t.shards {
		digest, err := hashFile(t.path(s.File))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err != nil || digest != s.SHA256 {
			bad = append(bad, i)
		}
	}
	return bad, nil
}

// reopen takes the description of a finished export back, so that its shards
// can be mended.
func (t *exportTarget) reopen() (err error) {
	if !t.done {
		return nil
	}
	shards := t.shards
	t.done, t.shards = false, nil
	if err := t.openJournal(); err != nil {
		return err
	}
	for _, s := range shards[len(t.shards):] {
		if err := t.add(s); err != nil {
			return err
		}
	}
	return errors.Join(os.Remove(t.path(exportDescription)), syncDir(t.dir))
}

// finish writes the description, by which an export is whole.
func (t *exportTarget) finish(d *exported) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	if err := t.write(exportDescription, append(text, '\n')); err != nil {
		return err
	}
	t.done = true
	return os.Remove(t.path(exportJournal))
}

func (t *exportTarget) write(name string, content []byte) error {
	f, err := t.create(name)
	if err != nil {
		return err
	}
	defer f.discard()
	if _, err := f.Write(content); err != nil {
		return err
	}
	_, err = f.commit()
	return err
}

// partial is a file that gets its name when it is whole.
type partial struct {
	dir, name string
	file      *os.File // nil once it has its name, or is discarded
	hash      hash.Hash
	bytes     int64
}

func (t *exportTarget) create(name string) (*partial, error) {
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

// union is both, ascending.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
