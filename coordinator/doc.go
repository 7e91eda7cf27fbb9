// Package coordinator is the shell around the replicated state: it keeps a
// Raft node, answers the control API, and, while it leads, decides rounds,
// hands out units, takes deliveries in and publishes dataset versions.
//
// # What is where
//
//	control API ─┐                         ┌─▶ schedule (soft state, this leader's)
//	ingest ──────┼─▶ Node.Propose ═ Raft ═▶ state on every node ─▶ Changes ─▶ views
//	conductor ───┘                         └─▶ conductor: decide, open, publish
//	workers ─▶ Dispatch ─▶ gates ─▶ parts ─▶ commit ─┘
//
// [Node] owns the log and the state. It proposes commands in groups, one log
// entry for many, and applies what is committed. [Coordinator] is everything a
// leader does; each time its node gains leadership it runs one term, with a
// schedule of its own that is thrown away when the term ends.
//
// # Nodes
//
// Three or five nodes keep one log. Each is one process with a directory of its own,
// in which stands who it is: its name, its instance and its cluster. They reach each
// other by [Peers]; which of them leads, and at which URL, every node knows from the
// state, so that [Coordinator.Front] can send clients there. A node that is new asks
// the cluster's id before its log begins, receives the log without a vote, and votes
// when it has been stable; one that was removed comes back with an empty directory
// only.
//
// While it leads, a node watches the others (raft-autopilot), and itself: a log that
// stands still while something waits for it means that the disk hangs, and costs the
// leadership, or the process, since heartbeats would go on. Heartbeats are answered in
// turn with everything else, never beside it.
//
// A read is answered when more than half of the voters have said that this node
// still leads, or by any node, labelled stale.
//
// # Failures
//
// A command is refused with a *loop.Error (wrapped in loop.ErrNotFound or
// loop.ErrConflict where that is what it is), or answered, or its outcome is
// unknown: loop.ErrUnavailable. Unknown is what any error or time-out at the
// proposer means (C10): the caller sends the same thing again, and Apply judges
// what it already knows. Nothing is ever reported as failed that may still
// happen.
//
// A step of a campaign that fails (a decision, a publication) is tried again for
// as long as the term lasts, and shown meanwhile in what the campaign waits for.
//
// A campaign that a person paused leases nothing and decides nothing, under any
// leader, until it is resumed. One that was closed is over when what was in
// flight is settled: the leader waits for that, and for the workers that were
// away, and then has the rest given up.
//
// A node whose Apply meets an entry that it cannot understand, or whose state
// breaks an invariant, stops: Run returns the error. It never goes on with a
// state that others do not have. A command that would stop every node so, because
// it could not be read back, is refused before it gets into the log.
//
// A campaign that decides by proposals opens no round by itself: what was decided
// stands in state, whoever leads, until people approve it, which opens exactly those
// bytes, amend or reject it. What was decided from something that has changed since
// cannot open, and is proposed again.
//
// An import is one request of any length: its rows are judged first, all of them,
// then its bytes are packed by the gate stage, and one command makes all of it count.
// Until then it is nothing, and is sent again at any time; afterwards it finds itself
// there, by the digest of the request.
//
// What workers take is metered, and so is what they make in vain. A campaign with money
// has what is handed out reserved from it; where it is spent nothing more is handed
// out, under any leader, and the campaign ends short with what it has.
//
// The lake is collected while everything goes on: the leader closes the lake's epoch,
// and deletes of the closed ones what nothing references. Whoever had put something
// and not proposed it yet is refused, puts it again under the open epoch, and proposes
// that; proposePut is where, and ingest does likewise.
//
// # Versions and clocks
//
// Entries and snapshots are written in the oldest encoding version that has what is
// in them. A later one is in force once every node has said that it understands it,
// which the leader sees to by itself; until then what needs it is refused, by the
// names of the nodes to upgrade. A node that meets a version that it does not
// understand stops, and so does one whose snapshot is damaged or another cluster's.
//
// A leader whose clock is more than five minutes off the last entry's time and what
// has passed since proposes nothing until the clock is set, or somebody confirms it.
//
// # Damage
//
// A node whose files have gone bad is refused when it starts, with the name of the
// file and what to do, and nothing is changed. Every entry of the log carries a
// checksum, and so do the files that say what the log and each snapshot are; the log
// and the newest snapshot are read through before the node starts. A log that ends
// before where it has been is damaged, not torn: what a crash tore, nobody had
// acknowledged, and that alone is cut off and fetched from other nodes again.
//
// A damaged node of a cluster is removed, emptied, and joins again. It must not take
// back in silence what it once acknowledged and has lost: until it had, it would vote
// as if it had never held it. For a node that is alone, there is nothing to fetch from:
// a copy of its folder or a snapshot (hone cluster snapshot) is all there is. How far
// the log has reached is written without waiting for the disk, so after a loss of power
// it may be that of some seconds before, and damage to batches written since then looks
// like a batch that was torn. Entries that a version without checksums wrote have none.
//
// raft forgets the wrong things when a snapshot is installed over a log that reaches
// beyond it (its issue 697): see nodeLog.DeleteRange. It may then have to be started
// again, and Run returns an error that says so.
//
// # Invariants and rules
//
// I1 (an answer follows the applied entry, C17: objects before references), I2
// and I5 (Apply is the only judge, C10), I3 (in flight and pending from the
// schedule), I7 and I8 (publish, C26), C2 (blocks of reserved indices), C8
// (advance sealed, decide auto and propose), C9 (staged, then committed; again), C15,
// C14 (meters, a hard stop), C18 (put again; collection), C23 (snapshots refused), C24
// (a clock that is off), C25 (when a version is raised).
package coordinator
