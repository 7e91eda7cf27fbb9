package state

import "hone/loop"

// Event is the answer to one command; Apply returns one per command, in order.
type Event interface{ event() }

// Reason is the kind of a refusal; it decides an HTTP status and whether trying
// again can help.
type Reason uint8

// The reasons.
const (
	// Invalid: the command contradicts itself. Proposing it again cannot help.
	Invalid Reason = iota + 1
	// NotFound: it names something that does not exist.
	NotFound
	// Conflict: something else stands in its place, and stays there.
	Conflict
	// Stale: it was computed from what has changed since. Look again, compute
	// again, propose again.
	Stale
	// EpochClosed: it names an object of a closed lake epoch, which may be deleted at
	// any time. Put it again under the open one, and propose that (C18).
	EpochClosed
)

func (r Reason) String() string {
	switch r {
	case Invalid:
		return "invalid"
	case NotFound:
		return "not found"
	case Conflict:
		return "conflict"
	case Stale:
		return "stale"
	case EpochClosed:
		return "epoch closed"
	}
	return "unknown"
}

// Refused is the answer to a command that had no effect at all. It is an error
// that wraps the *loop.Error, and loop.ErrNotFound or, for Conflict and Stale,
// loop.ErrConflict, or for EpochClosed loop.ErrEpochClosed.
type Refused struct {
	Reason Reason
	Err    *loop.Error
}

func (r Refused) Error() string { return r.Err.Error() }

// Unwrap gives the *loop.Error and its kind.
func (r Refused) Unwrap() []error {
	switch r.Reason {
	case NotFound:
		return []error{loop.ErrNotFound, r.Err}
	case Conflict, Stale:
		return []error{loop.ErrConflict, r.Err}
	case EpochClosed:
		return []error{loop.ErrEpochClosed, r.Err}
	default:
		return []error{r.Err}
	}
}

// SpacePut answers PutSpace.
type SpacePut struct {
	Name    string
	Version int
	Created bool
}

// PolicyPut answers PutPolicy.
type PolicyPut struct {
	Name    string
	Version int
	Created bool
}

// CampaignCreated answers CreateCampaign. The versions are those the campaign is
// pinned to, which for a duplicate may not be those proposed.
type CampaignCreated struct {
	Name          string
	Version       int
	SpaceVersion  int
	PolicyVersion int
	Created       bool
}

// CampaignSteered answers SteerCampaign.
type CampaignSteered struct {
	Name      string
	To        CampaignState
	Duplicate bool
}

// CampaignExtended answers ExtendCampaign.
type CampaignExtended struct {
	Name      string
	Version   int
	Duplicate bool
}

// PolicyAdopted answers AdoptPolicy.
type PolicyAdopted struct {
	Name string
	// Version is the campaign's.
	Version       int
	Policy        string
	PolicyVersion int
	Duplicate     bool
}

// GivenUp answers GiveUp: how many indices it abandoned.
type GivenUp struct {
	Name    string
	Indices uint64
}

// Accounted answers Account.
type Accounted struct{}

// Compacted answers Compact.
type Compacted struct {
	// Sequence is that of the change that replaced the parts.
	Sequence  uint64
	Duplicate bool
}

// GeneratorRegistered answers RegisterGenerator.
type GeneratorRegistered struct {
	Generator loop.Generator
	Created   bool
}

// RoundOpened answers OpenRound.
type RoundOpened struct {
	Campaign string
	Number   int
	// Sequence is that of the round's change in the catalogue.
	Sequence  uint64
	Duplicate bool
}

// RoundProposed answers ProposeRound.
type RoundProposed struct {
	Campaign  string
	Number    int
	Serial    int
	Digest    loop.Digest
	Duplicate bool
}

// ProposalRuled answers RuleProposal.
type ProposalRuled struct {
	Campaign  string
	Number    int
	Serial    int
	To        ProposalState
	Duplicate bool
}

// Committed answers Commit.
type Committed struct {
	// Deliveries has one entry per delivery of the command.
	Deliveries []Judged
	// Samples and Verdicts are the sequences of the parts' references; 0 where
	// none was added, because the part is absent or has no fresh row.
	Samples  uint64
	Verdicts uint64
}

// Judged is how one delivery stood.
type Judged struct {
	Standing loop.Standing
	// Duplicates are the offsets of accepted samples that were committed before,
	// for the leader to compare bytes (C12).
	Duplicates Offsets
}

// Appended answers Append.
type Appended struct {
	// Posts has one entry per post of the command.
	Posts []PostAnswer
}

// PostAnswer is how one post fared.
type PostAnswer struct {
	// Accepted is the number of rows counted: all of the post's, or 0.
	Accepted uint64
	// Sequence is that of the part's reference, where rows were counted.
	Sequence uint64
	// DuplicateOf is the sequence of the first post with this key and body.
	DuplicateOf uint64
	// Refused is set where the key was used for another body (Invalid: a 422), or
	// the model version is sealed (Conflict: a 409) (C22). Nothing was counted.
	Refused *Refused
}

// ModelSealed answers SealModel.
type ModelSealed struct {
	Line    string
	Version string
	Rows    uint64
	// Sequence is where the catalogue stood when the version was sealed: all its
	// outcomes are at or below.
	Sequence  uint64
	Duplicate bool
}

// Published answers Publish and Import.
type Published struct {
	Name    string
	Version int
	Samples uint64
	// Sequence is where the selection of the version that stands was evaluated, or
	// that of its last part.
	Sequence  uint64
	Duplicate bool
}

// Revoked answers Revoke.
type Revoked struct {
	// Reopened are the samples whose index is open again; the others named an
	// attempt that is not the committed one.
	Reopened []RevokedSample
	// Sequence is that of the last change added; 0 where nothing changed.
	Sequence uint64
	// Advisories are the published versions that hold a revoked sample.
	Advisories []DatasetName
}

// DatasetName names a dataset version.
type DatasetName struct {
	Name    string
	Version int
}

// EpochRaised answers RaiseEpoch.
type EpochRaised struct {
	// Epoch is the open one.
	Epoch     uint64
	Duplicate bool
}

// NodeRegistered answers RegisterNode.
type NodeRegistered struct {
	Node    Node
	Changed bool
}

// NodeForgotten answers ForgetNode.
type NodeForgotten struct {
	Name      string
	Forgotten bool
}

// Checkpointed answers Checkpoint.
type Checkpointed struct{}

// VersionRaised answers RaiseVersion.
type VersionRaised struct {
	// Version is the one in force.
	Version   int
	Duplicate bool
}

func (Refused) event()             {}
func (SpacePut) event()            {}
func (PolicyPut) event()           {}
func (CampaignCreated) event()     {}
func (CampaignSteered) event()     {}
func (CampaignExtended) event()    {}
func (PolicyAdopted) event()       {}
func (GivenUp) event()             {}
func (GeneratorRegistered) event() {}
func (Accounted) event()           {}
func (Compacted) event()           {}
func (RoundOpened) event()         {}
func (Committed) event()           {}
func (Appended) event()            {}
func (ModelSealed) event()         {}
func (Published) event()           {}
func (RoundProposed) event()       {}
func (ProposalRuled) event()       {}
func (Revoked) event()             {}
func (EpochRaised) event()         {}
func (NodeRegistered) event()      {}
func (NodeForgotten) event()       {}
func (Checkpointed) event()        {}
func (VersionRaised) event()       {}
