package gpuworker

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"hone/loop"
)

// shelf is a worker's directory:
//
//	lock                      one agent at a time
//	instance                  a secret by which the hub knows the directory again
//	making/UNIT/              what is being made; worthless after a crash
//	held/UNIT/samples.tar     what is made and has no verdict yet (C9)
//	held/UNIT/delivery.json   its description
//
// A unit enters held, complete and durable, by one rename, and leaves it so.
type shelf struct {
	dir      string
	instance string
	lock     *os.File
}

const (
	makingDir    = "making"
	heldDir      = "held"
	deliveryFile = "delivery.json"
	// maxDeliveryBytes bounds a description: 512 rows of about 150 bytes.
	maxDeliveryBytes = 1 << 20
)

func openShelf(dir string) (*shelf, error) {
	for _, d := range []string{dir, filepath.Join(dir, heldDir)} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if err := lockFile(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("another worker uses this directory: %w", err), lock.Close())
	}
	s := &shelf{dir: dir, lock: lock}
	if err := errors.Join(s.clear(), s.identify()); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func (s *shelf) close() { _ = s.lock.Close() }

// clear removes what was being made when an earlier agent died.
func (s *shelf) clear() error {
	making := filepath.Join(s.dir, makingDir)
	if err := os.RemoveAll(making); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if err := os.Mkdir(making, 0o750); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	return nil
}

// identify reads the directory's secret, or makes one.
func (s *shelf) identify() error {
	path := filepath.Join(s.dir, "instance")
	b, err := os.ReadFile(path)
	if err == nil && len(b) == 32 {
		s.instance = string(b)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open: %w", err)
	}
	secret := make([]byte, 16)
	rand.Read(secret) // never fails
	s.instance = hex.EncodeToString(secret)
	return writeDurably(path, []byte(s.instance))
}

// load returns what is held. A unit whose files are damaged is removed: nobody
// hears of it any more, so its indices are leased again.
func (s *shelf) load(worker string, log *slog.Logger) ([]*held, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, heldDir))
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	var units []*held
	for _, e := range entries {
		h, err := readHeld(filepath.Join(s.dir, heldDir, e.Name()), worker)
		if err != nil {
			log.Warn("a unit on disk is damaged and dropped", "unit", e.Name(), "error", err)
			if err := os.RemoveAll(filepath.Join(s.dir, heldDir, e.Name())); err != nil {
				return nil, fmt.Errorf("load: %w", err)
			}
			continue
		}
		units = append(units, h)
	}
	return units, nil
}

func readHeld(dir, worker string) (*held, error) {
	u, err := loop.ParseUnit(filepath.Base(dir))
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(filepath.Join(dir, deliveryFile))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if info.Size() > maxDeliveryBytes {
		return nil, fmt.Errorf("a description of %d bytes", info.Size())
	}
	b, err := os.ReadFile(filepath.Join(dir, deliveryFile))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	var d loop.Delivery
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return nil, fmt.Errorf("description: %w", err)
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if d.Unit != u {
		return nil, fmt.Errorf("the description is of unit %s", d.Unit.ID())
	}
	if d.Worker != worker {
		return nil, fmt.Errorf("it was made by worker %q; this is %q", d.Worker, worker)
	}
	info, err = os.Stat(filepath.Join(dir, loop.Bundle))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if last := d.Samples[len(d.Samples)-1]; info.Size() < last.Offset+last.Length {
		return nil, fmt.Errorf("the bundle has %d bytes; its samples end at %d", info.Size(), last.Offset+last.Length)
	}
	return newHeld(d, dir, info.Size()), nil
}

func newHeld(d loop.Delivery, dir string, size int64) *held {
	return &held{delivery: d, dir: dir, size: size, answers: make(chan reply, 16)}
}

func (h *held) open() (*os.File, error) { return os.Open(filepath.Join(h.dir, loop.Bundle)) }

// draft begins a unit.
func (s *shelf) draft(u loop.Unit) (*draft, error) {
	dir := filepath.Join(s.dir, makingDir, u.ID())
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, loop.Bundle), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("draft: %w", err)
	}
	return newDraft(u, dir, f), nil
}

// put completes the delivery with the draft's rows and makes it durable.
func (s *shelf) put(d *draft, delivery loop.Delivery) (*held, error) {
	rows, size, err := d.finish()
	if err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	delivery.Samples = rows
	b, err := json.Marshal(delivery)
	if err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	if err := writeDurably(filepath.Join(d.dir, deliveryFile), b); err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	dir := filepath.Join(s.dir, heldDir, delivery.Unit.ID())
	// Left over from a removal that failed; nobody holds it.
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	if err := os.Rename(d.dir, dir); err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return nil, fmt.Errorf("keep: %w", err)
	}
	return newHeld(delivery, dir, size), nil
}

// remove takes a unit off the shelf. A crash may bring it back: it is delivered
// again then, and judged a duplicate.
func (s *shelf) remove(h *held) error {
	gone := filepath.Join(s.dir, makingDir, h.delivery.Unit.ID()+".gone")
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if err := os.Rename(h.dir, gone); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

// writeDurably writes a small file; it is whole and on disk, or missing or
// refused by who reads it.
func writeDurably(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}
