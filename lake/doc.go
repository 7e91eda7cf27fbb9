// Package lake keeps bulk: packs of samples, parts of rows, manifests and
// evidence, as immutable objects named by their content, and the staging areas
// in which workers leave what nobody has judged yet.
//
// # What it owns
//
// A [Lake] is a local directory:
//
//	packs/E/hh/DIGEST.tar            samples, in the layout of loop.AppendSample
//	parts/E/hh/DIGEST.parquet        rows of samples, verdicts or outcomes
//	manifests/E/hh/DIGEST.ndjson     the rows of a dataset version
//	manifests/E/hh/DIGEST.addresses  where the samples of a manifest lie
//	evidence/E/hh/DIGEST.bin         what a round was decided from
//	staging/WORKER/UNIT/NAME         what a worker has made (C19)
//	tmp/                             drafts, which no reader ever sees
//	cluster                          whose lake it is
//
// E is the lake epoch that the caller gives (C18), DIGEST the SHA-256 of the
// object's bytes in hex and hh its first two digits. An object is either wholly
// there under its final key or not at all; equal bytes have equal keys, so that
// a put may be repeated by anyone at any time.
//
// # Failures
//
// Refused input (a key, a name, a row that does not fit its space) is a
// *loop.Error. A missing object or staged file is fs.ErrNotExist. Bytes that
// are not what their key says are [ErrCorrupt]. Everything else is the file
// system's error, wrapped; after it no final key holds a partial object, and
// the put may simply be tried again.
//
// # Invariants and rules guarded here
//
// I1 and C17: when a put returns, the object's bytes, its name and every
// directory above it have been synced, so that it may be proposed and
// acknowledged. C16: the form of keys; no key or name leads out of the
// directory. C18: a key of a closed epoch may be deleted by anyone, at any time, any
// number of times; who may ask for it the coordinator knows. C19: staging. C26 and I8: equal rows give an equal manifest,
// whoever made the samples and whenever. I2: a manifest cannot hold an index
// twice.
package lake
