package state

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"hone/fault"
	"hone/loop"
)

// builder puts a state together from records, and trusts none of them: what it
// builds, Apply can go on from.
type builder struct {
	// version is the one in force.
	version  int
	s        *State
	campaign *campaign
	round    *round
	packs    []string
}

var errOrder = errors.New("it is out of order")

func (b *builder) add(r *record) error {
	if r.Header != nil {
		if b.s != nil {
			return errOrder
		}
		if r.Header.Remembered < 1 || r.Header.Epoch < 1 {
			return errors.New("the header is out of bounds")
		}
		b.s = newSized(r.Header.Cluster, r.Header.Remembered)
		b.s.last, b.s.epoch, b.s.version = r.Header.Last, r.Header.Epoch, b.version
		return nil
	}
	if b.s == nil {
		return errOrder
	}
	switch {
	case r.Space != nil:
		return b.addSpace(r.Space)
	case r.Policy != nil:
		return b.addPolicy(r.Policy)
	case r.Generator != nil:
		b.s.generators[r.Generator.Name] = append(b.s.generators[r.Generator.Name], *r.Generator)
		return nil
	case r.Campaign != nil:
		return b.addCampaign(r.Campaign)
	case r.Round != nil:
		return b.addRound(r.Round)
	case r.Component != nil:
		return b.addComponent(r.Component)
	case r.Proposal != nil:
		return b.addProposal(r.Proposal)
	case r.Model != nil:
		return b.addModel(r.Model)
	case r.Changes != nil:
		for i := range r.Changes {
			if err := b.addChange(&r.Changes[i]); err != nil {
				return err
			}
		}
		return nil
	case r.Keys != nil:
		return b.addKeys(r.Keys)
	case r.Packs != nil:
		b.packs = append(b.packs, r.Packs...)
		return nil
	case r.Dataset != nil:
		return b.addDataset(r.Dataset)
	case r.Node != nil:
		return b.addNode(r.Node)
	case r.Forgotten != nil:
		if len(b.s.forgotten) > 0 || len(r.Forgotten) > maxForgotten {
			return errOrder
		}
		b.s.forgotten = r.Forgotten
		return nil
	}
	return errors.New("it is empty")
}

func (b *builder) addSpace(r *spaceRecord) error {
	if r.Space == nil || r.Space.Version != len(b.s.spaces[r.Space.Name])+1 {
		return errOrder
	}
	b.s.spaces[r.Space.Name] = append(b.s.spaces[r.Space.Name], SpaceVersion(*r))
	return nil
}

func (b *builder) addPolicy(r *policyRecord) error {
	if r.Policy == nil || r.Policy.Version != len(b.s.policies[r.Policy.Name])+1 {
		return errOrder
	}
	if refusal := checkCanary(r.Canary, r.Policy.Version); refusal != nil {
		return refusal
	}
	b.s.policies[r.Policy.Name] = append(b.s.policies[r.Policy.Name], PolicyVersion(*r))
	return nil
}

func (b *builder) addCampaign(r *campaignRecord) error {
	if r.Campaign == nil || b.s.campaigns[r.Campaign.Name] != nil {
		return errOrder
	}
	if refusal := checkCampaign(r.Campaign); refusal != nil {
		return refusal
	}
	if _, ok := pick(b.s.spaces[r.Campaign.Space], r.SpaceVersion); !ok || r.SpaceVersion == 0 {
		return fmt.Errorf("campaign %q is of a space that is not there", r.Campaign.Name)
	}
	b.campaign = &campaign{loop: r.Campaign, first: r.Campaign, spaceVersion: r.SpaceVersion, policyVersion: r.PolicyVersion,
		document: r.Document, at: r.At, lastRevoke: r.LastRevoke}
	if r.Steered != nil {
		// Whoever resumes what runs is answered, but steers nothing.
		if !steerable(r.Steered.To) && (r.Steered.To != "" || r.Steered.Answers == 0) || r.Steered.Answers < 0 {
			return fmt.Errorf("campaign %q is %q, which is no state to steer to", r.Campaign.Name, r.Steered.To)
		}
		b.campaign.steered = Steered(*r.Steered)
	}
	for _, a := range r.Amendments {
		if _, ok := pick(b.s.policies[a.Policy], a.PolicyVersion); !ok && a.Policy != "" {
			return fmt.Errorf("campaign %q follows a policy that is not there", r.Campaign.Name)
		}
		b.campaign.amend(Amendment(a))
		if refusal := checkCampaign(b.campaign.loop); refusal != nil {
			return refusal
		}
	}
	if r.Spent != nil {
		if err := b.campaign.meters.restore(r.Spent); err != nil {
			return err
		}
	}
	b.round = nil
	b.s.campaigns[r.Campaign.Name] = b.campaign
	return nil
}

func (b *builder) addRound(r *roundRecord) error {
	if b.campaign == nil || r.Decided == nil || r.Decided.Round.Campaign != b.campaign.loop.Name ||
		r.Decided.Round.Number != len(b.campaign.rounds)+1 {
		return errOrder
	}
	if refusal := checkComponents(r.Decided.Round.Components); refusal != nil {
		return refusal
	}
	b.round = &round{decided: r.Decided}
	b.campaign.rounds = append(b.campaign.rounds, b.round)
	return nil
}

func (b *builder) addComponent(r *componentRecord) error {
	if b.round == nil || len(b.round.components) == len(b.round.decided.Round.Components) {
		return errOrder
	}
	decided := &b.round.decided.Round.Components[len(b.round.components)]
	k := &component{domain: decided.Domain, number: decided.Number, quota: r.Quota, reserved: r.Reserved,
		committed: r.Committed.set, abandoned: r.Abandoned.set, rejected: r.Rejected}
	if k.reserved > k.quota || k.quota > decided.Quota {
		return fmt.Errorf("%d reserved of a quota of %d, decided %d", k.reserved, k.quota, decided.Quota)
	}
	if max(k.committed.end(), k.abandoned.end()) > k.reserved || k.committed.common(&k.abandoned) > 0 {
		return errors.New("committed and abandoned indices overlap, or are beyond what is reserved")
	}
	k.open.addRange(0, k.reserved)
	if !fault.Planted("reuse an index after failover") {
		k.open.subtract(&k.committed)
	}
	k.open.subtract(&k.abandoned)
	var seen set
	for _, a := range r.Attempts {
		if a.Attempt < 1 || len(k.attempts) > 0 && a.Attempt <= k.attempts[len(k.attempts)-1].attempt || a.Indices.Count() == 0 {
			return errors.New("the attempts are out of order")
		}
		indices := a.Indices.set
		if indices.common(&seen) > 0 || indices.end() > k.reserved || indices.common(&k.abandoned) > 0 {
			return errors.New("the attempts overlap, or are of indices that have none")
		}
		seen.merge(&indices)
		k.attempts = append(k.attempts, attemptIndices{a.Attempt, indices})
	}
	var explained set
	for _, a := range r.Reasons {
		indices := a.Indices.set
		if indices.count == 0 || indices.common(&k.abandoned) != indices.count || indices.common(&explained) > 0 {
			return errors.New("the reasons are not of what was abandoned")
		}
		explained.merge(&indices)
		k.reasons = append(k.reasons, abandonIndices{a.Gate, a.Reason, indices})
	}
	if explained.count != k.abandoned.count {
		return errors.New("indices are abandoned without a reason")
	}
	b.round.components = append(b.round.components, k)
	return nil
}

func (b *builder) addModel(r *modelRecord) error {
	if b.s.models[r.Line] != nil {
		return errOrder
	}
	l := &modelLine{at: map[string]int{}, sealed: r.Sealed}
	for i, v := range r.Versions {
		if _, ok := l.at[v.Version]; ok {
			return fmt.Errorf("model version %q is there twice", v.Version)
		}
		l.at[v.Version] = i
		l.versions = append(l.versions, ModelVersion{Version: v.Version, Rows: v.Rows, At: v.At, Sequence: v.Sequence})
	}
	for _, i := range r.Sealed {
		if i < 0 || i >= len(l.versions) || l.versions[i].Sealed {
			return errors.New("the order of sealing is broken")
		}
		l.versions[i].Sealed = true
	}
	b.s.models[r.Line] = l
	return nil
}

func (b *builder) addChange(r *changeRecord) error {
	c := loop.Change{Sequence: cmp.Or(r.Sequence, b.s.sequence+1), At: r.At}
	if c.Sequence <= b.s.sequence {
		return errOrder
	}
	switch {
	case r.Space != "":
		v, ok := pick(b.s.spaces[r.Space], r.Version)
		if !ok {
			return fmt.Errorf("change %d is of a space that is not there", c.Sequence)
		}
		c.Space = v.Space
	case r.Round != "":
		campaign := b.s.campaigns[r.Round]
		if campaign == nil || campaign.round(r.Number) == nil || campaign.round(r.Number).sequence != 0 {
			return fmt.Errorf("change %d is of a round that is not there", c.Sequence)
		}
		opened := campaign.round(r.Number)
		opened.sequence, opened.at = c.Sequence, c.At
		c.Round = opened.decided
	case r.Part != nil && r.First > 0:
		if r.Last < r.First || r.Last >= c.Sequence || len(r.Part.Void) > 0 {
			return fmt.Errorf("change %d replaces what is no run of parts", c.Sequence)
		}
		c.Replace = &loop.Replace{First: r.First, Last: r.Last,
			Part: loop.Part{Kind: loop.PartKind(r.Part.Kind), Space: r.Part.Space, Object: loop.Object(r.Part.Object)}}
	case r.Part != nil:
		c.Part = &loop.Part{Kind: loop.PartKind(r.Part.Kind), Space: r.Part.Space, Object: loop.Object(r.Part.Object), Void: r.Part.Void}
	case r.Void != nil:
		if _, ok := b.s.Part(r.Void.Reference); !ok {
			return fmt.Errorf("change %d takes rows out of what is no part", c.Sequence)
		}
		c.Void = &loop.Void{Reference: r.Void.Reference, Rows: r.Void.Rows}
	default:
		return fmt.Errorf("change %d is empty", c.Sequence)
	}
	b.s.keep(&c)
	return nil
}

func (b *builder) addKeys(r *keysRecord) error {
	g := &b.s.keys.current
	if r.Previous {
		g = &b.s.keys.previous
	}
	if len(r.Uses)%packedKey != 0 || g.uses.len()+len(r.Uses)/packedKey > b.s.keys.size {
		return errors.New("the keys do not fit")
	}
	if len(g.at) == 0 && len(r.Uses) >= keysPerRecord*packedKey {
		g.at = make(map[[keyBytes]byte]int, min(b.s.keys.size, RememberedKeys)) // there are more to come
	}
	for packed := range slices.Chunk(r.Uses, packedKey) {
		u := keyUse{key: [keyBytes]byte(packed), body: [keyBytes]byte(packed[keyBytes:]), sequence: binary.BigEndian.Uint64(packed[2*keyBytes:])}
		if _, ok := g.at[u.key]; ok {
			return errors.New("a key is there twice")
		}
		g.put(u)
	}
	return nil
}

func (b *builder) addDataset(r *datasetRecord) error {
	versions := b.s.datasets[r.Name]
	if n := len(versions); n > 0 && (versions[n-1].Version >= r.Version || versions[n-1].Campaign != r.Campaign) {
		return errOrder
	}
	if (r.Import != nil) != (r.Campaign == "") {
		return errors.New("a dataset is neither a campaign's nor imported")
	}
	for _, selection := range [...][]Selected{r.Selection, r.Advisory} {
		for i, x := range selection {
			if x.Indices.Count() == 0 || i > 0 && compareSelected(selection[i-1], x) >= 0 {
				return errors.New("a selection is out of order")
			}
		}
	}
	v := &DatasetVersion{Name: r.Name, Version: r.Version, Campaign: r.Campaign, Split: splitOf(r.Selection),
		Samples: uint64(r.Manifest.Rows), Manifest: loop.Object(r.Manifest), Addresses: loop.Object(r.Addresses),
		Sequence: r.Sequence, At: r.At, Selection: r.Selection, Advisory: r.Advisory}
	if r.Import != nil {
		imported := Imported(*r.Import)
		v.Import = &imported
	}
	for i := range r.Packs.All() {
		if i >= uint64(len(b.packs)) {
			return errors.New("a pack is not in the table")
		}
		v.Packs = append(v.Packs, b.packs[i])
	}
	b.s.datasets[r.Name] = append(versions, v)
	b.s.referenceDataset(v)
	return nil
}

func (b *builder) addNode(n *Node) error {
	if _, ok := b.s.nodes[n.Name]; ok {
		return errOrder
	}
	if refusal := n.check(); refusal != nil {
		return refusal
	}
	b.s.nodes[n.Name] = *n
	return nil
}

// finish checks what only the whole can tell.
func (b *builder) finish() (*State, error) {
	if b.s == nil {
		return nil, errors.New("there is no header")
	}
	for name, c := range b.s.campaigns {
		for n, r := range c.rounds {
			if r.sequence == 0 || len(r.components) != len(r.decided.Round.Components) {
				return nil, fmt.Errorf("round %d of %q is incomplete", n+1, name)
			}
		}
	}
	return b.s, nil
}
