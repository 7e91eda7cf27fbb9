package lake

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// Options configure a lake.
type Options struct {
	// Dir is the lake's directory; it is made if it does not exist.
	Dir string
	// StageLimit bounds one staged file, in bytes. Default 1 GiB.
	StageLimit int64
}

// DefaultStageLimit is the default of Options.StageLimit.
const DefaultStageLimit = 1 << 30

// ErrCorrupt says that the bytes of an object are not those that its key names.
var ErrCorrupt = errors.New("corrupt object")

// Lake is a lake in a local directory. It is safe for concurrent use, also by
// several processes on one directory.
type Lake struct {
	dir   string
	limit int64
	root  *os.Root
	disk  disk
	dirs  *directories
	// drafts numbers this process's drafts; session tells its own from others'.
	drafts  atomic.Uint64
	session string
}

// staleDraft is the age at which a draft is taken for one that a dead process
// left. It only has to exceed the time in which any object is written.
const staleDraft = 24 * time.Hour

// Open opens the lake in a directory, or founds it there, and removes drafts
// that a dead process left behind. Close releases it.
func Open(o Options) (*Lake, error) {
	return open(o, func(root *os.Root) disk { return rooted{root} })
}

func open(o Options, on func(*os.Root) disk) (_ *Lake, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("lake: open %s: %w", o.Dir, err)
		}
	}()
	if o.Dir == "" {
		return nil, errors.New("no directory is given")
	}
	if o.StageLimit == 0 {
		o.StageLimit = DefaultStageLimit
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := found(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	l := &Lake{dir: dir, limit: o.StageLimit, root: root, disk: on(root)}
	l.dirs = &directories{disk: l.disk, ready: map[string]bool{}, turns: map[string]*turn{}}
	l.session = strconv.FormatInt(int64(os.Getpid()), 36) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	for _, path := range []string{"tmp", "staging"} {
		if err := l.dirs.ensure(path); err != nil {
			return nil, errors.Join(err, root.Close())
		}
	}
	if err := l.sweepDrafts(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return l, nil
}

// found makes the lake's directory and those above it, each with a durable name.
func found(dir string) error {
	parent := filepath.Dir(dir)
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
		// It may be nothing but a dangling name of something else; OpenRoot will tell.
		return nil
	} else if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := found(parent); err != nil {
			return err
		}
		return found(dir)
	} else if err != nil {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close releases the lake's directory. Readers already handed out stay valid.
func (l *Lake) Close() error { return l.root.Close() }

func (l *Lake) sweepDrafts() error {
	drafts, err := fs.ReadDir(l.root.FS(), "tmp")
	if err != nil {
		return err
	}
	for _, d := range drafts {
		info, err := d.Info()
		if err != nil || time.Since(info.ModTime()) < staleDraft {
			continue // gone meanwhile, or perhaps being written
		}
		if err := l.disk.remove("tmp/" + d.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (l *Lake) draftPath() string {
	return "tmp/" + l.session + "-" + strconv.FormatUint(l.drafts.Add(1), 36)
}
