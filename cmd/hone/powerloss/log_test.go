//go:build linux

package powerloss

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// The log of the coordinators, and the bbolt file beside it, by a child that
// appends until it is killed: it maps a file, which its disk's owner must not.

const keeperEnv = "POWERLOSS_TEST_LOG" // DIR of the log, and what it forgets to sync

func TestMain(m *testing.M) {
	if text := os.Getenv(keeperEnv); text != "" {
		dir, forgets, _ := strings.Cut(text, "|")
		if err := keepLog(dir, forgets); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// keepLog checks what is in the log, says "has LAST", and appends batch after
// batch, saying "kept LAST" of each.
func keepLog(dir, forgets string) (err error) {
	log, err := wal.Open(dir, wal.WithSegmentFiler(segment.NewFiler(dir, forgetful{walfs.New(), forgets})))
	if err != nil {
		return err
	}
	first, err1 := log.FirstIndex()
	last, err2 := log.LastIndex()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	for i := first; i <= last && last > 0; i++ {
		var entry raft.Log
		if err := log.GetLog(i, &entry); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if !bytes.Equal(entry.Data, entryData(i)) {
			return fmt.Errorf("entry %d has other bytes", i)
		}
	}
	fmt.Println("has", last)
	for {
		batch := make([]*raft.Log, 1+last%5)
		for i := range batch {
			last++
			batch[i] = &raft.Log{Index: last, Term: 1, Data: entryData(last)}
		}
		if err := log.StoreLogs(batch); err != nil {
			return err
		}
		fmt.Println("kept", last)
	}
}

func entryData(i uint64) []byte {
	sum := sha256.Sum256([]byte(strconv.FormatUint(i, 10)))
	return bytes.Repeat(sum[:], 1+int(i%200))
}

// forgetful is the log's file system, that does not sync files, or directories.
type forgetful struct {
	*walfs.FS
	what string
}

func (f forgetful) Create(dir, name string, size uint64) (types.WritableFile, error) {
	file, err := f.FS.Create(dir, name, size)
	if err == nil && f.what == "directory" {
		return onlyFile{file.(*walfs.File)}, nil
	} else if err == nil && f.what == "file" {
		return unsynced{file}, nil
	}
	return file, err
}

type unsynced struct{ types.WritableFile }

func (unsynced) Sync() error { return nil }

type onlyFile struct{ *walfs.File }

func (f onlyFile) Sync() error { return f.File.File.Sync() }

// What the log has acknowledged is there after any loss of power, however torn;
// and if the log forgot to sync, it is not.
func TestLogOutlivesLossOfPower(t *testing.T) {
	for _, tc := range []struct {
		forgets string
		cuts    int
		lost    bool
	}{{"", 8, false}, {"file", 4, true}, {"directory", 4, true}} {
		t.Run("forgets "+tc.forgets, func(t *testing.T) {
			d, at := mounted(t)
			must(t, os.Mkdir(at+"/log", 0o755))
			syncs(t, at)
			acknowledged, lost := uint64(0), false
			for seed := range uint64(tc.cuts) {
				var random *rand.Rand
				if seed%2 == 1 {
					random = rand.New(rand.NewPCG(seed, 0))
				}
				has, kept, err := runLog(t, filepath.Join(at, "log"), tc.forgets, 150)
				if err != nil || has < acknowledged {
					lost = true
					if !tc.lost {
						t.Fatalf("cut %d: %d acknowledged, %d there: %v", seed, acknowledged, has, err)
					}
					break
				}
				acknowledged = kept
				t.Logf("%d acknowledged, lost with the power: %+v", kept, cut(t, d, random))
			}
			if lost != tc.lost {
				t.Errorf("lost is %t, want %t", lost, tc.lost)
			}
		})
	}
}

// runLog runs a child until it has acknowledged some batches and kills it.
func runLog(t *testing.T, dir, forgets string, batches int) (has, kept uint64, err error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), keeperEnv+"="+dir+"|"+forgets)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for batches > 0 && lines.Scan() {
		word, number, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseUint(number, 10, 64)
		must(t, err)
		switch word {
		case "has":
			has, kept = n, n
		case "kept":
			kept = n
			batches--
		}
	}
	_ = cmd.Process.Kill() // or it has ended already
	// What it had acknowledged before it was killed counts as well.
	for lines.Scan() {
		if number, ok := strings.CutPrefix(lines.Text(), "kept "); ok {
			kept, _ = strconv.ParseUint(number, 10, 64)
		}
	}
	if _ = cmd.Wait(); batches > 0 { // it was killed, or the complaint says why
		err = errors.New(strings.TrimSpace(complaint.String()))
	}
	return has, kept, err
}
