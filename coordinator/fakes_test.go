package coordinator

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// store is a lake in memory: what the lake brings to a coordinator, and no more.
// It outlives the node, as a lake does.
type store struct {
	mu       sync.Mutex
	objects  map[string][]byte
	samples  map[string][]loop.SampleRow
	verdicts map[string][]loop.VerdictRow
	staged   map[string][]byte
	// fail is asked before every write of a part, manifest or evidence object.
	fail func(kind string) error
	// after is called when an object was put, listing when it is asked which packs a
	// part names; both without the lock, so that they may do anything.
	after   func(kind string)
	listing func()
	// merging is called before parts are merged.
	merging func()
	// deletes takes deletions, in place of carrying them out.
	deletes func(key string)
}

func newStore() *store {
	return &store{objects: map[string][]byte{}, samples: map[string][]loop.SampleRow{},
		verdicts: map[string][]loop.VerdictRow{}, staged: map[string][]byte{}}
}

// put puts bytes under the key that their digest gives.
func (l *store) put(kind string, epoch uint64, rows int64, content []byte) (o loop.Object, err error) {
	defer func() {
		if l.after != nil && err == nil {
			l.after(kind)
		}
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		if err := l.fail(kind); err != nil {
			return loop.Object{}, err
		}
	}
	digest := loop.Digest(sha256.Sum256(content))
	digits := hex.EncodeToString(digest[:])
	o = loop.Object{Key: fmt.Sprintf("%s/%d/%s/%s.bin", kind, epoch, digits[:2], digits), Digest: digest, Bytes: int64(len(content)), Rows: rows}
	l.objects[o.Key] = content
	return o, nil
}

func (l *store) WriteSamples(_ context.Context, epoch uint64, space *loop.Space, rows []loop.SampleRow) (loop.Object, error) {
	content := fmt.Appendf(nil, "%s@%d %+v", space.Name, space.Version, rows)
	o, err := l.put("parts", epoch, int64(len(rows)), content)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.samples[o.Key] == nil {
		l.samples[o.Key] = rows
	}
	return o, err
}

func (l *store) WriteVerdicts(_ context.Context, epoch uint64, space *loop.Space, rows []loop.VerdictRow) (loop.Object, error) {
	content, err := json.Marshal([]any{space.Name, space.Version, rows})
	if err != nil {
		return loop.Object{}, err
	}
	o, err := l.put("parts", epoch, int64(len(rows)), content)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.verdicts[o.Key] = rows
	return o, err
}

func (l *store) PutEvidence(_ context.Context, epoch uint64, lines int64, encoded []byte) (loop.Object, error) {
	return l.put("evidence", epoch, lines, encoded)
}

func (l *store) WriteManifest(_ context.Context, epoch uint64, name string, rows int64, samples iter.Seq2[loop.ManifestRow, loop.Address]) (manifest, addresses loop.Object, err error) {
	var lines, places bytes.Buffer
	fmt.Fprintf(&lines, "{\"hone\":\"manifest/1\",\"name\":%q,\"rows\":%d}\n", name, rows)
	n := int64(0)
	for row, at := range samples {
		fmt.Fprintf(&lines, "{\"round\":%d,\"component\":%d,\"index\":%d,\"attempt\":%d,\"digest\":%q,\"importance_weight\":%g,\"split\":%q}\n",
			row.Name.Round, row.Name.Component, row.Name.Index, row.Name.Attempt, row.Digest, row.Weight, row.Split)
		fmt.Fprintln(&places, at)
		n++
	}
	if n != rows {
		return manifest, addresses, fmt.Errorf("%d samples of %d", n, rows)
	}
	if addresses, err = l.put("manifests", epoch, rows, places.Bytes()); err != nil {
		return manifest, addresses, err
	}
	manifest, err = l.put("manifests", epoch, rows, lines.Bytes())
	return manifest, addresses, err
}

func (l *store) Stage(_ context.Context, worker, unitID, name string, r io.Reader) (int64, error) {
	const limit = 1 << 20
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return 0, err
	}
	if len(content) > limit {
		return 0, &loop.Error{Field: "body", Problem: "more than 1 MiB"}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.staged[worker+"/"+unitID+"/"+name] = content
	return int64(len(content)), nil
}

func (l *store) Sweep(_ context.Context, worker, unitID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.staged, func(key string, _ []byte) bool { return strings.HasPrefix(key, worker+"/"+unitID+"/") })
	return nil
}

func (l *store) OpenStaged(_ context.Context, worker, unitID, name string) (io.ReadCloser, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	content, ok := l.staged[worker+"/"+unitID+"/"+name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(content)), int64(len(content)), nil
}

func (l *store) StagedUnits(_ context.Context, worker string) ([]loop.Unit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]loop.Unit{}
	for key := range l.staged {
		if rest, ok := strings.CutPrefix(key, worker+"/"); ok {
			id, _, _ := strings.Cut(rest, "/")
			all[id], _ = loop.ParseUnit(id)
		}
	}
	return slices.Collect(maps.Values(all)), nil
}

func (l *store) isStaged(worker string, u loop.Unit) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.staged[worker+"/"+u.ID()+"/"+loop.Bundle]
	return ok
}

func (l *store) OpenObject(_ context.Context, key string) (io.ReadCloser, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	content, ok := l.objects[key]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(content)), int64(len(content)), nil
}

func (l *store) ReadRange(_ context.Context, key string, offset, length int64) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	content, ok := l.objects[key]
	if !ok || offset+length > int64(len(content)) {
		return nil, fs.ErrNotExist
	}
	return content[offset : offset+length], nil
}

func (l *store) Objects(_ context.Context, kind string, last uint64) iter.Seq2[loop.Object, error] {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []loop.Object
	for _, key := range slices.Sorted(maps.Keys(l.objects)) {
		words := strings.Split(key, "/")
		if epoch, _ := strconv.ParseUint(words[1], 10, 64); words[0] == kind && epoch <= last {
			all = append(all, loop.Object{Key: key, Bytes: int64(len(l.objects[key]))})
		}
	}
	return func(yield func(loop.Object, error) bool) {
		for _, o := range all {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (l *store) Packs(_ context.Context, part string) (packs []string, err error) {
	if l.listing != nil {
		l.listing()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.objects[part]; !ok {
		return nil, fs.ErrNotExist
	}
	for _, row := range l.samples[part] {
		packs = append(packs, row.Address.Key)
	}
	return packs, nil
}

// Merge merges all that are of one kind but outcomes, of which a test's are no rows.
func (l *store) Merge(_ context.Context, epoch uint64, parts []loop.Added) (loop.Object, int, error) {
	if l.merging != nil {
		l.merging()
	}
	kind, name := parts[0].Part.Kind, ""
	var samples []loop.SampleRow
	var verdicts []loop.VerdictRow
	for _, p := range parts {
		name += fmt.Sprintln(p)
		if kind == loop.OutcomeParts || p.Part.Kind != kind {
			return loop.Object{}, 1, nil
		}
		l.mu.Lock()
		for i, row := range l.samples[p.Part.Object.Key] {
			if !slices.Contains(p.Part.Void, uint32(i)) {
				samples = append(samples, row)
			}
		}
		for i, row := range l.verdicts[p.Part.Object.Key] {
			if !slices.Contains(p.Part.Void, uint32(i)) {
				verdicts = append(verdicts, row)
			}
		}
		l.mu.Unlock()
	}
	if len(samples)+len(verdicts) == 0 {
		return loop.Object{}, len(parts), nil
	}
	o, err := l.put("parts", epoch, int64(len(samples)+len(verdicts)), []byte(name))
	l.mu.Lock()
	defer l.mu.Unlock()
	if kind == loop.SampleParts {
		l.samples[o.Key] = samples
	} else {
		l.verdicts[o.Key] = verdicts
	}
	return o, len(parts), err
}

// partOf is the part that a change adds, or puts in the place of others.
func partOf(c *loop.Change) *loop.Part {
	if c.Replace != nil {
		return &c.Replace.Part
	}
	return c.Part
}

func (l *store) Delete(_ context.Context, key string) error {
	if l.deletes != nil {
		l.deletes(key)
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.objects, key)
	return nil
}

// court is a gate stage: it accepts what reject does not name a gate for.
type court struct {
	store *store

	mu sync.Mutex
	// reject names the gate that sends a sample back, and why.
	reject func(d *loop.Delivery, n loop.Name) (gate, reason string)
	// refuse is what is wrong with a delivery, broken with the stage.
	refuse func(d *loop.Delivery) error
	broken func() error
	judged []loop.Unit
}

func (g *court) set(change func(*court)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
}

func sampleBytes(campaign string, n loop.Name) []byte { return []byte(campaign + "/" + n.Key()) }

func sampleDigest(campaign string, n loop.Name) loop.Digest {
	return sha256.Sum256(sampleBytes(campaign, n))
}

func (g *court) Judge(ctx context.Context, lookup func(string, int) (*loop.Definition, []string, error), epoch uint64, deliveries []loop.Delivery) ([]loop.Judged, error) {
	g.mu.Lock()
	broken := g.broken
	g.mu.Unlock()
	// Not under the lock: who waits for a lock is not idle to a bubble.
	if broken != nil {
		if err := broken(); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]loop.Judged, len(deliveries))
	for i := range deliveries {
		out[i] = g.judge(lookup, epoch, &deliveries[i])
	}
	return out, ctx.Err()
}

func (g *court) judge(lookup func(string, int) (*loop.Definition, []string, error), epoch uint64, d *loop.Delivery) loop.Judged {
	fail := func(err error) loop.Judged { return loop.Judged{Delivery: *d, Err: fmt.Errorf("court: %w", err)} }
	if _, _, err := lookup(d.Unit.Campaign, d.Unit.Round); err != nil {
		return fail(err)
	}
	if !g.store.isStaged(d.Worker, d.Unit) {
		return fail(loop.ErrStagingGone)
	}
	if g.refuse != nil {
		if err := g.refuse(d); err != nil {
			return fail(err)
		}
	}
	g.judged = append(g.judged, d.Unit)
	j := loop.Judged{Delivery: *d}
	var pack []byte
	for k := range d.Unit.Count {
		n := d.Unit.Name(k)
		verdict := loop.Verdict{Index: n.Index, Accepted: true}
		if g.reject != nil {
			if gate, reason := g.reject(d, n); gate != "" {
				verdict = loop.Verdict{Index: n.Index, Gate: gate, Reason: reason}
			}
		}
		j.Verdicts = append(j.Verdicts, verdict)
		if !verdict.Accepted {
			j.Rejected = append(j.Rejected, loop.VerdictRow{Campaign: d.Unit.Campaign, Name: n, Worker: d.Worker, Gate: verdict.Gate, Reason: verdict.Reason})
			continue
		}
		content := sampleBytes(d.Unit.Campaign, n)
		j.Samples = append(j.Samples, loop.SampleRow{Campaign: d.Unit.Campaign, Name: n, Weight: 1, Worker: d.Worker,
			Digest: sampleDigest(d.Unit.Campaign, n), Address: loop.Address{Offset: int64(len(pack)), Length: int64(len(content))}})
		pack = append(pack, content...)
	}
	if len(j.Samples) > 0 {
		object, err := g.store.put("packs", epoch, int64(len(j.Samples)), pack)
		if err != nil {
			return fail(err)
		}
		for k := range j.Samples {
			j.Samples[k].Address.Key = object.Key
		}
		j.Packs = []loop.Object{object}
	}
	return j
}

func (g *court) Import(ctx context.Context, epoch uint64, d loop.Delivery) (loop.Judged, error) {
	j := loop.Judged{Delivery: d}
	in, _, err := g.store.OpenStaged(ctx, d.Worker, d.Unit.ID(), loop.Bundle)
	if err != nil {
		return j, loop.ErrStagingGone
	}
	bundle, err := io.ReadAll(in)
	if err != nil {
		return j, err
	}
	object, err := g.store.put("packs", epoch, int64(len(d.Samples)), bundle)
	if err != nil {
		return j, err
	}
	for i, s := range d.Samples {
		_, _, digest, err := loop.ReadSample(bundle[s.Offset:s.Offset+s.Length], loop.MaxSampleBytes)
		if err != nil || digest != s.Digest {
			return j, &loop.Error{Field: "digest", Problem: fmt.Sprintf("%v, %s", err, digest)}
		}
		j.Samples = append(j.Samples, loop.SampleRow{Campaign: d.Unit.Campaign, Name: d.Unit.Name(i), Weight: 1, Digest: digest,
			Address: loop.Address{Key: object.Key, Offset: s.Offset, Length: s.Length}})
	}
	j.Packs = []loop.Object{object}
	return j, nil
}

func (g *court) CheckGates(names []string) error {
	for i, name := range names {
		if name != "blank" {
			return &loop.Error{Field: fmt.Sprintf("gates[%d]", i), Problem: fmt.Sprintf("there is no gate %q", name), Remedy: "blank"}
		}
	}
	return nil
}

// reading answers from the catalogue and the store alone, as a view does, and so
// is also the tests' independent judge of what is committed.
type reading struct {
	node  *Node
	store *store

	mu       sync.Mutex
	asked    []loop.EvidenceQuery
	evidence func(loop.EvidenceQuery) (loop.Evidence, error)
	// hide leaves a sample out, as a view that is wrong would.
	hide func(loop.SampleRow) bool
	// tables answer queries by a part of their text.
	tables map[string]api.Table
}

func (v *reading) set(change func(*reading)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(v)
}

func (v *reading) await(ctx context.Context, atLeast uint64) error {
	for atLeast > 0 && v.Sequence() < atLeast {
		if _, err := v.node.Changes(ctx, atLeast-1, 1); err != nil {
			return err
		}
	}
	return nil
}

// Sequence is the catalogue's last.
func (v *reading) Sequence() uint64 {
	if changes := v.changes(); len(changes) > 0 {
		return changes[len(changes)-1].Sequence
	}
	return 0
}

func (v *reading) changes() []loop.Change {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	changes, _ := v.node.Changes(ended, 0, 1<<30) // none, if there are none
	return changes
}

// rows are all samples that the catalogue shows and does not void.
func (v *reading) rows() []loop.SampleRow {
	changes := v.changes()
	void := map[uint64]map[uint32]bool{}
	note := func(reference uint64, rows []uint32) {
		if void[reference] == nil {
			void[reference] = map[uint32]bool{}
		}
		for _, row := range rows {
			void[reference][row] = true
		}
	}
	for _, c := range changes {
		if part := partOf(&c); part != nil {
			note(c.Sequence, part.Void)
		}
		if c.Void != nil {
			note(c.Void.Reference, c.Void.Rows)
		}
	}
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	var rows []loop.SampleRow
	for _, c := range changes {
		part := partOf(&c)
		if part == nil || part.Kind != loop.SampleParts {
			continue
		}
		for i, row := range v.store.samples[part.Object.Key] {
			if !void[c.Sequence][uint32(i)] {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

func (v *reading) Evidence(ctx context.Context, q loop.EvidenceQuery) (loop.Evidence, uint64, error) {
	v.mu.Lock()
	v.asked = append(v.asked, q)
	answer := v.evidence
	v.mu.Unlock()
	if err := v.await(ctx, q.AtLeast); err != nil {
		return loop.Evidence{}, 0, err
	}
	if answer == nil {
		return loop.Evidence{}, v.Sequence(), nil
	}
	e, err := answer(q)
	return e, v.Sequence(), err
}

func (v *reading) Committed(ctx context.Context, s loop.Selection) iter.Seq2[loop.CommittedSample, error] {
	return func(yield func(loop.CommittedSample, error) bool) {
		if err := v.await(ctx, s.AtLeast); err != nil {
			yield(loop.CommittedSample{}, err)
			return
		}
		v.mu.Lock()
		hide := v.hide
		v.mu.Unlock()
		rows := v.rows()
		slices.SortFunc(rows, func(a, b loop.SampleRow) int {
			return cmp.Or(cmp.Compare(a.Name.Round, b.Name.Round), cmp.Compare(a.Name.Component, b.Name.Component), cmp.Compare(a.Name.Index, b.Name.Index))
		})
		for _, row := range rows {
			n := row.Name
			if row.Campaign != s.Campaign || n.Domain != s.Domain || n.Round < s.FirstRound || n.Round > s.LastRound || hide != nil && hide(row) {
				continue
			}
			if !yield(loop.CommittedSample{Row: loop.ManifestRow{Name: n, Digest: row.Digest, Weight: row.Weight, Split: n.Domain.String()},
				Address: row.Address}, nil) {
				return
			}
		}
	}
}

func (v *reading) Locate(_ context.Context, digests []loop.Digest) (map[loop.Digest]loop.Address, error) {
	at := map[loop.Digest]loop.Address{}
	for _, row := range v.rows() {
		if slices.Contains(digests, row.Digest) {
			at[row.Digest] = row.Address
		}
	}
	return at, nil
}

func (v *reading) Imported(ctx context.Context, space, set string, version int, from uint64, limit int, atLeast uint64) (of *loop.Space, samples []loop.ImportedSample, err error) {
	if err := v.await(ctx, atLeast); err != nil {
		return nil, nil, err
	}
	v.node.View(func(s *state.State) {
		latest, _ := s.Space(space, 0)
		of = latest.Space
	})
	for _, row := range v.rows() {
		if row.Campaign == set && row.Name.Round == version && row.Name.Index >= from && len(samples) < limit {
			samples = append(samples, loop.ImportedSample{Index: row.Name.Index, Digest: row.Digest, Example: row.Example, Scenario: row.Scenario})
		}
	}
	return of, samples, nil
}

// Query stands in for analysts' SQL.
func (v *reading) Query(_ context.Context, query string, atLeast uint64) (api.Table, error) {
	switch query {
	case "select 1":
		return api.Table{Columns: []string{"1"}, Rows: [][]any{{1}}, Sequence: max(atLeast, v.Sequence())}, nil
	case "selec":
		return api.Table{}, &loop.Error{Field: "query", Problem: "syntax error at selec"}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for part, table := range v.tables {
		if strings.Contains(query, part) {
			return table, nil
		}
	}
	return api.Table{}, errors.New("the analysts' instance is on fire")
}
