// Package state is the replicated state machine: what every node knows after
// the same log. A leader decides and proposes values; [State.Apply] judges them,
// on every node alike, and answers one [Event] per [Command].
//
// # What it owns
//
// Definitions (spaces, policies, campaigns, generators), rounds with what is
// reserved, committed, abandoned and at which attempt (C1), the catalogue of
// changes that views follow (C20), idempotency keys (C22), model versions and
// their sealing order (C8), published dataset versions (C26) and the lake's
// epoch (C18). Bulk stays in the lake; state holds references to it.
//
// The package is pure: no clock, no I/O, no goroutine, no randomness. Apply
// reads no map order and lets no float decide anything (I6).
//
// What was made elsewhere enters by one command as parts and a dataset version
// together; its samples' campaign is the dataset, of which no campaign bears the name.
//
// # What fails, and how
//
// A command is atomic: it takes effect whole, or it has no effect at all and
// its event is a [Refused], with a [Reason] for the status code and a
// *loop.Error for the person. An entry is not atomic: its commands are judged in
// order, each seeing the ones before, and one refusal leaves its neighbours be
// (C10). How a delivery or a post stood (duplicate, stale, closed) is no refusal:
// it is the answer.
//
// Decoding an entry or snapshot of a version this build does not know is a
// [*VersionError]: the node must stop (C25). A broken invariant panics: the node
// stops rather than diverge.
//
// # Concurrency
//
// A State has one writer, and no reader may overlap a call of Apply. What
// getters return is copied or never changes, and stays valid. [State.Snapshot]
// is cheap and must not overlap Apply; the [Frozen] it returns may be encoded
// while Apply goes on. What is large is kept so that neither waits for a copy of it:
// indices in sets of leaves, of which a change copies one; the catalogue and the keys
// in lists that only grow at the end.
//
// # Invariants and rules guarded here
//
// A campaign is steered by people: paused, resumed, closed, extended. A closed
// one's quotas are cut to what was reserved (C3), what is open of them is given up
// once nobody makes it, and a revoke opens nothing of it again (C13): its I3 holds
// over its quotas, and what it was asked for beyond them is counted apart. An
// extension makes the next version of the campaign, and so does a version of a policy
// that it adopts (C15). The latest version of a policy may be a canary: it is tried
// beside the one that a campaign follows, and a round says with which it was decided.
//
// I2, I3, I5, I6, I7 (commit and publish), I8 (references). C1 to C4, C8 (proposals; a
// campaign's end), C10, C11, C13, C14 (meters), C15, C16 (keys), C18 (the epoch rule), C20,
// C21 (keys), C22, C23, C24 (time never goes back), C25 (version bytes, the one in force), C26.
package state
