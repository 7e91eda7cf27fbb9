package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
)

// hone runs a command of the program and returns its exit code and output.
func (c *crew) hone(args ...string) (code int, stdout string) {
	c.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(c.ctx, honeBinary(c.t), append(args, "--server", c.server)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if code = cmd.ProcessState.ExitCode(); code > 1 {
		c.t.Logf("hone %s: exit code %d: %s", strings.Join(args, " "), code, &errs)
	}
	return code, out.String()
}

// look is a campaign as the server shows it, which must add up (I3).
func (c *crew) look(name string) api.Campaign {
	c.t.Helper()
	now, err := c.client.Campaign(c.ctx, name)
	if err != nil {
		c.t.Fatal(err)
	}
	if now.Requested != now.Committed+now.Abandoned+now.InFlight+now.Pending {
		c.t.Errorf("%s does not add up (I3): %+v", name, now.Counts)
	}
	return now
}

// now is a campaign as a command of the program shows it.
func (c *crew) now(args ...string) api.Campaign {
	c.t.Helper()
	code, text := c.hone(append(args, "--output", "json")...)
	var now api.Campaign
	if err := json.Unmarshal([]byte(text), &now); code != 0 || err != nil {
		c.t.Fatalf("%v: exit code %d, %v: %s", args, code, err, text)
	}
	return now
}

// I3, C13 with real processes: a campaign is paused, survives kill -9 paused, is
// resumed, extended and closed while workers make it, and its counts are exact at
// the end, by every way of asking.
func TestSteeredWhileWorkersMakeIt(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server and workers")
	}
	c := newCrew(t, patient(t, 3*time.Minute))
	c.worker("w1", 2)
	c.worker("w2", 2)
	c.start("server")
	c.put(shapes.SpaceDocument, []string{"name: flat\nstrategy: uniform\n"}, []string{
		"name: c\nspace: shapes\npolicy: flat\ngenerator: shapes\nseed: 7\nsamples: 4000\nrounds: 2\nlearn_from: [{model_line: net}]\n",
	})
	watch := launch(t, c.dir, "watch", exec.Command(honeBinary(t), "campaign", "watch", "c", "--output", "json", "--server", c.server), nil)
	c.start("w1", "w2")

	c.await("some samples", func() bool { return c.look("c").Committed > 100 })
	paused := c.now("campaign", "pause", "c", "--reason", "lunch", "--author", "ann")
	if paused.State != api.CampaignPaused || paused.Steered.Reason != "lunch" || paused.Steered.Author != "ann" {
		t.Fatalf("paused: %+v", paused)
	}
	c.await("what is in flight", func() bool { return c.look("c").InFlight == 0 })
	before := c.look("c")
	c.kill("server")
	c.start("server")
	polls := 0
	c.await("that nothing happens", func() bool {
		now := c.look("c")
		if now.Committed != before.Committed || now.InFlight != 0 || now.State != api.CampaignPaused || now.Steered.At != paused.Steered.At {
			t.Fatalf("a paused campaign went on: %+v, before %+v", now, before)
		}
		polls++
		return polls == 20
	})
	if now := c.now("campaign", "resume", "c"); now.State != api.CampaignRunning {
		t.Fatalf("resumed: %+v", now)
	}
	if _, err := c.client.Round(c.ctx, "c", 1, time.Minute); err != nil {
		t.Fatal(err)
	}
	if now := c.now("campaign", "extend", "c", "--samples", "+2000", "--rounds", "+1"); now.Requested != 6000 || now.Rounds != 3 || now.Version != 2 {
		t.Fatalf("extended: %+v", now)
	}
	if _, err := c.client.SealModel(c.ctx, "net", "1", 0); err != nil {
		t.Fatal(err)
	}
	c.await("the second round", func() bool { return c.look("c").Committed > 2300 })
	c.now("campaign", "close", "c", "--reason", "good enough")
	c.await("its end", func() bool { now := c.look("c"); return now.Ended() })
	if code := watch.wait(c.ctx, t); code != 1 {
		t.Errorf("watching a campaign that is closed ends with %d, want 1", code)
	}

	end := c.look("c")
	if shown := c.now("campaign", "show", "c"); shown.Counts != end.Counts {
		t.Errorf("campaign show has %+v", shown.Counts)
	}
	if end.State != api.CampaignClosed || end.Requested+end.GivenUp != 6000 || end.Requested != end.Committed+end.Abandoned || end.Committed < 2300 || end.Round != 2 {
		t.Errorf("ended with %+v", end)
	}
	c.await("the last version", func() bool { _, err := c.client.Dataset(c.ctx, "c", 2); return err == nil })
	last, err := c.client.Dataset(c.ctx, "c", 0)
	if err != nil || last.Version != 2 || uint64(last.Samples) != end.Committed {
		t.Errorf("%+v, %v; want %d samples", last, err, end.Committed)
	}
	table, err := c.client.SQL(c.ctx, "select count(*) from shapes.samples where campaign = 'c'", end.Sequence)
	if err != nil || fmt.Sprint(table.Rows) != fmt.Sprintf("[[%d]]", end.Committed) {
		t.Errorf("the table has %v rows, %v; want %d", table.Rows, err, end.Committed)
	}
	var states []string
	var told api.Campaign
	for line := range strings.Lines(watch.stdout.String()) {
		told = api.Campaign{}
		if err := json.Unmarshal([]byte(line), &told); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if len(states) == 0 || states[len(states)-1] != told.State {
			states = append(states, told.State)
		}
	}
	if !slices.Equal(states, []string{"running", "paused", "running", "closed"}) || told.Counts != end.Counts {
		t.Errorf("the watcher was told of %v, and in the end %+v, want %+v", states, told.Counts, end.Counts)
	}

	// One that is done ends its watcher with 0, and none that is not there is
	// waited for.
	c.put(shapes.SpaceDocument, nil, []string{"name: d\nspace: shapes\npolicy: flat\ngenerator: shapes\nsamples: 200\nrounds: 1\n"})
	if code, out := c.hone("campaign", "watch", "d"); code != 0 || !strings.Contains(out, "200 of 200 committed") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if code, _ := c.hone("campaign", "watch", "none"); code != exitNotFound {
		t.Errorf("exit code %d of a campaign that there is not", code)
	}
	if code, _ := c.hone("campaign", "pause", "d"); code != exitConflict {
		t.Errorf("exit code %d of pausing what is done", code)
	}
	c.check()
}
