package coordinator

import (
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"math"
	"slices"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// meters are what the connections of a term's workers have taken (C14). Readings only
// rise; state counts the greatest of each connection, whichever entry brings it.
type meters struct {
	// run tells the term's connections from those of every other.
	run string
	of  map[metered]*meter
	// unnoted are the milliseconds of a campaign that state does not know of yet.
	unnoted map[string]int64
	// spent are campaigns that have no money left.
	spent map[string]bool
	// vanished are what units of workers whose connection has ended were charged, for
	// when they come back with them.
	vanished map[string]map[loop.Unit]int64
}

// metered is what a meter is of.
type metered struct{ connection, campaign string }

// meter is a reading, in milliseconds, and the one that state knows.
type meter struct{ millis, noted int64 }

func newMeters() meters {
	return meters{run: rand.Text()[:13], of: map[metered]*meter{}, unnoted: map[string]int64{},
		spent: map[string]bool{}, vanished: map[string]map[loop.Unit]int64{}}
}

// connection names a session for all time.
func (m *meters) connection(session string) string { return m.run + "." + session }

// maxCharge bounds what a unit is charged: what a worker says of its own clock may be
// anything.
const maxCharge = int64(7 * 24 * time.Hour / time.Millisecond)

// charge notes that a unit took so much of a session's worker. Said of one unit again
// it is charged what it took more. The caller holds mu, and does not read the state.
func (t *term) charge(session string, u loop.Unit, millis int64) {
	millis = min(millis, maxCharge)
	connection := t.meters.run // of a session that has ended
	if s := t.sessions[session]; s != nil {
		connection = t.meters.connection(session)
		before := s.charged[u]
		s.charged[u] = max(before, millis)
		millis -= before
	}
	if millis <= 0 {
		return
	}
	at := metered{connection, u.Campaign}
	m := t.meters.of[at]
	if m == nil {
		m = &meter{}
		t.meters.of[at] = m
	}
	m.millis += millis
	t.meters.unnoted[u.Campaign] += millis
	t.c.node.View(func(s *state.State) { t.afford(s, u.Campaign) })
}

// chargeTime charges a unit that ends without a delivery the time since it was handed
// out, and at most what is reserved for it: of one whose lease has expired nothing is
// any more, and it hung all the time. The caller holds mu.
func (t *term) chargeTime(s *session, u loop.Unit, now time.Time) {
	since, ok := s.making[u]
	if !ok {
		return // it was announced: who knows since when
	}
	taken := now.Sub(since).Milliseconds()
	if most := t.schedule.ReservedBy(u, s.worker.Name); most > 0 {
		taken = min(taken, most)
	}
	t.charge(s.id, u, taken)
}

// end ends a session. What was with its worker is charged as far as it can have been
// begun: a unit for each slot. The caller holds mu.
func (t *term) end(s *session, now time.Time) {
	units := make([]loop.Unit, 0, len(s.making))
	for u := range s.making {
		units = append(units, u)
	}
	slices.SortFunc(units, func(a, b loop.Unit) int {
		return cmp.Or(s.making[a].Compare(s.making[b]), cmp.Compare(a.ID(), b.ID()))
	})
	for _, u := range units[:min(len(units), s.worker.Slots)] {
		t.chargeTime(s, u, now)
	}
	if len(s.charged) > 0 {
		t.meters.vanished[s.worker.Name] = s.charged
	}
	delete(t.sessions, s.id)
	t.slots -= s.worker.Slots
}

// recharge is what the units that a worker comes back with were charged before.
func (t *term) recharge(w *loop.Worker) map[loop.Unit]int64 {
	charged := make(map[loop.Unit]int64)
	for _, u := range w.Holds {
		if millis := t.meters.vanished[w.Name][u]; millis > 0 {
			charged[u] = millis
		}
	}
	delete(t.meters.vanished, w.Name)
	return charged
}

// settle forgets what vanished units were charged that are settled by now: most are made
// by somebody else, and many a worker never comes back. The caller holds mu.
func (t *term) settle(s *state.State) {
	for worker, charged := range t.meters.vanished {
		maps.DeleteFunc(charged, func(u loop.Unit, _ int64) bool { return s.JudgeUnit(u).Fresh == 0 })
		if len(charged) == 0 {
			delete(t.meters.vanished, worker)
		}
	}
}

// maxReadings bounds the readings of an entry.
const maxReadings = 4096

// readings are those that state does not know of yet, of the connections that are
// wanted; none before the cluster can read them (C25). The caller holds mu.
func (t *term) readings(s *state.State, wanted func(metered) bool) (out []state.Meter) {
	if s.Version() < 2 {
		return nil
	}
	for at, m := range t.meters.of {
		if m.millis == m.noted || !wanted(at) {
			if session, ok := t.sessionOf(at.connection); m.millis == m.noted && session == nil && ok {
				delete(t.meters.of, at) // an ended connection's never rises again
			}
			continue
		}
		reading := state.Meter{Connection: at.connection, Campaign: at.campaign, Millis: min(uint64(m.millis), state.MaxMillis)}
		if asked, ok := s.Asked(at.campaign); ok {
			reading.Micros = min(uint64(micros(asked.Price.Of(float64(reading.Millis)))), state.MaxMicros)
		}
		out = append(out, reading)
	}
	slices.SortFunc(out, func(a, b state.Meter) int {
		return cmp.Or(cmp.Compare(a.Connection, b.Connection), cmp.Compare(a.Campaign, b.Campaign))
	})
	return out[:min(len(out), maxReadings)]
}

// micros are an amount in millionths.
func micros(money float64) float64 { return math.Round(money * 1e6) }

// noted says that state knows these readings. The caller holds mu.
func (t *term) noted(s *state.State, readings []state.Meter) {
	for _, r := range readings {
		at := metered{r.Connection, r.Campaign}
		m := t.meters.of[at]
		if m == nil {
			continue
		}
		if more := int64(r.Millis) - m.noted; more > 0 {
			m.noted += more
			t.meters.unnoted[r.Campaign] -= more
		}
		t.afford(s, r.Campaign)
	}
}

// sessionOf is the session of a connection, nil where it has ended; ok is false of the
// connection that stands for all that have ended.
func (t *term) sessionOf(connection string) (s *session, ok bool) {
	if len(connection) <= len(t.meters.run) {
		return nil, false
	}
	return t.sessions[connection[len(t.meters.run)+1:]], true
}

// afford tells the schedule what a campaign may still take: its money less what was
// spent, by what state knows and what it does not know yet. The caller holds mu.
func (t *term) afford(s *state.State, name string) {
	asked, ok := s.Asked(name)
	if !ok || asked.Money == 0 || !asked.Price.Known() {
		return
	}
	spent, _ := s.Spent(name)
	left := math.Floor((micros(asked.Money)-float64(spent.Micros))/(1e6*asked.Price.Of(1))) - float64(t.meters.unnoted[name])
	t.loosen(name, func() { t.schedule.Afford(name, int64(max(-1, min(left, math.MaxInt64/2)))) })
	t.meters.spent[name] = left < 1
}

// outOfMoney reports whether a campaign has spent its money.
func (t *term) outOfMoney(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.node.View(func(s *state.State) { t.afford(s, name) })
	return t.meters.spent[name]
}

// reportEvery is how often what no commit has carried is put into the log.
const reportEvery = 5 * time.Second

// report accounts for what no commit carries: units that failed, or were made in vain.
func (t *term) report(ctx context.Context) error {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var readings []state.Meter
		t.mu.Lock()
		t.c.node.View(func(s *state.State) {
			readings = t.readings(s, func(metered) bool { return true })
			t.settle(s)
		})
		t.mu.Unlock()
		if len(readings) == 0 {
			continue
		}
		if _, err := t.c.node.Propose(ctx, state.Command{Account: &state.Account{Meters: readings}}); err != nil {
			if ctx.Err() == nil {
				t.c.log.Warn("cannot account for what workers took; trying again", "error", err)
			}
			continue
		}
		t.mu.Lock()
		t.c.node.View(func(s *state.State) { t.noted(s, readings) })
		t.wakeWaiting()
		t.mu.Unlock()
	}
}
