// Package export writes versions of datasets into the layouts that trainings read,
// on the side of whoever reads them: all that it knows comes over the public API.
//
// # What it owns
//
//	dataset.json      what the export holds, and where that comes from; last of all
//	manifest.ndjson   the version's, byte for byte
//	NAME-000000.EXT   shards: tar (webdataset) or parquet, each whole
//	.export.ndjson    the journal: the shards that are whole, until all are
//	.export.lock      held by the one export that works here
//	.*.partial        a file that has no name yet
//
// An [Export] follows the manifest: who a sample is, its digest and its weight come
// from there, what else is known of it from the server's rows, and its bytes must
// have the digest. A layout is a writer of one shard, with an entry in shards.go.
// Where a shard ends follows from the samples and the bounds alone, so that equal
// versions and options give equal files, however often an export was stopped.
//
// # Failures
//
// Killed, cut off or on a full disk, an export leaves nothing under a final name
// that is not whole, and another one of the same goes on behind it. Repeated, it
// hashes what is there and makes again what is damaged. A directory that holds
// anything else, or in which another export works, is loop.ErrConflict and stays as
// it is. Bytes and rows that are not what the manifest says end the export. What
// the server refuses comes back as the client has it.
//
// # Invariants guarded here
//
// I7 and I8: what is exported is what the version's manifest lists, and hashes to
// what it says. I2: every sample of it is there once.
package export
