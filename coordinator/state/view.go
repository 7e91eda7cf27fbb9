package state

import "hone/loop"

// SpaceVersion is one version of a space. Space is shared and must not be
// changed.
type SpaceVersion struct {
	Space    *loop.Space
	Document string
	// At is when it was put, in microseconds since 1970 UTC.
	At int64
}

// PolicyVersion is one version of a policy. Policy is shared and must not be
// changed.
type PolicyVersion struct {
	Policy   *loop.Policy
	Document string
	At       int64
	// Author put it, for that Reason; both may be empty.
	Author string
	Reason string
	// Canary is the share of a canary, in micro-units; 0 of any other version.
	Canary uint32
}

// CampaignState is what a campaign is doing.
type CampaignState string

// The states. A campaign is done when all its rounds are opened and no index of
// any of them is open; short if some were abandoned (C8, I3). Paused it decides
// nothing and leases nothing. Closed it never will again.
const (
	Running   CampaignState = "running"
	Paused    CampaignState = "paused"
	Done      CampaignState = "done"
	DoneShort CampaignState = "done_short"
	Closed    CampaignState = "closed"
)

// Steered is the last time that somebody paused, resumed or closed a campaign.
type Steered struct {
	// To is Running, Paused or Closed; empty if nobody ever did.
	To     CampaignState
	At     int64
	Author string
	Reason string
	// Answers counts the steerings that asked for what was or came true, also
	// those that found it so.
	Answers int
}

// Version is what a steering must name to be no late one: it rises with every
// answer. A pause that is still under way when a resume finds the campaign
// running must not take hold afterwards.
func (s Steered) Version() int { return 1 + s.Answers }

// Amendment is a later version of a campaign: what it asks for in all and, where
// it adopted one, the policy that it follows; since when, and why.
type Amendment struct {
	Samples uint64
	Rounds  int
	At      int64
	Author  string
	Reason  string
	// Policy is empty where the policy stayed as it was.
	Policy        string
	PolicyVersion int
	// Money is 0 where that stayed as it was.
	Money float64
}

// Campaign is a campaign as state knows it. Campaign is shared and must not be
// changed.
type Campaign struct {
	Campaign      *loop.Campaign
	Version       int
	SpaceVersion  int
	PolicyVersion int
	// Canary is the version of the policy that is tried beside; 0 is none.
	Canary   int
	Document string
	At       int64
	// Round is the number of the last round opened; 0 before the first.
	Round int
	State CampaignState
	// Steered is who paused, resumed or closed it last.
	Steered Steered
	// Amendments are its versions from the second on.
	Amendments []Amendment
	// Requested is what the campaign asks for over all its rounds, opened or not,
	// by domain. Of a closed one it is what its rounds still answer for (their
	// quotas), and GivenUp is the rest.
	Requested [3]uint64
	GivenUp   [3]uint64
	// Domains and Total count the opened rounds.
	Domains [3]Counts
	Total   Counts
	// Abandoned names what was given up, and why.
	Abandoned []Abandonment
	// Spent is what it has taken by its workers' meters (C14).
	Spent Spent
	// LastRevoke is the sequence of the last revoke; 0 if none (C26).
	LastRevoke uint64
}

// Counts are the numbers of indices of a component, or sums of them:
// Quota = Committed + Abandoned + Pending, where Pending includes what is in
// flight, which state does not know (I3).
type Counts struct {
	Quota     uint64
	Committed uint64
	Abandoned uint64
	Pending   uint64
	// Rejected counts attempts that a gate sent back, Replaced the committed
	// indices whose attempt is above 0.
	Rejected uint64
	Replaced uint64
}

// Abandonment is why some indices of a component were abandoned: the gate and
// reason of the last rejection.
type Abandonment struct {
	Round     int
	Domain    loop.Domain
	Component int
	Gate      string
	Reason    string
	Indices   Indices
}

// Round is a round as state knows it. Decided is shared and must not be changed.
type Round struct {
	Decided *loop.DecidedRound
	// At is when it was opened, Sequence that of its change in the catalogue.
	At       int64
	Sequence uint64
	// Components are in the order of Decided.Round.Components. Their quotas are
	// the ones in force, which a later round may have cut (C3).
	Components []Progress
	// Terminal: no index is open.
	Terminal bool
	// Total sums the components.
	Total Counts
}

// Progress is how far one component is.
type Progress struct {
	Domain    loop.Domain
	Component int
	Reserved  uint64
	Counts
}

// ModelLine is a model line and its versions.
type ModelLine struct {
	Line string
	// Sealed are the sealed versions in the order of sealing: the last is age 0.
	Sealed []ModelVersion
	// Open are the others, in the order of their first post.
	Open []ModelVersion
}

// ModelVersion is one version of a model line.
type ModelVersion struct {
	Version string
	Rows    uint64
	Sealed  bool
	// At and Sequence are of the sealing, where sealed: all outcomes of the
	// version are at or below Sequence.
	At       int64
	Sequence uint64
}

// DatasetVersion is a published dataset version (C26).
type DatasetVersion struct {
	Name     string
	Version  int
	Campaign string
	// Split is the domain of all its samples as text, "mixed", or empty without
	// samples.
	Split     string
	Samples   uint64
	Manifest  loop.Object
	Addresses loop.Object
	// Packs are the keys of the packs in which its samples lie, ascending;
	// shared, and not to be changed.
	Packs []string
	// Sequence is where the selection was evaluated.
	Sequence  uint64
	At        int64
	Selection []Selected
	// Advisory are those of its samples that were revoked since (I8).
	Advisory []Selected
	// Import says where the samples of an imported version come from; nil for one of
	// a campaign.
	Import *Imported
}

// Imported is what an imported version has in a campaign's place.
type Imported struct {
	Space   string
	Origin  loop.Origin
	Content loop.Digest
}
