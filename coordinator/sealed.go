package coordinator

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// reopening is the log's store of what its segments are. raft-wal seals a segment
// with the append that fills it, and enters that, and the next segment, a moment
// later. Killed in between, it would open the log and never append to it again
// ("segment is sealed"): the node would be lost. So would it be where the power
// failed within that append, of which then only the seal is taken for good. Load
// looks for such a last segment and puts an open copy in its place.
type reopening struct {
	types.MetaStore
	// reaches is asked, before anything is changed, whether the log may end there.
	// nil: it may.
	reaches func(last uint64) error
}

func (m reopening) Load(dir string) (types.PersistentState, error) {
	s, err := m.MetaStore.Load(dir)
	if err != nil || len(s.Segments) == 0 {
		return s, err
	}
	last := &s.Segments[len(s.Segments)-1]
	if m.reaches == nil {
		m.reaches = func(uint64) error { return nil }
	}
	if !last.SealTime.IsZero() {
		return s, nil
	}
	files := segment.NewFiler(dir, walfs.New())
	sealed, err := files.RecoverTail(*last)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil // it is created when the log is opened
	}
	if err != nil {
		return s, fmt.Errorf("last segment of the log: %w", err)
	}
	defer sealed.Close()
	end := sealed.LastIndex()
	if before := len(s.Segments) - 2; end == 0 && before >= 0 {
		end = s.Segments[before].MaxIndex
	}
	if err := m.reaches(end); err != nil {
		return s, err
	}
	if is, _, err := sealed.Sealed(); err != nil || !is {
		return s, err
	}
	fresh := *last
	fresh.ID, fresh.CreateTime = s.NextSegmentID, time.Now()
	fresh.SizeLimit *= 2 // or the copy would be full as well
	if err := copySegment(files, sealed, fresh); err != nil {
		return s, fmt.Errorf("last segment of the log: %w", err)
	}
	*last = fresh
	s.NextSegmentID++
	// The copy is durable. The segment that it replaces is removed as the log is opened.
	return s, m.CommitState(s)
}

// copySegment copies what was appended to a segment into a new one.
func copySegment(files *segment.Filer, from types.SegmentWriter, to types.SegmentInfo) (err error) {
	// A copy that was begun before, and never entered.
	if err := files.Delete(to.BaseIndex, to.ID); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := files.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	const together = 1 << 20 // bytes of one append
	var batch []types.LogEntry
	bytes := 0
	for i := to.BaseIndex; i <= from.LastIndex(); i++ {
		entry, err := from.GetLog(i)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		batch = append(batch, types.LogEntry{Index: i, Data: append([]byte(nil), entry.Bs...)})
		bytes += len(entry.Bs)
		entry.Close()
		if bytes < together && i < from.LastIndex() {
			continue
		}
		if err := out.Append(batch); err != nil {
			return err
		}
		batch, bytes = batch[:0], 0
	}
	return nil
}
