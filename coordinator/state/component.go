package state

import (
	"slices"

	"hone/fault"
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
	committed set
	abandoned set
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
	open set
}

type attemptIndices struct {
	attempt int
	indices set
}

type abandonIndices struct {
	gate, reason string
	indices      set
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
		committed: set{generation: generation}, abandoned: set{generation: generation}, open: set{generation: generation},
	}
	k.reserve(reserve)
	return k
}

// share is a copy for another generation, to change; this one never does any more.
func (k *component) share(generation uint64) *component {
	own := *k
	own.generation = generation
	own.committed, own.abandoned, own.open = k.committed.share(generation), k.abandoned.share(generation), k.open.share(generation)
	own.attempts = slices.Clone(k.attempts)
	for i := range own.attempts {
		own.attempts[i].indices = k.attempts[i].indices.share(generation)
	}
	own.reasons = slices.Clone(k.reasons)
	for i := range own.reasons {
		own.reasons[i].indices = k.reasons[i].indices.share(generation)
	}
	return &own
}

// reserve raises reserved to the extension, which is absolute: it never falls,
// and never passes the quota (C2).
func (k *component) reserve(extension uint64) {
	next := min(k.quota, max(k.reserved, extension))
	if fault.Planted("assign instead of maximise reserved") {
		next = min(k.quota, extension)
	}
	k.open.addRange(k.reserved, next)
	k.reserved = next
}

// attempt is the index's current attempt.
func (k *component) attempt(index uint64) int {
	for i := range k.attempts {
		if k.attempts[i].indices.contains(index) {
			return k.attempts[i].attempt
		}
	}
	return 0
}

// setAttempt moves an index from one attempt to another.
func (k *component) setAttempt(index uint64, from, to int) {
	if from != 0 {
		i, ok := k.findAttempt(from)
		invariant(ok && k.attempts[i].indices.remove(index), "index %d is not at attempt %d", index, from)
		if k.attempts[i].indices.count == 0 {
			k.attempts = slices.Delete(k.attempts, i, i+1)
		}
	}
	if to != 0 {
		i, ok := k.findAttempt(to)
		if !ok {
			k.attempts = slices.Insert(k.attempts, i, attemptIndices{to, set{generation: k.generation}})
		}
		k.attempts[i].indices.add(index)
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
	if index >= k.quota || index >= k.reserved || k.abandoned.contains(index) {
		return JudgedClosed
	}
	if attempt != k.attempt(index) && !fault.Planted("accept a stale attempt") {
		return JudgedStale
	}
	if k.committed.contains(index) {
		return JudgedDuplicate
	}
	return JudgedFresh
}

// commit counts a fresh sample that passed every gate.
func (k *component) commit(index uint64) {
	invariant(k.open.remove(index) && k.committed.add(index), "index %d is committed but was not open", index)
	if fault.Planted("forget a committed index's attempt") {
		k.setAttempt(index, k.attempt(index), 0)
	}
}

// reject sends a fresh sample back: the next attempt, or none any more (C4).
func (k *component) reject(index uint64, attempt, maxAttempts int, gate, reason string) {
	k.rejected++
	if attempt+1 < maxAttempts {
		k.setAttempt(index, attempt, attempt+1)
		return
	}
	k.setAttempt(index, attempt, 0)
	invariant(k.open.remove(index) && k.abandoned.add(index), "index %d is abandoned but was not open", index)
	k.because(gate, reason).add(index)
}

// because is the set of what was abandoned for a reason, to add to.
func (k *component) because(gate, reason string) *set {
	reason = reason[:min(len(reason), maxReasonLength)]
	gate = gate[:min(len(gate), maxReasonLength)]
	for pass := 0; ; pass++ {
		for i := range k.reasons {
			if k.reasons[i].gate == gate && k.reasons[i].reason == reason {
				return &k.reasons[i].indices
			}
		}
		if len(k.reasons) < maxReasons || pass > 0 {
			k.reasons = append(k.reasons, abandonIndices{gate, reason, set{generation: k.generation}})
			return &k.reasons[len(k.reasons)-1].indices
		}
		gate, reason = "", otherReasons
	}
}

// reopen takes a committed sample back (C13).
func (k *component) reopen(index uint64, attempt int) {
	invariant(k.committed.remove(index) && k.open.add(index), "index %d is revoked but was not committed", index)
	k.setAttempt(index, attempt, attempt+1)
}

// abandonOpen gives up all that is open for one reason: nobody makes it any more.
func (k *component) abandonOpen(reason string) {
	k.abandoned.merge(&k.open)
	k.because("", reason).merge(&k.open)
	for i := range k.attempts {
		k.attempts[i].indices.subtract(&k.open)
	}
	k.attempts = slices.DeleteFunc(k.attempts, func(a attemptIndices) bool { return a.indices.count == 0 })
	k.open = set{generation: k.generation}
}

// abandon gives up an open index.
func (k *component) abandon(index uint64, reason string) {
	invariant(k.open.remove(index) && k.abandoned.add(index), "index %d is given up but was not open", index)
	k.setAttempt(index, k.attempt(index), 0)
	k.because("", reason).add(index)
}

// cut supersedes the component: what is below stays owed, what is above is never
// made (C3).
func (k *component) cut(quota uint64) {
	invariant(quota == k.reserved || fault.Planted("let an extension slip in"), "cut %d is not what is reserved, %d", quota, k.reserved)
	k.quota = quota
}

// terminal reports whether nothing is open, reserved or not.
func (k *component) terminal() bool { return k.reserved == k.quota && k.open.count == 0 }

// counts is the component's part of I3.
func (k *component) counts() Counts {
	c := Counts{Quota: k.quota, Committed: k.committed.count, Abandoned: k.abandoned.count, Rejected: k.rejected}
	c.Pending = c.Quota - c.Committed - c.Abandoned
	for i := range k.attempts {
		c.Replaced += k.attempts[i].indices.common(&k.committed)
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
	sum := k.open.count + k.committed.count + k.abandoned.count
	disjoint := k.open.common(&k.committed) == 0 && k.open.common(&k.abandoned) == 0 && k.committed.common(&k.abandoned) == 0
	invariant(disjoint && k.reserved <= k.quota && sum == k.reserved, "%s component %d: %d of %d reserved, but %d accounted for",
		k.domain, k.number, k.reserved, k.quota, sum)
}
