package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"hone/coordinator/state"
	"hone/fault"
	"hone/loop"
)

// conduct advances every campaign, each by itself, so that one which waits for
// its evidence holds up no other.
func (t *term) conduct(ctx context.Context) error {
	watch, end := t.c.node.machine.watch()
	defer end()
	group, ctx := errgroup.WithContext(ctx)
	conductors := make(map[string]*conductor)
	begin := func(name string) {
		c := conductors[name]
		if c == nil {
			c = &conductor{t: t, name: name, news: make(chan struct{}, 1)}
			conductors[name] = c
			group.Go(func() error { return c.run(ctx) })
		}
		poke(c.news)
	}
	var names []string
	t.c.node.View(func(s *state.State) {
		for _, c := range s.Campaigns() {
			names = append(names, c.Campaign.Name)
		}
	})
	for _, name := range names {
		begin(name)
	}
	for {
		select {
		case <-watch.wake:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), group.Wait())
		}
		touched := watch.take()
		for name := range touched.campaigns {
			begin(name)
		}
		if touched.all {
			for _, c := range conductors {
				poke(c.news)
			}
		}
	}
}

// conductor takes a campaign from one step to the next: open a round, publish
// it, open the next.
type conductor struct {
	t    *term
	name string
	// news has a token when something of the campaign, or a model, has changed.
	news chan struct{}
	// round is the latest round that was seen.
	round int
	// looked is of what finish has seen that nothing of it ends the campaign.
	looked string
	// ending is when the campaign was first seen to be closed, or its money spent.
	ending time.Time
}

// retryAfter is how long a campaign pauses after a step that failed; the pause
// doubles up to maxRetryAfter while it keeps failing.
const (
	retryAfter    = time.Second
	maxRetryAfter = 30 * time.Second
)

func (c *conductor) run(ctx context.Context) error {
	pause := retryAfter
	for {
		next, err := c.advance(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			c.failed(err)
			timer := time.NewTimer(pause)
			pause = min(2*pause, maxRetryAfter)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return context.Cause(ctx)
			}
			continue
		}
		pause = retryAfter
		c.succeeded()
		switch next {
		case moved:
		case waiting:
			select {
			case <-c.news:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		case soon:
			// What brings it about is in no log: a lease that ends.
			timer := time.NewTimer(lookEvery)
			select {
			case <-c.news:
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
}

// failed keeps what `campaign show` tells of the campaign, and logs it once.
func (c *conductor) failed(err error) {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	if text := err.Error(); c.t.troubles[c.name] != text {
		c.t.troubles[c.name] = text
		c.t.c.log.Warn("cannot advance campaign; trying again", "campaign", c.name, "error", err)
	}
}

func (c *conductor) succeeded() {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	delete(c.t.troubles, c.name)
}

// step is what came of a look at a campaign.
type step int

const (
	waiting step = iota // nothing to do until something changes
	moved               // something was done: look again
	soon                // look again before long, whether something changes or not
)

// lookEvery is how long soon is.
const lookEvery = time.Second / 4

// advance does the next thing that the campaign needs, if there is one.
func (c *conductor) advance(ctx context.Context) (step, error) {
	var campaign state.Campaign
	var round state.Round
	var owed []loop.Domain
	var exists, sealed bool
	spent := c.t.outOfMoney(c.name)
	c.t.c.node.View(func(s *state.State) {
		for {
			if _, ok := s.Round(c.name, c.round+1); !ok {
				break
			}
			c.round++
		}
		exists = true
		if round, _ = s.Round(c.name, c.round); c.round > 0 && !round.Terminal {
			if steered, _ := s.Steered(c.name); steered.To != state.Closed && !spent {
				return
			}
		}
		if campaign, exists = s.Campaign(c.name); c.round > 0 {
			owed = unpublished(s, c.name, &round)
			sealed = len(unsealed(s, &campaign, &round)) == 0
		}
	})
	if campaign.State != state.Closed && !spent {
		c.ending = time.Time{}
	}
	switch {
	case !exists:
		return waiting, nil
	case campaign.State == state.Closed && campaign.Total.Pending > 0:
		return c.giveUp(ctx, &state.GiveUp{Campaign: c.name})
	case campaign.State == state.Running && spent && campaign.Total.Pending > 0:
		price := &campaign.Campaign.Price
		return c.giveUp(ctx, &state.GiveUp{Campaign: c.name, Version: campaign.Version,
			Reason: fmt.Sprintf("money: %s of %s are spent", price.Amount(float64(campaign.Spent.Micros)/1e6), price.Amount(campaign.Campaign.Money))})
	case c.round == 0 && campaign.State != state.Running:
		return waiting, nil
	case c.round == 0:
		return c.t.advance(ctx, &campaign, nil)
	case !round.Terminal || campaign.Total.Pending > 0:
		// A revoke may have opened an index of an earlier round, too.
		return waiting, nil
	}
	if len(owed) > 0 {
		return moved, c.t.publish(ctx, &campaign, owed[0])
	}
	// An extension may yet make a campaign run on that is done.
	if campaign.State != state.Running || campaign.Round >= campaign.Campaign.Rounds || !sealed {
		return waiting, nil
	}
	if done, err := c.finish(ctx, &campaign); done || err != nil {
		return moved, err
	}
	return c.t.advance(ctx, &campaign, &round)
}

// advance opens the next round, or sees to it that one is proposed (C8).
func (t *term) advance(ctx context.Context, campaign *state.Campaign, previous *state.Round) (step, error) {
	if campaign.Campaign.Decide == loop.DecidePropose {
		return t.propose(ctx, campaign, previous)
	}
	return moved, t.open(ctx, campaign, previous)
}

// giveUp ends a campaign that is closed, or whose money is spent, once nobody makes anything of it any more, and
// workers that were away have had the time to come back with what they hold.
func (c *conductor) giveUp(ctx context.Context, command *state.GiveUp) (step, error) {
	now := time.Now()
	if c.ending.IsZero() {
		c.ending = now
	}
	var flight [3]uint64
	c.t.mu.Lock()
	c.t.c.node.View(func(s *state.State) { flight = c.t.inFlight(s, c.name) })
	c.t.mu.Unlock()
	if flight != [3]uint64{} || now.Sub(c.ending) < c.t.c.o.ReconnectWindow {
		return soon, nil
	}
	event, err := c.t.c.node.Propose(ctx, state.Command{GiveUp: command})
	if err != nil {
		return waiting, fmt.Errorf("give up what is open of %s: %w", c.name, err)
	}
	c.t.c.log.Info("campaign ended", "campaign", c.name, "why", cmp.Or(command.Reason, "closed"), "given_up", event.(state.GivenUp).Indices)
	return moved, nil
}

// unsealed are the model lines that the campaign learns from and waits for (C8):
// those of which no version was sealed since its latest round was published.
// Neither sealing nor publishing is a change of the catalogue, so sequences alone
// do not tell which of the two came first. A version that outcomes were posted of
// after the round was published has a later sequence; one without outcomes is
// known by a later time alone. In any case it is another than the newest one that
// the round was decided from.
func unsealed(s *state.State, campaign *state.Campaign, round *state.Round) (lines []string) {
	name := campaign.Campaign.Name
	sequence, at := uint64(0), int64(0)
	for _, set := range []string{name, loop.EvaluationSet(name)} {
		if d, ok := s.Dataset(set, campaign.Round); ok {
			sequence, at = max(sequence, d.Sequence), max(at, d.At)
		}
	}
	used := make(map[string]string)
	for _, m := range round.Decided.Models {
		if m.Age == 0 {
			used[m.ModelLine] = m.Version
		}
	}
	for _, l := range campaign.Campaign.LearnFrom {
		line, _ := s.ModelLine(l.ModelLine)
		if n := len(line.Sealed); n > 0 {
			newest := &line.Sealed[n-1]
			since := newest.Sequence > sequence && newest.At >= at || newest.Sequence == sequence && newest.At > at
			if last, was := used[l.ModelLine]; since && (!was || newest.Version != last) {
				continue
			}
		}
		if !slices.Contains(lines, l.ModelLine) {
			lines = append(lines, l.ModelLine)
		}
	}
	return lines
}

// open decides the next round and opens it.
func (t *term) open(ctx context.Context, campaign *state.Campaign, previous *state.Round) error {
	c, number := campaign.Campaign, campaign.Round+1
	var command *state.OpenRound
	_, err := t.c.node.proposePut(ctx, func(epoch uint64) (_ state.Command, err error) {
		if command, err = t.decide(ctx, campaign, previous, deciding{epoch: epoch}); err != nil {
			err = fmt.Errorf("decide: %w", err)
		}
		fault.Point("open-decided")
		return state.Command{OpenRound: command}, err
	})
	if err != nil {
		return fmt.Errorf("open round %d of %s: %w", number, c.Name, err)
	}
	t.c.log.Info("round opened", "campaign", c.Name, "round", number, "boosts", boosts(&command.Round), "evidence_rows", command.Round.EvidenceRows)
	return nil
}

// deciding is what a decision takes beside what stands.
type deciding struct {
	// pins and bans are what a person decided about this round alone.
	pins, bans []loop.Override
	// epoch is the one under which the evidence is put into the lake, so that the
	// round may open; 0: it is not.
	epoch uint64
}

// decide takes the evidence and decides the round after previous, nil for the
// first.
func (t *term) decide(ctx context.Context, campaign *state.Campaign, previous *state.Round, how deciding) (*state.OpenRound, error) {
	c := campaign.Campaign
	var space state.SpaceVersion
	var arms loop.Arms
	var query loop.EvidenceQuery
	t.c.node.View(func(s *state.State) {
		space, _ = s.Space(c.Space, campaign.SpaceVersion)
		arms = armsOf(s, campaign)
		query = evidenceQuery(s, campaign, widest(arms.Stable, arms.Canary))
	})
	command := &state.OpenRound{Previous: campaign.Round, CampaignVersion: campaign.Version,
		SpaceVersion: campaign.SpaceVersion, PolicyVersion: campaign.PolicyVersion, Canary: campaign.Canary, Models: query.Models}
	var last *loop.Round
	if previous != nil {
		last = &previous.Decided.Round
		// Evidence never goes back (C15).
		command.Sequence = previous.Decided.Sequence
		query.AtLeast = max(query.AtLeast, previous.Decided.Sequence)
		for _, p := range previous.Components {
			command.Cuts = append(command.Cuts, p.Reserved)
		}
	}
	var evidence *loop.Evidence
	if len(query.Models) > 0 {
		read, sequence, err := t.c.o.View.Evidence(ctx, query)
		if err != nil {
			return nil, err
		}
		if sequence < query.AtLeast {
			return nil, fmt.Errorf("the view answered at sequence %d, but was asked for %d or later", sequence, query.AtLeast)
		}
		command.Sequence = sequence
		if read.Len() > 0 {
			evidence = &read
		}
		if read.Len() > 0 && how.epoch > 0 {
			object, err := t.c.o.Parts.PutEvidence(ctx, how.epoch, int64(read.Len()), read.Encode())
			if err != nil {
				return nil, err
			}
			command.EvidenceKey = object.Key
		}
	}
	asked := budget(c, campaign.Round+1, campaign.Domains[loop.Train].Quota)
	asked.Day, asked.Pins, asked.Bans = today(), how.pins, how.bans
	round, err := arms.Decide(space.Space, last, evidence, asked, c.Seed)
	if err != nil {
		return nil, err
	}
	command.Round, command.Budget, command.Build, command.Architecture = round, &asked, t.c.o.Build, runtime.GOARCH
	command.FirstReserve = firstReserve(&round, c.UnitSize)
	return command, nil
}

// firstReserve is the first block of every component (C2).
func firstReserve(r *loop.Round, unitSize int) []uint64 {
	reserve := make([]uint64, len(r.Components))
	for i := range reserve {
		reserve[i] = min(r.Components[i].Quota, uint64(8*unitSize))
	}
	return reserve
}

// today is the day by which overrides expire, since 1970 UTC.
func today() int { return int(time.Now().Unix() / (24 * 60 * 60)) }

// budget is what a campaign's round may ask for: what the rounds before it, whose
// training quotas sum to decided, have left, spread over the rounds to come.
func budget(c *loop.Campaign, number int, decided uint64) loop.Budget {
	return loop.Budget{Campaign: c.Name, Number: number, Evaluation: c.Evaluation, QuotaBy: c.QuotaBy, Make: c.Make, Train: c.NextSamples(number, decided)}
}

func boosts(r *loop.Round) (n int) {
	for i := range r.Components {
		if c := &r.Components[i]; c.Domain == loop.Train && c.Over == loop.OverBase && len(c.Slice) > 0 {
			n++
		}
	}
	return n
}

// evidenceQuery asks for the outcomes of the newest sealed versions of the
// lines that a campaign learns from, and for what its latest rounds took, as many
// of either as the policy's window.
func evidenceQuery(s *state.State, campaign *state.Campaign, policy *loop.Policy) loop.EvidenceQuery {
	c := campaign.Campaign
	if len(c.LearnFrom) == 0 {
		return loop.EvidenceQuery{Space: c.Space}
	}
	q := loop.EvidenceQuery{Space: c.Space, SpaceVersion: campaign.SpaceVersion, Learn: c.LearnFrom,
		Campaign: c.Name, FirstRound: max(1, campaign.Round-policy.Window+1), LastRound: campaign.Round,
		Timed: policy.Value.Cost && policy.Value.Time}
	for n := q.FirstRound; n <= q.LastRound; n++ {
		round, _ := s.Round(c.Name, n)
		for i := range round.Decided.Round.Components {
			if k := &round.Decided.Round.Components[i]; len(k.Slice) > 0 {
				q.Sliced = append(q.Sliced, loop.Sliced{Round: n, Domain: k.Domain, Component: k.Number, Slice: k.Slice})
			}
		}
	}
	for from, l := range c.LearnFrom {
		line, _ := s.ModelLine(l.ModelLine)
		for age := 0; age < len(line.Sealed) && age < policy.Window && age <= math.MaxUint8; age++ {
			version := line.Sealed[len(line.Sealed)-1-age]
			q.AtLeast = max(q.AtLeast, version.Sequence)
			q.Models = append(q.Models, loop.EvidenceModel{ModelLine: l.ModelLine, Version: version.Version,
				Age: uint8(age), EvalSet: l.EvalSet, Task: l.Task, From: uint8(from), Metric: l.Metric})
		}
	}
	return q
}
