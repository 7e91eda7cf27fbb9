package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// Outcome is what a seed came to.
type Outcome struct {
	Seed    uint64
	Steps   int
	Entries int
	// Faults counts crashes, pauses, losses and lies.
	Faults int
	// Committed, Revoked and Posted count samples and posts.
	Committed, Revoked, Posted int
	// Time is how much of it went by, in the simulation.
	Time time.Duration
	// Digest is that of the state at the end: equal for equal seeds.
	Digest loop.Digest
	// Met counts what came about.
	Met map[string]int
}

// Failure is a broken promise. Its text shows how to see it again.
type Failure struct {
	Seed uint64
	// Broken says which promise, and how.
	Broken string
	// Trace are the last steps before.
	Trace string
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s\nthe last %d steps:\n%s\nto see it again: HONE_SIMULATION_SEED=%d go test -run 'TestSimulation$' -v ./coordinator/simulation",
		f.Broken, traced, f.Trace, f.Seed)
}

// broken is what a check panics with.
type broken string

func breaks(format string, args ...any) { panic(broken(fmt.Sprintf(format, args...))) }

// Bounds of a run: so many steps with faults, drawn by the seed, and so many more
// for the campaigns to end without any.
const (
	leastFaulty = 300
	mostFaulty  = 2500
	mostCalm    = 30000
)

// Run plays a seed. The error is a *Failure.
func Run(seed uint64) (outcome Outcome, err error) {
	w := newWorld(seed)
	defer func() {
		if r := recover(); r != nil {
			text := fmt.Sprint(r)
			if _, ours := r.(broken); !ours {
				text = "panic: " + text + "\n" + stack()
			}
			err = &Failure{seed, text, w.told()}
		}
		outcome = Outcome{Seed: seed, Steps: w.steps, Entries: len(w.log.entries), Faults: w.faults, Committed: w.ledger.committed,
			Revoked: len(w.ledger.revoked), Posted: len(w.ledger.counted), Time: w.now, Digest: w.truth.Digest(), Met: w.met}
	}()
	w.play()
	return
}

// world is everything there is.
type world struct {
	random *rand.Rand
	now    time.Duration
	events eventHeap
	order  uint64
	steps  int
	faults int
	odds   odds
	met    map[string]int
	// bulk is how long it may take to read or write a whole dataset.
	bulk time.Duration

	trace   [traced]step
	current *step

	log     log
	nodes   []*node
	leader  *node // whose proposals enter the log; nil while nobody's do
	terms   int
	joined  int
	lake    lake
	workers []*worker
	clients []*client

	campaigns []*loop.Campaign
	// purses are what campaigns may take, in milliseconds; 0 is any.
	purses map[string]uint64
	// truth is the state that no crash, delay or snapshot touches: that of a replica
	// which applies what enters the log at once. What it has, the log has.
	truth  *state.State
	ledger *ledger
}

// begun is when time begins.
var begun = time.Unix(1_800_000_000, 0).UTC()

func newWorld(seed uint64) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 0x686f6e65)), truth: state.New("simulated"), lake: newLake(), purses: make(map[string]uint64), met: make(map[string]int)}
	w.current = &w.trace[0]
	w.ledger = newLedger(w)
	w.odds = w.draw()
	if w.chance(0.5) {
		w.bulk = w.between(0, 25*time.Second)
	}
	return w
}

// happens draws whether something with these odds happens.
func (w *world) happens(p float64) bool {
	if p > 0 && w.random.Float64() < p {
		w.faults++
		return true
	}
	return false
}

// meet counts that something came about which a simulation should not miss.
func (w *world) meet(what string, is bool) {
	if is {
		w.met[what]++
	}
}

// chance is happens for what is no fault.
func (w *world) chance(p float64) bool { return w.random.Float64() < p }

func (w *world) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(w.random.Int64N(int64(most-least)))
}

func pick[T any](w *world, from []T) T { return from[w.random.IntN(len(from))] }

// odds say how likely each fault is.
type odds struct {
	// of each message
	drop, duplicate, delay float64
	// of each step of a party that can crash
	crash float64
	// of each look at the leader
	elect, pause float64
	// of each proposal, and of each answer to one
	lose, late, twice, deaf float64
	// of each crash of a worker, and of each unit staged
	wiped, mislaid float64
	// of each unit that a liar has made
	lie float64
	// of each entry applied
	snapshot, stall, install float64
	// of each reading of a wall clock
	jump float64
	// of each reading of a view
	behind float64
	// of each object put
	unput float64
}

// draw draws which faults a seed has. Most seeds lack most of them: what one fault
// does another may hide.
func (w *world) draw() odds {
	some := func(most float64) float64 {
		if w.chance(0.55) {
			return 0
		}
		return most * (0.05 + 0.95*w.random.Float64())
	}
	return odds{
		drop: some(0.2), duplicate: some(0.2), delay: some(0.15), crash: some(0.01),
		elect: some(0.3), pause: some(0.3), lose: some(0.2), late: some(0.3), twice: some(0.2), deaf: some(0.2),
		wiped: some(0.5), mislaid: some(0.1), lie: some(0.6),
		snapshot: 0.02 + some(0.3), stall: some(0.1), install: some(0.15), jump: some(0.1), behind: some(0.2), unput: some(0.1),
	}
}

// play plays the seed: with faults for a while, then without, to the end.
func (w *world) play() {
	w.found()
	for faulty := leastFaulty + w.random.IntN(mostFaulty-leastFaulty); faulty > 0 && w.step(); faulty-- {
		w.look()
	}
	w.calm()
	for left := mostCalm; !w.settled(); left-- {
		if left == 0 || !w.step() {
			breaks("the campaigns do not end, %d steps after the last fault: %s", mostCalm, w.why())
		}
		w.look()
	}
	w.ledger.audit()
}

// found sets up what the others find there: nodes, workers, clients, campaigns.
func (w *world) found() {
	for i := range pick(w, []int{1, 3, 3, 3, 5}) {
		w.nodes = append(w.nodes, newNode(w, fmt.Sprint("n", i+1)))
	}
	commands := []state.Command{
		{PutSpace: &state.PutSpace{Space: loop.Space{Name: "lab", Factors: []loop.Factor{{Name: "light", Kind: loop.Categorical,
			Levels: []loop.Level{{Name: "low", Target: .25}, {Name: "high", Target: .75}}}}}, Document: "name: lab"}},
		{PutPolicy: &state.PutPolicy{Policy: loop.Policy{Name: "plain", Strategy: loop.StrategyUniform}, Document: "name: plain"}},
	}
	for i := range 1 + w.random.IntN(2) {
		c := &loop.Campaign{Name: string(rune('a' + i)), Space: "lab", Policy: "plain", Generator: generator.Name, Seed: uint64(1000*i) + w.random.Uint64N(1000),
			Rounds: 1 + w.random.IntN(3), UnitSize: 2 + w.random.IntN(5), MaxAttempts: 1 + w.random.IntN(3),
			LearnFrom: []loop.LearnFrom{{ModelLine: fmt.Sprint("net-", i)}}, Advance: loop.AdvanceSealed, Decide: loop.DecideAuto}
		c.Samples = uint64(c.Rounds * (4 + w.random.IntN(20)))
		if w.chance(0.5) {
			c.Evaluation.Target = uint64(1 + w.random.IntN(6))
		}
		if w.chance(0.25) {
			c.Decide = loop.DecidePropose
		}
		if w.chance(0.3) {
			w.purses[c.Name] = uint64(w.random.Int64N(int64(c.Samples) * 2000))
		}
		w.campaigns = append(w.campaigns, c)
		commands = append(commands, state.Command{CreateCampaign: &state.CreateCampaign{Campaign: *c, SpaceVersion: 1, PolicyVersion: 1, Document: "name: " + c.Name}})
	}
	w.enter(encode(state.Entry{At: begun.UnixMicro(), Commands: commands}))
	for i := range 2 + w.random.IntN(4) {
		w.workers = append(w.workers, newWorker(w, fmt.Sprint("w", i+1)))
	}
	w.people()
	w.elect()
}

// calm ends all faults: whoever is down starts, whoever lied is honest.
func (w *world) calm() {
	w.odds = odds{}
	for _, n := range w.nodes {
		n.paused = min(n.paused, w.now)
	}
}

// settled reports whether nothing is left to be done.
func (w *world) settled() bool { return w.why() == "" }

// why is what is left to be done.
func (w *world) why() string {
	for _, c := range w.campaigns {
		now, _ := w.truth.Campaign(c.Name)
		switch {
		case now.State != state.Done && now.State != state.DoneShort && now.State != state.Closed || now.Total.Pending > 0:
			return fmt.Sprintf("campaign %s is %s in round %d of %d: %+v", c.Name, now.State, now.Round, now.Campaign.Rounds, now.Total)
		case now.Round > 0 && now.Total.Committed > 0 && len(w.owed(w.truth, &now)) > 0:
			return fmt.Sprintf("of campaign %s something is not published", c.Name)
		}
	}
	for _, k := range w.workers {
		if len(k.holds) > 0 {
			return fmt.Sprintf("worker %s holds %s, and hears no verdict", k.name, k.holds[0].unit.ID())
		}
	}
	for _, c := range w.clients {
		if c.asks > 0 {
			return fmt.Sprintf("%s waits for an answer", c.name)
		}
	}
	for _, n := range w.nodes {
		if n.down || n.applied < len(w.log.entries) || n.view.sequence < n.state.Sequence() {
			return fmt.Sprintf("node %s has applied %d of %d entries, and shows %d changes", n.name, n.applied, len(w.log.entries), n.view.sequence)
		}
	}
	return ""
}
