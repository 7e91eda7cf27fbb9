package loop

import (
	"crypto/sha256"
	"encoding/binary"
)

// SampleSeed is the seed of one attempt at one sample (C5): the first 8 bytes,
// big-endian, of SHA-256 over a tag and the name of the sample. The scenario
// does not depend on it; everything random inside the generator does.
func SampleSeed(campaignSeed uint64, name Name) uint64 {
	return hashInts("hone/seed/1", campaignSeed, uint64(name.Domain), uint64(name.Round),
		uint64(name.Component), name.Index, uint64(name.Attempt))
}

func hashInts(tag string, values ...uint64) uint64 {
	h := sha256.New()
	h.Write([]byte(tag))
	var b [8]byte
	for _, v := range values {
		binary.BigEndian.PutUint64(b[:], v)
		h.Write(b[:])
	}
	var sum [sha256.Size]byte
	return binary.BigEndian.Uint64(h.Sum(sum[:0]))
}
