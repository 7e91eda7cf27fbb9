// Package simulation plays a cluster under one seed: the real state on several
// replicas, the real schedule on whoever leads, and everything around them made
// up: a log, a network, disks, a lake, workers and those who post, train, revoke
// and steer. Time is virtual, nothing runs at once, and equal seeds play equally.
//
// # What goes wrong
//
// Messages are dropped, delayed, sent twice and overtaken. Nodes and workers crash
// before and after any step, and come back with what their disks have; nodes from a
// snapshot, their own or another's, and the rest of the log. A leader is paused or
// cut off and goes on leading when another does already. Proposals are lost, answered
// late or not at all, and enter the log late, twice or out of order: the log is
// harsher than Raft's, which C10 lets every proposer expect. Workers lie about what
// they made. Wall clocks jump. Each seed draws which of these happen, and how often;
// then they stop, and every campaign must come to its end.
//
// # What is checked
//
// After every entry and every answer, from outside, against a ledger of what was
// acknowledged and what the lake holds: I1 to I8, and what C1 to C5, C8 to C11, C13 to
// C15, C17, C18, C20 to C22, C24 to C26 promise to those who look on. The ledger counts
// rows, not indices: it shares no code with state. A test demands that what may go
// wrong does come about.
//
// # What is not
//
// That a log keeps what it has agreed on is for raft, and for the tests with real
// processes. The leader's soft state here ([term]) is a second writing of the
// coordinator's, which runs on goroutines: what is wrong there alone, its own tests
// must find.
package simulation
