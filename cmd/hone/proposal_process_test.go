package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
)

// proposal waits until a round of a campaign is proposed and waits for approval.
func (c *crew) proposal(campaign string, n int) (p api.Proposal) {
	c.t.Helper()
	c.await(fmt.Sprintf("a proposal of round %d of %s", n, campaign), func() bool {
		list, err := c.client.Proposals(c.ctx, campaign)
		if err != nil || len(list) == 0 {
			return false
		}
		p = list[len(list)-1]
		return p.Round == n && p.State == api.ProposalWaiting
	})
	return p
}

// proposes runs a command that answers a proposal.
func (c *crew) proposes(args ...string) (p api.Proposal) {
	c.t.Helper()
	code, text := c.hone(append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(text), &p); code != exitOK || err != nil {
		c.t.Fatalf("%v: exit code %d, %v: %s", args, code, err, text)
	}
	return p
}

// C8 with real processes: rounds are proposed, previewed, rejected, asked for
// again, amended and approved, and the server is killed while they wait; what
// opens is what was approved, every sample is counted once (I2, I3), and every
// round replays, with what people decided about it (I4).
func TestProposedRounds(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server, a worker and a training job")
	}
	c := newCrew(t, patient(t, 4*time.Minute))
	c.trainer("trainer", "three", rounds, false)
	c.worker("w", 2)
	c.start("server")
	document := fmt.Sprintf(threeRoundsDocument, courseSeed) + "decide: propose\nprice: {gpu_hour: 3600, currency: EUR}\n"
	c.put(shapes.SpaceDocument, []string{eagerPolicy}, []string{document})

	first := c.proposal("three", 1)
	c.kill("server")
	c.start("server", "w", "trainer")
	if again := c.proposal("three", 1); again.Digest != first.Digest || again.Serial != first.Serial || again.At != first.At {
		t.Fatalf("kill -9 left %+v of %+v", again, first)
	}
	if now := c.look("three"); now.Committed+now.InFlight > 0 || !strings.Contains(now.Waiting, "approval of round 1") {
		t.Fatalf("what nobody approved is made: %+v, waiting for %q", now.Counts, now.Waiting)
	}
	if p := c.proposes("round", "approve", "three", "1", "--reason", "go", "--author", "ann", "--digest", first.Digest.String()[:20]); p.State != api.ProposalApproved || p.Ruling.Author != "ann" {
		t.Fatalf("%+v", p)
	}

	second := c.proposal("three", 2)
	if second.Digest == first.Digest {
		t.Error("round 2 has the bytes of round 1")
	}
	code, page := c.hone("round", "preview", "three")
	for _, want := range []string{"round     2 of campaign three", "waiting for approval", "trust region", "base", " EUR\n", "hone round approve three 2 --digest " + second.Digest.String()[7:19]} {
		if code != exitOK || !strings.Contains(page, want) {
			t.Errorf("exit code %d, no %q in the preview:\n%s", code, want, page)
		}
	}
	if p, err := c.client.PreviewRound(c.ctx, "three", 2); err != nil || p.Digest != second.Digest || p.Price.GPUSeconds == nil || *p.Price.GPUSeconds <= 0 || p.Price.Measured != perRound ||
		p.Price.Money == nil || math.Abs(*p.Price.Money / *p.Price.GPUSeconds - 1) > 1e-9 || p.Price.Currency != "EUR" {
		t.Errorf("%v, the price %+v of %+v", err, p.Price, p)
	}
	if p := c.proposes("round", "reject", "three", "2", "--reason", "too much glare"); p.State != api.ProposalRejected {
		t.Fatalf("%+v", p)
	}
	if _, text := c.hone("campaign", "show", "three"); !strings.Contains(text, "rejected at") || !strings.Contains(text, "too much glare") {
		t.Errorf("campaign show does not say that the round was rejected:\n%s", text)
	}
	if code, _ := c.hone("round", "amend", "three", "2", "--where", "light=low", "--share", "10%"); code != exitConflict {
		t.Errorf("amending what was rejected: exit code %d", code)
	}
	asked := c.proposes("round", "propose", "three", "--author", "bob")
	if asked.Digest != second.Digest || asked.Serial != second.Serial+1 || asked.Author != "bob" {
		t.Errorf("the same evidence was proposed as %+v, before as %+v", asked, second)
	}
	amended := c.proposes("round", "amend", "three", "2", "--where", "light=low", "--share", "10%", "--reason", "the night shift", "--author", "ann")
	if amended.State != api.ProposalWaiting || len(amended.Changes) == 0 || amended.Digest == second.Digest {
		t.Fatalf("%+v", amended)
	}
	c.kill("server")
	c.start("server")
	if code, _ := c.hone("round", "approve", "three", "2", "--digest", second.Digest.String()); code != exitConflict {
		t.Errorf("approving what was amended since: exit code %d", code)
	}
	if p := c.proposes("round", "approve", "three", "2", "--digest", amended.Digest.String()[7:19]); p.Digest != amended.Digest || p.State != api.ProposalApproved {
		t.Fatalf("%+v", p)
	}
	canonical, err := c.client.CanonicalRound(c.ctx, "three", 2)
	if err != nil || !strings.Contains(string(canonical), `"the night shift"`) {
		t.Errorf("the round does not say why it was amended (%v): %s", err, canonical)
	}
	c.proposal("three", 3)
	c.proposes("round", "approve", "three", "3")
	c.await("the end", func() bool { now := c.look("three"); return now.Ended() })
	if end := c.look("three"); end.State != api.CampaignDone || end.Committed != 1500 || end.Proposal != nil {
		t.Errorf("%+v", end)
	}
	list, err := c.client.Proposals(c.ctx, "three")
	var states []string
	for _, p := range list {
		states = append(states, p.State)
	}
	if want := "approved rejected amended approved approved"; err != nil || strings.Join(states, " ") != want {
		t.Errorf("%v, %v; want %s", states, err, want)
	}
	c.replays("three", rounds)
	c.check()
}
