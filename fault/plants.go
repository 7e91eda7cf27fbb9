package fault

// Plants are the bugs that can be planted: what is broken, in a sentence. The tests
// of this package show, with the build tag, that each is caught, and by what.
var Plants = map[string]string{
	"accept a stale attempt":                     "a sample counts at whatever attempt it was made (C4, C10)",
	"acknowledge before apply":                   "a worker hears that its samples count before they do (C10, I1)",
	"admit a key of a closed epoch":              "what may be deleted at any time is referenced all the same (C18)",
	"answer a post before the log":               "a poster hears that its rows count before they do (C17, I1)",
	"answer committed instead of again":          "a unit whose bytes are gone is acknowledged (C9)",
	"assign instead of maximise reserved":        "an extension that comes late takes a reservation back (C2)",
	"change what a snapshot shares":              "a snapshot that is being written changes under way (C23)",
	"count duplicates":                           "the rows of a sample that counted already count, too (C11)",
	"delete a key of the open epoch":             "a collection also deletes what is put after the epoch was closed (C18)",
	"forget a committed index's attempt":         "a sample that counts is at attempt 0 again (C1)",
	"forget a sync":                              "an object is named before its bytes are durable (C17)",
	"forget keys on restart":                     "a snapshot holds no idempotency keys (C22, C23)",
	"forget what a worker held that left":        "what a worker was making is nobody's when it leaves",
	"iterate a map in Apply":                     "the changes of a revoke come in an order that differs between replicas (I6)",
	"judge by the round that is open":            "what is delivered for a superseded round does not count (I5)",
	"lease below reserved too early":             "a new leader leases what workers of the last one are making (C2)",
	"lease what is in flight":                    "an index that is offered again is leased once more",
	"let an extension slip in":                   "a round opens though more was reserved since it was decided (C3)",
	"let evidence go backwards":                  "a round is decided from evidence older than the last one's (C15)",
	"publish revoked samples":                    "a version holds what was taken back while it was written (C26)",
	"read without asking the others":             "a node that was deposed answers from what it has",
	"report a timed-out proposal as failed":      "what may still happen is reported as failed (C10)",
	"reuse an index after failover":              "a node that was restored leases what is committed (C1)",
	"revoke without the attempt":                 "a revoke that is sent again hits the good replacement (C13)",
	"settle a unit by what a deposed leader has": "a worker drops what is wanted, on the word of a node that has not heard of it (C9)",
	"skip the void bitmap":                       "a view shows the rows of duplicates (C11, I7)",
	"trust a worker's digest":                    "the gates do not hash the bytes again (C16)",
}
