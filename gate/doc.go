// Package gate holds the built-in gates and the stage through which every
// sample passes before it counts.
//
// # What it owns
//
// A [Gate] answers whether one sample may count. The [Stage] takes deliveries:
// it reads a worker's staged bytes, believes nothing that the worker said about
// them, expands each sample's scenario, seed and importance weight from its name,
// lets the gates of the campaign judge it, and writes the accepted ones into
// packs. It decides nothing about indices and attempts: that is Apply's (C10).
// It holds no state beyond a cache of samplers, and may run anywhere and twice.
// What somebody imports it hashes and packs in the same way, but judges not.
//
// # Failures
//
// Each delivery has its own error, in loop.Judged.Err: loop.ErrStagingGone when
// its bytes are not there any more (C9); a *loop.Error when what the worker says
// of them is false, in which case none of it reaches a pack; anything else is a
// failure of the stage (a gate that failed or panicked, a full disk), after which
// the delivery may be judged again. A failure never becomes a rejection: a sample
// is sent back only because a gate looked at it and said no.
//
// # Invariants and rules guarded here
//
// I7: no sample that was made reaches a pack unless it passed every gate of its
// campaign.
// C16: final keys name only bytes that were hashed again here. C17: packs are
// durable before a delivery is returned. C5 and C4: seed and scenario follow from
// the name, never from the worker. C27: gates of scope sample, in parallel.
package gate
