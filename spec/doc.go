// Package spec reads what users write: YAML and JSON documents become the types
// of package loop, and whatever is wrong in them is reported with its line and
// column. Server and command line share it, so both say the same.
//
// # What it owns
//
// The shape of the three documents. [ParseSpace], [ParsePolicy] and
// [ParseCampaign] read them; [SpaceSchema], [PolicySchema] and [CampaignSchema]
// are the same shapes as JSON Schema 2020-12, for editors and clients;
// [ParseSlice] reads a slice as people type it.
//
//	bytes ─▶ tree with positions ─▶ loop type ─▶ Validate ─┐
//	            │                      │                    │ field path
//	            └── refused ◀──────────┴── line:column ◀────┘
//
// A document whose first character is '{' is JSON; every other one is YAML. Of
// YAML the plain part is taken: mappings, sequences and scalars of the 1.2 core
// schema. Anchors, aliases, merge keys and tags are refused, which also disarms
// documents that expand without bound. Names of levels may be numbers or truth
// values (0, 45, true) and are then taken as they are spelt.
//
// # What it is not
//
// It decides nothing: what a space, policy or campaign may be is said by the
// Validate methods of package loop, which run on everything parsed here. A field
// path that such a method names is mapped back to its place in the document.
//
// # Failures
//
// Every refusal is an [Errors]: one or more [Error], each with line, column and,
// by Unwrap, the *loop.Error. Mistakes of shape are reported together; the
// checks of loop run when there are none and report the first. Nothing panics
// or runs long on any input: size ([MaxBytes]), depth, tokens and keys of a
// mapping are bounded before a tree is built.
//
// # Rules guarded here
//
// NaN and infinities never get in (I9 starts here), and a campaign's seed is
// fixed by its document alone: given, or derived from the name ([DefaultSeed]),
// so that I4 and C5 hold for a document that names none.
package spec
