package lake

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"hone/loop"
)

// claimPath is the file that says whose lake it is.
const claimPath = "cluster"

// Claim makes the lake a cluster's, for good. One that is another cluster's is refused:
// what that has put is garbage to who knows none of its references, and would be
// collected (C18).
func (l *Lake) Claim(cluster string) error {
	if err := l.claim(cluster); err != nil {
		return fmt.Errorf("lake: claim %s: %w", l.dir, err)
	}
	return nil
}

func (l *Lake) claim(cluster string) error {
	for {
		owner, err := fs.ReadFile(l.root.FS(), claimPath)
		if err == nil {
			if got := strings.TrimSpace(string(owner)); got != cluster {
				return loop.Conflict("lake", "it is the lake of cluster %s, not of %s: name another directory; or, where that cluster is no more, remove the file %q in it", got, cluster, claimPath)
			}
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// Linked when it is whole, so that of two who found the lake at once one wins.
		draft := l.draftPath()
		f, err := l.disk.create(draft)
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, cluster+"\n")
		err = errors.Join(err, f.Sync(), f.Close())
		if err == nil {
			err = l.root.Link(draft, claimPath)
		}
		err = errors.Join(ignoring(err, fs.ErrExist), l.disk.remove(draft), l.dirs.sync("."))
		if err != nil {
			return err
		}
	}
}

// ignoring is no error where it is that one.
func ignoring(err, which error) error {
	if errors.Is(err, which) {
		return nil
	}
	return err
}
