package state

import (
	"crypto/sha256"
	"encoding/binary"

	"hone/loop"
)

// keys remembers idempotency keys in two generations that rotate by count, never
// by clock: a key is remembered for at least `size` newer ones (C21).
type keys struct {
	size              int
	current, previous keyGeneration
}

// keyGeneration is append-only, so that a snapshot may share its uses.
type keyGeneration struct {
	uses list[keyUse]
	// at finds a use; it is derived.
	at map[[keyBytes]byte]int
}

func newKeyGeneration() keyGeneration { return keyGeneration{at: map[[keyBytes]byte]int{}} }

// put appends a use of a key that is not there yet.
func (g *keyGeneration) put(u keyUse) {
	g.at[u.key] = g.uses.len()
	g.uses.append(u)
}

// keyUse is the first use of a key. Key and body are the first half of a
// SHA-256: two of 2^21 that collide by chance, or by anything but 2^64 trials,
// are not to be expected, and it halves what 2^21 of them take.
type keyUse struct {
	key  [keyBytes]byte
	body [keyBytes]byte
	// sequence is that of the change that the post's rows came in by.
	sequence uint64
}

const keyBytes = 16

func newKeys(size int) keys {
	return keys{size: size, current: newKeyGeneration(), previous: newKeyGeneration()}
}

// keyOf is the identity of a post: (space, model, run, Idempotency-Key) (C22).
// Every part carries its length, so that no two identities run together.
func keyOf(p *loop.Post) (key [keyBytes]byte) {
	h := sha256.New()
	h.Write([]byte("hone/post/1"))
	var n [8]byte
	for _, part := range [...]string{p.Space, p.ModelLine, p.Version, p.Run, p.Key} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	var sum [sha256.Size]byte
	copy(key[:], h.Sum(sum[:0]))
	return key
}

// find returns the first use of a key that is still remembered.
func (k *keys) find(key [keyBytes]byte) (keyUse, bool) {
	for _, g := range [...]*keyGeneration{&k.current, &k.previous} {
		if i, ok := g.at[key]; ok {
			return *g.uses.at(i), true
		}
	}
	return keyUse{}, false
}

// remember keeps the first use of a key that find does not know.
func (k *keys) remember(u keyUse) {
	if k.current.uses.len() >= k.size {
		k.previous, k.current = k.current, newKeyGeneration()
	}
	k.current.put(u)
}
