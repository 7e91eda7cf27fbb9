package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
)

const oneRoundDocument = `name: one
space: shapes
policy: eager
generator: shapes
seed: 99
samples: 3000
rounds: 1
evaluation: {target: 500}
gates: [format, blank]
unit_size: 50
`

// moment is a plan to kill: when something is seen, and a little later, somebody.
type moment struct {
	what    string
	after   func(s seen) bool
	delay   time.Duration
	victims []string
	// forget removes the view while its owner is dead: it is built again from
	// state and lake.
	forget bool
	// again: they are killed once more, so long after they were started again.
	again time.Duration
	// forever: the victim comes back after everything is done, with what it held.
	forever bool
	came    bool
}

// seen is a line of a log, or how many samples are committed.
type seen struct {
	from, line string
	committed  map[string]uint64 // by campaign, training and evaluation together
}

func line(from, part string) func(seen) bool {
	return func(s seen) bool { return s.from == from && strings.Contains(s.line, part) }
}

func committed(campaign string, n int) func(seen) bool {
	return func(s seen) bool { return s.committed[campaign] >= uint64(n) }
}

// plan draws the moments of one run. All of them are within reach in every run;
// which come, and where exactly they fall, differs with the seed.
func plan(random *rand.Rand) []*moment {
	between := func(low, high int) int { return low + random.IntN(high-low) }
	later := func(most time.Duration) time.Duration { return time.Duration(random.Int64N(int64(most))) }
	everybody := []string{"server", "w1", "w2", "trainer"}
	must := []*moment{
		{what: "the server in the middle", after: committed("one", between(50, 2500)), victims: []string{"server"}},
		{what: "all at once", after: committed("one", between(500, 3400)), victims: everybody},
		{what: "a worker, for ever", after: committed("three", between(100, 1200)), victims: []string{"w3"}, forever: true},
		{what: "the server as it publishes or is about to", after: committed("three", perRound*between(1, rounds+1)-between(0, 150)), delay: later(40 * time.Millisecond), victims: []string{"server"}},
		{what: "the server as it decides", after: line("trainer", fmt.Sprintf("seals %d", between(1, rounds))), delay: later(30 * time.Millisecond), victims: []string{"server"}},
	}
	may := []*moment{
		{what: "the server between two versions", after: line("server", fmt.Sprintf("dataset=three@%d", between(1, rounds+1))), victims: []string{"server"}},
		{what: "the server as it publishes the only round", after: committed("one", 3500), delay: later(40 * time.Millisecond), victims: []string{"server"}},
		{what: "the server with a round just opened", after: line("server", fmt.Sprintf("campaign=three round=%d", between(2, rounds+1))), delay: later(5 * time.Millisecond), victims: []string{"server"}},
		{what: "the server and its view", after: line("trainer", fmt.Sprintf("posted %d.", between(1, rounds+1))), victims: []string{"server"}, forget: true},
		{what: "the trainer between two posts", after: line("trainer", fmt.Sprintf("posted %d.%d", between(1, rounds+1), between(0, 7))), delay: later(10 * time.Millisecond), victims: []string{"trainer"}},
		{what: "the trainer as it seals", after: line("trainer", fmt.Sprintf("seals %d", between(1, rounds+1))), delay: later(10 * time.Millisecond), victims: []string{"trainer"}},
		{what: "the server as rows arrive", after: line("trainer", fmt.Sprintf("posted %d.%d", between(1, rounds+1), between(0, 7))), delay: later(10 * time.Millisecond), victims: []string{"server"}},
		{what: "a worker", after: committed("one", between(50, 3000)), victims: []string{"w1"}},
		{what: "both workers", after: committed("three", between(50, 2500)), victims: []string{"w1", "w2"}},
		{what: "a worker just connected again", after: line("w2", "msg=connected"), delay: later(20 * time.Millisecond), victims: []string{"w2"}},
		{what: "the server, and again on its way up", after: committed("one", between(50, 3000)), victims: []string{"server"}, again: later(400 * time.Millisecond)},
		{what: "everybody near the end", after: committed("three", between(2500, 3201)), victims: everybody},
	}
	random.Shuffle(len(may), func(i, j int) { may[i], may[j] = may[j], may[i] })
	return append(must, may[:4]...)
}

// I1, I2, I3 and C9 to C13, C16, C17, C26, with real processes: server, workers
// and training job are killed with -9 at several moments and started again, and
// two campaigns end exact all the same. An independent reading of the data
// directory is the judge.
//
// HONE_KILLS=20 runs it 20 times over, each with other moments; HONE_KILL_SEED=N
// runs the moments of one run again, as its log names them.
func TestKilledAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("starts, kills and starts again servers, workers and training jobs")
	}
	runs, first := 1, rand.Uint64N(1e6)
	if n, err := strconv.Atoi(os.Getenv("HONE_KILLS")); err == nil {
		runs = n
	}
	if n, err := strconv.ParseUint(os.Getenv("HONE_KILL_SEED"), 10, 64); err == nil {
		first = n
	}
	expected := referenceCourse(t)
	for i := range uint64(runs) {
		t.Run(fmt.Sprintf("HONE_KILL_SEED=%d", first+i), func(t *testing.T) {
			killed(t, rand.New(rand.NewPCG(first+i, 0)), expected)
		})
	}
}

func killed(t *testing.T, random *rand.Rand, expected course) {
	began := time.Now()
	c := newCrew(t, patient(t, 5*time.Minute))
	killer := &killer{crew: c, plan: plan(random), news: make(chan seen, 1<<14)}
	c.told = func(name, line string) { killer.tell(seen{from: name, line: line}) }
	ledger := c.trainer("trainer", "three", rounds, true)
	workers := []string{"w1", "w2", "w3"}
	for i, name := range workers {
		c.worker(name, 1+i%2)
	}
	c.start("server")
	c.put(shapes.SpaceDocument, []string{eagerPolicy}, []string{oneRoundDocument, fmt.Sprintf(threeRoundsDocument, courseSeed)})
	stop := killer.run()
	c.start(append(slices.Clone(workers), "trainer")...)

	c.await("the training job", func() bool { return killer.ended("trainer") })
	one := c.courseOf("one", 1)
	three := c.courseOf("three", rounds)
	stop()
	for _, name := range killer.gone {
		c.start(name)
	}
	for _, campaign := range []string{"one", "three"} {
		c.await(campaign, func() bool {
			now, err := c.client.Campaign(c.ctx, campaign)
			return err == nil && now.State == api.CampaignDone
		})
	}
	// Everybody, also who comes back late, hears the last word about all it holds.
	c.await("the workers to be rid of everything", func() bool {
		for _, name := range workers {
			for _, folder := range []string{"held", "making"} {
				if left, err := os.ReadDir(filepath.Join(c.data(name), folder)); err != nil || len(left) > 0 {
					return false
				}
			}
		}
		return true
	})
	c.check()
	c.kill(append(slices.Clone(workers), "trainer", "server")...)
	c.t.Logf("%d of %d moments came; %v", killer.came(), len(killer.plan), time.Since(began).Round(time.Second))
	if killer.came() < 4 {
		t.Errorf("only %d moments came: the test proves little", killer.came())
	}

	judge := newChecker(t, filepath.Join(c.data("server"), "lake"), readHistory(t, c.data("server")))
	judge.campaign("one", one.canonical)
	judge.campaign("three", three.canonical)
	judge.posts(readLedger(t, ledger), 1)
	var dirs []string
	for _, name := range workers {
		dirs = append(dirs, c.data(name))
	}
	judge.tidy(dirs...)
	for _, c := range []course{one, three} {
		for version, digest := range c.manifests {
			if key := judge.history.published[version].Manifest.Key; !strings.Contains(key, strings.TrimPrefix(digest, "sha256:")) {
				t.Errorf("%s: the server told of %s, the log has %s", version, digest, key)
			}
		}
	}
	if where := three.differs(expected); len(where) > 0 {
		t.Errorf("killed or not: not the same in %v (I4)", where)
	}
}

// killer kills as planned.
type killer struct {
	*crew
	plan []*moment
	news chan seen
	gone []string

	// turn is held while somebody is dead, so that all kills have an effect.
	turn   sync.Mutex
	firing sync.WaitGroup
}

func (k *killer) tell(s seen) {
	select {
	case k.news <- s:
	default: // nobody listens any more
	}
}

// run watches until stop is called, which returns when nobody will be killed any
// more and all have been started again, but who is gone for ever.
func (k *killer) run() (stop func()) {
	ctx, cancel := context.WithCancel(k.ctx)
	var watching sync.WaitGroup
	watching.Go(func() { k.poll(ctx) })
	watching.Go(func() {
		for {
			select {
			case s := <-k.news:
				for _, m := range k.plan {
					if !m.came && m.after(s) {
						m.came = true
						k.firing.Go(func() { k.strike(ctx, m) })
					}
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		watching.Wait()
		k.firing.Wait()
	}
}

// poll tells how many samples are committed, whenever the server can be asked.
func (k *killer) poll(ctx context.Context) {
	client := api.New(k.server)
	client.Patience = 0
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s := seen{committed: map[string]uint64{}}
		for _, name := range []string{"one", "three"} {
			if now, err := client.Campaign(ctx, name); err == nil {
				s.committed[name] = now.Committed + now.Evaluation.Committed
			}
		}
		k.tell(s)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// strike kills the victims of a moment that has come, and starts them again.
func (k *killer) strike(ctx context.Context, m *moment) {
	// Nothing is waited for here: the delay is a part of the moment.
	select {
	case <-time.After(m.delay):
	case <-ctx.Done():
		return
	}
	k.turn.Lock()
	defer k.turn.Unlock()
	if ctx.Err() != nil {
		return
	}
	var victims []string
	for _, name := range m.victims {
		if !slices.Contains(k.gone, name) && !k.ended(name) {
			victims = append(victims, name)
		}
	}
	k.t.Logf("%s: %v (after %v)", m.what, victims, m.delay)
	k.kill(victims...)
	if m.forget {
		if err := os.RemoveAll(filepath.Join(k.data("server"), "analytics")); err != nil {
			k.t.Error(err)
		}
	}
	if m.forever {
		k.gone = append(k.gone, victims...)
		return
	}
	k.start(victims...)
	if m.again > 0 {
		<-time.After(m.again)
		k.kill(victims...)
		k.start(victims...)
	}
}

// ended reports whether one of the crew has come to its end, well.
func (k *killer) ended(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.up[name]
	return p != nil && !p.alive() && p.code == 0
}

func (k *killer) came() (n int) {
	for _, m := range k.plan {
		if m.came {
			n++
		}
	}
	return n
}
