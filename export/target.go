package export

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hone/loop"
)

// The files of an export beside its shards. Only what is whole has one of the
// names without a leading dot; descriptionFile comes last of all.
const (
	descriptionFile = "dataset.json"
	manifestFile    = "manifest.ndjson"
	journalFile     = ".export.ndjson"
	lockName        = ".export.lock"
	partialSuffix   = ".partial"
)

// target is the directory that an export goes into. What of it is whole is
// listed in a journal, so that an export that was killed goes on behind it.
type target struct {
	dir    string
	head   Head
	shards []Shard
	// done: the description is there, and lists the shards.
	done    bool
	lock    *os.File
	journal *os.File
}

// openTarget makes the directory if there is none, locks it and reads what an
// earlier export has left. It refuses a directory in which something else lies.
func openTarget(dir string, head Head) (*target, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	// Into a stranger's directory not even a lock is put.
	if err := refuseStrange(dir); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	t := &target{dir: dir, head: head, lock: lock}
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
		case descriptionFile, journalFile, lockName:
			return nil
		}
		strange = e.Name()
	}
	if strange != "" {
		return loop.Conflict("--to", "%s is not empty (there is %q), and no export lies in it; choose another directory", dir, strange)
	}
	return nil
}

func (t *target) path(name string) string { return filepath.Join(t.dir, name) }

func (t *target) close() {
	for _, f := range []*os.File{t.journal, t.lock} {
		if f != nil {
			f.Close()
		}
	}
}

// matches refuses to mix two exports.
func (t *target) matches(there Head) error {
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

func (t *target) readDescription() error {
	text, err := os.ReadFile(t.path(descriptionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var there Description
	if err := json.Unmarshal(text, &there); err != nil || there.Hone != headFormat {
		return loop.Conflict("--to", "%s in %s is not of an export of this program; choose another directory", descriptionFile, t.dir)
	}
	t.done, t.shards = true, there.Shards
	return t.matches(there.Head)
}

// openJournal reads the journal as far as it is whole, and goes on behind that.
func (t *target) openJournal() (err error) {
	if t.journal, err = os.OpenFile(t.path(journalFile), os.O_CREATE|os.O_RDWR, 0o666); err != nil {
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
			var there Head
			if err := json.Unmarshal(line, &there); err != nil {
				return loop.Conflict("--to", "%s in %s is not of an export; choose another directory", journalFile, t.dir)
			}
			if err := t.matches(there); err != nil {
				return err
			}
		} else {
			var s Shard
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
func (t *target) note(line any) error {
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
func (t *target) place(s Shard) bool {
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
func (t *target) add(s Shard) error {
	if !t.place(s) {
		return fmt.Errorf("shard %s is out of order", s.File)
	}
	return t.note(s)
}

func (t *target) shardName(n int) string {
	name, _, _ := strings.Cut(t.head.Dataset, "@")
	return fmt.Sprintf("%s-%06d.%s", name, n, formats[t.head.Format].ext)
}

// damaged hashes every listed shard again and returns which are not what they
// were.
func (t *target) damaged() (bad []int, err error) {
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
func (t *target) reopen() (err error) {
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
	return errors.Join(os.Remove(t.path(descriptionFile)), syncDir(t.dir))
}

// finish writes the description, by which an export is whole.
func (t *target) finish(d *Description) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	if err := t.write(descriptionFile, append(text, '\n')); err != nil {
		return err
	}
	t.done = true
	return os.Remove(t.path(journalFile))
}

func (t *target) write(name string, content []byte) error {
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
