package lake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	parquetfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"hone/loop"
)

// listed is how many names of a directory are read at a time.
const listed = 1024

// Objects lists the objects of a folder (packs, parts, manifests or evidence) that
// were put under an epoch up to and including last, in no order, without holding
// them all. What is no object was put there by somebody else, and is passed over,
// and so is what is deleted meanwhile. An error is yielded last.
func (l *Lake) Objects(ctx context.Context, folder string, last uint64) iter.Seq2[loop.Object, error] {
	return func(yield func(loop.Object, error) bool) {
		if !slices.ContainsFunc(kinds[:], func(k kindWords) bool { return k.folder == folder }) {
			yield(loop.Object{}, &loop.Error{Field: "kind", Problem: fmt.Sprintf("there are no objects of kind %q", folder)})
			return
		}
		err := l.names(ctx, folder, func(e fs.DirEntry) error {
			if epoch, err := strconv.ParseUint(e.Name(), 10, 64); err == nil && epoch <= last && e.IsDir() {
				return l.names(ctx, folder+"/"+e.Name(), func(hh fs.DirEntry) error {
					if !hh.IsDir() {
						return nil
					}
					under := folder + "/" + e.Name() + "/" + hh.Name()
					return l.names(ctx, under, func(file fs.DirEntry) error { return listOne(under+"/"+file.Name(), file, yield) })
				})
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(loop.Object{}, fmt.Errorf("lake: list %s: %w", folder, err))
		}
	}
}

// listOne yields a file that is an object.
func listOne(path string, file fs.DirEntry, yield func(loop.Object, error) bool) error {
	k, notAKey := ParseKey(path)
	if notAKey != nil || !file.Type().IsRegular() {
		return nil //nolint:nilerr // it is somebody else's
	}
	info, err := file.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !yield(loop.Object{Key: k.String(), Digest: k.Digest, Bytes: info.Size()}, nil) {
		return errEnough
	}
	return err
}

// errEnough ends a listing whose reader has left the loop.
var errEnough = errors.New("enough")

// names calls each for what is in a directory; one that is not there is empty.
func (l *Lake) names(ctx context.Context, path string, each func(fs.DirEntry) error) error {
	dir, err := l.root.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := dir.ReadDir(listed)
		for _, e := range entries {
			if err := each(e); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Delete removes an object; one that is not there is deleted. It asks nobody
// whether the object is referenced: C18 says who may call it. That a deletion
// outlives a loss of power is nobody's business, since it may be repeated.
func (l *Lake) Delete(_ context.Context, key string) error {
	if _, err := ParseKey(key); err != nil {
		return err
	}
	if err := l.disk.remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("lake: delete %s: %w", key, err)
	}
	return nil
}

// Packs are the keys of the packs that a part of samples names, void rows or not,
// each once. The part is hashed, so that none is overlooked in a damaged one.
func (l *Lake) Packs(ctx context.Context, part string) (packs []string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("lake: packs of %s: %w", part, err)
		}
	}()
	f, _, err := l.object(part)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, &obedient{ctx, f}); err != nil {
		return nil, err
	}
	if k, _ := ParseKey(part); loop.Digest(sum.Sum(nil)) != k.Digest {
		return nil, ErrCorrupt
	}
	columns, err := parquetfile.NewParquetReader(f, parquetfile.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
	if err != nil {
		return nil, err
	}
	column := columns.MetaData().Schema.ColumnIndexByName("pack")
	if column < 0 {
		return nil, &loop.Error{Field: "key", Problem: "it is not a part of samples"}
	}
	reader, err := pqarrow.NewFileReader(columns, pqarrow.ArrowReadProperties{BatchSize: rowGroup}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	batches, err := reader.GetRecordReader(ctx, []int{column}, nil)
	if err != nil {
		return nil, err
	}
	defer batches.Release()
	seen := map[string]bool{}
	for {
		batch, err := batches.Read()
		if errors.Is(err, io.EOF) {
			return packs, nil
		}
		if err != nil {
			return nil, err
		}
		names := batch.Column(0).(*array.String)
		for i := range names.Len() {
			if name := names.Value(i); !seen[name] {
				name = strings.Clone(name) // the batch's memory is the next one's
				seen[name] = true
				packs = append(packs, name)
			}
		}
	}
}
