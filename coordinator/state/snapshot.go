package state

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"

	"hone/fault"
	"hone/loop"
)

// A snapshot is snapshotMagic, a byte with the encoding version in force (C25), frames, and a checksum. A frame
// is the length of a record as an unsigned varint, and the record as CBOR; an
// empty frame ends them. The checksum is the SHA-256 of all that precedes it: it
// is also the state's digest.
const snapshotMagic = "hone state\n"

// Frozen is the state as it stood when Snapshot was called. It may be encoded
// while the state goes on.
type Frozen struct{ state State }

// Snapshot freezes the state. It copies no bitmap: what changes afterwards is
// copied then (C23).
func (s *State) Snapshot() *Frozen {
	f := &Frozen{*s}
	f.state.spaces = maps.Clone(s.spaces)
	f.state.policies = maps.Clone(s.policies)
	f.state.generators = maps.Clone(s.generators)
	f.state.campaigns = maps.Clone(s.campaigns)
	f.state.models = maps.Clone(s.models)
	f.state.datasets = maps.Clone(s.datasets)
	f.state.nodes = maps.Clone(s.nodes)
	f.state.referenced, f.state.void = nil, nil
	f.state.keys.current.at, f.state.keys.previous.at = nil, nil
	s.generation++
	return f
}

// Sequence is that of the last change.
func (f *Frozen) Sequence() uint64 { return f.state.Sequence() }

// Epoch is the lake's open epoch.
func (f *Frozen) Epoch() uint64 { return f.state.epoch }

// Dataset is like that of the state.
func (f *Frozen) Dataset(name string, version int) (DatasetVersion, bool) {
	return f.state.Dataset(name, version)
}

// Select is like that of the state.
func (f *Frozen) Select(campaign string, domain loop.Domain, first, last int) []Selected {
	return f.state.selected(campaign, domain, first, last)
}

// Digest is that of the state's snapshot: equal on all replicas at one index of
// the log (I6). Like a getter it must not overlap Apply.
func (s *State) Digest() loop.Digest { return (&Frozen{*s}).Digest() }

// Digest is the snapshot's checksum.
func (f *Frozen) Digest() loop.Digest {
	digest, err := f.encode(io.Discard)
	invariant(err == nil, "the state cannot be encoded: %v", err)
	return digest
}

// Encode writes the snapshot.
func (f *Frozen) Encode(w io.Writer) error {
	digest, err := f.encode(w)
	if err == nil {
		_, err = w.Write(digest[:])
	}
	if err != nil {
		return fmt.Errorf("encode snapshot: %w", err)
	}
	return nil
}

// encode writes all but the checksum, and returns it.
func (f *Frozen) encode(w io.Writer) (loop.Digest, error) {
	hash := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(hash, w), 1<<16)
	out.WriteString(snapshotMagic)
	out.WriteByte(byte(f.state.version))
	var length [binary.MaxVarintLen64]byte
	err := f.state.records(func(r *record) error {
		frame, err := encoding.Marshal(r)
		if err != nil {
			return err
		}
		out.Write(length[:binary.PutUvarint(length[:], uint64(len(frame)))])
		_, err = out.Write(frame)
		return err
	})
	if err != nil {
		return loop.Digest{}, err
	}
	out.WriteByte(0)
	if err := out.Flush(); err != nil {
		return loop.Digest{}, err
	}
	return loop.Digest(hash.Sum(nil)), nil
}

// records gives the state as records, in their order. It changes nothing.
func (s *State) records(emit func(*record) error) error {
	e := emitter{emit: emit}
	e.put(&record{Header: &headerRecord{s.cluster, s.last, s.epoch, s.keys.size}})
	for _, name := range slices.Sorted(maps.Keys(s.spaces)) {
		for _, v := range s.spaces[name] {
			e.put(&record{Space: &spaceRecord{v.Space, v.Document, v.At}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.policies)) {
		for _, v := range s.policies[name] {
			e.put(&record{Policy: (*policyRecord)(&v)})
		}
	}
	for _, g := range s.Generators() {
		e.put(&record{Generator: &g})
	}
	for _, name := range slices.Sorted(maps.Keys(s.campaigns)) {
		e.campaign(s.campaigns[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.models)) {
		e.model(name, s.models[name])
	}
	for piece := range s.changes.pieces(0) {
		e.changes(piece)
	}
	if !fault.Planted("forget keys on restart") {
		e.keys(&s.keys.previous.uses, true)
		e.keys(&s.keys.current.uses, false)
	}
	e.datasets(s.datasets)
	for _, n := range s.Nodes() {
		e.put(&record{Node: &n})
	}
	if len(s.forgotten) > 0 {
		e.put(&record{Forgotten: s.forgotten})
	}
	return e.err
}

// emitter emits records until one fails.
type emitter struct {
	emit func(*record) error
	err  error
	// sequence is that of the last change.
	sequence uint64
}

func (e *emitter) put(r *record) {
	if e.err == nil {
		e.err = e.emit(r)
	}
}

func (e *emitter) campaign(c *campaign) {
	r := &campaignRecord{Campaign: c.first, SpaceVersion: c.spaceVersion, PolicyVersion: c.policyVersion,
		Document: c.document, At: c.at, LastRevoke: c.lastRevoke}
	if c.steered != (Steered{}) {
		steered := steeredRecord(c.steered)
		r.Steered = &steered
	}
	for _, a := range c.amendments {
		r.Amendments = append(r.Amendments, amendmentRecord(a))
	}
	r.Spent = c.meters.record()
	e.put(&record{Campaign: r})
	for _, r := range c.rounds {
		e.put(&record{Round: &roundRecord{r.decided}})
		for _, k := range r.components {
			e.component(k)
		}
	}
	for i := range c.proposals {
		e.put(&record{Proposal: recordProposal(&c.proposals[i])})
	}
}

func (e *emitter) component(k *component) {
	r := &componentRecord{Quota: k.quota, Reserved: k.reserved, Rejected: k.rejected,
		Committed: Indices{k.committed}, Abandoned: Indices{k.abandoned}}
	for _, a := range k.attempts {
		r.Attempts = append(r.Attempts, attemptRecord{a.attempt, Indices{a.indices}})
	}
	for _, a := range k.reasons {
		r.Reasons = append(r.Reasons, reasonRecord{a.gate, a.reason, Indices{a.indices}})
	}
	e.put(&record{Component: r})
}

func (e *emitter) model(name string, l *modelLine) {
	r := &modelRecord{Line: name, Sealed: l.sealed}
	for _, v := range l.versions {
		r.Versions = append(r.Versions, modelVersionRecord{v.Version, v.Rows, v.At, v.Sequence})
	}
	e.put(&record{Model: r})
}

func (e *emitter) changes(changes []loop.Change) {
	records := make([]changeRecord, len(changes))
	for i, c := range changes {
		r := changeRecord{At: c.At}
		if c.Sequence != e.sequence+1 {
			r.Sequence = c.Sequence
		}
		e.sequence = c.Sequence
		switch {
		case c.Space != nil:
			r.Space, r.Version = c.Space.Name, c.Space.Version
		case c.Round != nil:
			r.Round, r.Number = c.Round.Round.Campaign, c.Round.Round.Number
		case c.Part != nil:
			r.Part = &partRecord{string(c.Part.Kind), c.Part.Space, objectRecord(c.Part.Object), c.Part.Void}
		case c.Void != nil:
			r.Void = &voidRecord{c.Void.Reference, c.Void.Rows}
		case c.Replace != nil:
			r.Part = &partRecord{string(c.Replace.Part.Kind), c.Replace.Part.Space, objectRecord(c.Replace.Part.Object), nil}
			r.First, r.Last = c.Replace.First, c.Replace.Last
		}
		records[i] = r
	}
	e.put(&record{Changes: records})
}

func (e *emitter) keys(uses *list[keyUse], previous bool) {
	var packed []byte
	flush := func() {
		if len(packed) > 0 {
			e.put(&record{Keys: &keysRecord{previous, packed}})
			packed = packed[:0]
		}
	}
	for piece := range uses.pieces(0) {
		for i := range piece {
			packed = append(packed, piece[i].key[:]...)
			packed = append(packed, piece[i].body[:]...)
			packed = binary.BigEndian.AppendUint64(packed, piece[i].sequence)
		}
		if len(packed) >= keysPerRecord*packedKey {
			flush()
		}
	}
	flush()
}

// datasets writes one table of all packs, ascending, then the versions: those of
// one campaign share most of their packs.
func (e *emitter) datasets(datasets map[string][]*DatasetVersion) {
	at := map[string]uint64{}
	for _, versions := range datasets {
		for _, v := range versions {
			for _, key := range v.Packs {
				at[key] = 0
			}
		}
	}
	table := slices.Sorted(maps.Keys(at))
	for i, key := range table {
		at[key] = uint64(i)
	}
	for chunk := range slices.Chunk(table, packsPerRecord) {
		e.put(&record{Packs: chunk})
	}
	for _, name := range slices.Sorted(maps.Keys(datasets)) {
		for _, v := range datasets[name] {
			packs := make([]uint64, len(v.Packs))
			for i, key := range v.Packs {
				packs[i] = at[key]
			}
			r := &datasetRecord{v.Name, v.Version, v.Campaign, objectRecord(v.Manifest), objectRecord(v.Addresses),
				v.Sequence, v.At, v.Selection, v.Advisory, IndicesOf(packs...), nil}
			if v.Import != nil {
				imported := importRecord(*v.Import)
				r.Import = &imported
			}
			e.put(&record{Dataset: r})
		}
	}
}
