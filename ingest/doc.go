// Package ingest takes outcomes in over HTTP.
//
//	POST /v1/outcomes ─▶ decode ─▶ validate ─▶ resolve samples ─┐   one post each
//	                                                            ▼
//	                      one per space and a few ms:  part ─▶ log ─▶ receipts ─▶ 200
//
// # What it owns
//
// The two encodings of outcome rows, NDJSON and Arrow IPC streams; what a row
// may say under its space, and of the metrics of its post's task, where the space
// declares tasks; and the group commit: posts of one space that arrive
// together are written as one part and appended to the log as one entry. It
// holds no truth. Spaces, samples, parts and the log are the consumer-side
// interfaces [Spaces], [Samples], [Parts] and [Log].
//
// # Failures
//
// A post counts whole or not at all. One that is refused is answered with every
// mistake, up to a bound, by row and column: 400 if it is not well-formed, 413
// if it is too large, 415 if it is of another type, 422 if it says something
// that cannot be, 404 if there is no such space, 409 if its model version is
// sealed. An error or time-out of the lake or the log means that what became of
// the post is not known: ingest sends its own append again with the same keys,
// and then answers 503, which says: send it again with the same key (C10).
//
// Bodies come from anyone. Memory is bounded per post and for all posts
// together; lengths that a body claims are believed only as far as its bytes
// reach; Arrow metadata is walked before the Arrow library sees it, and a panic
// of that library is a malformed post.
//
// # Invariants and rules guarded here
//
// I1 (acknowledged only after the log's answer), C10 (unknown is unknown), C11
// (a part holds every post of its group; the log voids those it refuses), C17
// (part durable, then entry, then answer), C22 (keys).
package ingest
