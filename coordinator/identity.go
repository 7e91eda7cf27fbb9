package coordinator

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hone/loop"
)

// membership reads which cluster a directory belongs to. A new one belongs to the
// cluster that is to be joined, or to one that it founds; which of the two is
// written down too, since a node that has heard nothing yet must never found another
// cluster with the same id.
func membership(dir, join string) (id string, joined bool, err error) {
	path := filepath.Join(dir, "cluster")
	if id, joined, err = readMembership(dir); errors.Is(err, fs.ErrNotExist) {
		if segments, _ := filepath.Glob(filepath.Join(dir, "log", "*.wal")); len(segments) > 0 {
			return "", false, fmt.Errorf("open node: %s is missing, but there is a log beside it: restore the file, or empty the directory and let the node join again", path)
		}
		if join == "" {
			id, err = drawn(path)
			return id, false, err
		}
		return join, true, replaceFile(path, []byte(join+" joined\n"))
	}
	if err != nil {
		return "", false, fmt.Errorf("open node: %w", err)
	}
	if join != "" && id != join {
		return "", false, loop.Conflict("join", "%s belongs to cluster %s, and that one is %s: start with a --data that is empty, or of that cluster", dir, id, join)
	}
	return id, joined, nil
}

// readMembership is membership of a directory that belongs to a cluster already.
func readMembership(dir string) (id string, joined bool, err error) {
	path := filepath.Join(dir, "cluster")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", false, err
	}
	words := strings.Fields(string(text))
	if len(words) == 0 || len(words) > 2 || len(words) == 2 && words[1] != "joined" {
		return "", false, fmt.Errorf("%s does not say to which cluster the node belongs: restore the file, or empty the directory and let the node join again", path)
	}
	return words[0], len(words) == 2, nil
}

// instance reads which node a directory belongs to. Under another name it would be a
// stranger in its own log.
func instance(dir, name string) (string, error) {
	if err := remember(filepath.Join(dir, "name"), name); err != nil {
		return "", err
	}
	return drawn(filepath.Join(dir, "instance"))
}

// remember writes a name into a file, or refuses one that differs from what it holds.
func remember(path, name string) error {
	known, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return replaceFile(path, []byte(name+"\n"))
	}
	if err != nil {
		return err
	}
	if was := strings.TrimSpace(string(known)); was != name {
		return loop.Conflict("node", "%s is that of node %s, and not of %s: say --node %s, or choose another --data", filepath.Dir(path), was, name, was)
	}
	return nil
}

// drawn reads a random id that a file holds; it draws one where there is no file.
func drawn(path string) (string, error) {
	id, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(id)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var b [16]byte
	rand.Read(b[:]) // never fails
	fresh := hex.EncodeToString(b[:])
	return fresh, replaceFile(path, []byte(fresh+"\n"))
}
