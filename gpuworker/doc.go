// Package gpuworker is both ends of the workers' websocket: the [Hub] that the
// server runs and the [Agent] on a GPU box. The wire format between them never
// leaves this package.
//
//	            Dispatcher, Receiver                       Generator
//	                    ▲                                      ▲
//	coordinator ────── Hub ◀═══ websocket, hone.v1 ═══▶ Agent ─┴─▶ shelf (disk)
//	lake ◀──────────────────── PUT samples.tar ──────────┘
//
// # A connection
//
// The worker says hello: name, slots, generators, and the units that it holds.
// It is welcomed, and asks for work by credits: so many units have room. The hub
// streams leases, each round's definition before its first lease, and never more
// than there are credits. The worker expands a unit by itself ([loop.Sampler],
// [loop.SampleSeed]), has a [Generator] make it, writes bundle and description
// to its own disk, stages the bundle and delivers a row per sample; a bundle that
// is small, by what the hub says, goes with the delivery instead. A delivery
// has two answers: staged, and then one of
//
//	committed   the verdicts stand (I1); the worker forgets the unit
//	again       the bytes were lost; the worker forgets the unit, it is open
//	refused     the delivery is wrong in itself; likewise
//	later       nobody knows (C10); the worker stages and delivers it again
//
// A unit that cannot be made is reported failed. Frames are binary: CBOR maps
// with integer keys and a version; sample rows inside a delivery are an Arrow IPC
// stream. One goroutine at a time writes and pings, and cuts off a peer that does
// not read. Frames have at most 8 MiB; a definition travels in pieces.
//
// # Several nodes
//
// The agent is given the nodes of a cluster. One that does not lead answers 307,
// for the socket and for staging, and the agent goes where it is sent. A session is
// of one term of leadership, and ends with it. A leader that was killed is missed at
// once, and the others are asked, after short, jittered pauses. One that was
// stopped or cut off only falls silent: so the hub gives a sign of life each second,
// which needs no answer, and when none has come for one and a half the agent asks
// the others who leads ([api.Vigil]). It leaves when another one does; a leader that
// is only slow keeps its workers. What the agent makes it goes on making, and it
// announces it to the next leader, which leases it to nobody else (C2, C9).
//
// # What fails, and how
//
// A peer that breaks the protocol (garbage, an oversized frame, a frame out of
// order, credits without end, another worker's staging area, a unit to give back
// that it does not have) is told why in an error frame and cut off; no other
// connection notices. A worker that comes back before its old connection is
// known to be dead takes its place, by a secret that lives in its directory;
// another one of the same name is turned away, and tries again.
//
// The agent reconnects for ever, with jittered pauses that grow, and stages and
// delivers again what it holds. Killed at any moment, it finds everything that
// was made on its shelf. A generator that panics, hangs, emits too few, too
// many, wrong or too large samples fails its unit, not its worker.
//
// # Stopping
//
// "Take no more" is not "abandon what is done". An agent whose context ends asks
// for nothing more, but finishes and delivers for a grace period. A stopping hub
// leases nothing more, but lets what is being judged come to its end. What does
// not make it in time is delivered again after the next start.
//
// # Invariants and rules guarded here
//
// C5 (seeds), C9 (two answers; held until the last one), C10 (unknown is never
// failure), C16 (a worker names only its own staging area), C19 (staging over
// HTTP; a directory of the worker's own), I1 (what is committed was staged
// before), I5 (a delivery is passed on whatever was leased).
package gpuworker
