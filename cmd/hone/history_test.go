package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/raft"

	"hone/coordinator"
	"hone/coordinator/state"
	"hone/loop"
)

// history is what a dead server's log says, judged entry by entry by the rules
// of the contract (C4, C10, C11, C22), which are written down here once more, as
// plainly as they can be, and not by Apply. It knows what the tests of this
// package do, and fails on anything else.
type history struct {
	t         faults
	space     *loop.Space
	campaigns map[string]*loop.Campaign
	rounds    map[string][]loop.Round // by campaign, in order
	samples   map[index]*standing
	posts     []livePost
	keys      map[postKey]bool
	rows      map[string]uint64 // of outcomes, by LINE@VERSION
	sealed    map[string]bool
	published map[string]state.Publish // by NAME@VERSION
	packs     map[string]bool
	epoch     uint64          // of the lake, that is open
	named     map[string]bool // keys, by what counts
	merged    map[string]bool // parts that others were merged into
	entries   int             // that were read
	commits   int             // of samples, that count
}

// index is what must never be committed twice.
type index struct {
	campaign         string
	domain           loop.Domain
	round, component int
	index            uint64
}

// standing is how an index stands: which attempt it is at, whether that one is
// committed, and if so, in which row of which part.
type standing struct {
	attempt              int
	committed, abandoned bool
	part                 string
	row                  int
}

type postKey struct{ space, line, version, run, key string }

// livePost is a post that counts, and its rows.
type livePost struct {
	post        loop.Post
	part        string
	first, rows int
}

// readHistory reads the log.
func readHistory(t faults, dir string) *history {
	t.Helper()
	if snapshots, err := os.ReadDir(filepath.Join(dir, "raft", "snapshots")); err != nil || len(snapshots) > 0 {
		t.Fatalf("%d snapshots, %v: the log is not all of the history", len(snapshots), err)
	}
	h := newHistory(t)
	next := uint64(1)
	if err := coordinator.ReadLog(filepath.Join(dir, "raft"), func(entry *raft.Log) error {
		if entry.Index != next {
			t.Fatalf("entry %d comes after entry %d", entry.Index, next-1)
		}
		next++
		if entry.Type != raft.LogCommand {
			return nil
		}
		h.entry(entry.Index, entry.Data)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return h
}

func newHistory(t faults) *history {
	return &history{t: t, campaigns: map[string]*loop.Campaign{}, rounds: map[string][]loop.Round{}, samples: map[index]*standing{},
		keys: map[postKey]bool{}, rows: map[string]uint64{}, sealed: map[string]bool{}, published: map[string]state.Publish{}, packs: map[string]bool{},
		epoch: 1, named: map[string]bool{}, merged: map[string]bool{}}
}

func (h *history) entry(i uint64, encoded []byte) {
	decoded, err := state.DecodeEntry(encoded)
	if err != nil {
		h.t.Fatalf("entry %d: %v", i, err)
	}
	for c := range decoded.Commands {
		h.apply(&decoded.Commands[c])
	}
}

// admits reports whether a command that names objects can have any effect: none
// that names one of an epoch that is closed, and that nothing names yet (C18).
func (h *history) admits(objects ...*loop.Object) bool {
	for _, o := range objects {
		if o != nil && !h.named[o.Key] && !h.open(o) {
			return false
		}
	}
	for _, o := range objects {
		if o != nil {
			h.named[o.Key] = true
		}
	}
	return true
}

// open reports whether an object is of the open epoch.
func (h *history) open(o *loop.Object) bool {
	epoch, err := strconv.ParseUint(strings.Split(o.Key, "/")[1], 10, 64)
	if err != nil || epoch > h.epoch {
		h.t.Errorf("%s is of an epoch that was never open", o.Key)
	}
	return epoch == h.epoch
}

func (h *history) apply(c *state.Command) {
	switch {
	case c.RaiseEpoch != nil:
		if c.RaiseEpoch.Closes == h.epoch {
			h.epoch++
		}
	case c.PutSpace != nil:
		if h.space == nil {
			h.space = &c.PutSpace.Space
			h.space.Version = 1
		}
	case c.CreateCampaign != nil:
		if name := c.CreateCampaign.Campaign.Name; h.campaigns[name] == nil {
			h.campaigns[name] = &c.CreateCampaign.Campaign
		}
	case c.OpenRound != nil:
		name := c.OpenRound.Round.Campaign
		var evidence *loop.Object
		if c.OpenRound.EvidenceKey != "" {
			evidence = &loop.Object{Key: c.OpenRound.EvidenceKey}
		}
		if h.admits(evidence) && c.OpenRound.Previous == len(h.rounds[name]) {
			h.rounds[name] = append(h.rounds[name], c.OpenRound.Round)
		}
	case c.Commit != nil:
		h.commit(c.Commit)
	case c.Append != nil:
		h.append(c.Append)
	case c.SealModel != nil:
		model := c.SealModel.Line + "@" + c.SealModel.Version
		if h.rows[model] == c.SealModel.Rows {
			h.sealed[model] = true
		}
	case c.Publish != nil:
		name := fmt.Sprintf("%s@%d", c.Publish.Name, c.Publish.Version)
		if _, there := h.published[name]; !there && h.admits(&c.Publish.Manifest, &c.Publish.Addresses) {
			h.published[name] = *c.Publish
		}
	case c.PutPolicy != nil, c.RegisterGenerator != nil:
	case c.Compact != nil: // changes nothing that counts, only where its rows stand
		if h.admits(&c.Compact.Part) {
			h.merged[c.Compact.Part.Key] = true
		}
	case c.Account != nil:
	case c.RegisterNode != nil, c.ForgetNode != nil, c.Checkpoint != nil, c.RaiseVersion != nil:
	default:
		h.t.Fatalf("a command that these tests do not bring about: %+v", c)
	}
}

func (h *history) commit(c *state.Commit) {
	for i := range c.Packs {
		if !h.open(&c.Packs[i]) { // what names packs are parts, so that nothing names these yet
			return
		}
	}
	if !h.admits(c.Samples, c.Verdicts) {
		return
	}
	for _, pack := range c.Packs {
		h.packs[pack.Key] = true
	}
	for i := range c.Deliveries {
		d := &c.Deliveries[i]
		row := int(d.FirstRow)
		for offset := range d.Unit.Count {
			if !d.Accepted.Has(offset) {
				continue
			}
			if s := h.fresh(d.Unit, offset); s != nil {
				s.committed, s.part, s.row = true, c.Samples.Key, row
				h.commits++
			}
			row++
		}
		for _, rejected := range d.Rejected {
			if s := h.fresh(d.Unit, int(rejected.Offset)); s != nil {
				if s.attempt++; s.attempt >= h.campaigns[d.Unit.Campaign].MaxAttempts {
					s.attempt--
					s.abandoned = true
				}
			}
		}
	}
}

// somePart is the key of a part with rows of committed samples.
func (h *history) somePart() string {
	for _, s := range h.samples {
		if s.committed {
			return s.part
		}
	}
	h.t.Fatal("nothing is committed")
	return ""
}

// fresh is the standing of a sample that counts if it is delivered now, or nil.
func (h *history) fresh(u loop.Unit, offset int) *standing {
	name := u.Name(offset)
	if name.Round > len(h.rounds[u.Campaign]) {
		return nil
	}
	c := h.rounds[u.Campaign][name.Round-1].Find(name.Domain, name.Component)
	if c == nil || name.Index >= c.Quota {
		return nil
	}
	at := index{u.Campaign, name.Domain, name.Round, name.Component, name.Index}
	s := h.samples[at]
	if s == nil {
		s = &standing{}
		h.samples[at] = s
	}
	if s.committed || s.abandoned || s.attempt != name.Attempt {
		return nil
	}
	return s
}

func (h *history) append(c *state.Append) {
	if !h.admits(&c.Part) {
		return
	}
	for _, p := range c.Posts {
		key := postKey{p.Post.Space, p.Post.ModelLine, p.Post.Version, p.Post.Run, p.Post.Key}
		model := p.Post.ModelLine + "@" + p.Post.Version
		if h.keys[key] || h.sealed[model] {
			continue
		}
		h.keys[key] = true
		h.rows[model] += uint64(p.Rows)
		h.posts = append(h.posts, livePost{p.Post, c.Part.Key, int(p.FirstRow), int(p.Rows)})
	}
}
