package simulation

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// log is what has been agreed on, in order. Nothing of it is ever lost.
type log struct {
	entries [][]byte
	// events are what the truth answered, and digests what it came to, now and then.
	events  [][]state.Event
	digests map[int]loop.Digest
}

// digestEvery is how many entries lie between comparisons of whole states.
const digestEvery = 8

// enter agrees on an entry, and tells the ledger and the nodes.
func (w *world) enter(encoded []byte) (index int) {
	index = len(w.log.entries)
	w.log.entries = append(w.log.entries, encoded)
	entry := decode(encoded)
	events := w.truth.Apply(entry)
	w.log.events = append(w.log.events, events)
	if index%digestEvery == 0 {
		if w.log.digests == nil {
			w.log.digests = make(map[int]loop.Digest)
		}
		w.log.digests[index] = w.truth.Digest()
	}
	for i := range events {
		if r, ok := events[i].(state.Refused); ok {
			w.meet("a command is refused as "+r.Reason.String(), true)
		}
		w.note("entry %d: %s", index, said{&entry.Commands[i], events[i]})
	}
	w.ledger.entered(&entry, events)
	for _, n := range w.nodes {
		n.learn()
	}
	return index
}

func encode(e state.Entry) []byte {
	encoded, err := e.Encode()
	if err != nil {
		breaks("an entry cannot be encoded: %v", err)
	}
	return encoded
}

func decode(encoded []byte) state.Entry {
	e, err := state.DecodeEntry(encoded)
	if err != nil {
		breaks("an entry cannot be read back: %v", err)
	}
	return e
}

// proposal is a command on its way into the log.
type proposal struct {
	command state.Command
	// answer hears Apply's event; or, once it has not been heard in time, that nobody
	// knows (C10).
	answer   func(state.Event, error)
	answered bool
}

func (p *proposal) hear(e state.Event, err error) {
	if !p.answered {
		p.answered = true
		p.answer(e, err)
	}
}

const proposeTimeout = 5 * time.Second

// propose puts a command on its way into the log, with what else the node proposes
// just then.
func (n *node) propose(c state.Command, answer func(state.Event, error)) {
	p := &proposal{command: c, answer: answer}
	n.group = append(n.group, p)
	n.w.after(proposeTimeout, &n.party, "gives up on a proposal", func() { p.hear(nil, errUnknown) })
	if len(n.group) == 1 {
		n.w.after(n.w.between(0, 2*time.Millisecond), &n.party, "proposes", n.flush)
	}
}

// flush sends the group off as one entry. If the node leads no more it never arrives.
func (n *node) flush() {
	w, group := n.w, n.group
	n.group = nil
	e := state.Entry{At: n.clock()}
	for _, p := range group {
		e.Commands = append(e.Commands, p.command)
	}
	if w.leader != n || w.happens(w.odds.lose) {
		w.note("the entry is lost")
		return
	}
	encoded := encode(e)
	copies := 1
	if w.happens(w.odds.twice) {
		copies = 2
	}
	for range copies {
		d := w.between(200*time.Microsecond, 4*time.Millisecond)
		if w.happens(w.odds.late) {
			d = w.between(d, 30*time.Second)
		}
		life := n.life
		w.after(d, nil, "enters the log", func() {
			index := w.enter(encoded)
			w.meet("an entry comes when nobody waits for it", group[0].answered)
			if n.life == life && !w.happens(w.odds.deaf) {
				n.flights[index] = group
			}
		})
	}
}

// clock is what the node's wall clock shows, in microseconds.
func (n *node) clock() int64 {
	if n.w.happens(n.w.odds.jump) {
		n.skew = n.w.between(-time.Hour, time.Hour)
	}
	return begun.Add(n.w.now + n.skew).UnixMicro()
}

// said is what a trace says of a command and its answer.
type said struct {
	command *state.Command
	event   state.Event
}

func (s said) String() string {
	text := ""
	v := reflect.ValueOf(s.command).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsNil() {
			text += v.Type().Field(i).Name
			if !f.Elem().FieldByName("Packs").IsValid() {
				text += fmt.Sprintf(" %+v", f.Elem())
			}
		}
	}
	if c := s.command.Commit; c != nil {
		for _, d := range c.Deliveries {
			text += " " + d.Unit.ID() + " of " + d.Worker
		}
		text += fmt.Sprintf(" %v", c.Extensions)
	}
	if len(text) > 400 {
		text = text[:400] + "…"
	}
	if r, ok := s.event.(state.Refused); ok {
		return text + ": refused: " + r.Error()
	}
	return fmt.Sprintf("%s: %T%+v", text, s.event, s.event)
}

func stack() string {
	s := debug.Stack()
	if at := bytes.Index(s, []byte("panic(")); at >= 0 {
		s = s[at:]
	}
	return string(s)
}
