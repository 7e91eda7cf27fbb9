package simulation

import (
	"fmt"

	"hone/coordinator/state"
	"hone/loop"
)

// conductor takes a campaign from one step to the next, one at a time.
type conductor struct {
	t    *term
	name string
	// busy: a step is under way, or about to be; news: something has happened since.
	busy, news bool
	closed     bool
}

func (t *term) conduct(name string) {
	var c *conductor
	for _, known := range t.conductors {
		if known.name == name {
			c = known
		}
	}
	if c == nil {
		c = &conductor{t: t, name: name}
		t.conductors = append(t.conductors, c)
	}
	if c.busy {
		c.news = true
		return
	}
	c.busy = true
	t.after(t.w.between(0, linger), "advances campaign "+name, c.advance)
}

// done ends a step: the next follows at once, after a pause where it failed, or when
// there is news.
func (c *conductor) done(moved bool, err error) {
	t := c.t
	if t.n.term != t {
		return
	}
	switch {
	case err != nil:
		t.w.note("cannot advance %s: %v", c.name, err)
		t.after(again, "advances campaign "+c.name, c.advance)
	case moved || c.news:
		t.after(0, "advances campaign "+c.name, c.advance)
	default:
		c.busy = false
	}
}

// advance does the next thing that the campaign needs.
func (c *conductor) advance() {
	t := c.t
	s := t.n.state
	c.news = false
	campaign, _ := s.Campaign(c.name)
	owed := t.w.owed(s, &campaign)
	switch {
	case campaign.State == state.Closed && campaign.Total.Pending > 0:
		c.giveUp(&campaign)
	case campaign.State == state.Running && t.w.broke(s, c.name) && campaign.Round > 0 && (campaign.Total.Pending > 0 || campaign.Round < campaign.Campaign.Rounds):
		t.n.propose(state.Command{GiveUp: &state.GiveUp{Campaign: c.name, Reason: "the money is spent", Version: campaign.Version}}, c.proposed)
	case campaign.State == state.Closed && campaign.Total.Committed == 0:
		c.done(false, nil)
	case campaign.Round > 0 && campaign.Total.Pending == 0 && len(owed) > 0:
		c.publish(&campaign, owed[0])
	case campaign.State != state.Running || campaign.Round >= campaign.Campaign.Rounds:
		c.done(false, nil)
	case campaign.Round == 0,
		continuous(campaign.Campaign) && campaign.Total.Pending < campaign.Total.Quota*3/4,
		campaign.Total.Pending == 0 && t.w.trained(s, &campaign):
		if p, void, ok := s.Proposed(c.name); ok && p.Ruling == nil && void == nil {
			c.done(false, nil) // it waits for approval (C8)
			return
		}
		c.open(&campaign)
	default:
		c.done(false, nil)
	}
}

// continuous: the next round of the campaign is decided before the last one is over.
func continuous(c *loop.Campaign) bool { return c.Seed%2 == 0 }

// giveUp ends a closed campaign once nobody makes anything of it.
func (c *conductor) giveUp(campaign *state.Campaign) {
	t := c.t
	flight := uint64(0)
	for at := range t.places {
		if at.Campaign == c.name {
			n, _ := t.schedule.InFlight(at)
			flight += n
		}
	}
	if flight > 0 || !t.released || !c.closed {
		c.closed = true
		t.after(window, "looks at a closed campaign", c.advance)
		return
	}
	t.n.propose(state.Command{GiveUp: &state.GiveUp{Campaign: c.name}}, func(_ state.Event, err error) { c.done(true, err) })
}

// owed are the domains of which the latest round is to be published.
func (w *world) owed(s *state.State, campaign *state.Campaign) (owed []loop.Domain) {
	if campaign.Round == 0 {
		return nil
	}
	round, _ := s.Round(campaign.Campaign.Name, campaign.Round)
	for _, d := range [...]loop.Domain{loop.Train, loop.Evaluation} {
		if _, there := s.Dataset(set(campaign.Campaign.Name, d), campaign.Round); !there && round.Decided.Round.Quota(d) > 0 &&
			(campaign.Domains[d].Committed > 0 || campaign.State != state.Closed) {
			owed = append(owed, d)
		}
	}
	return owed
}

func set(campaign string, d loop.Domain) string {
	if d == loop.Evaluation {
		return loop.EvaluationSet(campaign)
	}
	return campaign
}

// trained reports whether the model that the latest round was made for is sealed (C8).
func (w *world) trained(s *state.State, campaign *state.Campaign) bool {
	v, _ := s.Model(campaign.Campaign.LearnFrom[0].ModelLine, versionOf(campaign.Round))
	return v.Sealed
}

func versionOf(round int) string { return fmt.Sprint("v", round) }

// publish makes a dataset version of what the view shows, if that is what state has
// committed (C26).
func (c *conductor) publish(campaign *state.Campaign, d loop.Domain) {
	t := c.t
	s, name := t.n.state, campaign.Campaign.Name
	command := state.Publish{Name: set(name, d), Version: campaign.Round, Campaign: name, Sequence: s.Sequence(),
		Selection: s.Select(name, d, 1, campaign.Round)}
	if latest, ok := s.Dataset(command.Name, 0); ok {
		command.ExpectedLatest = latest.Version
	}
	t.after(t.w.between(0, linger), "reads its view", func() {
		shown := t.n.view.sorted(func(x *sample) bool { return x.campaign == name && x.name.Domain == d })
		manifest, packs := content{text: fmt.Sprintf("%s@%d\n", command.Name, command.Version)}, map[string]bool{}
		for _, x := range shown {
			manifest.rows = append(manifest.rows, x.row)
			if !packs[x.row.pack] {
				packs[x.row.pack] = true
				command.Packs = append(command.Packs, x.row.pack)
			}
		}
		if t.n.view.sequence < command.Sequence || !selects(command.Selection, shown) {
			c.done(false, fmt.Errorf("the view has reached %d of %d", t.n.view.sequence, command.Sequence))
			return
		}
		write := func(o loop.Object, err error) {
			if err != nil {
				c.done(false, err)
				return
			}
			command.Manifest = o
			addresses := content{text: "addresses of " + o.Key}
			t.put("manifests", addresses, int64(len(shown)), func(o loop.Object, err error) {
				if err != nil {
					c.done(false, err)
					return
				}
				command.Addresses = o
				t.n.propose(state.Command{Publish: &command}, c.proposed)
			})
		}
		t.after(t.w.between(0, t.w.bulk), "writes a manifest", func() { t.put("manifests", manifest, int64(len(shown)), write) })
	})
}

// proposed ends a step that a command was proposed in.
func (c *conductor) proposed(event state.Event, err error) {
	if refused, ok := event.(state.Refused); ok {
		err = refused
	}
	c.done(true, err)
}

// selects reports whether a selection is of exactly the samples that are shown, in
// their order.
func selects(selection []state.Selected, shown []seen) bool {
	for _, x := range selection {
		for index := range x.Indices.All() {
			if len(shown) == 0 {
				return false
			}
			if n := shown[0].row.sample.name; n.Round != x.Round || n.Domain != x.Domain || n.Component != x.Component || n.Index != index {
				return false
			}
			shown = shown[1:]
		}
	}
	return len(shown) == 0
}

// open decides the next round, by dice, and opens or proposes it (C3, C8, C15).
func (c *conductor) open(campaign *state.Campaign) {
	t := c.t
	w, s, asked := t.w, t.n.state, campaign.Campaign
	command := state.OpenRound{Previous: campaign.Round, CampaignVersion: campaign.Version,
		SpaceVersion: campaign.SpaceVersion, PolicyVersion: campaign.PolicyVersion}
	atLeast := uint64(0)
	left := asked.Samples
	if campaign.Round > 0 {
		previous, _ := s.Round(c.name, campaign.Round)
		atLeast = previous.Decided.Sequence
		left -= campaign.Domains[loop.Train].Quota
		for _, p := range previous.Components {
			command.Cuts = append(command.Cuts, p.Reserved)
			if p.Domain == loop.Train {
				left += p.Quota - p.Reserved
			}
		}
	}
	number := campaign.Round + 1
	train := left
	if n := uint64(asked.Rounds - number + 1); n > 1 {
		train = left / n
	}
	round := loop.Round{Campaign: c.name, Number: number, Seed: asked.Seed, SpaceVersion: 1, PolicyVersion: 1, Strategy: loop.StrategyUniform}
	for i, quota := range w.split(train) {
		round.Components = append(round.Components, loop.Component{Number: i, Over: loop.OverBase, Quota: quota})
	}
	if asked.Evaluation.Target > 0 {
		round.Components = append(round.Components, loop.Component{Domain: loop.Evaluation, Over: loop.OverTarget, Quota: asked.Evaluation.Target})
	}
	for i := range round.Components {
		command.FirstReserve = append(command.FirstReserve, min(round.Components[i].Quota, uint64(w.random.IntN(3*asked.UnitSize))))
	}
	command.Round = round
	t.after(w.between(0, 200*linger), "reads evidence", func() {
		command.Sequence = t.n.view.sequence
		if w.happens(w.odds.behind) { // a view that forgets what it was asked
			command.Sequence = uint64(w.random.Int64N(int64(command.Sequence) + 1))
		} else if command.Sequence < atLeast {
			c.done(false, fmt.Errorf("the view has reached %d of %d", command.Sequence, atLeast))
			return
		}
		t.put("evidence", content{text: fmt.Sprint("evidence at ", command.Sequence)}, 1, func(o loop.Object, err error) {
			if err != nil {
				c.done(false, err)
				return
			}
			command.EvidenceKey = o.Key
			if asked.Decide == loop.DecidePropose {
				t.n.propose(state.Command{ProposeRound: &state.ProposeRound{Open: command, Serial: len(t.n.state.Proposals(c.name)) + 1, Author: "hone"}}, c.proposed)
				return
			}
			t.n.propose(state.Command{OpenRound: &command}, c.proposed)
		})
	})
}

// split splits a quota over one to three components.
func (w *world) split(quota uint64) (parts []uint64) {
	for range w.random.IntN(3) {
		part := w.random.Uint64N(quota + 1)
		parts = append(parts, part)
		quota -= part
	}
	return append(parts, quota)
}
