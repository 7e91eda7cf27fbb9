// Command bench measures what Hone does.
//
// decision: what are decisions worth? A file per part, behind the interface
// part, and a line per measure with --output json. samples: how many samples
// does a strategy save over uniform sampling, in two worlds with a renderer and
// a learner, in process? growing: and how many where rounds grow from a small
// first one? recall: which planted slices does the search find?
// search: how fast is it? determinism: are equal decisions equal to the byte?
// stability: how calmly do mixtures move? Decisions, scenarios, seeds and
// importance weights are the product's own, so that the figures are those of the
// demo but for what storage and transport could add, which is nothing.
//
// accept: the whole demo on fresh seeds, held against what it promises.
//
// dispatch: how many units go through the whole cycle on three nodes, how soon a
// worker has one, how long nobody is served when the leader dies, and what idle
// workers cost? Nodes are processes of their own; the disk's syncs are counted
// before and after each part, as they change from minute to minute.
//
// It imports what it measures and guards no invariant of its own. A bench fails
// by exiting with status 1 and one line on stderr.
package main
