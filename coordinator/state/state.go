package state

import (
	"errors"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"

	"hone/loop"
)

// State is everything that is replicated. Make one with New or Restore.
type State struct {
	cluster string
	// last is the time of the last entry (C24).
	last int64
	// epoch is the lake's open epoch (C18).
	epoch uint64
	// version is the encoding version in force (C25).
	version int

	spaces     map[string][]SpaceVersion
	policies   map[string][]PolicyVersion
	generators map[string][]loop.Generator
	campaigns  map[string]*campaign
	models     map[string]*modelLine
	datasets   map[string][]*DatasetVersion
	// changes is the catalogue, in order; what was compacted is not in it any more.
	changes list[loop.Change]
	keys    keys
	// nodes are the members of the cluster.
	nodes map[string]Node
	// forgotten are the instances that were removed, the latest last.
	forgotten []string

	// generation grows with every snapshot: what is of an older one may be shared
	// with a Frozen and is copied before it is changed.
	generation uint64

	// The rest is derived, and no part of snapshots.

	// sequence is that of the last change, and whole that of the last one that
	// replaced others: who lacks what was taken out is whole from there on.
	sequence, whole uint64
	// referenced are the keys of objects that state references (C18).
	referenced map[string]referenced
	// void are the rows of each part, by reference, that do not count (C11, C13).
	void map[uint64]*roaring.Bitmap
}

// RememberedKeys is the size of a generation of idempotency keys: a key is
// remembered for at least that many newer ones (C21).
const RememberedKeys = 1 << 20

// New returns the empty state of a cluster.
func New(clusterID string) *State { return newSized(clusterID, RememberedKeys) }

func newSized(clusterID string, remembered int) *State {
	return &State{
		cluster: clusterID, epoch: 1, version: FirstVersion,
		spaces: map[string][]SpaceVersion{}, policies: map[string][]PolicyVersion{},
		generators: map[string][]loop.Generator{}, campaigns: map[string]*campaign{},
		models: map[string]*modelLine{}, datasets: map[string][]*DatasetVersion{},
		keys: newKeys(remembered), nodes: map[string]Node{},
		referenced: map[string]referenced{}, void: map[uint64]*roaring.Bitmap{},
	}
}

// Apply judges the commands of an entry in order, each seeing the ones before,
// and answers each. It keeps parts of the entry, which must not be changed
// afterwards.
func (s *State) Apply(e Entry) []Event {
	s.last = max(s.last, e.At)
	events := make([]Event, len(e.Commands))
	for i := range e.Commands {
		events[i] = s.apply(&e.Commands[i])
	}
	return events
}

func (s *State) apply(c *Command) Event {
	if c.set() != 1 {
		return *refused(Invalid, "", "a command has exactly one kind")
	}
	switch {
	case c.PutSpace != nil:
		return s.putSpace(c.PutSpace)
	case c.PutPolicy != nil:
		return s.putPolicy(c.PutPolicy)
	case c.CreateCampaign != nil:
		return s.createCampaign(c.CreateCampaign)
	case c.RegisterGenerator != nil:
		return s.registerGenerator(c.RegisterGenerator)
	case c.OpenRound != nil:
		return s.openRound(c.OpenRound)
	case c.Commit != nil:
		return s.commit(c.Commit)
	case c.Append != nil:
		return s.appendPart(c.Append)
	case c.SealModel != nil:
		return s.sealModel(c.SealModel)
	case c.Publish != nil:
		return s.publish(c.Publish)
	case c.Revoke != nil:
		return s.revoke(c.Revoke)
	case c.SteerCampaign != nil:
		return s.steer(c.SteerCampaign)
	case c.ExtendCampaign != nil:
		return s.extend(c.ExtendCampaign)
	case c.AdoptPolicy != nil:
		return s.adoptPolicy(c.AdoptPolicy)
	case c.GiveUp != nil:
		return s.giveUp(c.GiveUp)
	case c.Import != nil:
		return s.importDataset(c.Import)
	case c.ProposeRound != nil:
		return s.proposeRound(c.ProposeRound)
	case c.RuleProposal != nil:
		return s.ruleProposal(c.RuleProposal)
	case c.RegisterNode != nil:
		return s.registerNode(c.RegisterNode)
	case c.ForgetNode != nil:
		return s.forgetNode(c.ForgetNode)
	case c.Account != nil:
		return s.account(c.Account)
	case c.Compact != nil:
		return s.compact(c.Compact)
	case c.Checkpoint != nil:
		return Checkpointed{}
	case c.RaiseVersion != nil:
		return s.raiseVersion(c.RaiseVersion)
	default:
		return s.raiseEpoch(c.RaiseEpoch)
	}
}

// Cluster is the id of the cluster whose state this is.
func (s *State) Cluster() string { return s.cluster }

// Time is that of the last entry, in microseconds since 1970 UTC (C24).
func (s *State) Time() int64 { return s.last }

// refused makes a refusal whose remedy is empty.
func refused(reason Reason, field, format string, args ...any) *Refused {
	return &Refused{reason, &loop.Error{Field: field, Problem: fmt.Sprintf(format, args...)}}
}

func (r *Refused) remedy(remedy string) *Refused {
	r.Err.Remedy = remedy
	return r
}

// invalid wraps what loop refuses.
func invalid(err error) *Refused {
	if refusal, ok := errors.AsType[*loop.Error](err); ok {
		return &Refused{Invalid, refusal}
	}
	return refused(Invalid, "", "%v", err)
}

// invariant stops the node where going on would make replicas diverge or count
// wrongly: only a fault in this package can break one.
func invariant(holds bool, format string, args ...any) {
	if !holds {
		panic("state: broken invariant: " + fmt.Sprintf(format, args...))
	}
}
