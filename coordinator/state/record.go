package state

import "hone/loop"

// record is one frame of a snapshot: exactly one field is set. Records stand in
// the order of the fields, named things in the order of their names, so that
// equal states have equal snapshots (I6).
type record struct {
	Header    *headerRecord    `cbor:"1,keyasint,omitempty"`
	Space     *spaceRecord     `cbor:"2,keyasint,omitempty"`
	Policy    *policyRecord    `cbor:"3,keyasint,omitempty"`
	Generator *loop.Generator  `cbor:"4,keyasint,omitempty"`
	Campaign  *campaignRecord  `cbor:"5,keyasint,omitempty"`
	Round     *roundRecord     `cbor:"6,keyasint,omitempty"`
	Component *componentRecord `cbor:"7,keyasint,omitempty"`
	Model     *modelRecord     `cbor:"8,keyasint,omitempty"`
	Changes   []changeRecord   `cbor:"9,keyasint,omitempty"`
	Keys      *keysRecord      `cbor:"10,keyasint,omitempty"`
	Packs     []string         `cbor:"11,keyasint,omitempty"`
	Dataset   *datasetRecord   `cbor:"12,keyasint,omitempty"`
	// Proposal is of the campaign before it, after its rounds.
	Proposal *proposalRecord `cbor:"13,keyasint,omitempty"`
	Node     *Node           `cbor:"14,keyasint,omitempty"`
	// Forgotten are the instances of nodes that were removed.
	Forgotten []string `cbor:"15,keyasint,omitempty"`
}

type headerRecord struct {
	Cluster    string `cbor:"1,keyasint"`
	Last       int64  `cbor:"2,keyasint"`
	Epoch      uint64 `cbor:"3,keyasint"`
	Remembered int    `cbor:"4,keyasint"`
}

type spaceRecord struct {
	Space    *loop.Space `cbor:"1,keyasint"`
	Document string      `cbor:"2,keyasint"`
	At       int64       `cbor:"3,keyasint"`
}

type policyRecord struct {
	Policy   *loop.Policy `cbor:"1,keyasint"`
	Document string       `cbor:"2,keyasint"`
	At       int64        `cbor:"3,keyasint"`
	Author   string       `cbor:"4,keyasint,omitempty"`
	Reason   string       `cbor:"5,keyasint,omitempty"`
	Canary   uint32       `cbor:"6,keyasint,omitempty"`
}

// campaignRecord is followed by its rounds.
type campaignRecord struct {
	Campaign      *loop.Campaign `cbor:"1,keyasint"`
	SpaceVersion  int            `cbor:"2,keyasint"`
	PolicyVersion int            `cbor:"3,keyasint"`
	Document      string         `cbor:"4,keyasint"`
	At            int64          `cbor:"5,keyasint"`
	LastRevoke    uint64         `cbor:"6,keyasint"`
	// Campaign is the one created. Of one that was never steered or extended
	// nothing else is written, as before there were these.
	Steered    *steeredRecord    `cbor:"7,keyasint,omitempty"`
	Amendments []amendmentRecord `cbor:"8,keyasint,omitempty"`
	Spent      *spentRecord      `cbor:"9,keyasint,omitempty"`
}

// spentRecord is what a campaign has spent, and the readings that it is the sum of, as
// far as they are remembered.
type spentRecord struct {
	Millis   uint64        `cbor:"1,keyasint"`
	Micros   uint64        `cbor:"2,keyasint"`
	Current  []meterRecord `cbor:"3,keyasint,omitempty"`
	Previous []meterRecord `cbor:"4,keyasint,omitempty"`
}

type meterRecord struct {
	Connection string `cbor:"1,keyasint"`
	Millis     uint64 `cbor:"2,keyasint"`
	Micros     uint64 `cbor:"3,keyasint"`
}

type steeredRecord struct {
	To     CampaignState `cbor:"1,keyasint"`
	At     int64         `cbor:"2,keyasint"`
	Author string        `cbor:"3,keyasint,omitempty"`
	Reason string        `cbor:"4,keyasint,omitempty"`
	// Answers is 0 in what was written before these were counted.
	Answers int `cbor:"5,keyasint,omitempty"`
}

type amendmentRecord struct {
	Samples uint64 `cbor:"1,keyasint"`
	Rounds  int    `cbor:"2,keyasint"`
	At      int64  `cbor:"3,keyasint"`
	Author  string `cbor:"4,keyasint,omitempty"`
	Reason  string `cbor:"5,keyasint,omitempty"`
	// Policy and its version are of an adoption alone.
	Policy        string  `cbor:"6,keyasint,omitempty"`
	PolicyVersion int     `cbor:"7,keyasint,omitempty"`
	Money         float64 `cbor:"8,keyasint,omitempty"`
}

// roundRecord is followed by its components. Time and sequence are those of its
// change.
type roundRecord struct {
	Decided *loop.DecidedRound `cbor:"1,keyasint"`
}

type componentRecord struct {
	Quota     uint64          `cbor:"1,keyasint"`
	Reserved  uint64          `cbor:"2,keyasint"`
	Committed Indices         `cbor:"3,keyasint"`
	Abandoned Indices         `cbor:"4,keyasint"`
	Rejected  uint64          `cbor:"5,keyasint"`
	Attempts  []attemptRecord `cbor:"6,keyasint,omitempty"`
	Reasons   []reasonRecord  `cbor:"7,keyasint,omitempty"`
}

type attemptRecord struct {
	Attempt int     `cbor:"1,keyasint"`
	Indices Indices `cbor:"2,keyasint"`
}

type reasonRecord struct {
	Gate    string  `cbor:"1,keyasint"`
	Reason  string  `cbor:"2,keyasint"`
	Indices Indices `cbor:"3,keyasint"`
}

type modelRecord struct {
	Line     string               `cbor:"1,keyasint"`
	Versions []modelVersionRecord `cbor:"2,keyasint,omitempty"`
	// Sealed are positions in Versions.
	Sealed []int `cbor:"3,keyasint,omitempty"`
}

type modelVersionRecord struct {
	Version  string `cbor:"1,keyasint"`
	Rows     uint64 `cbor:"2,keyasint"`
	At       int64  `cbor:"3,keyasint,omitempty"`
	Sequence uint64 `cbor:"4,keyasint,omitempty"`
}

type proposalRecord struct {
	Number          int                  `cbor:"1,keyasint"`
	Digest          loop.Digest          `cbor:"2,keyasint"`
	At              int64                `cbor:"3,keyasint"`
	Author          string               `cbor:"4,keyasint,omitempty"`
	Reason          string               `cbor:"5,keyasint,omitempty"`
	CampaignVersion int                  `cbor:"6,keyasint"`
	PolicyVersion   int                  `cbor:"7,keyasint"`
	EvidenceKey     string               `cbor:"8,keyasint,omitempty"`
	Models          []loop.EvidenceModel `cbor:"9,keyasint,omitempty"`
	Changes         []loop.ShareChange   `cbor:"10,keyasint,omitempty"`
	// Open is of the one that waits, Ruling of every other.
	Open   *OpenRound    `cbor:"11,keyasint,omitempty"`
	Ruling *rulingRecord `cbor:"12,keyasint,omitempty"`
	Canary int           `cbor:"13,keyasint,omitempty"`
}

type rulingRecord struct {
	To     ProposalState `cbor:"1,keyasint"`
	At     int64         `cbor:"2,keyasint"`
	Author string        `cbor:"3,keyasint,omitempty"`
	Reason string        `cbor:"4,keyasint,omitempty"`
}

// changeRecord is one change; its sequence follows from its place, but behind a gap. Spaces and
// rounds are named, since they stand in the snapshot already.
type changeRecord struct {
	At      int64       `cbor:"1,keyasint"`
	Space   string      `cbor:"2,keyasint,omitempty"`
	Version int         `cbor:"3,keyasint,omitempty"`
	Round   string      `cbor:"4,keyasint,omitempty"`
	Number  int         `cbor:"5,keyasint,omitempty"`
	Part    *partRecord `cbor:"6,keyasint,omitempty"`
	Void    *voidRecord `cbor:"7,keyasint,omitempty"`
	// Sequence is set where it is not the one after the change before.
	Sequence uint64 `cbor:"8,keyasint,omitempty"`
	// First and Last are of a part that replaced others.
	First uint64 `cbor:"9,keyasint,omitempty"`
	Last  uint64 `cbor:"10,keyasint,omitempty"`
}

type partRecord struct {
	Kind   string       `cbor:"1,keyasint"`
	Space  string       `cbor:"2,keyasint"`
	Object objectRecord `cbor:"3,keyasint"`
	Void   []uint32     `cbor:"4,keyasint,omitempty"`
}

type voidRecord struct {
	Reference uint64   `cbor:"1,keyasint"`
	Rows      []uint32 `cbor:"2,keyasint"`
}

type objectRecord struct {
	Key    string      `cbor:"1,keyasint"`
	Digest loop.Digest `cbor:"2,keyasint"`
	Bytes  int64       `cbor:"3,keyasint"`
	Rows   int64       `cbor:"4,keyasint"`
}

// keysRecord are uses of one generation, in order, packed: key, body, sequence.
type keysRecord struct {
	Previous bool   `cbor:"1,keyasint,omitempty"`
	Uses     []byte `cbor:"2,keyasint"`
}

type datasetRecord struct {
	Name      string       `cbor:"1,keyasint"`
	Version   int          `cbor:"2,keyasint"`
	Campaign  string       `cbor:"3,keyasint"`
	Manifest  objectRecord `cbor:"4,keyasint"`
	Addresses objectRecord `cbor:"5,keyasint"`
	Sequence  uint64       `cbor:"6,keyasint"`
	At        int64        `cbor:"7,keyasint"`
	Selection []Selected   `cbor:"8,keyasint,omitempty"`
	Advisory  []Selected   `cbor:"9,keyasint,omitempty"`
	// Packs are positions in the snapshot's table of packs.
	Packs Indices `cbor:"10,keyasint"`
	// Import is of an imported version.
	Import *importRecord `cbor:"11,keyasint,omitempty"`
}

type importRecord struct {
	Space   string      `cbor:"1,keyasint"`
	Origin  loop.Origin `cbor:"2,keyasint"`
	Content loop.Digest `cbor:"3,keyasint"`
}

// The sizes of records, and of a packed use of a key. A record of changes holds a
// chunk of their list.
const (
	packsPerRecord = 4096
	keysPerRecord  = 16 * chunkLength
	packedKey      = 2*keyBytes + 8
)
