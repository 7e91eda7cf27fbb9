package state

import "hone/loop"

// Command is one thing a proposer wants to happen. Exactly one field is set.
type Command struct {
	PutSpace          *PutSpace          `cbor:"1,keyasint,omitempty"`
	PutPolicy         *PutPolicy         `cbor:"2,keyasint,omitempty"`
	CreateCampaign    *CreateCampaign    `cbor:"3,keyasint,omitempty"`
	RegisterGenerator *RegisterGenerator `cbor:"4,keyasint,omitempty"`
	OpenRound         *OpenRound         `cbor:"5,keyasint,omitempty"`
	Commit            *Commit            `cbor:"6,keyasint,omitempty"`
	Append            *Append            `cbor:"7,keyasint,omitempty"`
	SealModel         *SealModel         `cbor:"8,keyasint,omitempty"`
	Publish           *Publish           `cbor:"9,keyasint,omitempty"`
	Revoke            *Revoke            `cbor:"10,keyasint,omitempty"`
	RaiseEpoch        *RaiseEpoch        `cbor:"11,keyasint,omitempty"`
	SteerCampaign     *SteerCampaign     `cbor:"12,keyasint,omitempty"`
	ExtendCampaign    *ExtendCampaign    `cbor:"13,keyasint,omitempty"`
	GiveUp            *GiveUp            `cbor:"14,keyasint,omitempty"`
	Import            *Import            `cbor:"15,keyasint,omitempty"`
	ProposeRound      *ProposeRound      `cbor:"16,keyasint,omitempty"`
	RuleProposal      *RuleProposal      `cbor:"17,keyasint,omitempty"`
	AdoptPolicy       *AdoptPolicy       `cbor:"18,keyasint,omitempty"`
	RegisterNode      *RegisterNode      `cbor:"19,keyasint,omitempty"`
	ForgetNode        *ForgetNode        `cbor:"20,keyasint,omitempty"`
	Account           *Account           `cbor:"22,keyasint,omitempty"`
	Compact           *Compact           `cbor:"23,keyasint,omitempty"`
	Checkpoint        *Checkpoint        `cbor:"25,keyasint,omitempty"`
	RaiseVersion      *RaiseVersion      `cbor:"21,keyasint,omitempty"`
}

// PutSpace stores a space as its next version. Content equal to the latest
// version, versions and document aside, is that version again. The proposer has
// validated the space; Space.Version is ignored. Answer: SpacePut.
type PutSpace struct {
	Space loop.Space `cbor:"1,keyasint"`
	// Document is the source text as the user wrote it.
	Document string `cbor:"2,keyasint"`
	// Next is the version that it would become, as the proposer saw it; a late one
	// (C10), which would undo another, is stale. 0 is any.
	Next int `cbor:"3,keyasint,omitempty"`
}

// PutPolicy stores a policy like PutSpace a space. Answer: PolicyPut.
type PutPolicy struct {
	Policy   loop.Policy `cbor:"1,keyasint"`
	Document string      `cbor:"2,keyasint"`
	// Next is like that of PutSpace.
	Next   int    `cbor:"3,keyasint,omitempty"`
	Author string `cbor:"4,keyasint,omitempty"`
	Reason string `cbor:"5,keyasint,omitempty"`
	// Canary is the share that makes the version a canary, in micro-units: campaigns
	// that follow the policy try it beside the version that they follow, until there
	// is a later version. 0 for one that they may follow.
	Canary uint32 `cbor:"6,keyasint,omitempty"`
}

// CreateCampaign creates a campaign, pinned to the versions of its space and
// policy that the proposer validated it against. The same campaign again is a
// duplicate, whatever versions it comes with; another of that name is a
// Conflict. Answer: CampaignCreated.
type CreateCampaign struct {
	Campaign      loop.Campaign `cbor:"1,keyasint"`
	SpaceVersion  int           `cbor:"2,keyasint"`
	PolicyVersion int           `cbor:"3,keyasint"`
	Document      string        `cbor:"4,keyasint"`
}

// SteerCampaign pauses a campaign, lets it run on, or closes it for good. Where
// the campaign is so already the command is a duplicate, and who came first, when
// and why is what stays. A steering whose outcome was unknown (C10) may enter the
// log after later ones; by its version it is stale then. Answer: CampaignSteered.
type SteerCampaign struct {
	Campaign string `cbor:"1,keyasint"`
	// To is Running, Paused or Closed.
	To     CampaignState `cbor:"2,keyasint"`
	Author string        `cbor:"3,keyasint,omitempty"`
	Reason string        `cbor:"4,keyasint,omitempty"`
	// Version is Steered.Version as the proposer saw it; 0 is any, as of entries
	// from before there were such versions.
	Version int `cbor:"5,keyasint,omitempty"`
}

// ExtendCampaign sets how many training samples and rounds a campaign has in all,
// and so makes its next version (C15): never less than its rounds have decided.
// The numbers are absolute, so that the same command again is a duplicate.
// Answer: CampaignExtended.
type ExtendCampaign struct {
	Campaign string `cbor:"1,keyasint"`
	// Version is the campaign's that the numbers were computed from; 0 is any.
	Version int    `cbor:"2,keyasint,omitempty"`
	Samples uint64 `cbor:"3,keyasint"`
	Rounds  int    `cbor:"4,keyasint"`
	Author  string `cbor:"5,keyasint,omitempty"`
	Reason  string `cbor:"6,keyasint,omitempty"`
	// Money is the most that the campaign may cost; 0 leaves that as it is.
	Money float64 `cbor:"7,keyasint,omitempty"`
}

// AdoptPolicy makes a campaign follow a version of a policy from its next round
// on, and so makes the campaign's next version (C15). The proposer has decided a
// round by it. A campaign that follows it already stays as it is. Answer:
// PolicyAdopted.
type AdoptPolicy struct {
	Campaign string `cbor:"1,keyasint"`
	// Version is the campaign's that the proposer saw; 0 is any.
	Version       int    `cbor:"2,keyasint,omitempty"`
	Policy        string `cbor:"3,keyasint"`
	PolicyVersion int    `cbor:"4,keyasint"`
	Author        string `cbor:"5,keyasint,omitempty"`
	Reason        string `cbor:"6,keyasint,omitempty"`
}

// GiveUp abandons what a closed campaign still has open: the leader proposes it
// when nobody makes any of that any more. With a reason it ends a campaign whose
// money is spent: all that its rounds still owe is abandoned for that reason, and its
// next version asks for no more than they decided (C14). Answer: GivenUp.
type GiveUp struct {
	Campaign string `cbor:"1,keyasint"`
	// Reason says what was spent, of the money that Version of the campaign has (C15).
	Reason  string `cbor:"2,keyasint,omitempty"`
	Version int    `cbor:"3,keyasint,omitempty"`
}

// Account reports what worker connections have taken beside what commits report.
// Answer: Accounted.
type Account struct {
	Meters []Meter `cbor:"1,keyasint"`
}

// Meter is what one connection of a worker has taken of a campaign, from its
// beginning: readings never fall. So the greatest one counts, and a resent or late
// one counts nothing (C14).
type Meter struct {
	Connection string `cbor:"1,keyasint"`
	Campaign   string `cbor:"2,keyasint"`
	// Millis are of generators' time, Micros millionths of the campaign's currency.
	Millis uint64 `cbor:"3,keyasint"`
	Micros uint64 `cbor:"4,keyasint,omitempty"`
}

// RegisterGenerator makes a generator's version known, from a worker's hello.
// Answer: GeneratorRegistered.
type RegisterGenerator struct {
	Generator loop.Generator `cbor:"1,keyasint"`
}

// OpenRound opens the next round of a campaign and supersedes the one before it
// (C3, C15). The same round again is a duplicate. Answer: RoundOpened.
type OpenRound struct {
	Round loop.Round `cbor:"1,keyasint"`
	// Previous is the number of the round that this one was decided after; 0 for
	// the first.
	Previous int `cbor:"2,keyasint"`
	// CampaignVersion, SpaceVersion and PolicyVersion are those decided with.
	CampaignVersion int `cbor:"3,keyasint"`
	SpaceVersion    int `cbor:"4,keyasint"`
	PolicyVersion   int `cbor:"5,keyasint"`
	// Sequence is that of the evidence: never below the previous round's, never
	// beyond the catalogue's.
	Sequence uint64 `cbor:"6,keyasint"`
	// EvidenceKey is the evidence object's key; empty without evidence.
	EvidenceKey string `cbor:"7,keyasint,omitempty"`
	// Cuts are the `reserved` of the previous round's components, in its order,
	// that the new quotas were computed with; empty for the first round.
	Cuts []uint64 `cbor:"8,keyasint,omitempty"`
	// FirstReserve is what to reserve at once, per component of the new round.
	FirstReserve []uint64 `cbor:"9,keyasint,omitempty"`
	// Models are the model versions that the evidence is made of (I10).
	Models []loop.EvidenceModel `cbor:"10,keyasint,omitempty"`
	// Budget, Build and Architecture are what a replay needs beside (I4).
	Budget       *loop.Budget `cbor:"11,keyasint,omitempty"`
	Build        string       `cbor:"12,keyasint,omitempty"`
	Architecture string       `cbor:"13,keyasint,omitempty"`
	// Canary is the version of the policy that the campaign tries beside its own, as
	// the proposer saw it (C15); 0 is none.
	Canary int `cbor:"14,keyasint,omitempty"`
}

// ProposeRound puts the next round of a campaign that decides by proposals before
// those who approve it (C8). It is judged as if it were to open at once, and takes
// the place of a proposal that still waits. The same one again is a duplicate for
// as long as it waits. Answer: RoundProposed.
type ProposeRound struct {
	// Open is what approval opens, to the byte.
	Open OpenRound `cbor:"1,keyasint"`
	// Serial numbers the campaign's proposals, from 1: one that enters the log late
	// (C10) takes the place of none that was made since.
	Serial int    `cbor:"2,keyasint"`
	Author string `cbor:"3,keyasint,omitempty"`
	Reason string `cbor:"4,keyasint,omitempty"`
	// Amends: a person changed the one that waited.
	Amends bool `cbor:"5,keyasint,omitempty"`
}

// RuleProposal approves a proposal, which opens its round, or rejects it.
// Approval holds everything against what stands now that opening a round does
// (C3, C15). The same judgement by the same author again is a duplicate. Answer:
// ProposalRuled.
type RuleProposal struct {
	Campaign string `cbor:"1,keyasint"`
	Serial   int    `cbor:"2,keyasint"`
	// Digest is that of the round that was seen: nobody approves another.
	Digest  loop.Digest `cbor:"3,keyasint"`
	Approve bool        `cbor:"4,keyasint,omitempty"`
	Author  string      `cbor:"5,keyasint,omitempty"`
	Reason  string      `cbor:"6,keyasint,omitempty"`
}

// Commit reports judged deliveries. Each sample is judged by name alone (I5);
// the rows of what is not fresh become void (C11). All campaigns are of one
// space. Answer: Committed.
type Commit struct {
	Deliveries []Delivered `cbor:"1,keyasint"`
	// Samples is the part that holds one row per accepted sample, Verdicts the
	// part with one row per rejected one; nil without any. The rows of all
	// deliveries together cover each part exactly.
	Samples  *loop.Object `cbor:"2,keyasint,omitempty"`
	Verdicts *loop.Object `cbor:"3,keyasint,omitempty"`
	// Packs are the objects in which the accepted samples' bytes lie.
	Packs []loop.Object `cbor:"4,keyasint,omitempty"`
	// Extensions raise `reserved` (C2).
	Extensions []Extension `cbor:"5,keyasint,omitempty"`
	// Meters are readings of the connections that the deliveries came by (C14).
	Meters []Meter `cbor:"6,keyasint,omitempty"`
}

// Delivered is one delivery with the gates' verdicts on it.
type Delivered struct {
	Worker string    `cbor:"1,keyasint"`
	Unit   loop.Unit `cbor:"2,keyasint"`
	// Accepted are the offsets in the unit of the samples that passed every gate.
	// Their rows stand in Commit.Samples from FirstRow on, in order of offset.
	Accepted Offsets `cbor:"3,keyasint"`
	FirstRow uint32  `cbor:"4,keyasint"`
	// Rejected are the samples sent back, ascending by offset; their rows stand
	// in Commit.Verdicts from FirstVerdict on.
	Rejected     []Rejected `cbor:"5,keyasint,omitempty"`
	FirstVerdict uint32     `cbor:"6,keyasint,omitempty"`
}

// Rejected is one sample that a gate sent back, and why.
type Rejected struct {
	Offset uint16 `cbor:"1,keyasint"`
	Gate   string `cbor:"2,keyasint"`
	Reason string `cbor:"3,keyasint"`
}

// Extension sets reserved := min(quota, max(reserved, Reserved)) for one
// component (C2). An extension of what does not exist does nothing.
type Extension struct {
	Campaign  string      `cbor:"1,keyasint"`
	Round     int         `cbor:"2,keyasint"`
	Domain    loop.Domain `cbor:"3,keyasint"`
	Component int         `cbor:"4,keyasint"`
	Reserved  uint64      `cbor:"5,keyasint"`
}

// Append references a part of outcomes that one or more posts were coalesced
// into. All posts are of one space. Answer: Appended.
type Append struct {
	Posts []Posted    `cbor:"1,keyasint"`
	Part  loop.Object `cbor:"2,keyasint"`
}

// Posted is one post and its rows in the part; the rows of all posts together
// cover the part exactly.
type Posted struct {
	Post     loop.Post `cbor:"1,keyasint"`
	FirstRow uint32    `cbor:"2,keyasint"`
	Rows     uint32    `cbor:"3,keyasint"`
}

// SealModel closes a model version for posts. Rows is the number of outcome rows
// that the sealer believes were counted for it. Answer: ModelSealed.
type SealModel struct {
	Line    string `cbor:"1,keyasint"`
	Version string `cbor:"2,keyasint"`
	Rows    uint64 `cbor:"3,keyasint"`
}

// Publish makes a dataset version of committed samples of one campaign (C26).
// The same manifest under the same version again is a duplicate. Answer:
// Published.
type Publish struct {
	Name string `cbor:"1,keyasint"`
	// ExpectedLatest is the latest version at the time of proposing; 0 if none.
	ExpectedLatest int `cbor:"2,keyasint"`
	// Version is greater than ExpectedLatest.
	Version int `cbor:"3,keyasint"`
	// Manifest.Rows is the number of samples.
	Manifest  loop.Object `cbor:"4,keyasint"`
	Addresses loop.Object `cbor:"5,keyasint"`
	// Packs are the keys of every pack in which a selected sample lies.
	Packs []string `cbor:"6,keyasint,omitempty"`
	// Sequence is where the selection was evaluated.
	Sequence  uint64     `cbor:"7,keyasint"`
	Campaign  string     `cbor:"8,keyasint"`
	Selection []Selected `cbor:"9,keyasint,omitempty"`
}

// Import makes a dataset version of samples that were not made here: their parts
// enter the catalogue and the version its dataset, both or neither. The samples
// are those of component 0 of a round that has the version's number. Content equal
// to the latest version's is that version again. Answer: Published.
type Import struct {
	Name string `cbor:"1,keyasint"`
	// ExpectedLatest is the latest version at the time of proposing; 0 if none. The
	// version is the one after it.
	ExpectedLatest int         `cbor:"2,keyasint"`
	Space          string      `cbor:"3,keyasint"`
	Domain         loop.Domain `cbor:"4,keyasint"`
	Origin         loop.Origin `cbor:"5,keyasint"`
	// Content is the digest of all that the samples are: bytes, examples, what they
	// show, split, origin. The manifest's is of one version alone, whose number its
	// rows bear.
	Content   loop.Digest `cbor:"6,keyasint"`
	Manifest  loop.Object `cbor:"7,keyasint"`
	Addresses loop.Object `cbor:"8,keyasint"`
	// Samples are the parts that hold one row per sample, in their order.
	Samples []loop.Object `cbor:"9,keyasint"`
	Packs   []string      `cbor:"10,keyasint"`
}

// Compact puts one part in the place of several of one kind and space that stand one
// after another, or of one of which rows are void, with those of their rows that
// count, in their order (C21). Of what
// changed since it was read nothing is replaced. The same again is a duplicate.
// Answer: Compacted.
type Compact struct {
	Inputs []Compacting `cbor:"1,keyasint"`
	Part   loop.Object  `cbor:"2,keyasint"`
}

// Compacting is a part that was read, by the sequence of its change, and the rows that
// were void then.
type Compacting struct {
	Reference uint64  `cbor:"1,keyasint"`
	Void      Indices `cbor:"2,keyasint"`
}

// Selected are samples of one component.
type Selected struct {
	Round     int         `cbor:"1,keyasint"`
	Domain    loop.Domain `cbor:"2,keyasint"`
	Component int         `cbor:"3,keyasint"`
	Indices   Indices     `cbor:"4,keyasint"`
}

// Revoke takes committed samples back (C13). Answer: Revoked.
type Revoke struct {
	Samples []RevokedSample `cbor:"1,keyasint"`
}

// RevokedSample names one attempt at one sample, and the row it stands in.
type RevokedSample struct {
	Campaign string    `cbor:"1,keyasint"`
	Name     loop.Name `cbor:"2,keyasint"`
	// Reference is the sequence of the change that added the part, and Row the
	// sample's row in it.
	Reference uint64 `cbor:"3,keyasint"`
	Row       uint32 `cbor:"4,keyasint"`
}

// RaiseEpoch closes the lake epoch Closes and opens the next (C18). Answer:
// EpochRaised.
type RaiseEpoch struct {
	Closes uint64 `cbor:"1,keyasint"`
}

// RegisterNode notes what a node says of itself, in place of what it said before.
// Answer: NodeRegistered.
type RegisterNode struct {
	Node Node `cbor:"1,keyasint"`
}

// ForgetNode forgets a node that is to be a member no more: its name is free again,
// but not for the same instance.
// Answer: NodeForgotten.
type ForgetNode struct {
	Name     string `cbor:"1,keyasint"`
	Instance string `cbor:"2,keyasint"`
}

// Checkpoint changes nothing: every replica notes the digest of its state at this
// very place in the log, so that they can be compared (I6). Answer: Checkpointed.
type Checkpoint struct{}

// RaiseVersion puts an encoding version in force, which all nodes that there are
// have said that they understand (C25). Answer: VersionRaised.
type RaiseVersion struct {
	To int `cbor:"1,keyasint"`
}
