package lake

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"hone/fault"
	"hone/loop"
)

// draft is a file on its way to its final name: written under tmp/, hashed as
// it is written, then synced, named and its directory synced (C17). Exactly one
// of settle and discard ends it.
type draft struct {
	lake *Lake
	ctx  context.Context
	path string
	file file
	sum  hash.Hash
	out  *bufio.Writer
	size int64
}

func (l *Lake) draft(ctx context.Context) (*draft, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d := &draft{lake: l, ctx: ctx, path: l.draftPath(), sum: sha256.New()}
	var err error
	if d.file, err = l.disk.create(d.path); err != nil {
		return nil, err
	}
	d.out = bufio.NewWriterSize(d.file, 1<<16)
	return d, nil
}

func (d *draft) Write(p []byte) (int, error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := d.out.Write(p)
	d.sum.Write(p[:n])
	d.size += int64(n)
	return n, err
}

// discard drops the draft. Failing to remove it costs space until it is stale,
// nothing else.
func (d *draft) discard() {
	_ = d.file.Close()
	_ = d.lake.disk.remove(d.path)
}

// finish makes the draft's bytes durable and closes it.
func (d *draft) finish() error {
	err := d.out.Flush()
	if err == nil && !fault.Planted("forget a sync") {
		err = d.file.Sync()
	}
	return errors.Join(err, d.file.Close())
}

// settle gives the draft its final key. An object that is there already, with
// the right size, is left: its bytes are these; one of another size was damaged
// and is put anew.
func (d *draft) settle(kind Kind, epoch uint64, rows int64) (loop.Object, error) {
	key := Key{Kind: kind, Epoch: epoch, Digest: loop.Digest(d.sum.Sum(nil))}
	if err := d.name(key); err != nil {
		_ = d.lake.disk.remove(d.path)
		return loop.Object{}, err
	}
	fault.Point("object-named")
	return loop.Object{Key: key.String(), Digest: key.Digest, Bytes: d.size, Rows: rows}, nil
}

func (d *draft) name(key Key) error {
	l := d.lake
	if err := d.finish(); err != nil {
		return err
	}
	fault.Point("object-written")
	if err := d.ctx.Err(); err != nil {
		return err
	}
	if err := l.dirs.ensure(key.folder()); err != nil {
		return err
	}
	info, err := l.root.Lstat(key.String())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && info.Mode().IsRegular() && info.Size() == d.size {
		if err := l.disk.remove(d.path); err != nil {
			return err
		}
	} else if err := l.disk.rename(d.path, key.String()); err != nil {
		return err
	}
	// Also for an object that was there: who named it may not have synced it yet.
	return l.dirs.sync(key.folder())
}

// Put writes one object durably and names it by its content. rows is what the
// reference will say of it. Write may be called with any number of bytes at a
// time; when it fails, nothing is put.
func (l *Lake) Put(ctx context.Context, kind Kind, epoch uint64, rows int64, write func(io.Writer) error) (loop.Object, error) {
	d, err := l.draft(ctx)
	if err != nil {
		return loop.Object{}, fmt.Errorf("lake: put: %w", err)
	}
	if err := write(d); err != nil {
		d.discard()
		return loop.Object{}, fmt.Errorf("lake: put: %w", err)
	}
	object, err := d.settle(kind, epoch, rows)
	if err != nil {
		return loop.Object{}, fmt.Errorf("lake: put: %w", err)
	}
	return object, nil
}

// PutPack puts a pack: samples written one after another in the layout of
// loop.AppendSample, ended by loop.AppendEnd. An address's offset counts from
// the first byte written.
func (l *Lake) PutPack(ctx context.Context, epoch uint64, samples int64, write func(io.Writer) error) (loop.Object, error) {
	return l.Put(ctx, Pack, epoch, samples, write)
}

// PutEvidence puts the encoding of the evidence that a round is decided from;
// the object's digest is the one that the round names (I4).
func (l *Lake) PutEvidence(ctx context.Context, epoch uint64, lines int64, encoded []byte) (loop.Object, error) {
	return l.Put(ctx, Evidence, epoch, lines, func(w io.Writer) error {
		_, err := w.Write(encoded)
		return err
	})
}
