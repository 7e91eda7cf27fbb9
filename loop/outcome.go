package loop

// Origin says whether what was evaluated is real or synthetic.
type Origin string

// The origins.
const (
	Real      Origin = "real"
	Synthetic Origin = "synthetic"
)

// Source is what an evaluation set was drawn from.
type Source string

// The evaluation sources. Probe sets are drawn from slices that looked as if they
// failed, to confirm it. Pinned sets are drawn from a slice that a user named: they
// report, and move nothing.
const (
	SourceTarget  Source = "target"
	SourceMixture Source = "mixture"
	SourceProbe   Source = "probe"
	SourcePinned  Source = "pinned"
)

// Outcome is one evaluated thing.
type Outcome struct {
	// Example identifies the thing evaluated within its eval set; Group the clip,
	// image or patient it belongs to (rows of a group are not independent).
	Example string
	Group   string
	// Sample is the digest of the committed sample that was evaluated, or zero.
	Sample Digest
	// Scenario is the coded scenario, one code per factor; values is parallel to
	// it and holds the concrete value of numeric factors (NaN elsewhere).
	Scenario []Code
	Values   []float64
	Correct  bool
	// Loss is in integer micro-units, so that sums are exact; HasLoss tells
	// whether one was posted.
	Loss    int64
	HasLoss bool
	// Metrics is parallel to Space.Metrics: NaN for a metric that was not posted.
	// Nil where the space declares none.
	Metrics []float64
	Origin  Origin
	Source  Source
	// Weight is the importance weight w = π/q of the sample that was evaluated; 0
	// where it is not known, or no sample was.
	Weight float64
	// URI is where a person can open what was evaluated, as its poster says it: one
	// line of at most MaxURI bytes, which nobody here follows. It may be empty.
	URI string
}

// MaxURI bounds an outcome's URI, in bytes.
const MaxURI = 2048

// Post is what all rows of one post share.
type Post struct {
	Space     string
	ModelLine string
	Version   string
	Task      string
	EvalSet   string
	Run       string
	// Key is the Idempotency-Key, the poster's or one assigned on receipt (C22).
	Key string
	// Body is the digest of the body as received.
	Body Digest
}

// MicroUnits is the number of integer units in a loss of 1.
const MicroUnits = 1_000_000

// MaxLoss bounds a posted loss, so that 10^9 of them sum without overflow.
const MaxLoss = 1e3

// Resolved is what is known of a committed sample that a post refers to.
type Resolved struct {
	// SpaceVersion is the version of the space whose factors and levels Scenario
	// is coded by.
	SpaceVersion int
	Scenario     Scenario
	Domain       Domain
	// Source is what the sample's evaluation component was drawn from. It is
	// empty for a training sample, whose outcomes report and move nothing. Imported
	// evaluation samples stand for the target.
	Source Source
	// Weight is the sample's importance weight w = π/q.
	Weight float64
	// Digest is the sample's; Example and Origin are what an importer said of it. A
	// sample that was made here has no example, and is synthetic.
	Digest  Digest
	Example string
	Origin  Origin
	// Values are those of the numeric factors, NaN elsewhere; nil where fractions
	// say them.
	Values []float64
}

// PostRows is a post and its rows, in the order of its body.
type PostRows struct {
	Post Post
	Rows []Outcome
}

// Receipt is the answer of the replicated state on one post of an append.
// Exactly one of Sequence, DuplicateOf and Err is set.
type Receipt struct {
	// Sequence is that of the change by which the rows became part of the
	// catalogue, and Accepted how many they are.
	Sequence uint64
	Accepted int64
	// DuplicateOf is the sequence under which the same post was accepted before.
	DuplicateOf uint64
	// Err refuses this post alone: an *Error, wrapped in ErrConflict where the
	// model version is sealed.
	Err error
}
