package program

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"

	"hone/loop"
)

// scratch is where the directories of units are: a directory of its own below
// one that several processes may share. It is locked for as long as its process
// lives, so that whoever comes next knows what is left over.
type scratch struct {
	dir  string
	lock *os.File
	next atomic.Int64
}

// openScratch makes a directory below base, which is created if missing, and
// sweeps what earlier processes have left there.
func openScratch(base string) (*scratch, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", base, err)
	}
	if err := os.MkdirAll(base, 0o750); err != nil {
		return nil, fmt.Errorf("open %s: %w", base, err)
	}
	// One after another: a directory that is not locked yet is not left over.
	turn, err := lockDir(base, syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", base, err)
	}
	defer turn.Close()
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", base, err)
	}
	for _, e := range entries {
		dir := filepath.Join(base, e.Name())
		if lock, err := lockDir(dir, syscall.LOCK_EX|syscall.LOCK_NB); e.IsDir() && err == nil {
			err = removeAll(dir)
			lock.Close()
			if err != nil {
				return nil, fmt.Errorf("sweep %s: %w", base, err)
			}
		}
	}
	dir, err := os.MkdirTemp(base, "units-")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", base, err)
	}
	lock, err := lockDir(dir, syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", base, err), os.Remove(dir))
	}
	return &scratch{dir: dir, lock: lock}, nil
}

func lockDir(dir string, how int) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unit makes an empty directory.
func (s *scratch) unit() (string, error) {
	dir := filepath.Join(s.dir, "u"+strconv.FormatInt(s.next.Add(1), 10))
	return dir, os.Mkdir(dir, 0o750)
}

func (s *scratch) close() error {
	defer s.lock.Close()
	return removeAll(s.dir)
}

// removeAll is os.RemoveAll for directories that a program may have made
// read-only.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(path, 0o700) // WalkDir reads it after this
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// collector reads the files of one unit's samples.
type collector struct {
	root *os.Root
	seen map[string]bool
}

func newCollector(dir string) (*collector, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the unit's directory: %w", err)
	}
	return &collector{root: root, seen: map[string]bool{}}, nil
}

func (c *collector) close() { c.root.Close() }

// members reads a sample's files, by the names of its members. Its errors are
// breaches of RuleFiles.
func (c *collector) members(files map[string]string) ([]loop.Member, error) {
	refuse := func(expected, got, remedy string) ([]loop.Member, error) {
		return nil, &Breach{Rule: RuleFiles, Expected: expected, Got: got, Remedy: remedy}
	}
	if len(files) == 0 || len(files) > loop.MaxMembers {
		return refuse(fmt.Sprintf("1 to %d files for a sample", loop.MaxMembers), strconv.Itoa(len(files)), `"files":{"image.png":"the file's path below dir"}`)
	}
	var members []loop.Member
	left := int64(loop.MaxSampleBytes)
	for _, name := range sortedKeys(files) {
		path := files[name]
		if err := checkMember(name); err != nil {
			return refuse("a member's name", err.Error(), "")
		}
		if !filepath.IsLocal(path) {
			return refuse(fmt.Sprintf("a path below dir for %s", name), shown(path), "paths are relative to the unit's dir and stay in it")
		}
		if clean := filepath.Clean(path); c.seen[clean] {
			return refuse("a file of its own for every member of every sample", fmt.Sprintf("%s a second time", shown(path)),
				"Hone may still be reading it; put the index into its name")
		} else {
			c.seen[clean] = true
		}
		b, err := c.read(path, left)
		if err != nil {
			return nil, err
		}
		left -= int64(len(b))
		members = append(members, loop.Member{Ext: name, Bytes: b})
	}
	return members, nil
}

// read reads a plain file of at most so many bytes; one that is larger, or no
// plain file, is not opened or not read.
func (c *collector) read(path string, most int64) ([]byte, error) {
	refuse := func(expected, got, remedy string) ([]byte, error) {
		return nil, &Breach{Rule: RuleFiles, Expected: expected, Got: got, Remedy: remedy}
	}
	cause := func(err error) string {
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return fmt.Sprintf("%s: %v", shown(path), err)
	}
	// Opening some devices does something, and opening a pipe waits: look first.
	info, err := c.root.Lstat(path)
	if err != nil {
		return refuse("a file below dir that can be read", cause(err), "write and close the file before its sample's line; paths are relative to the unit's dir")
	}
	if !info.Mode().IsRegular() {
		return refuse("a plain file", fmt.Sprintf("%s, which is %s", shown(path), kindOf(info.Mode())), "links, pipes, devices and directories are not read")
	}
	f, err := c.root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return refuse("a file below dir that can be read", cause(err), "")
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil || !opened.Mode().IsRegular() || !os.SameFile(info, opened) {
		return refuse("a plain file", fmt.Sprintf("%s, which became another", shown(path)), "write and close the file before its sample's line")
	}
	if opened.Size() > most {
		return refuse(fmt.Sprintf("at most %d bytes in a sample", loop.MaxSampleBytes),
			fmt.Sprintf("%s of %d bytes", shown(path), opened.Size()), "make the sample smaller, or split it into several")
	}
	b := make([]byte, opened.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return refuse("a file that stays as it is", cause(err), "write and close the file before its sample's line")
	}
	if n, _ := f.Read(make([]byte, 1)); n > 0 {
		return refuse("a file that stays as it is", shown(path)+", which grows", "write and close the file before its sample's line")
	}
	return b, nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	default:
		return "no plain file"
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
