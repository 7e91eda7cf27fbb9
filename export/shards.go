package export

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"hone/api"
)

// formats are the layouts, by name.
var formats = map[string]struct {
	ext string
	// begin starts a shard whose samples have these members or fewer.
	begin func(to io.Writer, e *Export, members []string) (shardWriter, error)
}{
	"webdataset": {"tar", beginWebDataset},
	"parquet":    {"parquet", beginParquet},
}

// shardWriter writes the samples of one shard.
type shardWriter interface {
	write(row *api.Row, s *api.Sample) error
	// end writes what stands at the end of a shard.
	end() error
}

// errMember: the names of a sample's members leave no room for what is Hone's.
var errMember = errors.New("two columns or members of one name")

// shards spreads samples over shards. Where one ends depends on the samples
// alone, so that an export that goes on makes the shards that it would have.
type shards struct {
	e      *Export
	number int
	// again: one listed shard is made again, whatever its size.
	again bool
	// members are those that any sample so far had.
	members []string

	file    *partial // nil between shards
	writer  shardWriter
	bytes   int64 // of the samples in it
	samples int64
}

func (w *shards) put(row *api.Row, s *api.Sample) error {
	size, all := int64(0), w.members
	for _, m := range s.Members {
		size += int64(len(m.Bytes))
		if !slices.Contains(all, m.Ext) {
			all = union(all, []string{m.Ext})
		}
	}
	full := w.samples == int64(w.e.o.ShardSamples) || w.bytes+size > w.e.o.ShardBytes
	if w.file != nil && !w.again && (full || len(all) > len(w.members)) {
		if err := w.end(); err != nil {
			return err
		}
	}
	if w.file == nil {
		if err := w.begin(all); err != nil {
			return err
		}
	}
	if err := w.writer.write(row, s); err != nil {
		return fmt.Errorf("%s: %w", row.Key, err)
	}
	w.bytes += size
	w.samples++
	return nil
}

func (w *shards) begin(members []string) (err error) {
	if w.file, err = w.e.target.create(w.e.target.shardName(w.number)); err != nil {
		return err
	}
	w.members, w.bytes, w.samples = members, 0, 0
	w.writer, err = formats[w.e.o.Format].begin(w.file, w.e, members)
	return err
}

// end makes the shard whole, if one is begun.
func (w *shards) end() error {
	if w.file == nil {
		return nil
	}
	if err := w.writer.end(); err != nil {
		return err
	}
	digest, err := w.file.commit()
	if err != nil {
		return err
	}
	s := Shard{File: w.file.name, SHA256: digest, Bytes: w.file.bytes, Samples: w.samples, Members: w.members}
	w.file, w.number = nil, w.number+1
	return w.e.target.add(s)
}

func (w *shards) discard() {
	if w.file != nil {
		w.file.discard()
	}
}

// union is both, ascending.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
