// Package api is what Hone says over HTTP: the types of every request and
// answer, and a Client that speaks them. The command line, training jobs,
// examples and the servers themselves use these types, so that none of them can
// drift from the others.
//
// # What it owns
//
// The words of the JSON, with the tags from which servers derive OpenAPI. It
// holds no rule: what may be put, and what becomes of it, is decided elsewhere.
// Lists are objects with one plural field, so that they can grow.
//
// # Failures
//
// Every error of a server is a [Problem] (RFC 9457, application/problem+json)
// with one entry per mistake, naming where it is. [ProblemFrom] makes one of any
// Go error. The Client returns it as *Problem, from which a caller reads the
// status; a server that could not be reached at all is a *Problem with status
// 503 and Unreached set.
//
// The Client sends a request again, with jittered pauses, when the connection
// fails or the server answers 503, until its patience or the context ends. That
// is safe because nothing here counts twice: documents are versioned by content,
// a seal names its rows, and a post carries a key (C22). A broken download goes
// on where it stopped.
//
// The Client may be given several nodes of a cluster ([Servers]). A node that does
// not lead answers 307, and the Client sends the same request to the leader, which
// it remembers; it follows at most five times, and never to another scheme. A node
// that fails is asked again when the others have been. While one is silent the
// others are asked who leads ([Vigil]), so that a leader which was stopped or cut
// off is left when another one leads, and not before.
//
// # Invariants and rules guarded here
//
// C10 (an unknown result is sent again, never reported as failed and dropped),
// C22 (every post has a key, the caller's or a fresh one), I8 (samples and
// manifests are hashed again as they arrive).
package api
