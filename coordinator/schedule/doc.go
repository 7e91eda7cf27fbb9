// Package schedule decides who gets which unit. It is the leader's soft state,
// and pure: no goroutine, no clock (time comes in as a value), no random number,
// and equal calls give equal answers. It runs in the coordinator and, under a
// virtual clock, in bench.
//
// # What it owns
//
// For every [Place] (a component of a round) and attempt, each index that it has
// been told of is either waiting or in flight, and in flight by one lease:
//
//	Offer ─▶ waiting ──Next──▶ leased ──Staged──▶ staged ──Done──▶ forgotten
//	            ▲                 │                  │
//	            ├─ Leave, Expire ─┘                  │
//	            ├─ after a pause: Failed ─┴──────────┤
//	            └─ Again, Expire ────────────────────┘
//
// Units are not stored: one is cut from pending indices when a worker asks, so
// nothing is queued that could be stale. Only a unit that has come back keeps its
// bounds, so that it is made again under the same name, with the same seeds.
// Nothing here is true: state alone knows what is open, and the coordinator
// offers that. A new leader starts with an empty schedule and learns from the
// workers that reconnect what is in flight.
//
// # Who gets what
//
// A worker that asks gets, of the generators that it has: the round that opened
// first; within it what was rejected before what is fresh; then the generator
// at which its hardware is comparatively fastest; then components in turn. A
// unit whose attempt was rejected, or which failed or hung, is kept from the
// worker where that happened while another worker has the generator, for a
// bounded time. A decision takes O(log n) in workers, leases, rounds and
// components.
//
// What a lease may take is reserved from what its campaign can afford, where that is
// bounded; nothing more is leased than that pays for.
//
// Rates are learned per (hardware type, generator). They cut units to a bounded
// time on slow hardware and say when a lease has hung.
//
// # Failures
//
// No method fails. What does not fit what is known (a unit that nobody leased, a
// worker that never joined) changes nothing but what its words imply: state
// judges by name (C10), so the worst that a wrong call brings about is work done
// twice.
//
// # Invariants and rules guarded here
//
// C14 (money is reserved), I3 (in flight and pending, per component), C2 (only what is offered, which is
// below the reservation, is leased), C4 (a rejected attempt goes to another
// worker), C9 (what a worker announces is in flight with it; again). No index is
// leased twice at the same time, except after Expire or Leave; if a unit waits
// that fits some idle worker, some worker starts it within AvoidFor, or MaxDelay
// if it has failed.
package schedule
