package loop

// PartKind is what the rows of a part are.
type PartKind string

// The kinds of part.
const (
	SampleParts  PartKind = "samples"
	VerdictParts PartKind = "verdicts"
	OutcomeParts PartKind = "outcomes"
)

// Change is one entry of state's catalogue: what a view applies, in order, each
// exactly once. Exactly one of Space, Round, Part, Void and Replace is set.
type Change struct {
	// Sequence numbers the changes, from 1, without gaps but for those that a Replace
	// has taken out. A part is identified by the sequence of the change that added it,
	// never by its digest (C20).
	Sequence uint64 `json:"sequence"`
	// Whole is set where changes before this one, after the one before it, were taken
	// out: who has not applied them lacks rows until it has come to this sequence.
	Whole uint64 `json:"whole,omitempty"`
	// At is the time of the change, in microseconds since 1970 UTC, never before
	// that of the change before it.
	At    int64         `json:"at"`
	Space *Space        `json:"space,omitempty"`
	Round *DecidedRound `json:"round,omitempty"`
	Part  *Part         `json:"part,omitempty"`
	Void  *Void         `json:"void,omitempty"`
	// Replace puts one part in the place of several.
	Replace *Replace `json:"replace,omitempty"`
}

// Part is a reference to a part that the catalogue holds.
type Part struct {
	Kind   PartKind `json:"kind"`
	Space  string   `json:"space"`
	Object Object   `json:"object"`
	// Void are the rows that were judged not fresh, ascending (C11): views,
	// compaction and exports skip them.
	Void []uint32 `json:"void,omitempty"`
}

// Replace puts a part in the place of all of its kind and space whose rows came in by
// the changes from First to Last (C21). It holds those of their rows that count, each
// with the sequence and the time of the change that it came in by, as columns
// [SequenceColumn] and [AtColumn]; from then on they are told by the sequence of the
// Replace and their row in its part.
type Replace struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	Part  Part   `json:"part"`
}

// The columns that only a part has which was put in the place of others: unsigned
// sequences, and microseconds since 1970 UTC.
const (
	SequenceColumn = "_sequence"
	AtColumn       = "_at"
)

// Added is a part that the catalogue holds, as it stands.
type Added struct {
	// Reference is the sequence of the change that added it; its rows came in by the
	// changes from First to Last, the same one where it replaced nothing.
	Reference, First, Last uint64
	// At is the time of that change.
	At int64
	// Part has the rows that are void by now.
	Part Part
}

// Void takes rows out of a part that was added before.
type Void struct {
	// Reference is the sequence of the change that added the part.
	Reference uint64   `json:"reference"`
	Rows      []uint32 `json:"rows"`
}

// DecidedRound is a round with its envelope.
type DecidedRound struct {
	Round Round `json:"round"`
	// Space and Policy name what the round's versions are versions of.
	Space  string `json:"space"`
	Policy string `json:"policy"`
	// Sequence is that of the evidence.
	Sequence uint64 `json:"sequence"`
	// EvidenceKey is the evidence object's key in the lake; empty without one.
	EvidenceKey string `json:"evidence_key,omitempty"`
	// Models are the model versions whose outcomes the evidence is made of, as
	// they stood in its query; empty without evidence. By them a view leads from
	// a sample to the very outcomes that caused it (I10).
	Models []EvidenceModel `json:"models,omitempty"`
	// Budget is what the round was decided with. It is nil in the envelope of a
	// round from before it was kept: see BudgetOf.
	Budget *Budget `json:"budget,omitempty"`
	// Build and Architecture are of the program that decided; empty like Budget.
	// Only the same ones need to come to the same bytes (I4).
	Build        string `json:"build,omitempty"`
	Architecture string `json:"architecture,omitempty"`
}

// BudgetOf is the budget that the round was decided with, in its campaign. Of a
// round from before it was kept it follows from the round and from what no
// amendment changes: the quotas sum to what was asked for.
func (d *DecidedRound) BudgetOf(c *Campaign) Budget {
	if d.Budget != nil {
		return *d.Budget
	}
	return Budget{Campaign: c.Name, Number: d.Round.Number, Train: d.Round.Quota(Train), Evaluation: c.Evaluation,
		QuotaBy: c.QuotaBy, Make: c.Make}
}

// EvidenceQuery asks a view for evidence.
type EvidenceQuery struct {
	Space string
	// SpaceVersion says by which factors, levels and metrics; 0 is the newest.
	SpaceVersion int
	// AtLeast is the sequence that the view must have reached (C15).
	AtLeast uint64
	// Learn is what Models belong to; empty where they are all of one thing of which
	// nothing more is known.
	Learn  []LearnFrom
	Models []EvidenceModel
	// Campaign is whose samples of which rounds Evidence.Made is about; empty: none.
	Campaign              string
	FirstRound, LastRound int
	// Sliced are the components of those rounds that fix something.
	Sliced []Sliced
	// Timed asks for Made.Millis, too: what depends on who worked, and when, so that a
	// campaign that is run again does not decide the same.
	Timed bool
}

// Sliced says of which slice the samples of a round's component are.
type Sliced struct {
	Round     int
	Domain    Domain
	Component int
	Slice     Slice
}

// EvidenceModel is one sealed model version whose outcomes count.
type EvidenceModel struct {
	ModelLine string `json:"model_line"`
	Version   string `json:"version"`
	// Age counts sealed versions of the line since: 0 is the newest.
	Age uint8 `json:"age"`
	// EvalSet and Task restrict the outcomes, where set; EvalSet is a name
	// without a version.
	EvalSet string `json:"eval_set,omitempty"`
	Task    string `json:"task,omitempty"`
	// From is the position in EvidenceQuery.Learn, and Metric what stands there.
	From   uint8  `json:"from,omitempty"`
	Metric string `json:"metric,omitempty"`
}
