package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hone/coordinator/schedule"
	"hone/coordinator/state"
	"hone/loop"
)

// world is a coordinator on a real log and a real state, in a bubble of virtual
// time; what other packages bring is in memory.
type world struct {
	t     *testing.T
	dir   string
	store *store
	gates *court
	view  *reading
	o     Options
	log   strings.Builder

	// lose says what is lost of a proposal; nil loses none.
	lose func() loss

	node  *Node
	coord *Coordinator
	mux   *http.ServeMux
	stop  func() error
}

// inWorld runs a test in a bubble, on a directory of its own. Nothing in it
// waits for real time, so timeouts may be as long as they are in production.
func inWorld(t *testing.T, o Options, test func(t *testing.T, w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dir: dir, store: newStore(), o: o}
		w.gates = &court{store: w.store}
		w.start()
		defer func() {
			if err := w.stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
		}()
		test(t, w)
	})
}

// start starts a coordinator and waits until it leads and has nothing to do.
func (w *world) start() {
	w.t.Helper()
	node, err := NewNode(NodeOptions{Dir: w.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	w.node = node
	w.view = &reading{node: node, store: w.store}
	o := w.o
	o.Node, o.Gates, o.Parts, o.Staging, o.Collection, o.Merger, o.View = node, w.gates, w.store, w.store, w.store, w.store, w.view
	o.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	w.coord = New(o)
	w.mux = http.NewServeMux()
	Register(NewAPI(w.mux, "test"), ControlOptions{Coordinator: w.coord, Objects: w.store, Queries: w.view, Version: "test", Started: time.Now()})
	node.taken = make(chan proposal)
	go w.carry(node)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.coord.Run(ctx) }()
	stopped := false
	w.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	select {
	case <-w.coord.Ready():
	case err := <-done:
		w.t.Fatalf("Run: %v", err)
	}
	synctest.Wait()
}

// loss is what a proposer may not hear of (C10).
type loss int

const (
	nothing loss = iota
	theCommand
	theAnswer
	// itsTime: the command gets into the log long after nobody waits any more.
	itsTime
)

// carry stands between proposers and the log, and loses things.
func (w *world) carry(node *Node) {
	for {
		select {
		case p := <-node.proposals:
			lost := nothing
			if w.lose != nil {
				lost = w.lose()
			}
			inner := p
			inner.answer = make(chan answer, 1)
			switch lost {
			case theCommand:
				p.answer <- answer{err: loop.ErrUnavailable}
			case itsTime:
				p.answer <- answer{err: loop.ErrUnavailable}
				go func() {
					time.Sleep(3 * time.Second)
					select {
					case node.taken <- inner:
					case <-node.stopped:
					}
				}()
			default:
				select {
				case node.taken <- inner:
				case <-node.stopped:
					return
				}
				go func() {
					select {
					case a := <-inner.answer:
						if lost == theAnswer {
							a = answer{err: loop.ErrUnavailable}
						}
						p.answer <- a
					case <-node.stopped:
					}
				}()
			}
		case <-node.stopped:
			return
		}
	}
}

// patiently does what a client does whose answer is not known: the same again.
func patiently(do func() error) (err error) {
	for range 50 {
		if err = do(); !errors.Is(err, loop.ErrUnavailable) {
			return err
		}
	}
	return err
}

// restart is a clean stop and a start on the same directory; soft state is lost.
func (w *world) restart() {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Fatalf("Run: %v", err)
	}
	w.start()
}

// settle waits until nobody has anything to do but wait for time to pass.
func (w *world) settle() { synctest.Wait() }

// idle lets time pass for the caller alone.
func (w *world) idle(d time.Duration) { time.Sleep(d) }

// pass lets time pass, and all that it brings about happen.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) propose(c state.Command) state.Event {
	w.t.Helper()
	var event state.Event
	if err := patiently(func() (err error) { event, err = w.node.Propose(w.t.Context(), c); return err }); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
	return event
}

const (
	spaceDocument = `
name: lab
factors:
  - {name: light, kind: categorical, levels: {low: 0.25, high: 0.75}}
  - {name: glove, kind: categorical, levels: {worn: 0.5, bare: 0.5}}
`
	policyDocument = "name: plain\nstrategy: uniform\n"
)

// request sends a request to the control API.
func (w *world) request(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	w.mux.ServeHTTP(answer, r)
	return answer
}

func (w *world) must(method, path, body string) string {
	w.t.Helper()
	answer := w.request(method, path, body)
	for try := 0; answer.Code == http.StatusServiceUnavailable && try < 50; try++ {
		answer = w.request(method, path, body)
	}
	if answer.Code != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	w.settle()
	return answer.Body.String()
}

// campaign puts the space and the policy and creates a campaign of them.
func (w *world) campaign(document string) {
	w.t.Helper()
	w.must("POST", "/v1/spaces", spaceDocument)
	w.must("POST", "/v1/policies", policyDocument)
	w.must("POST", "/v1/campaigns", "space: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\n"+document)
}

var shapes = loop.Generator{Name: "shapes", Version: "1", Deterministic: true}

// join connects a worker with two slots.
func (w *world) join(name string, holds ...loop.Unit) string {
	w.t.Helper()
	var id string
	err := patiently(func() (err error) {
		id, _, err = w.coord.Join(w.t.Context(), loop.Worker{Name: name, Slots: 2, Type: "cpu", Generators: []loop.Generator{shapes}, Holds: holds})
		return err
	})
	if err != nil {
		w.t.Fatalf("join %s: %v", name, err)
	}
	w.settle()
	return id
}

// next leases up to n units to a session, and what is reserved for it meanwhile;
// none if there is nothing now.
func (w *world) next(session string, n int) (units []loop.Unit) {
	w.t.Helper()
	for len(units) < n {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Microsecond)
		leases, err := w.coord.Next(ctx, session, n-len(units))
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			w.t.Fatalf("next: %v", err)
		}
		w.settle()
		if len(leases) == 0 {
			break
		}
		for _, l := range leases {
			if l.Generator != "shapes" {
				w.t.Errorf("leased a unit of generator %q", l.Generator)
			}
			units = append(units, l.Unit)
		}
	}
	return units
}

// made is what a worker delivers of a unit.
func made(worker string, u loop.Unit) loop.Delivery {
	d := loop.Delivery{Worker: worker, Unit: u, Generator: shapes, Millis: 10}
	for i := range u.Count {
		n := u.Name(i)
		d.Samples = append(d.Samples, loop.Staged{Index: n.Index, Digest: sampleDigest(u.Campaign, n), Offset: int64(i) * 1024, Length: 1024})
	}
	return d
}

func (w *world) stage(worker string, u loop.Unit) {
	w.t.Helper()
	if _, err := w.store.Stage(w.t.Context(), worker, u.ID(), loop.Bundle, strings.NewReader("bytes")); err != nil {
		w.t.Fatal(err)
	}
}

// deliver stages a unit and delivers it.
func (w *world) deliver(session, worker string, u loop.Unit) (loop.Standing, error) {
	w.t.Helper()
	w.stage(worker, u)
	return w.redeliver(session, worker, u)
}

// redeliver delivers a unit without staging it again.
func (w *world) redeliver(session, worker string, u loop.Unit) (loop.Standing, error) {
	w.t.Helper()
	standing, err := w.coord.Deliver(w.t.Context(), session, made(worker, u), func() {})
	w.settle()
	return standing, err
}

// accepted delivers a unit that must be taken.
func (w *world) accepted(session, worker string, u loop.Unit) loop.Standing {
	w.t.Helper()
	standing, err := w.deliver(session, worker, u)
	if err != nil {
		w.t.Fatalf("deliver %s: %v", u.ID(), err)
	}
	return standing
}

// work makes all that there is for a session, unit by unit.
func (w *world) work(session, worker string) (units int) {
	w.t.Helper()
	for {
		leased := w.next(session, 1)
		if len(leased) == 0 {
			return units
		}
		w.accepted(session, worker, leased[0])
		w.check(counted)
		units++
	}
}

// What check holds of the schedule.
const (
	// counted: nothing; it may be waiting for its reconnect window.
	counted = iota
	// covered: every open, reserved index is in flight or waiting to be leased,
	// so that none is forgotten.
	covered
	// exact: and no other is, so that none is made in vain.
	exact
)

// check holds what must be true at every moment.
func (w *world) check(mode int) {
	w.t.Helper()
	rows := map[schedule.Place]uint64{}
	seen := map[string]bool{}
	for _, row := range w.view.rows() {
		n := row.Name
		id := fmt.Sprint(row.Campaign, n.Domain, n.Round, n.Component, n.Index)
		if seen[id] {
			w.t.Errorf("%s %s is committed twice (I2)", row.Campaign, n.Key())
		}
		seen[id] = true
		rows[schedule.Place{Campaign: row.Campaign, Round: n.Round, Domain: n.Domain, Component: n.Component}]++
	}
	t, err := w.coord.leading()
	if err != nil {
		w.t.Fatal(err)
	}
	t.mu.Lock()
	names := []string{}
	w.node.View(func(s *state.State) {
		for _, c := range s.Campaigns() {
			names = append(names, c.Campaign.Name)
			for n, round := range s.Rounds(c.Campaign.Name) {
				for _, p := range round.Components {
					at := schedule.Place{Campaign: c.Campaign.Name, Round: n + 1, Domain: p.Domain, Component: p.Component}
					if rows[at] != p.Committed {
						w.t.Errorf("%v: %d rows in the catalogue, %d committed in state (I2)", at, rows[at], p.Committed)
					}
					open := p.Reserved - p.Committed - p.Abandoned
					if flying, pending := t.schedule.InFlight(at); mode >= covered && flying+pending < open || mode == exact && flying+pending > open {
						w.t.Errorf("%v: %d in flight and %d to be leased, but %d are open (I3)", at, flying, pending, open)
					}
				}
			}
		}
	})
	t.mu.Unlock()
	for _, name := range names {
		c, err := (&Control{c: w.coord}).showCampaign(w.t.Context(), &named{name})
		if err != nil {
			w.t.Fatal(err)
		}
		if c.Requested != c.Committed+c.Abandoned+c.InFlight+c.Pending {
			w.t.Errorf("%s does not add up (I3): %+v", name, c.Counts)
		}
	}
}
