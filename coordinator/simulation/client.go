package simulation

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// client is somebody who uses the cluster, and asks the same again until answered.
type client struct {
	party
	w *world
	// asks counts what has not been answered yet.
	asks int
}

// people are the clients of a world: one trains per campaign, others revoke, steer,
// and look after the lake.
func (w *world) people() {
	person := func(name string, least, most time.Duration, do func(c *client)) {
		c := &client{party: party{name: name, life: 1}, w: w}
		w.clients = append(w.clients, c)
		var tick func()
		tick = func() {
			do(c)
			w.after(w.between(least, most), &c.party, "looks again", tick)
		}
		w.after(w.between(0, most), &c.party, "looks", tick)
	}
	for _, c := range w.campaigns {
		person("trainer", time.Second/2, 3*time.Second, (&trainer{campaign: c}).look)
	}
	person("approver", time.Second, 8*time.Second, (*client).approve)
	person("compactor", time.Second, 10*time.Second, compactor(w))
	// Whether and how often anything is taken back, steered, or an epoch raised is
	// drawn like a fault, and ends with them.
	person("auditor", time.Second/2, 4*time.Second, revoker(w))
	person("operator", time.Second, 10*time.Second, steerer(w))
	person("keeper", time.Second, 15*time.Second, keeper(w))
}

// answer is what a node answers a client: an event, or how a post stood.
type answer any

// ask asks whoever leads, and the same again until there is an answer.
func (c *client) ask(what string, serve func(n *node, reply func(answer, error)), done func(answer)) {
	w := c.w
	c.asks++
	over := false
	var try func()
	try = func() {
		n := w.leader
		if n == nil || w.chance(0.2) {
			n = pick(w, w.nodes)
		}
		heard := false
		again := func() {
			w.after(w.between(100*time.Millisecond, 2*time.Second), &c.party, "asks again: "+what, func() {
				if !over {
					try()
				}
			})
		}
		reply := func(a answer, err error) {
			w.send(&c.party, "an answer to "+what, func() {
				switch {
				case over || heard:
				case err != nil:
					heard = true
					again()
				default:
					over, heard = true, true
					c.asks--
					done(a)
				}
			})
		}
		w.send(&n.party, what, func() {
			if n.term == nil || n.term.schedule == nil {
				reply(nil, errElsewhere)
				return
			}
			serve(n, reply)
		})
		w.after(8*time.Second, &c.party, "has no answer to "+what, func() {
			if !heard && !over {
				heard = true
				again()
			}
		})
	}
	try()
}

// command asks for a command to be proposed.
func (c *client) command(what string, command state.Command, done func(state.Event)) {
	c.ask(what, func(n *node, reply func(answer, error)) {
		n.propose(command, func(e state.Event, err error) { reply(e, err) })
	}, func(a answer) { done(a.(state.Event)) })
}

// able picks a node that answers reads, however far it is behind.
func (w *world) able() *node {
	if n := pick(w, w.nodes); !n.down {
		return n
	}
	return nil
}

// trainer trains a model version on every dataset version of a campaign, posts how it
// does, and seals it.
type trainer struct {
	campaign *loop.Campaign
	trained  int // the latest
}

func (t *trainer) look(c *client) {
	n := c.w.able()
	if n == nil || c.asks > 0 {
		return
	}
	latest, ok := n.state.Dataset(t.campaign.Name, 0)
	if !ok || latest.Version <= t.trained {
		return
	}
	t.trained = latest.Version
	line := t.campaign.LearnFrom[0].ModelLine
	posts := 1 + c.w.random.IntN(3)
	accepted, left := uint64(0), posts
	for i := range posts {
		p := &post{rows: 1 + c.w.random.IntN(3), post: loop.Post{Space: "lab", ModelLine: line, Version: versionOf(latest.Version),
			Key: fmt.Sprint("key-", i), Body: sha256.Sum256(fmt.Append(nil, "body of ", line, latest.Version, i))}}
		c.w.ledger.asked(p)
		c.post(p, func(a state.PostAnswer) {
			c.w.ledger.posted(p, a)
			if c.w.happens(c.w.odds.duplicate) {
				other := *p // the same key for another body
				other.post.Body[0]++
				c.post(&other, func(a state.PostAnswer) { c.w.ledger.misposted(&other, a) })
			}
			accepted += uint64(p.rows)
			if left--; left > 0 {
				return
			}
			c.command("a sealing", state.Command{SealModel: &state.SealModel{Line: line, Version: versionOf(latest.Version), Rows: accepted}}, func(e state.Event) {
				if _, ok := e.(state.ModelSealed); !ok {
					breaks("I1: %d rows were acknowledged of %s of %s, but a sealing with them is answered %+v", accepted, versionOf(latest.Version), line, e)
				}
			})
		})
	}
}

// post is one post of outcomes.
type post struct {
	post  loop.Post
	rows  int
	reply func(answer, error)
}

// id is what a row of it says it is of.
func (p *post) id() string {
	return fmt.Sprintf("%s %s %s %x", p.post.ModelLine, p.post.Version, p.post.Key, p.post.Body[:4])
}

func (c *client) post(p *post, done func(state.PostAnswer)) {
	c.ask("a post", func(n *node, reply func(answer, error)) {
		received := *p
		received.reply = reply
		n.posts = append(n.posts, &received)
		if len(n.posts) == 1 {
			c.w.after(c.w.between(0, 2*linger), &n.party, "takes posts in", n.ingest)
		}
	}, func(a answer) { done(a.(state.PostAnswer)) })
}

// ingest writes what was posted as one part, references it, and answers (C17).
func (n *node) ingest() {
	posts := n.posts
	n.posts = nil
	if len(posts) == 0 {
		return
	}
	command := &state.Append{}
	var part content
	for _, p := range posts {
		command.Posts = append(command.Posts, state.Posted{Post: p.post, FirstRow: uint32(len(part.posts)), Rows: uint32(p.rows)})
		for range p.rows {
			part.posts = append(part.posts, p.id())
		}
	}
	unknown := func() {
		for _, p := range posts {
			p.reply(nil, errUnknown)
		}
	}
	n.put("parts", part, int64(len(part.posts)), func(o loop.Object, err error) {
		if err != nil {
			unknown()
			return
		}
		command.Part = o
		n.propose(state.Command{Append: command}, func(e state.Event, err error) {
			appended, ok := e.(state.Appended)
			if err != nil || !ok {
				unknown() // refused: its epoch was closed meanwhile; it is put again
				return
			}
			for i, p := range posts {
				p.reply(appended.Posts[i], nil)
			}
		})
	})
}

// revoker takes samples back, a few at a time, by what some view shows (C13).
func revoker(w *world) func(*client) {
	left := w.random.IntN(3) * w.random.IntN(10)
	return func(c *client) {
		n := w.able()
		if n == nil || left == 0 || w.odds == (odds{}) {
			return
		}
		all := n.view.sorted(func(*sample) bool { return true })
		if len(all) == 0 {
			return
		}
		left--
		command := &state.Revoke{}
		for range 1 + w.random.IntN(4) {
			x := pick(w, all)
			command.Samples = append(command.Samples, state.RevokedSample{Campaign: x.row.sample.campaign, Name: x.row.sample.name, Reference: x.reference, Row: x.at})
			w.ledger.unwanted[x.row.sample] = true
		}
		c.command("a revoke", state.Command{Revoke: command}, func(e state.Event) { w.ledger.tookBack(command, e) })
	}
}

// steerer pauses campaigns, lets them run on, extends them and, rarely, closes one.
func steerer(w *world) func(*client) {
	left := w.random.IntN(3) * w.random.IntN(4)
	closes := w.chance(0.3)
	return func(c *client) {
		n := w.able()
		if n == nil || c.asks > 0 {
			return
		}
		campaign, ok := n.state.Campaign(pick(w, w.campaigns).Name)
		if !ok {
			return
		}
		steer := func(to state.CampaignState) {
			c.command("to be "+string(to), state.Command{SteerCampaign: &state.SteerCampaign{Campaign: campaign.Campaign.Name, To: to,
				Version: campaign.Steered.Version()}}, func(state.Event) {})
		}
		calm := w.odds == (odds{})
		switch {
		case campaign.Steered.To == state.Paused && (calm || w.chance(0.5)):
			steer(state.Running)
		case calm || left == 0 || campaign.State != state.Running:
		case closes && w.chance(0.3):
			left--
			steer(state.Closed)
		case w.chance(0.5):
			left--
			steer(state.Paused)
		default:
			left--
			c.command("more", state.Command{ExtendCampaign: &state.ExtendCampaign{Campaign: campaign.Campaign.Name, Version: campaign.Version,
				Samples: campaign.Campaign.Samples + uint64(1+w.random.IntN(10)), Rounds: campaign.Campaign.Rounds + 1}}, func(state.Event) {})
		}
	}
}

// approve approves the rounds that wait for it, and rejects some (C8).
func (c *client) approve() {
	w, n := c.w, c.w.able()
	if n == nil || c.asks > 0 {
		return
	}
	for _, campaign := range w.campaigns {
		if p, _, ok := n.state.Proposed(campaign.Name); ok && p.Ruling == nil {
			c.command("a ruling", state.Command{RuleProposal: &state.RuleProposal{Campaign: campaign.Name, Serial: p.Serial, Digest: p.Digest,
				Approve: w.odds == (odds{}) || w.chance(0.7), Author: c.name}}, func(state.Event) {})
		}
	}
}

// compactor has parts merged.
func compactor(w *world) func(*client) {
	left := w.random.IntN(3) * w.random.IntN(8)
	return func(c *client) {
		if left == 0 || c.asks > 0 || w.odds == (odds{}) {
			return
		}
		left--
		c.ask("a compaction", (*node).compact, func(answer) {})
	}
}

// keeper closes epochs of the lake and collects what is garbage by then (C18).
func keeper(w *world) func(*client) {
	raises, raised := w.random.IntN(2)*w.random.IntN(6), w.chance(0.3)
	return func(c *client) {
		n := w.able()
		if n == nil || w.odds == (odds{}) {
			return
		}
		w.collect(n)
		if !raised && c.asks == 0 {
			raised = true
			c.command("a version", state.Command{RaiseVersion: &state.RaiseVersion{To: state.LatestVersion}}, func(state.Event) {})
		}
		if raises == 0 || c.asks > 0 {
			return
		}
		raises--
		c.command("another epoch", state.Command{RaiseEpoch: &state.RaiseEpoch{Closes: n.state.Epoch()}}, func(e state.Event) {
			if r, ok := e.(state.Refused); ok && !errors.Is(r, loop.ErrConflict) {
				breaks("C18: raising the epoch is refused: %v", r)
			}
		})
	}
}
