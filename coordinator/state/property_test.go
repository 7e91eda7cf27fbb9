package state

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hone/loop"
)

// machine drives a State, a second replica that is restored from snapshots now
// and then, and the twin, with commands that a careless network delivers: late,
// out of order, more than once, several in one entry, or never.
type machine struct {
	state, replica *State
	twin           *twin
	frozen         *Frozen
	// frozenDigest is what the frozen state's digest was when it was frozen.
	frozenDigest loop.Digest
	flight       []Command
	proposed     int
	campaigns    []loop.Campaign
	// names are the samples of each part ever proposed, by key and row: what the
	// lake would hold.
	names map[string]map[uint32]twinName
}

func newMachine() *machine {
	a, b := testCampaign("a", 7, 3), testCampaign("b", 3, 2)
	a.Evaluation.Target, a.Evaluation.Probe, a.MaxAttempts, b.MaxAttempts, b.Decide = 1, 1, 2, 3, loop.DecidePropose
	m := &machine{state: newSized("cluster", 3), replica: newSized("cluster", 3), campaigns: []loop.Campaign{a, b}, names: map[string]map[uint32]twinName{}}
	m.twin = newTwin(3, a, b)
	for _, s := range []*State{m.state, m.replica} {
		for _, e := range s.Apply(Entry{At: 1, Commands: preparation(a, b)}) {
			if r, ok := e.(Refused); ok {
				panic(r)
			}
		}
	}
	return m
}

func (m *machine) propose(c Command) {
	m.flight = append(m.flight, c)
	m.proposed++
}

// openRound proposes the next round of a campaign as a leader would now.
func (m *machine) openRound(t *rapid.T) {
	now, _ := m.state.Campaign(rapid.SampledFrom(m.campaigns).Draw(t, "campaign").Name)
	c := now.Campaign
	rounds := m.state.Rounds(c.Name)
	n := len(rounds) + 1
	var cuts []uint64
	left := c.Samples
	for i, r := range rounds {
		for _, k := range r.Components {
			quota := k.Quota
			if i == len(rounds)-1 {
				cuts = append(cuts, k.Reserved)
				quota = k.Reserved
			}
			if k.Domain == loop.Train {
				left -= quota
			}
		}
	}
	budget := left
	if n < c.Rounds {
		budget = rapid.Uint64Range(0, left).Draw(t, "budget")
	}
	if rapid.IntRange(0, 9).Draw(t, "wrong budget") == 0 {
		budget++
	}
	first := rapid.Uint64Range(0, budget).Draw(t, "first")
	r := testRound(c.Name, n, first, budget-first)
	if n := c.Evaluation.Target + c.Evaluation.Probe; n > 0 {
		r.Components = append(r.Components, loop.Component{Domain: loop.Evaluation, Over: loop.OverTarget, Quota: n})
	}
	r.Notes = []string{fmt.Sprint("proposal ", m.proposed)}
	var reserve []uint64
	for range r.Components {
		reserve = append(reserve, rapid.Uint64Range(0, 4).Draw(t, "reserve"))
	}
	o := openRound(r, cuts, reserve)
	o.OpenRound.Sequence, o.OpenRound.CampaignVersion = m.state.Sequence(), now.Version
	o.OpenRound.PolicyVersion, o.OpenRound.Round.PolicyVersion = now.PolicyVersion, now.PolicyVersion
	if o.OpenRound.Canary = now.Canary; now.Canary > 0 {
		o.OpenRound.Round.Canary = &loop.CanaryArm{PolicyVersion: now.Canary}
	}
	if c.Decide == loop.DecidePropose && rapid.IntRange(0, 9).Draw(t, "opens unasked") > 0 {
		o = Command{ProposeRound: &ProposeRound{Open: *o.OpenRound, Serial: len(m.state.Proposals(c.Name)) + rapid.SampledFrom([]int{1, 1, 1, 0}).Draw(t, "serial"),
			Author: fmt.Sprint("author ", rapid.IntRange(0, 1).Draw(t, "author")), Amends: rapid.Bool().Draw(t, "amends")}}
	}
	m.propose(o)
}

// rule approves or rejects a proposal, mostly the last, as somebody who saw it, or
// another.
func (m *machine) rule(t *rapid.T) {
	all := m.state.Proposals("b")
	if len(all) == 0 {
		t.Skip("nothing is proposed")
	}
	p := all[max(0, len(all)-1-rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "back"))]
	c := &RuleProposal{Campaign: "b", Serial: p.Serial, Digest: p.Digest, Approve: rapid.IntRange(0, 2).Draw(t, "approve") > 0,
		Author: fmt.Sprint("author ", rapid.IntRange(0, 1).Draw(t, "author"))}
	if rapid.IntRange(0, 5).Draw(t, "saw another") == 0 {
		c.Digest = all[0].Digest
	}
	m.propose(Command{RuleProposal: c})
}

// steer pauses, resumes or, now and then, closes a campaign.
func (m *machine) steer(t *rapid.T) {
	to := rapid.SampledFrom([]CampaignState{Paused, Running, Closed}).Draw(t, "to")
	name := rapid.SampledFrom(m.campaigns).Draw(t, "campaign").Name
	now, _ := m.state.Steered(name)
	m.enter(t, Entry{Commands: []Command{{SteerCampaign: &SteerCampaign{
		Campaign: name, To: to, Version: rapid.SampledFrom([]int{0, now.Version(), now.Version(), now.Answers}).Draw(t, "version"),
		Author: fmt.Sprint("author ", rapid.IntRange(0, 9).Draw(t, "author")), Reason: "because"}}}})
}

func (m *machine) extend(t *rapid.T) {
	now, _ := m.state.Campaign(rapid.SampledFrom(m.campaigns).Draw(t, "campaign").Name)
	m.propose(Command{ExtendCampaign: &ExtendCampaign{Campaign: now.Campaign.Name, Version: rapid.SampledFrom([]int{0, now.Version}).Draw(t, "version"),
		Samples: now.Campaign.Samples + rapid.Uint64Range(0, 6).Draw(t, "samples") - min(2, now.Campaign.Samples),
		Rounds:  now.Campaign.Rounds + rapid.IntRange(-1, 1).Draw(t, "rounds"), Money: rapid.SampledFrom([]float64{0, 0, 2.5}).Draw(t, "money")}})
}

// tune proposes a version of a policy, computed from what stands or of any.
func (m *machine) tune(t *rapid.T) {
	name := rapid.SampledFrom([]string{"plain", "bold"}).Draw(t, "policy")
	next := len(m.state.PolicyVersions(name)) + rapid.IntRange(0, 1).Draw(t, "ahead")
	m.propose(Command{PutPolicy: &PutPolicy{Next: next, Author: "ann", Reason: fmt.Sprint("reason ", m.proposed), Document: "name: " + name,
		Canary: rapid.SampledFrom([]uint32{0, 0, loop.LeastCanary, loop.MostCanary}).Draw(t, "canary"),
		Policy: loop.Policy{Name: name, Strategy: loop.StrategyUniform, Floor: float64(rapid.IntRange(0, 2).Draw(t, "floor"))}}})
}

// adopt proposes that a campaign follows a version of a policy, which may not be
// there.
func (m *machine) adopt(t *rapid.T) {
	now, _ := m.state.Campaign(rapid.SampledFrom(m.campaigns).Draw(t, "campaign").Name)
	m.propose(Command{AdoptPolicy: &AdoptPolicy{Campaign: now.Campaign.Name, Version: rapid.SampledFrom([]int{0, now.Version}).Draw(t, "version"),
		Policy:        rapid.SampledFrom([]string{"plain", "bold"}).Draw(t, "policy"),
		PolicyVersion: rapid.IntRange(1, 4).Draw(t, "policy version"), Author: "ann", Reason: "because"}})
}

func (m *machine) giveUp(t *rapid.T) {
	m.propose(Command{GiveUp: &GiveUp{Campaign: rapid.SampledFrom(m.campaigns).Draw(t, "campaign").Name}})
}

// deliver proposes a commit of one or two units, honest or not.
func (m *machine) deliver(t *rapid.T) {
	c := &Commit{}
	var accepted, rejected uint32
	names := map[uint32]twinName{}
	for range rapid.IntRange(1, 2).Draw(t, "deliveries") {
		d := Delivered{Worker: "w", Unit: m.unit(t), FirstRow: accepted, FirstVerdict: rejected}
		for offset := range d.Unit.Count {
			switch rapid.IntRange(0, 9).Draw(t, "verdict") {
			case 0: // dropped by the leader
			case 1, 2, 3:
				d.Rejected = append(d.Rejected, Rejected{Offset: uint16(offset), Gate: "blank", Reason: fmt.Sprint("reason ", offset)})
				rejected++
			default:
				d.Accepted.Add(offset)
				names[accepted] = twinName{d.Unit.Campaign, d.Unit.Name(offset)}
				accepted++
			}
		}
		c.Deliveries = append(c.Deliveries, d)
	}
	if accepted > 0 {
		c.Samples = objectAt("parts", 1, fmt.Sprint("s", m.proposed), int(accepted))
		m.names[c.Samples.Key] = names
	}
	if rejected > 0 {
		c.Verdicts = objectAt("parts", 1, fmt.Sprint("v", m.proposed), int(rejected))
	}
	if rapid.Bool().Draw(t, "extends") {
		u := c.Deliveries[0].Unit
		c.Extensions = []Extension{{u.Campaign, u.Round, u.Domain, u.Component, rapid.Uint64Range(0, 8).Draw(t, "extension")}}
	}
	m.propose(Command{Commit: c})
}

// unit is one that can be leased now, or any other.
func (m *machine) unit(t *rapid.T) loop.Unit {
	c := rapid.SampledFrom(m.campaigns).Draw(t, "campaign").Name
	n := rapid.IntRange(1, 3).Draw(t, "round")
	domain, number := loop.Train, rapid.IntRange(0, 2).Draw(t, "component")
	if number == 2 {
		domain, number = loop.Evaluation, 0
	}
	if rapid.IntRange(0, 3).Draw(t, "honest") > 0 {
		if runs := m.state.OpenRuns(c, n, domain, number, 0, 9); len(runs) > 0 {
			return rapid.SampledFrom(runs).Draw(t, "run")
		}
	}
	return loop.Unit{Campaign: c, Round: n, Domain: domain, Component: number, Attempt: rapid.IntRange(0, 2).Draw(t, "attempt"),
		First: rapid.Uint64Range(0, 5).Draw(t, "first"), Count: rapid.IntRange(1, 3).Draw(t, "count")}
}

func (m *machine) post(t *rapid.T) {
	c := &Append{}
	rows := uint32(0)
	for range rapid.IntRange(1, 2).Draw(t, "posts") {
		n := uint32(rapid.IntRange(1, 2).Draw(t, "rows"))
		c.Posts = append(c.Posts, Posted{FirstRow: rows, Rows: n, Post: loop.Post{Space: "lab", ModelLine: "net",
			Version: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "version"),
			Key:     fmt.Sprint("key ", rapid.IntRange(m.proposed-9, m.proposed).Draw(t, "key")),
			Body:    loop.Digest(sha256.Sum256([]byte{byte(rapid.IntRange(0, 3).Draw(t, "body") / 3)}))}})
		rows += n
	}
	c.Part = object("parts", 1, fmt.Sprint("o", m.proposed), int(rows))
	m.propose(Command{Append: c})
}

func (m *machine) seal(t *rapid.T) {
	version := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "version")
	v, _ := m.state.Model("net", version)
	m.propose(Command{SealModel: &SealModel{Line: "net", Version: version, Rows: v.Rows}})
}

func (m *machine) publish(t *rapid.T) {
	c := rapid.SampledFrom(m.campaigns).Draw(t, "campaign").Name
	selection := m.state.Select(c, loop.Train, 1, 3)
	rows := 0
	for _, x := range selection {
		rows += int(x.Indices.Count())
	}
	latest := len(m.state.DatasetVersions(c))
	content := fmt.Sprint("m", m.proposed)
	m.propose(Command{Publish: &Publish{Name: c, ExpectedLatest: latest, Version: latest + 1, Campaign: c, Sequence: m.state.Sequence(),
		Selection: selection, Manifest: object("manifests", 1, content, rows), Addresses: object("manifests", 1, content+"a", rows),
		Packs: []string{object("packs", 1, fmt.Sprint("p", m.proposed%3), 1).Key, object("packs", 1, "p", 1).Key}}})
}

// importDataset proposes an import, honest or computed from what was.
func (m *machine) importDataset(t *rapid.T) {
	name := rapid.SampledFrom([]string{"photos", "field", "a"}).Draw(t, "name")
	latest := len(m.state.DatasetVersions(name)) - rapid.IntRange(0, 1).Draw(t, "behind")
	content := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "content")
	m.propose(importOf(name, max(latest, 0), content, 1, 2))
}

// revoke proposes to take a sample back that the view shows, by the right row or
// another.
func (m *machine) revoke(t *rapid.T) {
	var candidates []RevokedSample
	for _, reference := range m.references() {
		for row, name := range m.twin.parts[reference].names {
			candidates = append(candidates, RevokedSample{name.campaign, name.name, reference, row})
		}
	}
	if len(candidates) == 0 {
		t.Skip("nothing was committed")
	}
	slices.SortFunc(candidates, func(a, b RevokedSample) int {
		return int(a.Reference)*1000 + int(a.Row) - int(b.Reference)*1000 - int(b.Row)
	})
	// Two of one command never name one row twice, nor one sample: the twin is
	// too plain for that.
	picked := rapid.SliceOfNDistinct(rapid.SampledFrom(candidates), 1, 2, func(x RevokedSample) twinName {
		x.Name.Attempt = 0
		return twinName{x.Campaign, x.Name}
	}).Draw(t, "samples")
	if rapid.IntRange(0, 5).Draw(t, "wrong row") == 0 {
		picked = picked[:1]
		picked[0].Row += 100
	}
	m.propose(Command{Revoke: &Revoke{Samples: picked}})
}

func (m *machine) references() []uint64 {
	var all []uint64
	for sequence := uint64(1); sequence <= m.twin.sequence; sequence++ {
		if m.twin.parts[sequence] != nil {
			all = append(all, sequence)
		}
	}
	return all
}

// deliverEntry applies some of what is in flight, in any order, and leaves some
// of it in flight to be applied again.
func (m *machine) deliverEntry(t *rapid.T) {
	if len(m.flight) == 0 {
		t.Skip("nothing is in flight")
	}
	e := Entry{At: int64(rapid.IntRange(0, 1000).Draw(t, "at"))}
	for range rapid.IntRange(1, 3).Draw(t, "commands") {
		if len(m.flight) == 0 {
			break
		}
		i := rapid.IntRange(0, len(m.flight)-1).Draw(t, "which")
		e.Commands = append(e.Commands, m.flight[i])
		if rapid.IntRange(0, 2).Draw(t, "keep") > 0 {
			m.flight = slices.Delete(m.flight, i, i+1)
		}
	}
	m.enter(t, e)
}

// work delivers a unit that can be leased now and applies it at once, as goes
// well most of the time.
func (m *machine) work(t *rapid.T) {
	m.deliver(t)
	last := len(m.flight) - 1
	e := Entry{Commands: m.flight[last:]}
	m.flight = m.flight[:last:last]
	m.enter(t, e)
}

// enter applies an entry to both replicas and the twin, and compares.
func (m *machine) enter(t *rapid.T, e Entry) {
	encoded, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	last := m.state.Time()
	var answers [2][]Event
	for i, s := range []*State{m.state, m.replica} {
		decoded, err := DecodeEntry(encoded)
		if err != nil {
			t.Fatal(err)
		}
		answers[i] = s.Apply(decoded)
	}
	if m.state.Time() != max(last, e.At) {
		t.Fatalf("time went from %d by %d to %d (C24)", last, e.At, m.state.Time())
	}
	for i, c := range e.Commands {
		if a, b := show(answers[0][i]), show(answers[1][i]); a != b {
			t.Fatalf("replicas answer %s and %s (I6)", a, b)
		}
		want, isRefused := m.twin.apply(c)
		m.compare(t, c, answers[0][i], want, isRefused)
	}
}

func show(e Event) string {
	switch e := e.(type) {
	case Refused:
		return e.Error()
	case Appended:
		s := ""
		for _, p := range e.Posts {
			if p.Refused != nil {
				s += p.Refused.Error()
			} else {
				s += fmt.Sprintf("%+v", p)
			}
		}
		return s
	}
	return fmt.Sprintf("%+v", e)
}

// compare demands the twin's answer, but for texts and what the twin leaves out.
func (m *machine) compare(t *rapid.T, c Command, got, want Event, isRefused bool) {
	if _, ok := got.(Refused); ok != isRefused {
		t.Fatalf("%s\nbut the twin: refused %v, %+v", show(got), isRefused, want)
	}
	if isRefused {
		return
	}
	switch event := got.(type) {
	case Appended:
		for i := range event.Posts {
			if r := event.Posts[i].Refused; r != nil {
				event.Posts[i].Refused = &Refused{Reason: r.Reason}
			}
		}
		for i, p := range want.(Appended).Posts {
			q := event.Posts[i]
			if p.Accepted != q.Accepted || p.Sequence != q.Sequence || p.DuplicateOf != q.DuplicateOf ||
				(p.Refused == nil) != (q.Refused == nil) || p.Refused != nil && p.Refused.Reason != q.Refused.Reason {
				t.Fatalf("post %d: %+v, the twin %+v", i, q, p)
			}
		}
		return
	case ModelSealed:
		event.Sequence = 0
		got = event
	case Published:
		event.Sequence = 0
		got = event
	case Revoked:
		event.Advisories = nil
		got = event
	}
	if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
		t.Fatalf("%s\nbut the twin %s", a, b)
	}
}

// snapshot freezes the state, or restores the replica from what was frozen long
// ago and replays nothing: so only right after freezing.
func (m *machine) snapshot(t *rapid.T) {
	m.frozen, m.frozenDigest = m.state.Snapshot(), m.state.Digest()
	var b bytes.Buffer
	if err := m.frozen.Encode(&b); err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "replica restores") {
		s, err := RestoreUpTo(&b, m.state.Version())
		if err != nil {
			t.Fatal(err)
		}
		m.replica = s
	}
}

// check holds the invariants after every step.
func (m *machine) check(t *rapid.T) {
	if a, b := m.state.Digest(), m.replica.Digest(); a != b {
		t.Fatalf("the replicas' digests differ: %s and %s (I6)", a, b)
	}
	if m.frozen != nil && m.frozen.Digest() != m.frozenDigest {
		t.Fatal("what was frozen has changed (C23)")
	}
	if m.state.Sequence() != m.twin.sequence {
		t.Fatalf("sequence %d, the twin's %d", m.state.Sequence(), m.twin.sequence)
	}
	if v := m.state.Version(); v != m.twin.nodes.version {
		t.Fatalf("version %d is in force, the twin's %d (C25)", v, m.twin.nodes.version)
	}
	m.checkView(t)
	for _, c := range m.campaigns {
		m.checkCampaign(t, c)
	}
	for model, rows := range m.twin.rows {
		if v, _ := m.state.Model("net", model[len("net@"):]); v.Rows != rows {
			t.Fatalf("%s has %d rows, the twin %d", model, v.Rows, rows)
		}
	}
	for name, versions := range m.twin.policies {
		got := m.state.PolicyVersions(name)
		if len(got) != len(versions) {
			t.Fatalf("policy %s has %d versions, the twin's %d", name, len(got), len(versions))
		}
		for i, want := range versions {
			if v := got[i]; v.Policy.Floor != want.floor || v.Policy.Version != i+1 || v.Author != want.author || v.Reason != want.reason || v.Canary != want.canary {
				t.Fatalf("policy %s@%d is %+v, the twin's %+v", name, i+1, v, want)
			}
		}
	}
	for name, versions := range m.twin.versions {
		for n, want := range versions {
			m.checkVersion(t, name, n, want)
		}
	}
	for name, versions := range m.twin.imports {
		all := m.state.DatasetVersions(name)
		if len(all) != len(versions) {
			t.Fatalf("%s has %d versions, the twin's %d", name, len(all), len(versions))
		}
		for i, v := range all {
			if v.Version != i+1 || v.Import.Content != versions[i].content || v.Samples != uint64(versions[i].rows) {
				t.Fatalf("%s@%d is %+v, the twin's %+v (I8)", name, i+1, v, versions[i])
			}
		}
	}
}

// checkView rebuilds a view from the catalogue alone and demands exactly the
// committed samples, each once (I2, I7, C11, C20).
func (m *machine) checkView(t *rapid.T) {
	type reference struct {
		key  string
		rows int64
		void map[uint32]bool
	}
	view := map[uint64]reference{}
	outcomes := map[uint64]reference{}
	last := int64(0)
	for i, c := range m.state.Changes(0, 1<<30) {
		if c.Sequence != uint64(i+1) || c.At < last {
			t.Fatalf("change %d has sequence %d and time %d after %d (C20, C24)", i, c.Sequence, c.At, last)
		}
		last = c.At
		switch {
		case c.Part != nil:
			r := reference{c.Part.Object.Key, c.Part.Object.Rows, map[uint32]bool{}}
			for _, row := range c.Part.Void {
				r.void[row] = true
			}
			switch c.Part.Kind {
			case loop.SampleParts:
				view[c.Sequence] = r
			case loop.OutcomeParts:
				outcomes[c.Sequence] = r
			}
		case c.Void != nil:
			for _, row := range c.Void.Rows {
				view[c.Void.Reference].void[row] = true
			}
		}
	}
	shown := map[twinName]bool{}
	imported := 0
	for _, versions := range m.twin.imports {
		for _, v := range versions {
			imported += v.rows
		}
	}
	for _, r := range view {
		if m.names[r.key] == nil {
			imported -= int(r.rows)
			continue
		}
		for row := range uint32(r.rows) {
			if r.void[row] {
				continue
			}
			name := m.names[r.key][row]
			if m.state.Judge(name.campaign, name.name) != JudgedDuplicate {
				t.Fatalf("%v is visible but not committed (I7)", name)
			}
			if shown[name] {
				t.Fatalf("%v is visible twice (I2)", name)
			}
			shown[name] = true
		}
	}
	if imported != 0 {
		t.Fatalf("%d imported samples are not visible (I7)", imported)
	}
	committed := uint64(0)
	for _, c := range m.state.Campaigns() {
		committed += c.Total.Committed
	}
	if committed != uint64(len(shown)) || len(shown) != len(m.twin.live()) {
		t.Fatalf("%d committed, %d visible, the twin %d (I2)", committed, len(shown), len(m.twin.live()))
	}
	rows, posted := uint64(0), uint64(0)
	for _, r := range outcomes {
		rows += uint64(r.rows) - uint64(len(r.void))
	}
	for _, l := range m.state.ModelLines() {
		for _, v := range append(l.Sealed, l.Open...) {
			posted += v.Rows
		}
	}
	if rows != posted {
		t.Fatalf("%d outcomes are visible, %d were counted (I1)", rows, posted)
	}
}

// checkCampaign holds I3 and compares every index with the twin's.
func (m *machine) checkCampaign(t *rapid.T, c loop.Campaign) {
	view, _ := m.state.Campaign(c.Name)
	w := m.twin.campaigns[c.Name]
	pending, abandoned := uint64(0), uint64(0)
	for n, r := range w.opened {
		terminal := true
		for i, k := range r.components {
			var want Counts
			want.Quota, want.Rejected = k.quota, uint64(k.rejected)
			var open []uint64
			attempts := map[uint64]int{}
			for index := range k.quota {
				x := k.sample(index)
				attempts[index] = x.attempt
				switch {
				case x.committed:
					want.Committed++
					if x.attempt > 0 {
						want.Replaced++
					}
				case x.abandoned:
					want.Abandoned++
				default:
					want.Pending++
					if index < k.reserved {
						open = append(open, index)
					}
				}
			}
			m.state.component(c.Name, n+1, k.domain, k.number).check()
			round, _ := m.state.Round(c.Name, n+1)
			got := round.Components[i]
			if got.Counts != want || got.Reserved != k.reserved || got.Domain != k.domain {
				t.Fatalf("%s round %d component %d: %+v, the twin %+v", c.Name, n+1, i, got, want)
			}
			if got.Quota != got.Committed+got.Abandoned+got.Pending {
				t.Fatalf("%+v does not add up (I3)", got)
			}
			terminal = terminal && want.Pending == 0
			pending += want.Pending
			abandoned += want.Abandoned
			m.checkRuns(t, c, n+1, k, open, attempts)
		}
		if round, _ := m.state.Round(c.Name, n+1); round.Terminal != terminal {
			t.Fatalf("%s round %d: terminal %v", c.Name, n+1, round.Terminal)
		}
	}
	want := w.state()
	switch q := view.Domains[loop.Train].Quota; {
	case (want == Done || want == DoneShort) && q != w.samples:
		t.Fatalf("%s is done with quotas of %d, requested %d (I3)", c.Name, q, w.samples)
	case want == Closed && view.Requested != [3]uint64{loop.Train: q, loop.Evaluation: view.Domains[loop.Evaluation].Quota}:
		t.Fatalf("%s is closed with quotas of %d, but answers for %v (I3)", c.Name, q, view.Requested)
	}
	asked := [3]uint64{loop.Train: w.samples, loop.Evaluation: w.evaluation * uint64(w.rounds)}
	for d := range asked {
		if view.Requested[d]+view.GivenUp[d] != asked[d] || view.GivenUp[d] > 0 && want != Closed {
			t.Fatalf("%s asks for %v and gave %v up, the twin asks for %v", c.Name, view.Requested, view.GivenUp, asked)
		}
	}
	if view.Campaign.Policy != w.policy || view.PolicyVersion != w.policyVersion {
		t.Fatalf("%s follows %s@%d, the twin %s@%d", c.Name, view.Campaign.Policy, view.PolicyVersion, w.policy, w.policyVersion)
	}
	for i, r := range m.state.Rounds(c.Name) {
		if r.Decided.Policy != w.opened[i].policy || r.Decided.Round.PolicyVersion != w.opened[i].policyVersion {
			t.Fatalf("round %d of %s is by %s@%d, the twin's %+v", i+1, c.Name, r.Decided.Policy, r.Decided.Round.PolicyVersion, w.opened[i])
		}
	}
	if view.Version != w.version || len(view.Amendments) != w.version-1 || view.Steered.To != w.steered ||
		view.Steered.Author != w.by || view.Steered.Version() != w.steering {
		t.Fatalf("%s is version %d, steered %+v, the twin %+v", c.Name, view.Version, view.Steered, w)
	}
	proposals := m.state.Proposals(c.Name)
	if len(proposals) != len(w.proposals) {
		t.Fatalf("%s has %d proposals, the twin %d", c.Name, len(proposals), len(w.proposals))
	}
	for i, p := range proposals {
		x := w.proposals[i]
		got := ProposalState("")
		if p.Ruling != nil {
			got = p.Ruling.To
		}
		if got != x.state || (p.Open == nil) == (got == "") || p.Ruling != nil && p.Ruling.Author != x.by || p.Serial != i+1 || p.Digest != x.open.Round.Digest() {
			t.Fatalf("proposal %d of %s: %+v, the twin's %+v (C8)", i+1, c.Name, p, x)
		}
		if got == ProposalApproved {
			if round, _ := m.state.Round(c.Name, p.Number); round.Decided.Round.Digest() != p.Digest {
				t.Fatalf("round %d of %s is not what was approved (C8)", p.Number, c.Name)
			}
		}
	}
	named := uint64(0)
	for _, a := range view.Abandoned {
		named += a.Indices.Count()
	}
	if view.State != want || named != abandoned {
		t.Fatalf("%s is %s with %d abandonments named, want %s with %d (C8, I3)", c.Name, view.State, named, want, abandoned)
	}
}

// checkRuns demands that OpenRuns gives exactly the open indices, whole.
func (m *machine) checkRuns(t *rapid.T, c loop.Campaign, n int, k *twinComponent, open []uint64, attempts map[uint64]int) {
	from := rapid.Uint64Range(0, 4).Draw(t, "from")
	var want []uint64
	for _, index := range open {
		if index >= from {
			want = append(want, index)
		}
	}
	var got []uint64
	for _, u := range m.state.OpenRuns(c.Name, n, k.domain, k.number, from, 100) {
		if u.Count > c.UnitSize || u.Validate() != nil {
			t.Fatalf("%+v is no unit", u)
		}
		for i := range u.Count {
			got = append(got, u.First+uint64(i))
			if attempts[u.First+uint64(i)] != u.Attempt {
				t.Fatalf("%+v has other attempts", u)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("open from %d: %v, want %v", from, got, want)
	}
}

// checkVersion demands that a published version is what it was, and says what
// was revoked of it since (I8).
func (m *machine) checkVersion(t *rapid.T, name string, n int, want twinVersion) {
	v, ok := m.state.Dataset(name, n)
	if !ok || v.Manifest.Digest != want.manifest || v.Samples != uint64(len(want.samples)) {
		t.Fatalf("%s@%d: %+v", name, n, v)
	}
	count := func(selection []Selected, names map[twinName]bool) {
		seen := 0
		for _, x := range selection {
			for index := range x.Indices.All() {
				seen++
				found := false
				for name := range names {
					found = found || name.name.Round == x.Round && name.name.Domain == x.Domain && name.name.Component == x.Component && name.name.Index == index
				}
				if !found {
					t.Fatalf("%s@%d holds %d of %+v, the twin does not", name, n, index, x)
				}
			}
		}
		if seen != len(names) {
			t.Fatalf("%s@%d holds %d, the twin %d", name, n, seen, len(names))
		}
	}
	count(v.Selection, want.samples)
	count(v.Advisory, want.advisory)
}

// TestStateMachine: I2, I3, I5, I6, I7, I8, C1 to C4, C8, C10, C11, C13, C15,
// C20 to C24 and C26 against the twin.
func TestStateMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		t.Repeat(map[string]func(*rapid.T){
			"":           m.check,
			"open round": m.openRound,
			"deliver":    m.deliver,
			"work":       m.work,
			"work 2":     m.work,
			"work 3":     m.work,
			"post":       m.post,
			"seal":       m.seal,
			"publish":    m.publish,
			"import":     m.importDataset,
			"revoke":     m.revoke,
			"revoke 2":   m.revoke,
			"rule":       m.rule,
			"rule 2":     m.rule,
			"steer":      m.steer,
			"extend":     m.extend,
			"tune":       m.tune,
			"adopt":      m.adopt,
			"give up":    m.giveUp,
			"nodes":      m.nodes,
			"entry":      m.deliverEntry,
			"entry 2":    m.deliverEntry,
			"entry 3":    m.deliverEntry,
			"snapshot":   m.snapshot,
		})
	})
}
