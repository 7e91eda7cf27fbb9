package coordinator

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// missing are the objects that are referenced and gone: those that state names, and
// the packs of every committed sample (I1).
func (w *world) missing() (gone []string) {
	w.t.Helper()
	needed := map[string]bool{}
	for _, row := range w.view.rows() {
		needed[row.Address.Key] = true
	}
	w.node.View(func(s *state.State) {
		for key := range s.Referenced() {
			needed[key] = true
		}
	})
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(needed)) {
		if _, ok := w.store.objects[key]; !ok {
			gone = append(gone, key)
		}
	}
	return gone
}

func (w *world) collect() (out api.Collected) {
	w.t.Helper()
	t, err := w.coord.leading()
	if err == nil {
		out, err = t.collect(w.t.Context(), false)
	}
	if err != nil {
		w.t.Errorf("collect: %v", err)
	}
	return out
}

func (w *world) objects() int {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return len(w.store.objects)
}

// litter puts an object of each kind that nothing will reference.
func (w *world) litter() {
	w.t.Helper()
	for _, kind := range collected {
		if _, err := w.store.put(kind, w.node.epoch(), 1, []byte("litter of "+kind)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// What nothing references is deleted, and nothing else; asked for again, nothing is
// left to delete (C18).
func TestCollect(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 40\nrounds: 2\nevaluation: {target: 5}\nlearn_from: [{model_line: net}]\n")
		s := w.join("ann")
		w.work(s, "ann")
		before := w.objects()
		w.litter()
		dry := w.request(http.MethodPost, "/v1/lake/collect", `{"dry_run":true}`)
		if want := `"epoch":1,`; dry.Code != http.StatusOK || !strings.Contains(dry.Body.String(), want) || w.objects() != before+4 {
			t.Errorf("dry run: %d %s; %d objects, want %d", dry.Code, dry.Body, w.objects(), before+4)
		}
		out := w.collect()
		for _, k := range out.Kinds {
			if k.Objects != 1 || k.Bytes != int64(len("litter of ")+len(k.Kind)) || k.Kept == 0 && k.Kind != "evidence" {
				t.Errorf("%+v", k)
			}
		}
		if gone := w.missing(); len(gone) > 0 || w.objects() != before || out.Epoch != 2 || w.node.epoch() != 2 {
			t.Errorf("missing %v; %d objects, want %d: %+v", gone, w.objects(), before, out)
		}
		if again := w.collect(); again.Epoch != 3 || slices.ContainsFunc(again.Kinds, func(k api.CollectedKind) bool { return k.Objects > 0 }) {
			t.Errorf("again: %+v", again)
		}
		// And everything goes on: what was made before the closing is published with
		// what was made after it.
		w.train("v1")
		w.work(s, "ann")
		if r := w.round("c", 2); r.State != api.RoundPublished || w.show("c").State != "done" || len(w.missing()) > 0 {
			t.Errorf("%+v; missing %v", r, w.missing())
		}
	})
}

// An epoch that is closed between a put and the proposal of what names it: the
// command is refused, all of it is put again under the open one, and counts once
// (C18, and the trace V1: the objects of the first try are gone by then).
func TestLateCommitIsPutAgain(t *testing.T) {
	for _, at := range []string{"packs", "parts", "manifests"} {
		t.Run(at, func(t *testing.T) {
			inWorld(t, Options{}, func(t *testing.T, w *world) {
				w.campaign("name: c\nsamples: 20\nrounds: 1\n")
				s, times := w.join("ann"), 0
				w.store.after = func(kind string) {
					if kind == at && times < 2 {
						times++
						w.collect()
					}
				}
				w.work(s, "ann")
				c := w.show("c")
				if c.State != "done" || c.Committed != 20 || times != 2 || w.node.epoch() != 3 {
					t.Errorf("%+v after %d collections", c.Counts, times)
				}
				if r := w.round("c", 1); r.State != api.RoundPublished || len(w.missing()) > 0 {
					t.Errorf("missing %v", w.missing())
				}
				w.check(exact)
			})
		})
	}
}

// So it is with the outcomes that ingest appends: it is told to put them again.
func TestLateAppendIsToldToPutAgain(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 20\nrounds: 1\n")
		rows, err := w.store.put("parts", w.node.epoch(), 1, []byte("outcomes"))
		if err != nil {
			t.Fatal(err)
		}
		w.collect()
		_, err = w.coord.Append(t.Context(), []loop.PostRows{{Post: loop.Post{Space: "lab", ModelLine: "net", Version: "1", Key: "k"}, Rows: make([]loop.Outcome, 1)}}, rows)
		if !errors.Is(err, loop.ErrEpochClosed) {
			t.Errorf("%v", err)
		}
	})
}

// whileCollecting has a unit delivered between the closing of an epoch and the
// listing of its objects, and committed after the deletions. What it put is of the
// open epoch, and not there to be deleted.
func whileCollecting(t *testing.T, w *world) (gone []string) {
	w.campaign("name: c\nsamples: 20\nrounds: 1\n")
	s := w.join("ann")
	units := w.next(s, 2)
	w.accepted(s, "ann", units[0])
	put, deleted, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	w.store.listing = func() {
		once.Do(func() {
			w.store.after = func(kind string) {
				if kind == "parts" {
					w.store.after = nil
					close(put)
					<-deleted
				}
			}
			w.stage("ann", units[1])
			go func() {
				_, err := w.coord.Deliver(t.Context(), s, made("ann", units[1]), func() {})
				done <- err
			}()
			<-put
		})
	}
	w.collect()
	close(deleted)
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.settle()
	if c := w.show("c"); c.Committed != 20 {
		t.Errorf("%+v", c.Counts)
	}
	return w.missing()
}

func TestCommitWhileCollecting(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		if gone := whileCollecting(t, w); len(gone) > 0 {
			t.Errorf("missing: %v", gone)
		}
	})
}

// A leader that is deposed while it collects may delete what it found at any later
// time, any number of times: what is put since, be it the very same bytes, has
// another key (C18, and the trace V1b).
func TestLateDelete(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 60\nrounds: 1\n")
		s := w.join("ann")
		units := w.next(s, 6)
		// The bytes of the second unit lie in the lake, of a commit that never came.
		w.accepted(s, "ann", units[0])
		w.lose = func() loss { return theCommand }
		if _, err := w.deliver(s, "ann", units[1]); err == nil {
			t.Fatal("the commit was not lost")
		}
		w.lose = nil
		var late []string
		w.store.deletes = func(key string) { late = append(late, key) }
		w.collect()
		w.store.deletes = nil
		if len(late) != 2 { // a pack, a part
			t.Fatalf("%v", late)
		}
		strike := func() {
			t.Helper()
			for _, key := range late {
				if err := w.store.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
			if gone := w.missing(); len(gone) > 0 {
				t.Errorf("missing: %v", gone)
			}
		}
		w.restart()
		s = w.join("ann", units[1:]...)
		w.accepted(s, "ann", units[1]) // the very same bytes
		strike()
		w.collect()
		w.accepted(s, "ann", units[2])
		strike()
		w.pass(w.coord.o.ReconnectWindow)
		w.work(s, "ann")
		strike()
		for _, u := range units {
			if st, err := w.redeliver(s, "ann", u); err != nil || st.Fresh > 0 {
				t.Errorf("%s: %+v, %v", u.ID(), st, err)
			}
		}
	})
}

// A part that is referenced, and not there, is no reason to delete anything.
func TestCollectStopsAtALostPart(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		w.campaign("name: c\nsamples: 20\nrounds: 1\n")
		w.work(w.join("ann"), "ann")
		w.litter()
		var part string
		w.node.View(func(s *state.State) { part = s.SampleParts()[0] })
		delete(w.store.objects, part)
		before := w.objects()
		answer := w.request(http.MethodPost, "/v1/lake/collect", `{}`)
		if answer.Code != http.StatusInternalServerError || w.objects() != before {
			t.Errorf("%d %s; %d objects, were %d", answer.Code, answer.Body, w.objects(), before)
		}
		if !strings.Contains(w.log.String(), fmt.Sprintf("the lake lacks part %s", part)) {
			t.Error(w.log.String())
		}
	})
}
