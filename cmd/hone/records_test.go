package main

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
)

// records reads what processes wrote down of a place, as package fault has it, and
// calls with each. The last of a process may be torn, and is not there then.
func records(t faults, dir, place string, each func(index uint64, b []byte)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", place+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		const head = 16
		for len(b) >= head {
			length := int(binary.BigEndian.Uint32(b[8:]))
			if len(b) < head+length {
				break
			}
			sum := crc32.Update(crc32.ChecksumIEEE(b[:12]), crc32.IEEETable, b[head:head+length])
			if sum != binary.BigEndian.Uint32(b[12:]) {
				t.Fatalf("%s: a record has bytes of another", name)
			}
			each(binary.BigEndian.Uint64(b), b[head:head+length])
			b = b[head+length:]
		}
	}
}

// applied is the history that all replicas applied, in all their lives. At no
// place did two of them apply something else: that is what Raft is for.
func applied(t faults, dir string) *history {
	t.Helper()
	entries := map[uint64]string{}
	last := uint64(0)
	records(t, dir, "applied", func(index uint64, b []byte) {
		if other, there := entries[index]; there && other != string(b) {
			t.Errorf("two replicas applied different entries at %d", index)
		}
		entries[index] = string(b)
		last = max(last, index)
	})
	h := newHistory(t)
	for i := range last + 1 {
		if b, ok := entries[i]; ok { // what is not a command of ours is none here
			h.entry(i, []byte(b))
		}
	}
	h.entries = len(entries)
	return h
}

// verdicts are the units of which a worker was told that they are committed, by
// their ids.
func verdicts(t faults, dir string) map[string]int {
	t.Helper()
	out := map[string]int{}
	records(t, dir, "verdict", func(_ uint64, b []byte) { out[strings.Clone(string(b))]++ })
	return out
}
