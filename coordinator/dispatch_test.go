package coordinator

import (
	"slices"
	"testing"

	"hone/api"
	"hone/loop"
)

// C9: a worker that connects has had its last word about what is settled and what it
// does not announce: that is swept. What is not settled stays, and so does what state
// does not know of: who leads no more may not have heard of a round, and imports are
// of none.
func TestJoinSweepsWhatIsSettled(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign(fourRounds)
		s := w.join("ann")
		units := w.next(s, 3)
		for _, u := range units[:2] {
			w.accepted(s, "ann", u)
		}
		later := units[2]
		later.Round = 9
		for _, u := range append(units, later) {
			w.stage("ann", u)
		}
		imported := api.ImportedUnit("real", loop.Evaluation, 0, 10)
		w.stage(api.ImportWorker, imported)
		left := func(worker string) []loop.Unit {
			staged, err := w.store.StagedUnits(t.Context(), worker)
			if err != nil {
				t.Fatal(err)
			}
			return staged
		}
		w.join("ann", units[0])
		staged := left("ann")
		for _, u := range append(units, later) {
			if slices.Contains(staged, u) != (u != units[1]) {
				t.Errorf("%s: of what was staged %v are left", u.ID(), staged)
			}
		}
		w.join(api.ImportWorker)
		if staged := left(api.ImportWorker); len(staged) != 1 {
			t.Errorf("of what is being imported %v are left", staged)
		}
	})
}
