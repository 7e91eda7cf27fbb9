package state

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"hone/loop"
)

// maxFrame bounds a record, in bytes: a component of MaxQuota indices that no
// run compresses takes half of it.
const maxFrame = 1 << 31

// Restore reads a snapshot of any version that this build understands. It fails,
// without panicking, on a wrong checksum and on anything that Apply could not go
// on from.
func Restore(r io.Reader) (*State, error) { return RestoreUpTo(r, LatestVersion) }

// RestoreUpTo is Restore of any version up to one (C25). A later version is a
// *VersionError.
func RestoreUpTo(r io.Reader, version int) (*State, error) {
	in := &hashingReader{in: bufio.NewReaderSize(r, 1<<16), hash: sha256.New()}
	s, err := readState(in, version)
	if _, ok := errors.AsType[*VersionError](err); ok {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("restore: the snapshot is damaged: %w", err)
	}
	want := loop.Digest(in.hash.Sum(nil))
	var got loop.Digest
	if _, err := io.ReadFull(in, got[:]); err != nil {
		return nil, fmt.Errorf("restore: the snapshot is damaged: checksum: %w", unexpected(err))
	}
	if got != want {
		return nil, fmt.Errorf("restore: the snapshot is damaged: its checksum is %s, but the content's is %s", got, want)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, errors.New("restore: the snapshot is damaged: bytes after the checksum")
	}
	return s, nil
}

// hashingReader hashes what is read from it.
type hashingReader struct {
	in   *bufio.Reader
	hash hash.Hash
}

func (r *hashingReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.hash.Write(p[:n])
	return n, err
}

func (r *hashingReader) ReadByte() (byte, error) {
	b, err := r.in.ReadByte()
	if err == nil {
		r.hash.Write([]byte{b})
	}
	return b, err
}

// unexpected is the error of an end where more must come.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readState reads all but the checksum.
func readState(in *hashingReader, version int) (*State, error) {
	start := make([]byte, len(snapshotMagic)+1)
	if _, err := io.ReadFull(in, start); err != nil {
		return nil, unexpected(err)
	}
	if string(start[:len(snapshotMagic)]) != snapshotMagic {
		return nil, errors.New("this is no snapshot")
	}
	inForce := start[len(snapshotMagic)]
	if err := checkVersion("snapshot", inForce, version); err != nil {
		return nil, err
	}
	b := builder{version: int(inForce)}
	var frame bytes.Buffer
	for n := 0; ; n++ {
		length, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, unexpected(err)
		}
		if length == 0 {
			return b.finish()
		}
		if length > maxFrame {
			return nil, fmt.Errorf("record %d has %d bytes", n, length)
		}
		frame.Reset()
		if _, err := io.CopyN(&frame, in, int64(length)); err != nil {
			return nil, unexpected(err)
		}
		var r record
		if err := decoding.Unmarshal(frame.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("record %d: %w", n, err)
		}
		if err := b.add(&r); err != nil {
			return nil, fmt.Errorf("record %d: %w", n, err)
		}
	}
}
