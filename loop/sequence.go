package loop

import "math/bits"

// A factor's values over the indices of a component follow a shuffled and
// scrambled van der Corput sequence: among any 2^j consecutive indices that
// start at a multiple of 2^j, the top j bits of the points take each of their
// 2^j values exactly once. So every prefix is balanced in every factor, up to
// O(log n), while the factors are mutually shuffled and hence unconfounded.
// Both steps are Owen's nested uniform scrambling (Owen 1995), with the coin of
// each tree node a bit of a hash of (key, node): integers only, index-addressed.

// point is the index-th point of the sequence of key, in [0, 2^32).
func point(key uint64, index uint32) uint32 {
	shuffled := scramble(key, index)
	return scramble(mix(key), bits.Reverse32(shuffled))
}

// scramble permutes the 32-bit integers such that numbers which share their
// top j bits still do, for every j. The coin that flips a bit depends on the
// bits above it, that is on the node that they lead to in a binary tree. One
// hash serves six levels: the 63 nodes of the subtree below a node take a bit of
// its hash each.
func scramble(key uint64, x uint32) uint32 {
	flips := uint64(0)
	for top := 0; top < 32; top += 6 {
		// The node that the top bits lead to, numbered as in a heap.
		coins := mix(key ^ (1<<top | uint64(x)>>(32-top)))
		// n>>6 to n>>1 are the nodes of the path through its subtree, numbered
		// likewise; the last subtree has two levels only, and four idle bits.
		n := 1<<6 | x<<top>>26
		flips = flips<<6 | coins>>(n>>6&63)&1<<5 | coins>>(n>>5&63)&1<<4 | coins>>(n>>4&63)&1<<3 |
			coins>>(n>>3&63)&1<<2 | coins>>(n>>2&63)&1<<1 | coins>>(n>>1&63)&1
	}
	return x ^ uint32(flips>>4)
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
