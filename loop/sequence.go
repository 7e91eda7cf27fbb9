package loop

import "math/bits"

// A factor's values over the indices of a component follow a shuffled and
// scrambled van der Corput sequence: among any 2^j consecutive indices that
// start at a multiple of 2^j, the top j bits of the points take each of their
// 2^j values exactly once. So every prefix is balanced in every factor, up to
// O(log n), while the factors are mutually shuffled and hence unconfounded.
// Both steps are Owen's nested uniform scrambling (Owen 1995), with the coin of
// each tree node a hash of (key, node): integers only, index-addressed.

// point is the index-th point of the sequence of key, in [0, 2^32).
func point(key uint64, index uint32) uint32 {
	shuffled := scramble(key, index)
	return scramble(mix(key), bits.Reverse32(shuffled))
}

// scramble permutes the 32-bit integers such that numbers which share their
// top j bits still do, for every j.
func scramble(key uint64, x uint32) uint32 {
	flips := uint32(0)
	for b := range 32 {
		// The node that the top b bits lead to, numbered as in a heap.
		node := uint64(1)<<b | uint64(x)>>(32-b)
		flips |= uint32(mix(key^node)&1) << (31 - b)
	}
	return x ^ flips
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
