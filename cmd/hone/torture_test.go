//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
	"hone/fault"
	"hone/loop"
)

// A campaign of the torture. The first is that of three rounds, so that it can be
// compared with one that nobody disturbed.
const torturedDocument = `name: %s
space: shapes
policy: eager
generator: shapes
seed: %d
samples: 800
rounds: 2
evaluation: {target: 150, mixture: 150}
learn_from: [{model_line: %[1]s, eval_set: %[1]s.eval}]
gates: [format, blank]
unit_size: 25
`

const (
	workers = 10
	// chapter is how long one cluster is tortured before it is judged.
	chapter = 5 * time.Minute
	// together is how many campaigns run at a time.
	together = 2
	// stillness is how long the cluster may stand still when nothing is broken.
	stillness = 90 * time.Second
)

// tally is what a torture came to.
type tally struct {
	torments, points              map[string]int
	entries, commits, posts, seen int
	lost, duplicated              uint64
	gaps                          []time.Duration
}

// I1 to I8 with real processes: three servers on one lake, ten workers, training
// jobs and other clients, under every fault of torments, judged by an independent
// checker from the journals of the clients, what every replica applied, and the
// bytes in the lake.
//
// HONE_TORTURE=60m tortures one cluster after another for so long, five minutes
// each, until one fails, or with HONE_TORTURE_ON=1 to the end; without it a short
// form runs. HONE_TORTURE_SEED=N draws the torments of one again. It takes the build tag faults; where there are no network namespaces,
// or no FUSE, it does what is left, and says so.
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("starts, kills and starts again servers, workers and training jobs")
	}
	if !fault.Enabled {
		t.Skip("takes a build that can be broken: go test -tags duckdb_arrow,faults")
	}
	seed := rand.Uint64N(1e6)
	if n, err := strconv.ParseUint(os.Getenv("HONE_TORTURE_SEED"), 10, 64); err == nil {
		seed = n
	}
	length, err := time.ParseDuration(os.Getenv("HONE_TORTURE"))
	if err != nil {
		random := rand.New(rand.NewPCG(seed, 0))
		total := tortured(t, random, 8*time.Second, func(all []torment) []torment {
			return slices.DeleteFunc(all, func(one torment) bool { return !slices.Contains(short, one.name) })
		})
		total.report(t)
		return
	}
	expected := referenceCourse(t)
	total := tally{torments: map[string]int{}, points: map[string]int{}}
	for end := time.Now().Add(length); time.Now().Before(end); seed++ {
		passed := t.Run(fmt.Sprintf("HONE_TORTURE_SEED=%d", seed), func(t *testing.T) {
			one := tortured(t, rand.New(rand.NewPCG(seed, 0)), min(chapter, time.Until(end)), nil)
			total.add(one)
			if where := one.course.differs(expected); len(where) > 0 {
				t.Errorf("tortured or not: not the same in %v (I4)", where)
			}
			one.report(t)
		})
		if !passed && os.Getenv("HONE_TORTURE_ON") == "" {
			break
		}
	}
	t.Log("in all:")
	total.report(t)
}

// short are the torments of the short form.
var short = []string{"kill -9 the leader", "kill -9 a node at a point", "cut the leader off from the nodes", "the power of all nodes and the lake fails"}

type result struct {
	tally
	course course // of the campaign of three rounds
}

// tortured tortures a cluster for some time, lets everything come to its end, and
// judges it.
func tortured(t *testing.T, random *rand.Rand, length time.Duration, choose func([]torment) []torment) (out result) {
	began := time.Now()
	r := newRack(t, patient(t, length+10*time.Minute))
	for _, what := range r.without {
		t.Log("not disturbed here: ", what)
	}
	names := r.hire()
	r.found()
	r.put(shapes.SpaceDocument, []string{eagerPolicy}, nil)
	r.start(names...)
	w := &work{rack: r, random: random, ledgers: map[string]string{}, rounds: map[string]int{}, seen: map[string]string{}, long: choose == nil}
	stop := w.begin()
	m := &tormentor{rack: r, random: random, counts: map[string]int{}, reached: map[string]int{}}
	possible := m.possible()
	if choose != nil {
		possible = choose(possible)
		m.points = []string{"commit-written", "apply-applied", "propose-answer"} // whoever leads comes there soon
	}
	// The cluster is at work before it is disturbed.
	w.heartbeat()
	for end := time.Now().Add(length); time.Now().Before(end); {
		random.Shuffle(len(possible), func(i, j int) { possible[i], possible[j] = possible[j], possible[i] })
		for _, one := range possible {
			if time.Now().After(end) && choose == nil {
				break
			}
			at := time.Now()
			one.do(m)
			m.counts[one.name]++
			m.check()
			took := time.Since(at)
			beat := w.heartbeat()
			t.Logf("%4.0f s: %s: %s (%v; all at work again after %v)", time.Since(began).Seconds(), one.name, m.news, took.Round(10*time.Millisecond), beat.Round(10*time.Millisecond))
			m.pause(m.between(0, 3*time.Second))
		}
	}
	stop()
	out.torments, out.points, out.gaps = m.counts, m.reached, w.gaps

	courses := map[string]course{}
	for name, rounds := range w.rounds {
		courses[name] = r.courseOf(name, rounds)
	}
	out.course = courses["three"]
	for name := range w.rounds {
		r.await(name, func() bool {
			now, err := r.client.Campaign(r.ctx, name)
			return err == nil && now.State == api.CampaignDone
		})
	}
	r.await("the workers to be rid of everything", func() bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			for _, folder := range []string{"held", "making"} {
				if left, err := os.ReadDir(filepath.Join(r.data(name), folder)); err != nil || len(left) > 0 {
					return true
				}
			}
			return false
		})
	})
	for _, n := range r.nodes {
		r.await(n.name+" to vote", func() bool { return r.votes(n) })
	}
	var verified api.Verification
	r.await("the nodes to be compared", func() bool {
		var err error
		verified, err = r.client.Verify(r.ctx)
		return err == nil && !slices.ContainsFunc(verified.Nodes, func(n api.NodeDigest) bool { return n.Problem != "" })
	})
	if !verified.Equal || len(verified.Nodes) != len(r.nodes) {
		t.Errorf("the states differ: %+v (I6)", verified)
	}
	views := r.views()
	r.check()
	all := r.named("")
	r.kill(all...)

	// From here on nobody is asked but the disks.
	history := applied(t, r.data("records"))
	judge := newChecker(t, r.show(r.lake, "lake"), history)
	for name, c := range courses {
		judge.campaign(name, c.canonical)
		for version, digest := range c.manifests {
			w.saw(version, digest)
		}
	}
	var receipts []receipt
	for _, ledger := range w.ledgers {
		receipts = append(receipts, readLedger(t, ledger)...)
	}
	judge.posts(receipts, len(w.ledgers))
	judge.views(views)
	judge.told(verdicts(t, r.data("records")))
	for version, digest := range w.seen {
		if key := history.published[version].Manifest.Key; !strings.Contains(key, strings.TrimPrefix(digest, "sha256:")) {
			t.Errorf("%s: somebody was told of %s, the log has %q (I8)", version, digest, key)
			judge.lost++
		}
	}
	var dirs []string
	for _, name := range names {
		dirs = append(dirs, r.data(name))
	}
	judge.tidy(dirs...)
	out.entries, out.commits, out.posts, out.seen = history.entries, history.commits, len(receipts), len(w.seen)
	out.lost, out.duplicated = judge.lost, judge.duplicated
	return out
}

// hire adds the workers, half of them on each of their hosts.
func (r *rack) hire() (names []string) {
	for i := range workers {
		host := workHosts[i%len(workHosts)]
		if r.net != nil && i < len(workHosts) {
			r.net.host(host)
		}
		name := fmt.Sprintf("w%02d", i+1)
		r.worker(name, host, 1+i%2)
		names = append(names, name)
	}
	if r.net != nil {
		r.net.host(labHost)
	}
	return names
}

// work is what the cluster is to do while it is tortured: campaigns, each with a
// training job that keeps a ledger, and clients of this process that watch.
type work struct {
	*rack
	random *rand.Rand
	long   bool

	mu      sync.Mutex
	ledgers map[string]string // by who writes them
	rounds  map[string]int    // by campaign
	seen    map[string]string // the digests of manifests, by version
	gaps    []time.Duration   // how long posts took to be acknowledged
	beats   int
}

// begin begins; stop lets no more campaigns begin and returns when all that run
// have come to their ends.
func (w *work) begin() (stop func()) {
	ctx, cancel := context.WithCancel(w.ctx)
	var doing sync.WaitGroup
	number := 0
	for range together {
		doing.Go(func() {
			for ctx.Err() == nil {
				w.mu.Lock()
				number++
				name, document, of := fmt.Sprintf("c%d", number), "", 2
				document = fmt.Sprintf(torturedDocument, name, w.random.Uint32())
				if number == 1 && w.long {
					name, document, of = "three", fmt.Sprintf(threeRoundsDocument, courseSeed), rounds
				}
				w.mu.Unlock()
				if !w.campaign(name, document, of) || !w.long {
					return
				}
			}
		})
	}
	watching, done := context.WithCancel(w.ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { w.pulse(watching) })
	watchers.Go(func() { w.watch(watching) })
	return func() {
		cancel()
		doing.Wait()
		done()
		watchers.Wait()
	}
}

// campaign runs a campaign with its training job to the end.
func (w *work) campaign(name, document string, rounds int) bool {
	client := api.New(w.server)
	client.Patience = 3 * time.Minute
	if _, err := client.CreateCampaign(w.ctx, []byte(document)); err != nil {
		if w.ctx.Err() == nil {
			w.t.Errorf("campaign %s: %v", name, err)
		}
		return false
	}
	trainer := "trainer-" + name
	w.crew.mu.Lock()
	ledger := w.trainerOf(trainer, trainingJob{Campaign: name, Rounds: rounds, Field: true, Every: 200 * time.Millisecond})
	command := w.commands[trainer]
	w.commands[trainer] = func() (cmd *exec.Cmd) { return w.on(labHost, command()) }
	w.crew.mu.Unlock()
	w.mu.Lock()
	w.ledgers[trainer], w.rounds[name] = ledger, rounds
	w.mu.Unlock()
	w.start(trainer)
	return w.quietly(func() bool {
		w.crew.mu.Lock()
		defer w.crew.mu.Unlock()
		p := w.up[trainer]
		return !p.alive() && p.code == 0
	})
}

// quietly waits, beside the test's own goroutine, until something holds.
func (w *work) quietly(holds func() bool) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			return false
		}
	}
	return true
}

// pulse posts a few rows again and again, and measures how long each post takes to
// be acknowledged.
func (w *work) pulse(ctx context.Context) {
	client := api.New(w.server)
	client.Patience, client.Pause = 3*time.Minute, 20*time.Millisecond
	path := w.data("pulse.ledger")
	ledger, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer ledger.Close()
	w.mu.Lock()
	w.ledgers["pulse"] = path
	w.mu.Unlock()
	for n := 0; ctx.Err() == nil; n++ {
		r := receipt{Line: "pulse", Version: "1", EvalSet: "street@1", Key: "pulse-" + strconv.Itoa(n), Number: n,
			Rows: []postedRow{{Example: fmt.Sprintf("p%d", n), Correct: n%2 == 0, Loss: int64(n)}}}
		began := time.Now()
		if err := post(ctx, client, ledger, r); err != nil {
			if ctx.Err() == nil {
				w.t.Errorf("post %s: %v", r.Key, err)
			}
			return
		}
		w.mu.Lock()
		w.gaps = append(w.gaps, time.Since(began))
		w.beats++
		w.mu.Unlock()
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// heartbeat waits until something that was asked for after the call is done.
func (w *work) heartbeat() time.Duration {
	w.t.Helper()
	began := time.Now()
	beats := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.beats
	}
	first := beats()
	// The next may have been on its way already.
	w.await("the cluster to be at work again", func() bool {
		if time.Since(began) > stillness {
			w.dump()
			w.t.Fatalf("the cluster stands still for %v", time.Since(began))
		}
		return beats() > first+1
	})
	return time.Since(began)
}

// watch reads, again and again: what was seen once is never unseen, whoever
// answers.
func (w *work) watch(ctx context.Context) {
	client := api.New(w.server)
	client.Patience = 3 * time.Minute
	most := map[string]uint64{}
	for ctx.Err() == nil {
		w.mu.Lock()
		campaigns := slices.Sorted(maps.Keys(w.rounds))
		w.mu.Unlock()
		for _, name := range campaigns {
			now, err := client.Campaign(ctx, name)
			if err != nil {
				continue // the pulse tells of those that do not go away
			}
			if now.Committed < most[name] {
				w.t.Errorf("%s: %d samples were committed, and then %d", name, most[name], now.Committed)
			}
			most[name] = now.Committed
			for _, set := range []string{name, name + ".eval"} {
				versions, err := client.DatasetVersions(ctx, set)
				if err != nil {
					continue
				}
				for _, v := range versions {
					w.saw(fmt.Sprintf("%s@%d", v.Name, v.Version), v.Manifest.String())
				}
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (w *work) saw(version, digest string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, there := w.seen[version]; there && before != digest {
		w.t.Errorf("%s was %s, and then %s (I8)", version, before, digest)
	}
	w.seen[version] = digest
}

// told checks that whatever a worker was told is committed is settled: no index of
// such a unit is open at that attempt (I1).
func (c *checker) told(units map[string]int) {
	c.t.Helper()
	for id := range units {
		u, err := loop.ParseUnit(id)
		if err != nil {
			c.t.Fatal(err)
		}
		for i := range u.Count {
			name := u.Name(i)
			s := c.history.samples[index{u.Campaign, name.Domain, name.Round, name.Component, name.Index}]
			if s == nil || !s.committed && !s.abandoned && s.attempt <= name.Attempt {
				c.t.Errorf("%s: a worker was told that it is committed, and %s is open (I1)", id, name.Key())
				c.lost++
			}
		}
	}
}

func (a *tally) add(b result) {
	for name, n := range b.torments {
		a.torments[name] += n
	}
	for name, n := range b.points {
		a.points[name] += n
	}
	a.entries += b.entries
	a.commits += b.commits
	a.posts += b.posts
	a.seen += b.seen
	a.lost += b.lost
	a.duplicated += b.duplicated
	a.gaps = append(a.gaps, b.gaps...)
}

func (a *tally) report(t *testing.T) {
	t.Helper()
	n := 0
	for _, name := range slices.Sorted(maps.Keys(a.torments)) {
		t.Logf("%5d  %s", a.torments[name], name)
		n += a.torments[name]
	}
	t.Logf("killed at %v", a.points)
	slices.Sort(a.gaps)
	at := func(q float64) time.Duration {
		if len(a.gaps) == 0 {
			return 0
		}
		return a.gaps[int(q*float64(len(a.gaps)-1))].Round(time.Millisecond)
	}
	t.Logf("%d faults; %d entries applied, %d samples committed, %d posts acknowledged, %d versions seen; lost %d, duplicated %d",
		n, a.entries, a.commits, a.posts, a.seen, a.lost, a.duplicated)
	t.Logf("a post was acknowledged within %v (half), %v (99 %%), %v (all)", at(0.5), at(0.99), at(1))
}
