package simulation

import "hone/coordinator/state"

// meter is what one connection of a worker has taken of a campaign, and what of it
// state was told (C14). Readings only rise, whoever tells of them, and in which order.
type meter struct {
	reading state.Meter
	told    uint64
}

// charge notes that a delivery over a connection took so long.
func (t *term) charge(connection, campaign string, millis uint64) {
	for _, m := range t.meters {
		if m.reading.Connection == connection && m.reading.Campaign == campaign {
			m.reading.Millis += millis
			return
		}
	}
	t.meters = append(t.meters, &meter{reading: state.Meter{Connection: connection, Campaign: campaign, Millis: millis}})
}

// readings are those that state does not know, as far as the version in force lets it
// be told (C25).
func (t *term) readings() (readings []state.Meter) {
	if t.n.state.Version() < state.LatestVersion {
		return nil
	}
	for _, m := range t.meters {
		if m.told < m.reading.Millis {
			readings = append(readings, m.reading)
		}
	}
	return readings
}

// noted notes what state knows of.
func (t *term) noted(readings []state.Meter) {
	for _, r := range readings {
		for _, m := range t.meters {
			if m.reading.Connection == r.Connection && m.reading.Campaign == r.Campaign {
				m.told = max(m.told, r.Millis)
			}
		}
	}
}

// account tells state what has been taken, where no commit does.
func (t *term) account() {
	if readings := t.readings(); len(readings) > 0 {
		t.n.propose(state.Command{Account: &state.Account{Meters: readings}}, func(_ state.Event, err error) {
			if err == nil && t.n.term == t {
				t.noted(readings)
				for _, c := range t.w.campaigns {
					t.conduct(c.Name)
				}
			}
		})
	}
	t.after(5*again, "accounts", t.account)
}

// broke reports whether a campaign has taken what it may (C14).
func (w *world) broke(s *state.State, campaign string) bool {
	spent, _ := s.Spent(campaign)
	return w.purses[campaign] > 0 && spent.Millis >= w.purses[campaign]
}

// metered sums the readings that the log has, the greatest of each connection: no
// more and no less is spent.
func (l *ledger) metered(readings []state.Meter) {
	for _, r := range readings {
		if key := r.Campaign + " " + r.Connection; r.Millis > l.meters[key] {
			l.spent[r.Campaign] += r.Millis - l.meters[key]
			l.meters[key] = r.Millis
		}
	}
}
