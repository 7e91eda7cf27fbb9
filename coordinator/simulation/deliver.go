package simulation

import (
	"errors"

	"hone/coordinator/state"
	"hone/loop"
)

// errRefused says that a delivery is not what its worker says.
var errRefused = errors.New("refused")

// delivery is one on its way through gates and commit.
type delivery struct {
	worker string
	unit   loop.Unit
	reply  func(loop.Standing, error)

	accepted, rejected []int // offsets
	pack               loop.Object
}

// accepts is what the gates think of a sample: a matter of its name alone, so that
// whoever looks on can tell what must have come of it.
func accepts(campaign string, n loop.Name) bool {
	return loop.SampleSeed(99, n)>>8%4 != 0
}

// deliver takes a finished unit through the gates and commits it (C9). What it says
// of a unit that is settled must be read as of now, like all that a user may act on:
// a node that was deposed, or has not applied all there is, may never have heard of the
// attempt, or of the round, and the worker would drop what is wanted.
func (t *term) deliver(worker string, u loop.Unit, reply func(loop.Standing, error)) {
	s := t.n.state
	_, known := s.Round(u.Campaign, u.Round)
	standing := s.JudgeUnit(u)
	switch {
	case (!known || standing.Fresh == 0) && (t.w.leader != t.n || t.n.applied < len(t.w.log.entries)):
		t.w.meet("a deposed leader settles nothing", true)
		reply(loop.Standing{}, errUnknown)
	case !known:
		reply(loop.Standing{}, errRefused)
	case standing.Fresh == 0:
		t.schedule.Done(u, t.now())
		t.flying.over(u)
		t.offerUnit(u, standing, "")
		t.wake()
		t.w.sweep(worker, u)
		reply(standing, nil)
	default:
		t.charge(t.connection(worker), u.Campaign, uint64(u.Count)*1000)
		t.schedule.Staged(u, worker, 1000, t.now())
		t.flying.staged(u)
		t.arm()
		t.inbox = append(t.inbox, &delivery{worker: worker, unit: u, reply: reply})
		if len(t.inbox) == 1 {
			t.after(t.w.between(0, linger), "judges", t.judge)
		}
	}
}

// judge passes what has arrived through the gates, and packs what they accept.
func (t *term) judge() {
	batch := t.inbox
	t.inbox = nil
	for _, d := range batch {
		staged, ok := t.w.lake.staged[stagingOf(d.worker, d.unit)]
		switch {
		case !ok:
			t.giveBack(d.unit)
			t.w.meet("the bytes of a unit are gone", true)
			d.reply(loop.Standing{Again: true}, nil)
			continue
		case staged.false:
			t.w.meet("a delivery is refused", true)
			t.schedule.Failed(d.unit, d.worker, t.now())
			t.flying.over(d.unit)
			t.arm()
			t.wake()
			d.reply(loop.Standing{}, errRefused)
			continue
		}
		d.accepted, d.rejected = nil, nil
		for i := range d.unit.Count {
			if accepts(d.unit.Campaign, d.unit.Name(i)) {
				d.accepted = append(d.accepted, i)
			} else {
				d.rejected = append(d.rejected, i)
			}
		}
		t.put("packs", content{text: "pack of " + d.worker + d.unit.ID()}, int64(len(d.accepted)), func(o loop.Object, err error) {
			if err != nil {
				t.unknown(d)
				return
			}
			d.pack = o
			t.judged = append(t.judged, d)
			if len(t.judged) == 1 {
				t.after(t.w.between(0, linger), "commits", t.commit)
			}
		})
	}
}

// unknown answers that nobody knows what became of a delivery.
func (t *term) unknown(d *delivery) {
	t.giveBack(d.unit)
	d.reply(loop.Standing{}, errUnknown)
}

// commit makes the rows of what was judged durable, proposes, and answers (C17).
func (t *term) commit() {
	batch := t.judged
	t.judged = nil
	command := &state.Commit{Meters: t.readings()}
	var samples, verdicts content
	for _, d := range batch {
		delivered := state.Delivered{Worker: d.worker, Unit: d.unit, Accepted: state.OffsetsOf(d.accepted...),
			FirstRow: uint32(len(samples.rows)), FirstVerdict: uint32(len(verdicts.rows))}
		for _, i := range d.accepted {
			samples.rows = append(samples.rows, row{sample{d.unit.Campaign, d.unit.Name(i)}, d.worker, d.pack.Key})
		}
		for _, i := range d.rejected {
			delivered.Rejected = append(delivered.Rejected, state.Rejected{Offset: uint16(i), Gate: "format", Reason: "blank"})
			verdicts.rows = append(verdicts.rows, row{sample{d.unit.Campaign, d.unit.Name(i)}, d.worker, ""})
		}
		command.Deliveries = append(command.Deliveries, delivered)
		if len(d.accepted) > 0 {
			command.Packs = append(command.Packs, d.pack)
		}
	}
	settle := func(event state.Event, err error) {
		if t.n.term != t {
			for _, d := range batch {
				d.reply(loop.Standing{}, errUnknown)
			}
			return
		}
		committed, ok := event.(state.Committed)
		if err != nil || !ok {
			t.w.note("cannot commit: %v %v", event, err)
			for _, d := range batch {
				t.unknown(d)
			}
			return
		}
		t.noted(command.Meters)
		for i, d := range batch {
			t.schedule.Done(d.unit, t.now())
			t.flying.over(d.unit)
			t.offerUnit(d.unit, committed.Deliveries[i].Standing, d.worker)
			t.w.sweep(d.worker, d.unit)
			d.reply(committed.Deliveries[i].Standing, nil)
		}
		t.wake()
		t.feed()
	}
	part := func(of content, then func(*loop.Object)) {
		if len(of.rows) == 0 {
			then(nil)
			return
		}
		t.put("parts", of, int64(len(of.rows)), func(o loop.Object, err error) {
			if err != nil {
				settle(nil, err)
				return
			}
			then(&o)
		})
	}
	part(samples, func(o *loop.Object) {
		command.Samples = o
		part(verdicts, func(o *loop.Object) {
			command.Verdicts = o
			t.n.propose(state.Command{Commit: command}, settle)
		})
	})
}
