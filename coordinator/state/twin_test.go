package state

import (
	"fmt"
	"maps"
	"slices"

	"hone/loop"
)

// twin is the rules of the contract again, with plain maps and no cleverness: no
// bitmaps, no open set, no copy on write. What it is judged by are its answers.
type twin struct {
	nodes     twinNodes
	campaigns map[string]*twinCampaign
	sequence  uint64
	parts     map[uint64]*twinPart
	posts     []twinPost
	remember  int
	rows      map[string]uint64
	sealed    []string
	versions  map[string]map[int]twinVersion
	imports   map[string][]twinImport
	policies  map[string][]twinPolicy
}

// twinPolicy is a version of a policy: one number stands for its content.
type twinPolicy struct {
	floor          float64
	author, reason string
	canary         uint32
}

// twinImport is a version of an imported dataset.
type twinImport struct {
	content loop.Digest
	rows    int
}

type twinCampaign struct {
	samples, evaluation uint64
	rounds, maxAttempts int
	money               float64
	opened              []*twinRound
	lastRevoke          uint64
	steered             CampaignState
	by                  string
	steering            int
	version             int
	policy              string
	policyVersion       int
	proposes            bool
	proposals           []*twinProposal
}

// twinProposal waits while it has no state.
type twinProposal struct {
	open  OpenRound
	state ProposalState
	by    string
}

type twinRound struct {
	sequence      uint64
	note          string
	policy        string
	policyVersion int
	components    []*twinComponent
}

type twinComponent struct {
	domain          loop.Domain
	number          int
	quota, reserved uint64
	rejected        int
	samples         map[uint64]*twinSample
}

type twinSample struct {
	attempt              int
	committed, abandoned bool
}

type twinPart struct {
	kind loop.PartKind
	rows int
	void map[uint32]bool
	// names are those of a part of samples, by row.
	names map[uint32]twinName
}

type twinName struct {
	campaign string
	name     loop.Name
}

type twinPost struct {
	identity string
	body     loop.Digest
	sequence uint64
}

type twinVersion struct {
	manifest loop.Digest
	samples  map[twinName]bool
	advisory map[twinName]bool
}

func newTwin(remember int, campaigns ...loop.Campaign) *twin {
	w := &twin{campaigns: map[string]*twinCampaign{}, parts: map[uint64]*twinPart{}, remember: remember,
		rows: map[string]uint64{}, versions: map[string]map[int]twinVersion{}, imports: map[string][]twinImport{},
		policies: map[string][]twinPolicy{"plain": {{}}}, nodes: newTwinNodes(), sequence: 1} // 1: the space
	for _, c := range campaigns {
		w.campaigns[c.Name] = &twinCampaign{samples: c.Samples, evaluation: c.Evaluation.Target + c.Evaluation.Probe, rounds: c.Rounds, maxAttempts: c.MaxAttempts, version: 1, steering: 1,
			policy: "plain", policyVersion: 1, proposes: c.Decide == loop.DecidePropose}
	}
	return w
}

func (w *twin) find(campaign string, n int, domain loop.Domain, number int) *twinComponent {
	c := w.campaigns[campaign]
	if c == nil || n < 1 || n > len(c.opened) {
		return nil
	}
	for _, k := range c.opened[n-1].components {
		if k.domain == domain && k.number == number {
			return k
		}
	}
	return nil
}

func (k *twinComponent) sample(index uint64) *twinSample {
	if k.samples[index] == nil {
		k.samples[index] = &twinSample{}
	}
	return k.samples[index]
}

func (w *twin) judge(campaign string, name loop.Name) Judgement {
	k := w.find(campaign, name.Round, name.Domain, name.Component)
	if k == nil || name.Index >= k.quota || name.Index >= k.reserved || k.sample(name.Index).abandoned {
		return JudgedClosed
	}
	switch x := k.sample(name.Index); {
	case name.Attempt != x.attempt:
		return JudgedStale
	case x.committed:
		return JudgedDuplicate
	default:
		return JudgedFresh
	}
}

// apply answers what State must: the same event, or that it is refused.
func (w *twin) apply(c Command) (event Event, refused bool) {
	switch {
	case c.OpenRound != nil:
		return w.openRound(c.OpenRound)
	case c.ProposeRound != nil:
		return w.proposeRound(c.ProposeRound)
	case c.RuleProposal != nil:
		return w.ruleProposal(c.RuleProposal)
	case c.Commit != nil:
		return w.commit(c.Commit), false
	case c.Append != nil:
		return w.append(c.Append), false
	case c.SealModel != nil:
		return w.seal(c.SealModel)
	case c.Publish != nil:
		return w.publish(c.Publish)
	case c.SteerCampaign != nil:
		return w.steer(c.SteerCampaign)
	case c.ExtendCampaign != nil:
		return w.extend(c.ExtendCampaign)
	case c.PutPolicy != nil:
		return w.putPolicy(c.PutPolicy)
	case c.AdoptPolicy != nil:
		return w.adopt(c.AdoptPolicy)
	case c.GiveUp != nil:
		return w.giveUp(c.GiveUp)
	case c.Import != nil:
		return w.importDataset(c.Import)
	case c.RegisterNode != nil:
		return w.nodes.register(c.RegisterNode.Node)
	case c.ForgetNode != nil:
		return w.nodes.forget(c.ForgetNode), false
	case c.RaiseVersion != nil:
		return w.nodes.raise(c.RaiseVersion.To)
	default:
		return w.revoke(c.Revoke)
	}
}

func (w *twin) openRound(o *OpenRound) (Event, bool) {
	c := w.campaigns[o.Round.Campaign]
	n := o.Round.Number
	if n <= len(c.opened) {
		// Every round proposed bears a note of its own, so that equal notes are
		// equal content.
		if o.Round.Notes[0] != c.opened[n-1].note {
			return nil, true
		}
		return RoundOpened{Campaign: o.Round.Campaign, Number: n, Sequence: c.opened[n-1].sequence, Duplicate: true}, false
	}
	if c.proposes || !w.openable(o) {
		return nil, true
	}
	return RoundOpened{Campaign: o.Round.Campaign, Number: n, Sequence: w.open(o)}, false
}

// openable holds an opening against what stands.
func (w *twin) openable(o *OpenRound) bool {
	c, n := w.campaigns[o.Round.Campaign], o.Round.Number
	canary := len(w.policies[c.policy])
	if w.policies[c.policy][canary-1].canary == 0 || canary == c.policyVersion {
		canary = 0
	}
	if o.Canary != canary || n != len(c.opened)+1 || n > c.rounds || o.Sequence > w.sequence || o.CampaignVersion != c.version || o.PolicyVersion != c.policyVersion ||
		c.steered == Paused || c.steered == Closed {
		return false
	}
	train := uint64(0)
	for i, r := range c.opened {
		for j, k := range r.components {
			quota := k.quota
			if i == n-2 {
				if j >= len(o.Cuts) || o.Cuts[j] != k.reserved {
					return false
				}
				quota = o.Cuts[j]
			}
			if k.domain == loop.Train {
				train += quota
			}
		}
	}
	train += o.Round.Quota(loop.Train)
	return train <= c.samples && (n < c.rounds || train == c.samples) && o.Round.Quota(loop.Evaluation) <= c.evaluation
}

func (w *twin) open(o *OpenRound) uint64 {
	c, n := w.campaigns[o.Round.Campaign], o.Round.Number
	if n > 1 {
		for j, k := range c.opened[n-2].components {
			k.quota = o.Cuts[j]
		}
	}
	w.sequence++
	r := &twinRound{sequence: w.sequence, note: o.Round.Notes[0], policy: c.policy, policyVersion: c.policyVersion}
	for i, k := range o.Round.Components {
		r.components = append(r.components, &twinComponent{domain: k.Domain, number: k.Number, quota: k.Quota,
			reserved: min(k.Quota, o.FirstReserve[i]), samples: map[uint64]*twinSample{}})
	}
	c.opened = append(c.opened, r)
	return w.sequence
}

// waiting is the proposal that waits, or nil.
func (c *twinCampaign) waiting() *twinProposal {
	for _, p := range c.proposals {
		if p.state == "" {
			return p
		}
	}
	return nil
}

func (w *twin) proposeRound(p *ProposeRound) (Event, bool) {
	c := w.campaigns[p.Open.Round.Campaign]
	before := c.waiting()
	event := RoundProposed{Campaign: p.Open.Round.Campaign, Number: p.Open.Round.Number, Serial: p.Serial, Digest: p.Open.Round.Digest()}
	if before != nil && p.Serial == len(c.proposals) && before.open.Round.Notes[0] == p.Open.Round.Notes[0] {
		event.Duplicate = true
		return event, false
	}
	if !c.proposes || p.Serial != len(c.proposals)+1 || p.Amends && before == nil || !w.openable(&p.Open) {
		return nil, true
	}
	if before != nil {
		before.state, before.by = ProposalReplaced, p.Author
		if p.Amends {
			before.state = ProposalAmended
		}
	}
	c.proposals = append(c.proposals, &twinProposal{open: p.Open})
	return event, false
}

func (w *twin) ruleProposal(r *RuleProposal) (Event, bool) {
	c := w.campaigns[r.Campaign]
	if r.Serial < 1 || r.Serial > len(c.proposals) {
		return nil, true
	}
	p := c.proposals[r.Serial-1]
	to := map[bool]ProposalState{true: ProposalApproved, false: ProposalRejected}[r.Approve]
	event := ProposalRuled{Campaign: r.Campaign, Number: p.open.Round.Number, Serial: r.Serial, To: to}
	switch {
	case r.Digest != p.open.Round.Digest():
		return nil, true
	case p.state != "":
		event.Duplicate = true
		return event, p.state != to
	case r.Approve && !w.openable(&p.open):
		return nil, true
	case r.Approve:
		w.open(&p.open)
	}
	p.state, p.by = to, r.Author
	return event, false
}

func (w *twin) commit(c *Commit) Event {
	event := Committed{}
	samples := &twinPart{kind: loop.SampleParts, void: map[uint32]bool{}, names: map[uint32]twinName{}}
	verdicts := &twinPart{kind: loop.VerdictParts, void: map[uint32]bool{}}
	for _, d := range c.Deliveries {
		var judged Judged
		row := d.FirstRow
		for offset := range d.Unit.Count {
			if !d.Accepted.Has(offset) {
				continue
			}
			name := d.Unit.Name(offset)
			j := w.judge(d.Unit.Campaign, name)
			countStanding(&judged.Standing, j)
			switch j {
			case JudgedFresh:
				w.find(d.Unit.Campaign, name.Round, name.Domain, name.Component).sample(name.Index).committed = true
			case JudgedDuplicate:
				judged.Duplicates.Add(offset)
			}
			samples.names[row] = twinName{d.Unit.Campaign, name}
			samples.void[row] = j != JudgedFresh
			samples.rows++
			row++
		}
		row = d.FirstVerdict
		for _, r := range d.Rejected {
			name := d.Unit.Name(int(r.Offset))
			j := w.judge(d.Unit.Campaign, name)
			countStanding(&judged.Standing, j)
			if j == JudgedFresh {
				judged.Standing.Rejected++
				k := w.find(d.Unit.Campaign, name.Round, name.Domain, name.Component)
				k.rejected++
				x := k.sample(name.Index)
				if x.attempt+1 >= w.campaigns[d.Unit.Campaign].maxAttempts {
					x.abandoned = true
				} else {
					x.attempt++
				}
			}
			verdicts.void[row] = j != JudgedFresh
			verdicts.rows++
			row++
		}
		event.Deliveries = append(event.Deliveries, judged)
	}
	event.Samples, event.Verdicts = w.reference(samples), w.reference(verdicts)
	for _, e := range c.Extensions {
		if k := w.find(e.Campaign, e.Round, e.Domain, e.Component); k != nil {
			k.reserved = min(k.quota, max(k.reserved, e.Reserved))
		}
	}
	return event
}

// reference adds a part if any of its rows is fresh.
func (w *twin) reference(p *twinPart) uint64 {
	fresh := false
	for _, void := range p.void {
		fresh = fresh || !void
	}
	if !fresh {
		return 0
	}
	w.sequence++
	w.parts[w.sequence] = p
	return w.sequence
}

func (w *twin) append(c *Append) Event {
	var event Appended
	part := &twinPart{kind: loop.OutcomeParts, void: map[uint32]bool{}}
	for _, p := range c.Posts {
		var answer PostAnswer
		identity := fmt.Sprintf("%q", []string{p.Post.Space, p.Post.ModelLine, p.Post.Version, p.Post.Run, p.Post.Key})
		known := -1
		// The current generation and the one before.
		for i := max(0, (len(w.posts)-1)/w.remember-1) * w.remember; i < len(w.posts); i++ {
			if w.posts[i].identity == identity {
				known = i
			}
		}
		model := p.Post.ModelLine + "@" + p.Post.Version
		switch {
		case known >= 0 && w.posts[known].body != p.Post.Body:
			answer.Refused = &Refused{Reason: Invalid}
		case known >= 0:
			answer.DuplicateOf = w.posts[known].sequence
		case slices.Contains(w.sealed, model):
			answer.Refused = &Refused{Reason: Conflict}
		default:
			answer.Accepted, answer.Sequence = uint64(p.Rows), w.sequence+1
			w.posts = append(w.posts, twinPost{identity, p.Post.Body, w.sequence + 1})
			w.rows[model] += uint64(p.Rows)
		}
		for i := range p.Rows {
			part.void[p.FirstRow+i] = answer.Accepted == 0
			part.rows++
		}
		event.Posts = append(event.Posts, answer)
	}
	w.reference(part)
	return event
}

func (w *twin) seal(c *SealModel) (Event, bool) {
	model := c.Line + "@" + c.Version
	if w.rows[model] != c.Rows {
		return nil, true
	}
	duplicate := slices.Contains(w.sealed, model)
	if !duplicate {
		w.sealed = append(w.sealed, model)
	}
	return ModelSealed{Line: c.Line, Version: c.Version, Rows: c.Rows, Duplicate: duplicate}, false
}

func (w *twin) publish(c *Publish) (Event, bool) {
	versions := w.versions[c.Name]
	if v, ok := versions[c.Version]; ok {
		return Published{Name: c.Name, Version: c.Version, Samples: uint64(len(v.samples)), Duplicate: true}, v.manifest != c.Manifest.Digest
	}
	campaign := w.campaigns[c.Campaign]
	if c.ExpectedLatest != len(versions) || c.Sequence < campaign.lastRevoke {
		return nil, true
	}
	v := twinVersion{c.Manifest.Digest, map[twinName]bool{}, map[twinName]bool{}}
	for _, x := range c.Selection {
		for index := range x.Indices.All() {
			k := w.find(c.Campaign, x.Round, x.Domain, x.Component)
			if k == nil || !k.sample(index).committed {
				return nil, true
			}
			v.samples[twinName{c.Campaign, loop.Name{Round: x.Round, Domain: x.Domain, Component: x.Component, Index: index, Attempt: k.sample(index).attempt}}] = true
		}
	}
	if versions == nil {
		w.versions[c.Name] = map[int]twinVersion{}
	}
	w.versions[c.Name][c.Version] = v
	return Published{Name: c.Name, Version: c.Version, Samples: uint64(len(v.samples))}, false
}

func (w *twin) importDataset(c *Import) (Event, bool) {
	if w.campaigns[c.Name] != nil {
		return nil, true
	}
	versions := w.imports[c.Name]
	for i, v := range versions {
		if v.content == c.Content && (i+1 == len(versions) || i == c.ExpectedLatest) {
			return Published{Name: c.Name, Version: i + 1, Samples: uint64(v.rows), Duplicate: true}, false
		}
	}
	if c.ExpectedLatest != len(versions) {
		return nil, true
	}
	w.sequence += uint64(len(c.Samples))
	w.imports[c.Name] = append(versions, twinImport{c.Content, int(c.Manifest.Rows)})
	return Published{Name: c.Name, Version: len(versions) + 1, Samples: uint64(c.Manifest.Rows)}, false
}

func (w *twin) revoke(c *Revoke) (Event, bool) {
	var event Revoked
	for _, x := range c.Samples {
		if w.judge(x.Campaign, x.Name) != JudgedDuplicate {
			continue
		}
		part := w.parts[x.Reference]
		if part == nil || part.kind != loop.SampleParts || int(x.Row) >= part.rows || part.void[x.Row] {
			return nil, true
		}
		event.Reopened = append(event.Reopened, x)
	}
	references := map[uint64]bool{}
	for _, x := range event.Reopened {
		s := w.find(x.Campaign, x.Name.Round, x.Name.Domain, x.Name.Component).sample(x.Name.Index)
		s.committed = false
		s.attempt++
		if w.campaigns[x.Campaign].steered == Closed {
			s.abandoned = true
		}
		w.parts[x.Reference].void[x.Row] = true
		references[x.Reference] = true
		for _, versions := range w.versions {
			for _, v := range versions {
				if name := (twinName{x.Campaign, x.Name}); v.samples[name] {
					v.advisory[name] = true
				}
			}
		}
	}
	w.sequence += uint64(len(references))
	if len(references) > 0 {
		event.Sequence = w.sequence
		for _, x := range event.Reopened {
			w.campaigns[x.Campaign].lastRevoke = w.sequence
		}
	}
	return event, false
}

// state is what a campaign is doing, counted index by index.
func (c *twinCampaign) state() CampaignState {
	pending, abandoned := uint64(0), uint64(0)
	for _, r := range c.opened {
		for _, k := range r.components {
			for index := range k.quota {
				switch x := k.sample(index); {
				case x.abandoned:
					abandoned++
				case !x.committed:
					pending++
				}
			}
		}
	}
	switch {
	case c.steered == Closed:
		return Closed
	case len(c.opened) == c.rounds && pending == 0 && abandoned > 0:
		return DoneShort
	case len(c.opened) == c.rounds && pending == 0:
		return Done
	case c.steered == Paused:
		return Paused
	}
	return Running
}

func (w *twin) steer(s *SteerCampaign) (Event, bool) {
	c := w.campaigns[s.Campaign]
	now := c.state()
	ended := now == Done || now == DoneShort
	switch {
	case now == Closed && s.To != Closed, ended && s.To == Paused:
		return nil, true
	case now == s.To && c.steered != Paused, s.To == Paused && now == Paused, ended && c.steered != Paused, ended && s.To == Closed:
		if s.Version == c.steering {
			c.steering++
		}
		return CampaignSteered{Name: s.Campaign, To: now, Duplicate: true}, false
	case s.Version != 0 && s.Version != c.steering:
		return nil, true
	}
	if s.Version != 0 {
		c.steering++
	}
	c.steered, c.by = s.To, s.Author
	if s.To == Closed {
		for _, r := range c.opened {
			for _, k := range r.components {
				k.quota = k.reserved
			}
		}
		if p := c.waiting(); p != nil {
			p.state, p.by = ProposalVoid, s.Author
		}
	}
	return CampaignSteered{Name: s.Campaign, To: c.state()}, false
}

func (w *twin) extend(e *ExtendCampaign) (Event, bool) {
	c := w.campaigns[e.Campaign]
	if c.steered == Closed {
		return nil, true
	}
	if e.Samples == c.samples && e.Rounds == c.rounds && (e.Money == 0 || e.Money == c.money) {
		return CampaignExtended{Name: e.Campaign, Version: c.version, Duplicate: true}, false
	}
	decided := uint64(0)
	for _, r := range c.opened {
		for _, k := range r.components {
			if k.domain == loop.Train {
				decided += k.quota
			}
		}
	}
	more := e.Rounds - len(c.opened)
	if e.Version != 0 && e.Version != c.version || e.Samples < decided || more < 0 || e.Rounds < 1 ||
		more == 0 && e.Samples > decided || e.Samples > 0 && e.Samples-decided < uint64(more) {
		return nil, true
	}
	if p := c.waiting(); p != nil && p.open.Round.Number > e.Rounds {
		p.state, p.by = ProposalVoid, e.Author
	}
	c.samples, c.rounds = e.Samples, e.Rounds
	if e.Money > 0 {
		c.money = e.Money
	}
	c.version++
	return CampaignExtended{Name: e.Campaign, Version: c.version}, false
}

func (w *twin) putPolicy(p *PutPolicy) (Event, bool) {
	name := p.Policy.Name
	versions := w.policies[name]
	if n := len(versions); n > 0 && versions[n-1].floor == p.Policy.Floor && versions[n-1].canary == p.Canary {
		return PolicyPut{Name: name, Version: n}, false
	}
	if len(versions) == 0 && p.Canary > 0 {
		return nil, true
	}
	if p.Next != 0 && p.Next != len(versions)+1 {
		return nil, true
	}
	w.policies[name] = append(versions, twinPolicy{p.Policy.Floor, p.Author, p.Reason, p.Canary})
	return PolicyPut{Name: name, Version: len(versions) + 1, Created: true}, false
}

func (w *twin) adopt(a *AdoptPolicy) (Event, bool) {
	c := w.campaigns[a.Campaign]
	if c.steered == Closed || a.PolicyVersion > len(w.policies[a.Policy]) {
		return nil, true
	}
	same := c.policy == a.Policy && c.policyVersion == a.PolicyVersion
	if !same && a.Version != 0 && a.Version != c.version {
		return nil, true
	}
	if !same {
		c.version++
		c.policy, c.policyVersion = a.Policy, a.PolicyVersion
	}
	return PolicyAdopted{Name: a.Campaign, Version: c.version, Policy: a.Policy, PolicyVersion: a.PolicyVersion, Duplicate: same}, false
}

func (w *twin) giveUp(g *GiveUp) (Event, bool) {
	c := w.campaigns[g.Campaign]
	if c.steered != Closed {
		return nil, true
	}
	n := uint64(0)
	for _, r := range c.opened {
		for _, k := range r.components {
			for index := range k.quota {
				if x := k.sample(index); !x.committed && !x.abandoned {
					x.abandoned = true
					n++
				}
			}
		}
	}
	return GivenUp{Name: g.Campaign, Indices: n}, false
}

// live are the names of the samples that a view of the twin's parts would show.
func (w *twin) live() []twinName {
	var names []twinName
	for _, reference := range slices.Sorted(maps.Keys(w.parts)) {
		p := w.parts[reference]
		for row := range uint32(p.rows) {
			if p.kind == loop.SampleParts && !p.void[row] {
				names = append(names, p.names[row])
			}
		}
	}
	return names
}
