package fault

// Points are the places that code marks by [Point], each between two steps of
// which one may be durable, or known to somebody, and the next not.
var Points = map[string]string{
	"object-written":  "the bytes of an object are durable, its name is not",
	"object-named":    "an object is durable, and no entry names it yet",
	"deliver-staged":  "a delivery waits for its gates, the worker does not know yet",
	"commit-judged":   "deliveries have passed their gates, their rows are nowhere yet",
	"commit-written":  "the part with their rows is durable, the commit not proposed",
	"commit-answered": "the commit is applied, the workers do not know",
	"propose-entry":   "an entry is encoded, and not proposed",
	"propose-answer":  "an entry is applied, and nobody who proposed a part of it knows",
	"apply-entry":     "an entry is committed, and not applied here",
	"apply-applied":   "an entry is applied here, and not answered",
	"append-proposed": "outcomes count, their poster does not know",
	"publish-written": "a version's manifest is durable, the version not proposed",
	"open-decided":    "a round is decided, and not proposed",
	"snapshot-begun":  "a snapshot has begun to be written",
	"snapshot-closed": "a snapshot is written, and the log not cut",
	"restore-begun":   "a snapshot was read, and has not replaced the state",
}
