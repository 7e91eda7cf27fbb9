package coordinator

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
)

// fleet is workers that do everything that workers do, in an order that a seed
// decides: the good, the clumsy and the dead.
type fleet struct {
	*world
	random *rand.Rand
	window time.Duration
	// led is when the term began.
	led     time.Time
	workers []*hand
	// delivered are units that were delivered before, acknowledged those whose
	// verdicts a worker has heard.
	delivered    []loop.Unit
	acknowledged []loop.Unit
	trained      int
	// broken: the gates are. lossy: what becomes of one proposal in four is not
	// known (C10).
	broken bool
	lossy  atomic.Bool
}

type hand struct {
	name    string
	session string
	units   []loop.Unit
}

// Whatever workers do, in whatever order: nothing is counted twice (I2), every
// index is accounted for (I3) and none forgotten, what was acknowledged stays
// (I1), and in the end the campaign ends exact and its versions hold it all.
func TestAnyFleet(t *testing.T) {
	seeds := uint64(16)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			o := Options{ReconnectWindow: 5 * time.Second,
				Schedule: schedule.Options{FirstLease: time.Minute, MinLease: 10 * time.Second, StagedLease: 2 * time.Minute, AvoidFor: 10 * time.Second}, MergeParts: 3}
			inWorld(t, o, func(_ *testing.T, w *world) {
				f := &fleet{world: w, random: rand.New(rand.NewPCG(seed, 17)), window: o.ReconnectWindow, led: time.Now()}
				f.play(80)
			})
		})
	}
}

func (f *fleet) play(steps int) {
	f.gates.reject = func(d *loop.Delivery, n loop.Name) (string, string) {
		h := fnv.New32()
		fmt.Fprint(h, d.Unit.Campaign, n.Key())
		if h.Sum32()%7 == 0 {
			return "blank", "one colour"
		}
		return "", ""
	}
	f.campaign("name: c\nseed: 7\nsamples: 240\nrounds: 3\nmax_attempts: 2\nevaluation: {target: 30}\nlearn_from: [{model_line: net}]\n")
	for _, name := range []string{"ann", "bob", "carl", "dora"} {
		f.workers = append(f.workers, &hand{name: name})
	}
	losses := rand.New(rand.NewPCG(f.random.Uint64(), 1))
	f.lose = func() loss {
		if !f.lossy.Load() || losses.IntN(4) > 0 {
			return nothing
		}
		return pick(losses, []loss{theCommand, theAnswer, itsTime})
	}
	f.lossy.Store(f.random.IntN(2) == 0)
	for range steps {
		f.step()
		f.hold()
		if f.t.Failed() {
			return
		}
	}
	f.finish()
}

// hold checks the invariants, as sharply as the moment allows.
func (f *fleet) hold() {
	f.t.Helper()
	mode := counted
	if time.Since(f.led) > f.window {
		mode = covered
	}
	f.check(mode)
	f.node.View(func(s *state.State) {
		for _, u := range f.acknowledged {
			if standing := s.JudgeUnit(u); standing.Fresh > 0 {
				f.t.Errorf("%s was acknowledged, and stands %+v (I1)", u.ID(), standing)
			}
		}
	})
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func (f *fleet) step() {
	h := pick(f.random, f.workers)
	if h.session == "" {
		// Back again, with what it remembers; or with nothing, its disk being new.
		if f.random.IntN(4) == 0 {
			h.units = nil
		}
		h.session = f.join(h.name, h.units...)
		return
	}
	if f.random.IntN(25) == 0 {
		f.steer(h)
		return
	}
	switch action := f.random.IntN(100); {
	case action < 35:
		h.units = append(h.units, f.next(h.session, 1+f.random.IntN(4))...)
	case action < 70:
		if len(h.units) > 0 {
			f.hand(h, pick(f.random, h.units), f.random.IntN(12) > 0)
		}
	case action < 76: // once more, on any session
		if len(f.delivered) > 0 {
			f.hand(h, pick(f.random, f.delivered), f.random.IntN(2) > 0)
		}
	case action < 79: // another worker's
		if other := pick(f.random, f.workers); len(other.units) > 0 {
			f.hand(h, pick(f.random, other.units), true)
		}
	case action < 83:
		if len(h.units) > 0 {
			u := pick(f.random, h.units)
			f.forget(h, u)
			if err := f.coord.Fail(f.t.Context(), h.session, u, "out of memory"); err != nil {
				f.t.Errorf("fail: %v", err)
			}
			f.settle()
		}
	case action < 88:
		f.coord.Leave(h.session, errors.New("unplugged"))
		h.session = ""
		f.settle()
	case action < 92:
		f.pass(time.Duration(f.random.IntN(90)) * time.Second)
	case action < 93:
		f.lossy.Store(!f.lossy.Load())
	case action < 95:
		f.broken = !f.broken
		f.gates.set(func(g *court) {
			g.broken = nil
			if f.broken {
				g.broken = func() error { return errors.New("no gates today") }
			}
		})
	case action < 97:
		f.revokeOne()
	case action < 98:
		f.seal()
	default:
		f.restart()
		f.led = time.Now()
		for _, h := range f.workers {
			h.session = ""
		}
	}
}

// steer pauses the campaign or lets it go on. Once a pause is answered nothing is
// leased.
func (f *fleet) steer(h *hand) {
	f.t.Helper()
	switch f.show("c").State {
	case "running":
		f.must("POST", "/v1/campaigns/c/pause", `{"reason":"lunch"}`)
		if units := f.next(h.session, 1); len(units) > 0 && f.show("c").State == "paused" {
			f.t.Errorf("leased %v of a paused campaign", units)
		}
	case "paused":
		f.must("POST", "/v1/campaigns/c/resume", "")
	}
}

// close ends the campaign by hand, in the middle of whatever goes on: it adds up
// to what was asked for, and nothing opens it again (C13, I3).
func (f *fleet) close() {
	f.t.Helper()
	f.must("POST", "/v1/campaigns/c/close", `{"reason":"enough"}`)
	for range 5 {
		f.pass(3 * time.Minute) // staged leases, pauses and windows end
		f.hold()
	}
	for range 2 {
		c := f.show("c")
		if c.State != "closed" || !c.Ended() || c.Requested != c.Committed+c.Abandoned || c.Requested+c.GivenUp != 240 ||
			c.Evaluation.Requested+c.Evaluation.GivenUp != 90 || c.Evaluation.Requested != c.Evaluation.Committed+c.Evaluation.Abandoned {
			f.t.Fatalf("closed with %s: %+v, %+v", c.State, c.Counts, c.Evaluation)
		}
		f.check(exact)
		f.revokeOne()
	}
}

// hand delivers a unit, staged or with its bytes lost.
func (f *fleet) hand(h *hand, u loop.Unit, staged bool) {
	f.t.Helper()
	if staged {
		f.stage(h.name, u)
	} else {
		_ = f.store.Sweep(f.t.Context(), h.name, u.ID())
	}
	f.delivered = append(f.delivered, u)
	standing, err := f.redeliver(h.session, h.name, u)
	switch {
	case err != nil:
		if !errors.Is(err, loop.ErrUnavailable) || !f.broken && !f.lossy.Load() {
			f.t.Errorf("deliver %s: %v", u.ID(), err)
		}
	case standing.Again:
		if staged {
			f.t.Errorf("%s is staged, and was answered again", u.ID())
		}
		f.forget(h, u)
	default:
		if sum := standing.Fresh + standing.Duplicate + standing.Stale + standing.Closed; sum != u.Count {
			f.t.Errorf("%s stood %+v", u.ID(), standing)
		}
		f.acknowledged = append(f.acknowledged, u)
		f.forget(h, u)
	}
}

func (f *fleet) forget(h *hand, u loop.Unit) {
	h.units = slices.DeleteFunc(h.units, func(v loop.Unit) bool { return u == v })
}

// revokeOne takes back a sample that is committed.
func (f *fleet) revokeOne() {
	rows := f.view.rows()
	if len(rows) == 0 {
		return
	}
	row := pick(f.random, rows)
	for _, c := range f.view.changes() {
		part := partOf(&c)
		if part == nil || part.Kind != loop.SampleParts {
			continue
		}
		for i, r := range f.store.samples[part.Object.Key] {
			if r.Name == row.Name && !slices.Contains(part.Void, uint32(i)) {
				f.propose(state.Command{Revoke: &state.Revoke{Samples: []state.RevokedSample{{Campaign: "c", Name: r.Name, Reference: c.Sequence, Row: uint32(i)}}}})
				return
			}
		}
	}
}

func (f *fleet) seal() {
	f.trained++
	f.train(fmt.Sprint("v", f.trained))
}

// finish mends what is broken and lets one good worker make the rest.
func (f *fleet) finish() {
	f.broken = false
	f.lossy.Store(false)
	f.gates.set(func(g *court) { g.broken = nil })
	for _, h := range f.workers {
		if h.session != "" {
			f.coord.Leave(h.session, errors.New("the end"))
		}
	}
	s := f.join("zoe")
	if f.random.IntN(3) == 0 && f.show("c").State != "done" && f.show("c").State != "done_short" {
		f.close()
		return
	}
	for range 50 {
		f.must("POST", "/v1/campaigns/c/resume", "")
		f.work(s, "zoe")
		if f.show("c").State != "running" && f.show("c").Waiting == "" {
			break
		}
		f.pass(3 * time.Minute) // staged leases, pauses and windows end
		f.work(s, "zoe")
		f.seal()
	}
	f.check(exact)
	c := f.show("c")
	if c.Requested != 240 || c.Committed+c.Abandoned != 240 || c.Evaluation.Committed+c.Evaluation.Abandoned != 90 ||
		(c.State == "done") != (c.Abandoned+c.Evaluation.Abandoned == 0) || c.State == "running" {
		f.t.Fatalf("in the end %s, waiting for %q: %+v, %+v", c.State, c.Waiting, c.Counts, c.Evaluation)
	}
	if c.Abandoned > 0 && len(c.Reasons) == 0 {
		f.t.Error("nothing says why samples were abandoned")
	}
	for n := 1; n <= 3; n++ {
		for _, name := range []string{"c", "c.eval"} {
			manifest := f.must("GET", fmt.Sprintf("/v1/datasets/%s/%d/manifest", name, n), "")
			lines := strings.Split(strings.TrimSpace(manifest), "\n")[1:]
			slices.Sort(lines)
			if len(slices.Compact(slices.Clone(lines))) != len(lines) {
				f.t.Errorf("%s@%d names a sample twice", name, n)
			}
		}
	}
}
