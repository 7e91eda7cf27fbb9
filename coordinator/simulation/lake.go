package simulation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// lake keeps objects by key, and what workers have staged.
type lake struct {
	objects map[string]content
	keys    []string // in the order in which they were put first
	staged  map[string]staging
}

// content is what an object holds: text, rows of samples, or of posts.
type content struct {
	text  string
	rows  []row
	posts []string
}

// row is one sample, as a part and a manifest tell of it.
type row struct {
	sample sample
	worker string
	pack   string
}

// staging is a unit's staging area.
type staging struct {
	// false: its bytes are not what the worker says. invented: nobody leased it.
	false, invented bool
}

func newLake() lake {
	return lake{objects: make(map[string]content), staged: make(map[string]staging)}
}

func stagingOf(worker string, u loop.Unit) string { return worker + "/" + u.ID() }

func (c *content) digest() loop.Digest {
	var b strings.Builder
	b.WriteString(c.text)
	for i := range c.rows {
		r := &c.rows[i]
		fmt.Fprintf(&b, "%s %+v %s %s\n", r.sample.campaign, r.sample.name, r.worker, r.pack)
	}
	for _, p := range c.posts {
		b.WriteString(p)
		b.WriteByte('\n')
	}
	return sha256.Sum256([]byte(b.String()))
}

var errDisk = errors.New("the lake is not to be had")

// put puts an object under the epoch that is open now, as far as the node knows; by
// the time that it lies there it may be closed (C18).
func (t *term) put(kind string, c content, rows int64, then func(loop.Object, error)) {
	t.n.put(kind, c, rows, func(o loop.Object, err error) {
		if t.n.term == t {
			then(o, err)
		}
	})
}

func (n *node) put(kind string, c content, rows int64, then func(loop.Object, error)) {
	w, epoch := n.w, n.state.Epoch()
	digest := c.digest()
	digits := hex.EncodeToString(digest[:])
	o := loop.Object{Key: fmt.Sprintf("%s/%d/%s/%s.bin", kind, epoch, digits[:2], digits), Digest: digest, Bytes: 1, Rows: rows}
	if n.state.References(o.Key) && w.lake.has(o.Key) {
		then(o, nil)
		return
	}
	w.after(w.between(0, 3*time.Millisecond), &n.party, "puts an object", func() {
		if w.happens(w.odds.unput) {
			then(loop.Object{}, errDisk)
			return
		}
		if !w.lake.has(o.Key) {
			w.lake.keys = append(w.lake.keys, o.Key)
		}
		w.lake.objects[o.Key] = c
		then(o, nil)
	})
}

func (l *lake) has(key string) bool {
	_, ok := l.objects[key]
	return ok
}

// stage keeps what a worker has made of a unit.
func (w *world) stage(worker string, u loop.Unit, s staging) {
	w.lake.staged[stagingOf(worker, u)] = s
}

// sweep removes a staging area after its last verdict, and not before (C9).
func (w *world) sweep(worker string, u loop.Unit) {
	if standing := w.truth.JudgeUnit(u); standing.Fresh > 0 && w.lake.staged[stagingOf(worker, u)] == (staging{}) {
		breaks("C9: the staging of %s is swept, but it stands %+v", u.ID(), standing)
	}
	delete(w.lake.staged, stagingOf(worker, u))
}

// collect deletes what one node, at one sequence after the closing of an epoch, knows
// to be referenced by nothing: soon, or long after (C18).
func (w *world) collect(n *node) {
	if n.down {
		return
	}
	var garbage []string
	packs, all := packsOf(n.state, &w.lake)
	if !all {
		// The node is behind: what replaced the part names its packs, too.
		w.meet("a collector is behind", true)
		return
	}
	for _, key := range w.lake.keys {
		if epochOf(key) < n.state.Epoch() && !n.state.References(key) && !packs[key] && w.lake.has(key) {
			garbage = append(garbage, key)
		}
	}
	for keys := range slices.Chunk(garbage, 4) {
		w.after(w.between(0, 20*time.Second), nil, "garbage is deleted", func() {
			for _, key := range keys {
				w.ledger.deleted(key)
				w.meet("garbage is deleted", true)
				delete(w.lake.objects, key)
			}
		})
	}
}

// packsOf are the packs that the rows of referenced parts name, which state does not
// list; all says whether all those parts are still there.
func packsOf(s *state.State, l *lake) (packs map[string]bool, all bool) {
	packs = make(map[string]bool)
	for _, key := range s.SampleParts() {
		if !l.has(key) {
			return nil, false
		}
		for _, r := range l.objects[key].rows {
			packs[r.pack] = true
		}
	}
	return packs, true
}

func epochOf(key string) (epoch uint64) {
	for _, digit := range strings.Split(key, "/")[1] {
		epoch = 10*epoch + uint64(digit-'0')
	}
	return epoch
}
