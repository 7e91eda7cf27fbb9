package loop

// Generator identifies what makes samples.
type Generator struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Deterministic says that equal seeds give equal bytes on any machine; only
	// then is a duplicate with other bytes a fault (C12).
	Deterministic bool `json:"deterministic,omitempty"`
}

// Worker is what a worker says of itself when it connects.
type Worker struct {
	// Name is stable over restarts and unique among the fleet; it is also the
	// name of the worker's staging area.
	Name string `json:"name"`
	// Slots is how many units it makes at a time.
	Slots int `json:"slots"`
	// Type names the hardware, e.g. "H100"; rates are learned per type.
	Type       string      `json:"type,omitempty"`
	Generators []Generator `json:"generators"`
	// Holds are the units that it has made, or is making, and has had no verdict
	// on: it announces them to whoever leads (C9).
	Holds []Unit `json:"holds,omitempty"`
}

// Lease is the right to make a unit now. It is soft state of the leader:
// nothing is judged by it.
type Lease struct {
	Unit      Unit   `json:"unit"`
	Generator string `json:"generator"`
}

// Definition is all that a worker needs to expand the units of one round. It is
// sent once per connection and round.
type Definition struct {
	Campaign  string `json:"campaign"`
	Seed      uint64 `json:"seed"`
	Generator string `json:"generator"`
	Space     Space  `json:"space"`
	Round     Round  `json:"round"`
}

// Staged is one sample of a delivery as the worker describes it.
type Staged struct {
	Index uint64 `json:"index"`
	// Digest is the worker's own; the gate stage hashes the bytes again (C16).
	Digest Digest `json:"digest"`
	// Offset and Length locate the sample's tar entries in the staged bundle.
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// Delivery is a worker's finished unit: bytes and a row per sample. The bytes are
// one tar, Bundle, in the unit's staging area; a small one comes with the delivery.
type Delivery struct {
	Worker    string    `json:"worker"`
	Unit      Unit      `json:"unit"`
	Generator Generator `json:"generator"`
	Samples   []Staged  `json:"samples"`
	// Millis is how long the unit took, in milliseconds of the worker's clock.
	Millis int64 `json:"millis"`
	// Bytes is the bundle, where it came with the delivery; nil where it is staged.
	Bytes []byte `json:"-"`
}

// Bundle is the name of the staged tar within a unit's staging area.
const Bundle = "samples.tar"

// Validate refuses a delivery whose rows are not exactly its unit's samples, in
// order and without overlap.
func (d *Delivery) Validate() error {
	if err := d.Unit.Validate(); err != nil {
		return err
	}
	if len(d.Samples) != d.Unit.Count {
		return refuse("samples", "%d rows for a unit of %d samples", len(d.Samples), d.Unit.Count).
			remedy("a generator makes every sample of its unit, or the unit fails as a whole")
	}
	end := int64(0)
	for i, s := range d.Samples {
		if want := d.Unit.First + uint64(i); s.Index != want {
			return refuse(at("samples", i)+".index", "%d; the unit's next index is %d", s.Index, want)
		}
		if s.Offset < end || s.Length <= 0 || s.Length > MaxSampleBytes {
			return refuse(at("samples", i), "bytes %d+%d are out of order or out of bounds", s.Offset, s.Length).
				remedy("samples lie one after another and have 1 to %d bytes", MaxSampleBytes)
		}
		end = s.Offset + s.Length
	}
	return nil
}

// MaxSampleBytes bounds one sample, all its members together.
const MaxSampleBytes = 64 << 20

// MaxPixels bounds a picture that is decoded, to be judged or shown: 8K UHD,
// 7680 x 4320, fits. A few bytes of PNG may claim 65535 x 65535.
const MaxPixels = 1 << 25

// Verdict is the answer of the gates on one sample.
type Verdict struct {
	Index    uint64 `json:"index"`
	Accepted bool   `json:"accepted"`
	// Gate and Reason say which gate sent the sample back and why; empty when
	// accepted.
	Gate   string `json:"gate,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Scores are what the gates measured, by "gate.score" name, ascending.
	Scores []Score `json:"scores,omitempty"`
}

// Score is one number that a gate measured.
type Score struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Standing is how a delivery's samples stood when they were applied (I5).
type Standing struct {
	Fresh, Duplicate, Stale, Closed int
	// Rejected counts the fresh ones that a gate sent back.
	Rejected int
	// Again says that the staged bytes are gone: drop the unit, its indices are
	// open again (C9).
	Again bool
}

// Judged is what the gate stage makes of one delivery.
type Judged struct {
	Delivery Delivery
	// Verdicts has one entry per sample of the unit, in index order.
	Verdicts []Verdict
	// Samples are the rows of the accepted ones, Rejected those of the others.
	Samples  []SampleRow
	Rejected []VerdictRow
	// Packs are the objects that hold the accepted samples' bytes.
	Packs []Object
	// Err says that the delivery could not be judged: ErrStagingGone (C9), an
	// *Error if the worker's description of it is false, or a failure of the
	// stage, after which it may be judged again.
	Err error
}
