package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"hone/api"
	"hone/loop"
)

// sight is what a live view has seen twice, ten seconds apart.
func sight(t *testing.T) *watched {
	t.Helper()
	v := newWatched(api.New("http://127.0.0.1:7070"))
	at := time.Date(2026, 3, 4, 12, 0, 10, 0, time.UTC)
	v.At = at
	v.Status = api.Status{Version: "v1", Role: "leader", UptimeSeconds: 3725, Sequence: 42, ViewSequence: 40,
		Campaigns: make([]api.CampaignSummary, 5),
		Workers:   []api.Worker{{Name: "gpu-1", Type: "H100", Slots: 4, Busy: 3, Committed: 900, Rejected: 100, Generators: []string{"shapes@1"}}}}
	v.Campaigns = []api.Campaign{
		{Name: "loop", State: api.CampaignRunning, Round: 3, Rounds: 12, Counts: api.Counts{Requested: 4000, Committed: 1000, Rejected: 10, InFlight: 100, Pending: 2900}},
		{Name: "paused", State: api.CampaignPaused, Round: 1, Rounds: 2, Counts: api.Counts{Requested: 100, Pending: 100}, Waiting: "somebody to\nresume it"},
		{Name: "old", State: api.CampaignDone, Round: 1, Rounds: 1, Counts: api.Counts{Requested: 10, Committed: 10}},
	}
	v.pace(v.campaigns, "loop").note(at.Add(-10*time.Second), 500)
	v.pace(v.campaigns, "loop").note(at, 1000)
	v.pace(v.workers, "gpu-1").note(at.Add(-10*time.Second), 400)
	v.pace(v.workers, "gpu-1").note(at, 900)
	boost := func(name string, share float64) api.Component {
		return api.Component{Domain: loop.Train.String(), Name: name, Share: share, Reason: &loop.Reason{Sentence: "It fails more often: " + strings.Repeat("much ", 40)}}
	}
	v.latest["loop"] = api.Round{Round: 3, Decision: &api.Decision{Components: []api.Component{
		boost("light=low", .05), boost("glove=yes", .2), boost("light=mid", .01), boost("light=high", .02), {Domain: "train", Name: "everything", Share: .7}}}}
	return v
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[a-zA-Z]")

// What is drawn fits the terminal, says what there is to say, and is as readable
// without colours.
func TestWatchFrame(t *testing.T) {
	v := sight(t)
	wide := drawn(v.frame(), 120, 40, true)
	if !strings.HasPrefix(wide, "\x1b[H") || !strings.HasSuffix(wide, "\x1b[J") {
		t.Errorf("it is not drawn over what was there: %q", wide)
	}
	if bare := drawn(v.frame(), 120, 40, false); escapes.ReplaceAllString(bare, "") != escapes.ReplaceAllString(wide, "") || regexp.MustCompile("\x1b\\[[0-9]*m").MatchString(bare) {
		t.Errorf("without colours it is another frame: %q", bare)
	}
	text := escapes.ReplaceAllString(wide, "")
	for _, want := range []string{
		"Hone v1 at http://127.0.0.1:7070, leader for 1h2m5s", "queries are 2 changes behind",
		"████░░░░░░░░░░░░", "50.0", "1m0s", "0.99%", // a quarter done, 3000 to go at 50 per second
		"paused waits for somebody to resume it", "and 2 more that are over",
		"gpu-1", "3 of 4", "10.0%", "loop, ROUND 3: 4 BOOSTS", " 20.0%  glove=yes: It fails",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "light=mid") {
		t.Errorf("the smallest boost is among the largest:\n%s", text)
	}
	if !strings.Contains(wide, green+"running"+normal) || !strings.Contains(wide, "paused    "+yellow+"paused"+normal) {
		t.Errorf("states are not coloured, or names are: %q", wide)
	}
	for _, size := range [][2]int{{120, 40}, {80, 24}, {30, 6}, {1, 1}} {
		lines := strings.Split(escapes.ReplaceAllString(drawn(v.frame(), size[0], size[1], true), ""), "\n")
		if len(lines) > size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for i, line := range lines {
			if n := utf8.RuneCountInString(line); n > size[0] && !strings.HasPrefix(line, "and ") {
				t.Errorf("%v: line %d has %d cells: %q", size, i, n, line)
			}
		}
	}
	v.Trouble = "no server answers"
	if text := drawn(v.frame(), 120, 40, true); !strings.Contains(text, red+"OLD: no server answers"+normal) {
		t.Errorf("old answers do not say so: %q", text)
	}
	if text := drawn(newWatched(api.New("")).frame(), 80, 24, false); !strings.Contains(text, "no campaign yet") || !strings.Contains(text, "no worker is connected") {
		t.Errorf("nothing is shown as %q", text)
	}
}

// Without a terminal a campaign is told of when it has changed, and only then.
func TestWatchLines(t *testing.T) {
	v := sight(t)
	var out bytes.Buffer
	tell := watchLines(&out)
	lines := func() int {
		t.Helper()
		before := out.Len()
		if err := tell(v); err != nil {
			t.Fatal(err)
		}
		return strings.Count(out.String()[before:], "\n")
	}
	if n := lines(); n != 3 {
		t.Errorf("%d lines at first", n)
	}
	v.At = v.At.Add(time.Minute)
	if n := lines(); n != 0 {
		t.Errorf("%d lines of nothing new", n)
	}
	v.Campaigns[0].Committed++
	v.Trouble = "no server answers"
	if n := lines(); n != 2 {
		t.Errorf("%d lines of a change and of trouble", n)
	}
	if !strings.Contains(out.String(), "loop  12:01:10Z  running     round 3 of 12  1,001 of 4,000 committed") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", out.String())
	}
	if err := watchLines(brokenPipe{})(v); err == nil {
		t.Error("it goes on though nobody reads")
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// A pace forgets what is long ago, and begins anew where a count has fallen.
func TestPace(t *testing.T) {
	var p pace
	at := time.Unix(0, 0)
	for second := range 100 {
		if second < 50 {
			p.note(at.Add(time.Duration(second)*time.Second), uint64(10*second))
		} else {
			p.note(at.Add(time.Duration(second)*time.Second), 490+uint64(100*(second-49)))
		}
	}
	if got := p.rate(); got != 100 {
		t.Errorf("%v per second, want 100", got)
	}
	p.note(at.Add(200*time.Second), 5)
	if got := p.rate(); got != 0 {
		t.Errorf("%v per second after the count has fallen", got)
	}
	for pending, want := range map[uint64]string{0: "", 90: "9s", 7200: "12m0s", 90_000: "2h30m", 1_000_000: "1d3h", 1 << 40: "> 100 days"} {
		c := &api.Campaign{State: api.CampaignRunning, Counts: api.Counts{Pending: pending}}
		if got := left(c, 10); got != want {
			t.Errorf("%d at 10 per second: %q, want %q", pending, got, want)
		}
	}
}

// The flags of extend: a number is what is asked for in all, one with a sign is
// added to that.
func TestChanged(t *testing.T) {
	for _, c := range []struct {
		flag string
		want uint64
		ok   bool
	}{
		{"", 100, true}, {"5", 5, true}, {"+5", 105, true}, {"-5", 95, true}, {"-101", 0, false}, {"+", 0, false},
		{"x", 0, false}, {"++5", 0, false}, {"1e3", 0, false}, {"5.0", 0, false}, {fmt.Sprint(uint64(1) << 41), 0, false},
	} {
		got, err := changed("--samples", c.flag, 100)
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%q: %d, %v; want %d, %v", c.flag, got, err, c.want, c.ok)
		}
	}
}
