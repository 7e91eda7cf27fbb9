package state

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"hone/loop"
)

// component is all that is known of the units of one (round, component): C1.
type component struct {
	generation uint64
	domain     loop.Domain
	number     int

	quota    uint64
	reserved uint64
	// committed and abandoned are disjoint and below reserved.
	committed *roaring.Bitmap
	abandoned *roaring.Bitmap
	// attempts are the indices, open or committed, whose current attempt is not 0,
	// by attempt, ascending. Forgetting a committed one's would let a resent
	// commit revive a revoked sample.
	attempts []attemptIndices
	// reasons say why indices were abandoned, in the order in which each reason
	// first came up.
	reasons []abandonIndices
	// rejected counts the attempts that a gate sent back.
	rejected uint64

	// open are the indices below reserved that are neither committed nor
	// abandoned; derived.
	open *roaring.Bitmap
}

type attemptIndices struct {
	attempt int
	indices *roaring.Bitmap
}

type abandonIndices struct {
	gate, reason string
	indices      *roaring.Bitmap
}

// Gates write reasons freely, so what state keeps of them is bounded: reasons
// beyond maxReasons of a component are kept under one that says so.
const (
	maxReasons      = 32
	maxReasonLength = 256
	otherReasons    = "other reasons"
)

func newComponent(generation uint64, c *loop.Component, reserve uint64) *component {
	k := &component{
		generation: generation, domain: c.Domain, number: c.Number, quota: c.Quota,
		committed: roaring.New(), abandoned: roaring.New(), open: roaring.New(),
	}
	k.reserve(reserve)
	return k
}

// clone is a copy that shares nothing that changes.
func (k *component) clone() *component {
	own := *k
	own.committed, own.abandoned, own.open = k.committed.Clone(), k.abandoned.Clone(), k.open.Clone()
	own.attempts = slices.Clone(k.attempts)
	for i := range own.attempts {
		own.attempts[i].indices = own.attempts[i].indices.Clone()
	}
	own.reasons = slices.Clone(k.reasons)
	for i := range own.reasons {
		own.reasons[i].indices = own.reasons[i].indices.Clone()
	}
	return &own
}

// reserve raises reserved to the extension, which is absolute: it never falls,
// and never passes the quota (C2).
func (k *component) reserve(extension uint64) {
	next := min(k.quota, max(k.reserved, extension))
	k.open.AddRange(k.reserved, next)
	k.reserved = next
}

// attempt is the index's current attempt.
func (k *component) attempt(index uint32) int {
	for _, a := range k.attempts {
		if a.indices.Contains(index) {
			return a.attempt
		}
	}
	return 0
}

// setAttempt moves an index from one attempt to another.
func (k *component) setAttempt(index uint32, from, to int) {
	if from != 0 {
		i, ok := k.findAttempt(from)
		invariant(ok && k.attempts[i].indices.CheckedRemove(index), "index %d is not at attempt %d", index, from)
		if k.attempts[i].indices.IsEmpty() {
			k.attempts = slices.Delete(k.attempts, i, i+1)
		}
	}
	if to != 0 {
		i, ok := k.findAttempt(to)
		if !ok {
			k.attempts = slices.Insert(k.attempts, i, attemptIndices{to, roaring.New()})
		}
		k.attempts[i].indices.Add(index)
	}
}

func (k *component) findAttempt(attempt int) (int, bool) {
	return slices.BinarySearchFunc(k.attempts, attempt, func(a attemptIndices, attempt int) int { return a.attempt - attempt })
}

// Judgement is how one sample stands.
type Judgement uint8

// The judgements (C10). Fresh: open, and this is its attempt. Duplicate:
// committed at this attempt. Stale: the index is at another attempt. Closed:
// there is no such index, or it was abandoned.
const (
	JudgedFresh Judgement = iota
	JudgedDuplicate
	JudgedStale
	JudgedClosed
)

// judge is how a sample of that name stands, by name alone (I5, C10).
//
// What is at or above reserved was never leased by anybody, so that only a
// worker's invention can deliver it; taking it would put an index above a later
// cut (C3). It is closed like what is above the quota.
func (k *component) judge(index uint64, attempt int) Judgement {
	if index >= k.quota || index >= k.reserved || k.abandoned.Contains(uint32(index)) {
		return JudgedClosed
	}
	if attempt != k.attempt(uint32(index)) {
		return JudgedStale
	}
	if k.committed.Contains(uint32(index)) {
		return JudgedDuplicate
	}
	return JudgedFresh
}

// commit counts a fresh sample that passed every gate.
func (k *component) commit(index uint32) {
	invariant(k.open.CheckedRemove(index) && k.committed.CheckedAdd(index), "index %d is committed but was not open", index)
}

// reject sends a fresh sample back: the next attempt, or none any more (C4).
func (k *component) reject(index uint32, attempt, maxAttempts int, gate, reason string) {
	k.rejected++
	if attempt+1 < maxAttempts {
		k.setAttempt(index, attempt, attempt+1)
		return
	}
	k.setAttempt(index, attempt, 0)
	invariant(k.open.CheckedRemove(index) && k.abandoned.CheckedAdd(index), "index %d is abandoned but was not open", index)
	k.because(index, gate, reason)
}

func (k *component) because(index uint32, gate, reason string) {
	reason = reason[:min(len(reason), maxReasonLength)]
	gate = gate[:min(len(gate), maxReasonLength)]
	for pass := 0; ; pass++ {
		for i := range k.reasons {
			if k.reasons[i].gate == gate && k.reasons[i].reason == reason {
				k.reasons[i].indices.Add(index)
				return
			}
		}
		if len(k.reasons) < maxReasons || pass > 0 {
			k.reasons = append(k.reasons, abandonIndices{gate, reason, roaring.BitmapOf(index)})
			return
		}
		gate, reason = "", otherReasons
	}
}

// reopen takes a committed sample back (C13).
func (k *component) reopen(index uint32, attempt int) {
	invariant(k.committed.CheckedRemove(index) && k.open.CheckedAdd(index), "index %d is revoked but was not committed", index)
	k.setAttempt(index, attempt, attempt+1)
}

// abandon gives up open indices for one reason: nobody makes them any more.
func (k *component) abandon(indices *roaring.Bitmap, reason string) {
	for it := indices.Iterator(); it.HasNext(); {
		index := it.Next()
		invariant(k.open.CheckedRemove(index) && k.abandoned.CheckedAdd(index), "index %d is given up but was not open", index)
		k.setAttempt(index, k.attempt(index), 0)
		k.because(index, "", reason)
	}
}

// cut supersedes the component: what is below stays owed, what is above is never
// made (C3).
func (k *component) cut(quota uint64) {
	invariant(quota == k.reserved, "cut %d is not what is reserved, %d", quota, k.reserved)
	k.quota = quota
}

// terminal reports whether nothing is open, reserved or not.
func (k *component) terminal() bool { return k.reserved == k.quota && k.open.IsEmpty() }

// counts is the component's part of I3.
func (k *component) counts() Counts {
	c := Counts{Quota: k.quota, Committed: k.committed.GetCardinality(), Abandoned: k.abandoned.GetCardinality(), Rejected: k.rejected}
	c.Pending = c.Quota - c.Committed - c.Abandoned
	for _, a := range k.attempts {
		c.Replaced += a.indices.AndCardinality(k.committed)
	}
	return c
}

func (c *Counts) add(d Counts) {
	c.Quota += d.Quota
	c.Committed += d.Committed
	c.Abandoned += d.Abandoned
	c.Pending += d.Pending
	c.Rejected += d.Rejected
	c.Replaced += d.Replaced
}

// check stops the node if the component does not add up: open, committed and
// abandoned are disjoint and together exactly what is reserved (I2, I3). The
// transitions hold this one index at a time; here it is looked at as a whole,
// once per round, before a quota is cut for good.
func (k *component) check() {
	sum := k.open.GetCardinality() + k.committed.GetCardinality() + k.abandoned.GetCardinality()
	disjoint := !k.open.Intersects(k.committed) && !k.open.Intersects(k.abandoned) && !k.committed.Intersects(k.abandoned)
	invariant(disjoint && k.reserved <= k.quota && sum == k.reserved, "%s component %d: %d of %d reserved, but %d accounted for",
		k.domain, k.number, k.reserved, k.quota, sum)
}
