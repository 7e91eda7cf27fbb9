package lake

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"hone/loop"
)

// Kind is what sort of object a key names.
type Kind uint8

// The kinds of object.
const (
	Pack Kind = iota
	Part
	Manifest
	Addresses
	Evidence
)

// kindWords are the first and last words of a kind's keys.
type kindWords struct{ folder, ext string }

var kinds = [...]kindWords{
	Pack:      {"packs", "tar"},
	Part:      {"parts", "parquet"},
	Manifest:  {"manifests", "ndjson"},
	Addresses: {"manifests", "addresses"},
	Evidence:  {"evidence", "bin"},
}

// Key is the name of an object (C16): its kind, the lake epoch in which it was
// put, and the SHA-256 of its bytes.
type Key struct {
	Kind   Kind
	Epoch  uint64
	Digest loop.Digest
}

// folder is the directory in which the object lies.
func (k Key) folder() string {
	return fmt.Sprintf("%s/%d/%02x", kinds[k.Kind].folder, k.Epoch, k.Digest[0])
}

// String is the key as references hold it, e.g. "packs/1/ab/ab12….tar".
func (k Key) String() string {
	return k.folder() + "/" + hex.EncodeToString(k.Digest[:]) + "." + kinds[k.Kind].ext
}

// ParseKey is the inverse of String; it refuses anything that String would not
// write, and so anything that could lead out of the lake.
func ParseKey(key string) (Key, error) {
	parts := strings.Split(key, "/")
	if len(parts) == 4 {
		digits, ext, _ := strings.Cut(parts[3], ".")
		epoch, err := strconv.ParseUint(parts[1], 10, 64)
		for kind, words := range kinds {
			if err != nil || words.folder != parts[0] || words.ext != ext || len(digits) != 2*len(loop.Digest{}) {
				continue
			}
			k := Key{Kind: Kind(kind), Epoch: epoch}
			if _, err := hex.Decode(k.Digest[:], []byte(digits)); err == nil && k.String() == key {
				return k, nil
			}
		}
	}
	return Key{}, &loop.Error{Field: "key", Problem: fmt.Sprintf("%q is not the key of an object", key),
		Remedy: "KIND/EPOCH/HH/DIGEST.EXT, as references hold it"}
}
