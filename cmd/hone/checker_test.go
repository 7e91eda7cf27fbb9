package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"hone/examples/shapes"
	"hone/loop"
)

// The checker judges a data directory after everything has stopped. It asks no
// server and uses none of the code that wrote the directory: tars are read by
// archive/tar, parts by the Parquet library, the log by history; digests and
// seeds are computed here, from the words of the contract. Only what an index's
// scenario is, and how the renderer draws it, is taken from loop and shapes, for
// which golden vectors stand.
type checker struct {
	t       faults
	lake    string
	history *history
	packs   map[string][]byte
	// places says where samples of a digest lie: "KEY OF THE PACK/KEY OF THE SAMPLE".
	places    map[string][]string
	parts     map[string]part
	manifests map[string]manifest
	// merged says where rows stand whose part is gone.
	merged map[string]place
	// lost counts what was acknowledged, or is owed, and is not there; duplicated,
	// what counts more than once.
	lost, duplicated uint64
}

// faults is what is wrong: the test, or in the test of the checker a list.
type faults interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

// part is a part's columns; null is nil.
type part map[string][]any

type manifest struct {
	bytes []byte
	name  string
	rows  []manifestRow
}

type manifestRow struct {
	Round     int     `json:"round"`
	Component int     `json:"component"`
	Index     uint64  `json:"index"`
	Attempt   int     `json:"attempt"`
	Digest    string  `json:"digest"`
	Weight    float64 `json:"importance_weight"`
	Split     string  `json:"split"`
}

// newChecker reads a whole lake and checks what must hold of any. The history is
// of those who wrote it.
func newChecker(t faults, lake string, history *history) *checker {
	t.Helper()
	c := &checker{t: t, lake: lake, history: history, packs: map[string][]byte{},
		places: map[string][]string{}, parts: map[string]part{}, manifests: map[string]manifest{}}
	for _, folder := range []string{"packs", "parts", "manifests", "evidence"} {
		err := filepath.WalkDir(filepath.Join(c.lake, folder), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			key, err := filepath.Rel(c.lake, name)
			if err != nil {
				return err
			}
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			c.object(filepath.ToSlash(key), b)
			return nil
		})
		if err != nil && !(folder == "evidence" && os.IsNotExist(err)) {
			t.Fatal(err)
		}
	}
	return c
}

// campaign checks one campaign that is done: the rounds are those that the
// server told of while it lived, every quota is exact, no index is there twice,
// and every manifest says what state, parts and packs say (I2, I3, I7, I8, C5).
// Without canonical rounds, those of the log are taken.
func (c *checker) campaign(name string, canonical [][]byte) {
	c.t.Helper()
	rounds := c.history.rounds[name]
	if canonical == nil {
		for i := range rounds {
			canonical = append(canonical, rounds[i].Canonical())
		}
	}
	if len(rounds) != len(canonical) || len(rounds) == 0 {
		c.t.Fatalf("%s: the log has %d rounds, the server told of %d", name, len(rounds), len(canonical))
	}
	var before []byte // the rows of the training version before
	seen := map[index]bool{}
	for i := range rounds {
		round := &rounds[i]
		if !bytes.Equal(round.Canonical(), canonical[i]) {
			c.t.Errorf("%s: round %d in the log is not the one that the server told of", name, i+1)
		}
		train, evaluation := fmt.Sprintf("%s@%d", name, i+1), fmt.Sprintf("%s.eval@%d", name, i+1)
		if round.Quota(loop.Train) > 0 {
			m := c.version(train, name)
			_, rows, _ := bytes.Cut(m.bytes, []byte("\n"))
			if !bytes.HasPrefix(rows, before) {
				c.t.Errorf("%s does not begin as the version before it", train)
			}
			c.rows(name, train, loop.Train, rounds[:i+1], m.rows[bytes.Count(before, []byte("\n")):], seen)
			before = rows
		}
		if round.Quota(loop.Evaluation) > 0 {
			c.rows(name, evaluation, loop.Evaluation, rounds[i:i+1], c.version(evaluation, name+".eval").rows, seen)
		}
		for k := range round.Components {
			component := &round.Components[k]
			count := uint64(0)
			for at := range seen {
				if at.domain == component.Domain && at.round == round.Number && at.component == component.Number {
					count++
				}
			}
			if count != component.Quota {
				c.t.Errorf("%s, round %d, %s component %d: %d samples, the quota is %d", name, round.Number, component.Domain, component.Number, count, component.Quota)
				c.lost += max(component.Quota, count) - count
			}
		}
	}
	for at, s := range c.history.samples {
		if at.campaign == name && s.committed != seen[at] {
			c.t.Errorf("%+v: committed is %t, published is %t", at, s.committed, seen[at])
		}
		if at.campaign == name && s.abandoned {
			c.t.Errorf("%+v is abandoned", at)
		}
	}
}

// version is the manifest of a published version, whose addresses are right.
func (c *checker) version(version, name string) manifest {
	c.t.Helper()
	published, ok := c.history.published[version]
	if !ok {
		c.t.Fatalf("%s was not published", version)
	}
	m, ok := c.manifests[published.Manifest.Key]
	if !ok {
		c.t.Fatalf("%s: there is no manifest %s", version, published.Manifest.Key)
	}
	if m.name != name {
		c.t.Errorf("%s: the manifest is of %s", version, m.name)
	}
	text, err := os.ReadFile(filepath.Join(c.lake, filepath.FromSlash(published.Addresses.Key)))
	if err != nil {
		c.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	var packs []string
	row := 0
	for _, line := range lines[1:] {
		var pack struct{ Pack string }
		if json.Unmarshal([]byte(line), &pack) == nil {
			packs = append(packs, pack.Pack)
			continue
		}
		var at [3]int
		if err := json.Unmarshal([]byte(line), &at); err != nil || at[0] >= len(packs) || row >= len(m.rows) {
			c.t.Fatalf("%s: address %q of row %d: %v", version, line, row, err)
		}
		c.lies(version, m.rows[row].Digest, packs[at[0]], at[1], at[2])
		row++
	}
	if row != len(m.rows) {
		c.t.Errorf("%s: %d addresses of %d rows", version, row, len(m.rows))
	}
	return m
}

// lies checks that a sample of that digest lies there.
func (c *checker) lies(what, digest, pack string, offset, length int) *members {
	c.t.Helper()
	b := c.packs[pack]
	if offset < 0 || length <= 0 || offset+length > len(b) {
		c.t.Errorf("%s: %d+%d is beyond pack %s (%d bytes)", what, offset, length, pack, len(b))
		return nil
	}
	samples, err := untar(b[offset : offset+length])
	if err != nil || len(samples) != 1 || samples[0].digest() != digest {
		c.t.Errorf("%s: at %d+%d of %s lies not %s: %v", what, offset, length, pack, digest, err)
		return nil
	}
	return samples[0]
}

// drawnAgain is of how many samples one is drawn again.
const drawnAgain = 5

// rows checks rows of a manifest: those of the last of the rounds in a training
// version, all of an evaluation version.
func (c *checker) rows(campaign, version string, domain loop.Domain, rounds []loop.Round, rows []manifestRow, seen map[index]bool) {
	c.t.Helper()
	round := &rounds[len(rounds)-1]
	sampler, err := loop.NewSampler(c.history.space, round)
	if err != nil {
		c.t.Fatal(err)
	}
	renderer, err := shapes.NewRenderer(c.history.space, shapes.World{})
	if err != nil {
		c.t.Fatal(err)
	}
	seed := c.history.campaigns[campaign].Seed
	for i, row := range rows {
		at := index{campaign, domain, row.Round, row.Component, row.Index}
		what := fmt.Sprintf("%s: %s r%d-c%d-i%d-a%d", version, row.Split, row.Round, row.Component, row.Index, row.Attempt)
		if row.Round != round.Number || row.Split != domain.String() {
			c.t.Fatalf("%s does not belong here", what)
		}
		if seen[at] {
			c.t.Errorf("%s is there twice", what)
			c.duplicated++
		}
		seen[at] = true
		key := fmt.Sprintf("r%d-%c%d-i%d-a%d", row.Round, row.Split[0], row.Component, row.Index, row.Attempt)
		if !slices.ContainsFunc(c.places[row.Digest], func(place string) bool { return path.Base(place) == key }) {
			c.t.Errorf("%s: no pack has %s as %s, but %v", what, row.Digest, key, c.places[row.Digest])
		}
		c.committed(what, at, &row, seedOf(seed, domain, &row, row.Attempt))
		if i%drawnAgain != 0 && row.Attempt == 0 {
			continue
		}
		scenario, err := sampler.Scenario(domain, row.Component, row.Index)
		if err != nil {
			c.t.Fatal(err)
		}
		if w := sampler.Weight(domain, row.Component, scenario.Codes); w != row.Weight {
			c.t.Errorf("%s: weight %v, want %v", what, row.Weight, w)
		}
		// Attempts before the one that counts were spoiled: all of one gray.
		for attempt := range row.Attempt {
			picture, _, err := renderer.Render(scenario.Codes, seedOf(seed, domain, &row, attempt))
			if err != nil {
				c.t.Fatal(err)
			}
			if slices.Min(picture[:]) != slices.Max(picture[:]) {
				c.t.Errorf("%s: attempt %d was good, and yet there is another (C4)", what, attempt)
			}
		}
		drawn, err := renderer.Members(scenario.Codes, seedOf(seed, domain, &row, row.Attempt))
		if err != nil {
			c.t.Fatal(err)
		}
		again := &members{of: map[string][]byte{}}
		for _, m := range drawn {
			again.of[m.Ext] = m.Bytes
			again.exts = append(again.exts, m.Ext)
		}
		if got := again.digest(); got != row.Digest {
			c.t.Errorf("%s: drawn again it is %s, in the pack %s", what, got, row.Digest)
		}
	}
}

// seedOf is C5, from its words.
func seedOf(campaign uint64, domain loop.Domain, row *manifestRow, attempt int) uint64 {
	number := map[loop.Domain]uint64{loop.Train: 0, loop.Probe: 1, loop.Evaluation: 2}[domain]
	message := []byte("hone/seed/1")
	for _, v := range []uint64{campaign, number, uint64(row.Round), uint64(row.Component), row.Index, uint64(attempt)} {
		message = binary.BigEndian.AppendUint64(message, v)
	}
	sum := sha256.Sum256(message)
	return binary.BigEndian.Uint64(sum[:])
}

// committed checks the row that the log says counts for an index.
func (c *checker) committed(what string, at index, row *manifestRow, seed uint64) {
	c.t.Helper()
	s := c.history.samples[at]
	if s == nil || !s.committed || s.attempt != row.Attempt {
		c.t.Errorf("%s: the log has it as %+v", what, s)
		return
	}
	p, i := c.standsIn(at, s)
	if p == nil {
		c.t.Errorf("%s: part %s has no row %d, and no other has it", what, s.part, s.row)
		c.lost++
		return
	}
	for column, want := range map[string]any{"digest": row.Digest, "campaign": at.campaign, "domain": row.Split, "round": int64(row.Round),
		"component": int64(row.Component), "index": int64(row.Index), "attempt": int64(row.Attempt), "seed": seed, "importance_weight": row.Weight} {
		if got := p[column][i]; got != want {
			c.t.Errorf("%s: %s is %v in row %d of %s, want %v", what, column, got, i, s.part, want)
		}
	}
	pack, _ := p["pack"][i].(string)
	offset, _ := p["offset"][i].(int64)
	length, _ := p["length"][i].(int64)
	if !c.history.packs[pack] {
		c.t.Errorf("%s: pack %s is in no commit", what, pack)
	}
	if m := c.lies(what, row.Digest, pack, int(offset), int(length)); m != nil {
		if key := fmt.Sprintf("r%d-%c%d-i%d-a%d", row.Round, row.Split[0], row.Component, row.Index, row.Attempt); m.key != key {
			c.t.Errorf("%s lies under the key %s", what, m.key)
		}
	}
}

// standsIn is the part and the row of a committed sample: where the log has it, or,
// once that part was merged with others and collected (C18, C21), in the one that
// they were merged into.
func (c *checker) standsIn(at index, s *standing) (part, int) {
	if p, ok := c.parts[s.part]; ok {
		if s.row < len(p["digest"]) {
			return p, s.row
		}
		return nil, 0
	}
	if c.merged == nil {
		c.merged = map[string]place{}
		for key, p := range c.parts {
			if !c.history.merged[key] {
				continue
			}
			for i := range p["digest"] { // verdicts have none
				c.merged[joined(p["campaign"][i], p["domain"][i], p["round"][i], p["component"][i], p["index"][i], p["attempt"][i])] = place{p, i}
			}
			for i := range p["model_line"] {
				c.merged[joined(p["model_line"][i], p["model_version"][i], p["eval_set"][i], p["run"][i], p["example"][i])] = place{p, i}
			}
		}
	}
	there := c.merged[joined(at.campaign, at.domain, at.round, at.component, at.index, s.attempt)]
	return there.part, there.row
}

// posted is the row of a post in the part that its own was merged into.
func (c *checker) posted(r *receipt, example string) (part, int) {
	c.standsIn(index{}, &standing{})
	there := c.merged[joined(r.Line, r.Version, r.EvalSet, r.Run, example)]
	return there.part, there.row
}

// place is a row of a part.
type place struct {
	part part
	row  int
}

func joined(values ...any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, " ")
}

// posts checks that every post that was acknowledged counts exactly once, row by
// row as it was sent (I1, C22), and that nothing else counts but the last post
// of each of the posters, which may have been cut off before its receipt was written.
func (c *checker) posts(receipts []receipt, posters int) {
	c.t.Helper()
	acknowledged := byKey(receipts)
	live := map[string]int{}
	unknown := 0
	for _, p := range c.history.posts {
		key := strings.Join([]string{p.post.ModelLine, p.post.Version, p.post.Run, p.post.Key}, "|")
		live[key]++
		r, ok := acknowledged[key]
		if !ok {
			unknown++
			continue
		}
		var got []postedRow
		for k, want := range r.Rows {
			rows, i := c.parts[p.part], p.first+k
			if rows == nil {
				rows, i = c.posted(&r, want.Example)
			}
			if k >= p.rows || i >= len(rows["example"]) {
				c.t.Errorf("post %s: part %s has no row %d, and no other has it", key, p.part, i)
				c.lost++
				continue
			}
			sample, _ := rows["sample"][i].(string)
			got = append(got, postedRow{Example: rows["example"][i].(string), Sample: sample,
				Correct: rows["correct"][i].(bool), Loss: rows["loss"][i].(int64)})
			for column, want := range map[string]any{"model_line": r.Line, "model_version": r.Version, "eval_set": r.EvalSet, "run": r.Run} {
				if rows[column][i] != want {
					c.t.Errorf("post %s: %s is %v in row %d of %s", key, column, rows[column][i], i, p.part)
				}
			}
		}
		if !r.same(got) {
			c.t.Errorf("post %s: its rows are not those that were sent", key)
		}
	}
	for key := range acknowledged {
		if live[key] != 1 {
			c.t.Errorf("post %s was acknowledged and counts %d times", key, live[key])
			if live[key] == 0 {
				c.lost++
			} else {
				c.duplicated += uint64(live[key] - 1)
			}
		}
	}
	if unknown > posters {
		c.t.Errorf("%d posts count, but were never acknowledged", unknown)
	}
}

// tidy checks that nothing waits any more: no worker holds a unit, and nothing
// is staged (C9).
func (c *checker) tidy(workers ...string) {
	c.t.Helper()
	for _, dir := range append(workers, filepath.Join(c.lake, "staging")) {
		err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && entry.Name() != "lock" && entry.Name() != "instance" {
				c.t.Errorf("%s was left behind", name)
			}
			return err
		})
		if err != nil {
			c.t.Error(err)
		}
	}
	published := map[string]bool{}
	for _, p := range c.history.published {
		published[path.Base(p.Manifest.Key)] = true
	}
	for key := range c.manifests {
		// It may be there twice: put under an epoch that closed, and again (C18).
		if !published[path.Base(key)] {
			c.t.Errorf("manifest %s (%s) is of no version: equal content did not have equal bytes (C26)", key, cmp.Or(c.manifests[key].name, "?"))
		}
	}
}
