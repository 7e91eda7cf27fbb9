// Command bench measures what Hone does: one file per bench, and each prints
// one JSON object on stdout with --output json.
//
// decision: does a loop of loop.Decide, a renderer and a learner beat uniform
// sampling, in process and without any infrastructure? It uses the decisions,
// scenarios, seeds and importance weights of the product itself, so that its
// figures are those of the demo but for what storage and transport could add,
// which is nothing.
//
// It imports what it measures and guards no invariant of its own. A bench fails
// by exiting with status 1 and one line on stderr.
package main
