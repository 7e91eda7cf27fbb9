package coordinator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"hone/fault"
)

// nodeLog is a node's log on disk: raft-wal's, and four things that raft-wal and
// raft leave to who uses them.
//
// Entries carry a checksum, checked whenever one is read, and for all of them
// when the log is opened. raft-wal checks none that it reads; only the batch that
// the log ends with, when it opens it.
//
// The log remembers how far it has reached. raft-wal cuts a log that it cannot
// read to its end at the last batch that it can, which is right for what a crash
// tore, and silently forgets what was acknowledged where bytes went bad. The file
// says up to where entries are on disk; a log that ends before is refused.
//
// What the log is (segments, term, vote) is in one file with a checksum, logMeta.
//
// Entries that a snapshot does not contradict outlive its installation, and those
// that it does are forgotten by raft as well: see DeleteRange.
type nodeLog struct {
	*wal.WAL
	path      string
	meta      *logMeta
	reached   *reached
	snapshots *snapshotStore
	// stale is called when raft no longer knows what the log is: it has to be
	// started again on the same log.
	stale func(error)
	// writing is called before entries are written, if it is there.
	writing func()
}

// openLog opens the log in a directory, which exists, and checks all of it.
func openLog(path string, snapshots *snapshotStore, stale func(error), logger hclog.Logger) (_ *nodeLog, err error) {
	if err := lost(path); err != nil {
		return nil, err
	}
	l := &nodeLog{path: path, meta: &logMeta{}, snapshots: snapshots, stale: stale}
	if l.reached, err = openReached(filepath.Join(path, "reached")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.reached.Close())
		}
	}()
	if l.WAL, err = wal.Open(path, wal.WithMetaStore(reopening{l.meta, l.reaches}), wal.WithLogger(logger), wal.WithSegmentSize(int(fault.Number("segment-bytes", uint64(wal.DefaultSegmentSize))))); err != nil {
		if errors.As(err, new(*damage)) {
			return nil, err
		}
		return nil, damaged(path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.WAL.Close())
		}
	}()
	if err := l.check(); err != nil {
		return nil, err
	}
	return l, l.drop()
}

// damaged says what is wrong with a file or folder of a node, and what to do.
func damaged(path string, err error) error { return &damage{path, err} }

type damage struct {
	path string
	what error
}

func (d *damage) Error() string {
	return fmt.Sprintf("%s is damaged: %v; nothing was changed: bring the file back from a copy, or, where other nodes hold the log, "+
		"remove this node from the cluster, empty the folder raft in its --data and let it join again", d.path, d.what)
}

func (d *damage) Unwrap() error { return d.what }

// check reads the whole log, which must follow the newest snapshot without a gap
// and reach as far as it once did.
func (l *nodeLog) check() error {
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	if err := l.meta.imported(last); err != nil {
		return err
	}
	snapshot, _ := l.snapshots.newest()
	if first > snapshot+1 {
		return damaged(l.path, fmt.Errorf("it begins with entry %d, and the newest snapshot ends with entry %d", first, snapshot))
	}
	if err := l.reaches(last); err != nil {
		return err
	}
	var term uint64
	for i := first; i <= last && last > 0; i++ {
		var entry raft.Log
		if err := l.GetLog(i, &entry); err != nil {
			return err
		}
		if entry.Term < term {
			return damaged(l.path, fmt.Errorf("entry %d is of term %d, and one before it of term %d", i, entry.Term, term))
		}
		term = entry.Term
	}
	return nil
}

// reaches refuses a log that ends before where it once did.
func (l *nodeLog) reaches(last uint64) error {
	snapshot, _ := l.snapshots.newest()
	if reached := l.reached.index(); max(last, snapshot) < reached {
		return damaged(l.path, fmt.Errorf("it ends with entry %d, and entries up to %d were once on this disk", max(last, snapshot), reached))
	}
	return nil
}

// belongs notes whose log it is when that is first asked, and later refuses
// another: which node and which cluster stand in small files of their own.
func (l *nodeLog) belongs(cluster, instance string) error {
	key, owner := []byte("Owner"), cluster+" "+instance
	known, err := l.meta.GetStable(key)
	if err != nil {
		return err
	}
	if known == nil {
		if err := l.meta.SetStable(key, []byte(owner)); err != nil {
			return err
		}
	} else if string(known) != owner {
		return damaged(filepath.Dir(l.path), fmt.Errorf("its log is of (cluster, instance) %s, and the files there say %s", known, owner))
	}
	begun := begunFile(l.path)
	of, err := os.ReadFile(begun)
	if errors.Is(err, fs.ErrNotExist) {
		return replaceFile(begun, []byte(owner+"\n"))
	}
	if err == nil && string(of) != owner+"\n" {
		err = damaged(begun, fmt.Errorf("the log is of (cluster, instance) %s", owner))
	}
	return err
}

// begunFile stands beside a log, and says that it was begun: it outlives the log.
func begunFile(path string) string { return filepath.Join(filepath.Dir(path), "begun") }

// lost refuses a log that was begun and is gone, whether or not a snapshot is left.
// Who founded the cluster would found another with the same id, and any node would
// forget what it has acknowledged, and for whom it has voted.
func lost(path string) error {
	if _, err := os.Stat(begunFile(path)); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(path, "meta"))
	if errors.Is(err, fs.ErrNotExist) {
		return damaged(path, errors.New("it was begun, and its file meta is missing"))
	}
	return err
}

// drop removes a log that ends before the newest snapshot: the node was killed
// when it had installed that, and raft-wal takes no entry that leaves a gap.
func (l *nodeLog) drop() error {
	last, err := l.LastIndex()
	if snapshot, _ := l.snapshots.newest(); err != nil || last == 0 || last >= snapshot {
		return err
	}
	return l.WAL.DeleteRange(0, last)
}

// GetLog reads an entry, and refuses one that is not what was written.
func (l *nodeLog) GetLog(index uint64, entry *raft.Log) (err error) {
	defer func() {
		// raft-wal's decoder trusts the lengths that it reads.
		if broken := recover(); broken != nil {
			err = damaged(l.path, fmt.Errorf("entry %d: %v", index, broken))
		}
	}()
	if err := l.WAL.GetLog(index, entry); errors.Is(err, raft.ErrLogNotFound) || errors.Is(err, wal.ErrClosed) {
		return err // raft compares it
	} else if err != nil {
		return damaged(l.path, fmt.Errorf("entry %d: %w", index, err))
	}
	if entry.Index != index {
		return damaged(l.path, fmt.Errorf("where entry %d was written, entry %d is", index, entry.Index))
	}
	if len(entry.Extensions) == 0 && index <= l.meta.unsummed() {
		return nil
	}
	end := len(entry.Extensions) - 4
	if end < 0 {
		return damaged(l.path, fmt.Errorf("entry %d has no checksum", index))
	}
	sum := binary.BigEndian.Uint32(entry.Extensions[end:])
	entry.Extensions = entry.Extensions[:end]
	if end == 0 {
		entry.Extensions = nil
	}
	if checksum(entry) != sum {
		return damaged(l.path, fmt.Errorf("entry %d is not what was written", index))
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers what raft and the state machine read of an entry.
func checksum(e *raft.Log) uint32 {
	var head [25]byte
	binary.BigEndian.PutUint64(head[:], e.Index)
	binary.BigEndian.PutUint64(head[8:], e.Term)
	binary.BigEndian.PutUint64(head[16:], uint64(len(e.Data)))
	head[24] = byte(e.Type)
	sum := crc32.Update(0, castagnoli, head[:])
	return crc32.Update(crc32.Update(sum, castagnoli, e.Data), castagnoli, e.Extensions)
}

// StoreLog writes one entry.
func (l *nodeLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs writes entries, each with its checksum behind its extensions, and
// then how far the log reaches.
func (l *nodeLog) StoreLogs(entries []*raft.Log) error {
	if len(entries) == 0 {
		return nil
	}
	if l.writing != nil {
		l.writing()
	}
	copies := make([]raft.Log, len(entries))
	summed := make([]*raft.Log, len(entries))
	for i, e := range entries {
		copies[i] = *e
		ext := make([]byte, len(e.Extensions), len(e.Extensions)+4)
		copy(ext, e.Extensions)
		copies[i].Extensions = binary.BigEndian.AppendUint32(ext, checksum(e))
		summed[i] = &copies[i]
	}
	if err := l.WAL.StoreLogs(summed); err != nil {
		return err
	}
	return l.reached.advance(entries[len(entries)-1].Index)
}

// DeleteRange removes entries from the log's beginning or from its end.
//
// When a snapshot of the leader has been installed, raft has a store like this
// one remove everything, whatever the snapshot says of it (hashicorp/raft #697).
// But entries that follow the snapshot's last one, where the log holds that one,
// are entries that this node may have acknowledged: they stay. And where the log
// holds another one in its place, raft goes on believing that its log ends where
// it did, refuses what the leader sends and is sent the snapshot again, for ever:
// it has to be started again.
func (l *nodeLog) DeleteRange(from, to uint64) error {
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	conflict := false
	if from <= first && to >= last {
		index, term := l.snapshots.newest()
		if index < first {
			return nil // all of it follows the snapshot
		}
		if index <= last {
			var entry raft.Log
			if err := l.GetLog(index, &entry); err != nil {
				return err
			}
			if conflict = entry.Term != term; !conflict {
				to = index
			}
		}
	}
	if to >= last && from > 0 {
		// Before, or a crash in between would leave a log that looks damaged.
		if err := l.reached.withdraw(from - 1); err != nil {
			return err
		}
	}
	if err := l.WAL.DeleteRange(from, to); err != nil {
		return err
	}
	if conflict {
		l.stale(errConflict)
	}
	return nil
}

var errConflict = errors.New("the log held entries that no leader committed, and a snapshot took their place: start the node again")

// Close closes the log and its files.
func (l *nodeLog) Close() error { return errors.Join(l.WAL.Close(), l.reached.Close()) }

// ReadLog reads the log of a node that does not run, in dir, from its first entry
// to its last. Its snapshots and all of its entries are checked first.
func ReadLog(dir string, entry func(*raft.Log) error) (err error) {
	logger := hclog.NewNullLogger()
	snapshots, err := openSnapshots(dir, 2, logger)
	if err != nil {
		return err
	}
	l, err := openLog(filepath.Join(dir, "log"), snapshots, func(error) {}, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	for i := max(1, first); i <= last; i++ {
		var e raft.Log
		if err := l.GetLog(i, &e); err != nil {
			return err
		}
		if err := entry(&e); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return nil
}
