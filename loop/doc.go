// Package loop is the vocabulary of Hone and every decision it takes: given how
// a model fails and what the world looks like, which samples should be made
// next.
//
// # What it owns
//
// A [Space] says what may vary. A [Policy] says how evidence becomes a
// [Mixture]. [Decide] turns (space, policy, previous round, evidence, budget,
// seed) into a [Round]: a mixture with an exact quota per component. A
// [Sampler] expands (domain, component, index) into a [Scenario], on any
// machine, without coordination, by integer arithmetic alone; [SampleSeed]
// names the randomness of one attempt at it.
//
//	outcomes ─▶ Evidence ─┐
//	Space, Policy ────────┼─▶ Decide ─▶ Round ─▶ Sampler ─▶ Scenario + seed
//	previous Round ───────┘                 └──▶ density q, importance weight w
//
// [Arms] are two policies within one round, a stable one and a canary: Decide for
// either, from the same evidence, and one mixture of both.
//
// What is drawn from is a tree of marginals, p(level given the level of what the
// factor depends on): conditions ([Factor.When]) say where a factor is present,
// [Given] tables and hidden classes ([Space.Classes]) what its levels depend on.
// It is sampled without rejection but for the constraints, and its densities are
// exact; fixing a level changes what decides about it by Bayes' rule.
//
// [Rows] are outcomes of which nobody decides anything yet: a table of somebody's.
// [Rows.Survey] finds the slices that fail in it, by the search that Decide uses,
// and says what it is too small to show; [Rows.Draft] what it suggests about a
// space, and [Rows.Tree] fits a target to it.
//
// # What it is not
//
// The package is pure: no clock, no global randomness, no I/O, no goroutine, no
// log line. It validates and decides; it parses nothing (package spec reads
// YAML and JSON). Everything it returns is a value, and equal arguments give
// equal bytes: sums run in a stated order, ties are broken by (order, factor,
// level), and no map is iterated.
//
// # Failures
//
// Refused input is an [Error], which names the field, what was got and what is
// allowed. Nothing here panics on any input that its Validate accepts.
//
// # Invariants and rules guarded here
//
// I4 (byte-identical rounds, integer-only scenarios and seeds; golden vectors
// in testdata), I9 (shares finite, positive, summing to one, above the floor,
// within the trust region; a protected slice keeps its share, a pinned slice its
// pin and a pinned factor its level), C5 (seeds), C6 (exact quotas by factor), C7 (domains).
package loop
