//go:build duckdb_arrow && cgo

package analytics

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/loop"
)

// decided is a round of the shapes space with a boost and evaluation components.
func decided(campaign string, number int) *loop.DecidedRound {
	return &loop.DecidedRound{Space: "shapes", Policy: "p", Sequence: 3, EvidenceKey: "evidence/1/ab/abc",
		Models: []loop.EvidenceModel{{ModelLine: "m", Version: "1", EvalSet: "e"}, {ModelLine: "m", Version: "1", EvalSet: "e", Task: "detect"}},
		Round: loop.Round{Campaign: campaign, Number: number, Seed: 1<<64 - 1, SpaceVersion: 1, PolicyVersion: 4, Strategy: loop.StrategyHone, Evidence: digestOf(77),
			EvidenceRows: 3, FailureRate: .25, Step: .5, KL: .125, Components: []loop.Component{
				{Domain: loop.Train, Number: 0, Over: loop.OverBase, Share: 3 << 30, Quota: 30},
				{Domain: loop.Train, Number: 1, Over: loop.OverBase, Share: 1 << 30, Quota: 10, Slice: loop.Slice{{Factor: 0, Level: 1}, {Factor: 1, Level: 1}},
					By: &loop.Predicate{Factor: 2, Level: 1}, Reason: &loop.Reason{Rows: 40, Failures: 30, Rate: .7, Lift: 2.5, Q: .001, Sentence: "it's bad"}},
				{Domain: loop.Evaluation, Number: 0, Over: loop.OverTarget, Share: 1 << 31, Quota: 5, Source: loop.SourceTarget},
				{Domain: loop.Evaluation, Number: 1, Over: loop.OverBase, Share: 1 << 31, Quota: 5, Source: loop.SourceMixture},
			}}}
}

// I10: from a sample one query leads to round, policy, evidence and outcomes,
// and from an outcome to the samples.
func TestLineage(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	outcome := func(example string, source loop.Source, codes ...loop.Code) loop.Outcome {
		return loop.Outcome{Example: example, Group: example, Scenario: codes, Origin: loop.Real, Source: source}
	}
	w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, loop.Post{ModelLine: "m", Version: "1", EvalSet: "e@1"},
		outcome("in", loop.SourceTarget, 1, 1, 1, 0), outcome("void", loop.SourceTarget, 1, 1, 1, 0), outcome("pinned", loop.SourcePinned, 1, 1, 1, 0),
		outcome("elsewhere", loop.SourceMixture, 1, 0, 1, 0), outcome("unknown", loop.SourceTarget, 1, loop.Unknown, 1, 0)), 1)
	w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, loop.Post{ModelLine: "m", Version: "1", EvalSet: "exam@1"}, outcome("exam", loop.SourceTarget, 1, 1, 1, 0)))
	w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, loop.Post{ModelLine: "m", Version: "1", EvalSet: "e@1"}, outcome("later", loop.SourceTarget, 1, 1, 1, 0)))
	w.add(loop.Change{Round: decided("c", 1)})
	first := decided("c0", 1)
	first.Round.Evidence, first.Models, first.EvidenceKey, first.Sequence = loop.Digest{}, nil, "", 0
	w.add(loop.Change{Round: first})
	boosted := sample("c", loop.Name{Round: 1, Component: 1, Index: 4}, 1, 1, 1, 0)
	base := sample("c", loop.Name{Round: 1, Component: 0, Index: 4}, 0, 0, 0, loop.Absent)
	without := sample("c0", loop.Name{Round: 1, Component: 0, Index: 5}, 0, 0, 0, loop.Absent)
	w.addPart(loop.SampleParts, s.Name, w.samples(s, boosted, base, without))
	v := w.run(t.TempDir()).latest(w)

	query := `SELECT policy, policy_version, evidence, evidence_sequence, slice, sentence, model_line, model_version, age, example, correct
		FROM shapes.lineage WHERE digest = ? ORDER BY example`
	equalLines(t, "of a boosted sample", v.table(query, boosted.Digest.String()), []string{
		fmt.Sprintf("p|4|%s|3|select=🙂 ∧ size=large ∧ glove=yes|it's bad|m|1|0|in|false", digestOf(77))})
	var examples []string
	for _, line := range v.table(query, base.Digest.String()) {
		examples = append(examples, strings.Split(line, "|")[9])
	}
	equalLines(t, "of a base sample", examples, []string{"elsewhere", "in", "unknown"})
	equalLines(t, "of a sample without evidence", v.table(query, without.Digest.String()), []string{
		"p|4|<nil>|0|everything|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>"})
	equalLines(t, "back", v.table(`SELECT DISTINCT digest FROM shapes.lineage WHERE example = 'in' AND sentence IS NOT NULL`), []string{boosted.Digest.String()})

	equalLines(t, "rounds", v.table(`SELECT * EXCLUDE (decided_at) FROM rounds WHERE campaign = 'c'`), []string{
		fmt.Sprintf("c|1|shapes|1|p|4|hone|%s|evidence/1/ab/abc|3|3|18446744073709551615|0.5|0.125|0.25", digestOf(77))})
	equalLines(t, "components", v.table(`SELECT * EXCLUDE (campaign, round, fixed, levels), fixed::VARCHAR, levels::VARCHAR FROM components WHERE campaign = 'c' ORDER BY ALL`), []string{
		"evaluation|0|everything|0.5|5|target|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|{}|{}",
		"evaluation|1|everything|0.5|5|mixture|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|{}|{}",
		"train|0|everything|0.75|30|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|<nil>|{}|{}",
		"train|1|select=🙂 ∧ size=large ∧ glove=yes|0.25|10|<nil>|40|30|0.7|2.5|0.001|it's bad|{select=🙂, size=large, glove=yes}|{select=[🙂], size=[large], glove=[yes]}",
	})
}

// I10: what fixes a run of levels was caused by outcomes at any of them; and a
// query tells what fixes some of a run only from what fixes all of it.
func TestLineageOfRuns(t *testing.T) {
	w := newWorld(t)
	s := &loop.Space{Name: "tempo", Version: 1, Factors: []loop.Factor{{Name: "speed", Kind: loop.Ordinal,
		Levels: []loop.Level{{Name: "rest", Target: .25}, {Name: "walk", Target: .25}, {Name: "trot", Target: .25}, {Name: "run", Target: .25}}}}}
	w.addSpace(s)
	var outcomes []loop.Outcome
	for code, example := range []string{"rest", "walk", "trot", "run"} {
		outcomes = append(outcomes, loop.Outcome{Example: example, Group: example, Scenario: []loop.Code{loop.Code(code)}, Origin: loop.Real, Source: loop.SourceTarget})
	}
	w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, loop.Post{ModelLine: "m", Version: "1", EvalSet: "e@1"}, outcomes...))
	round := decided("c", 1)
	round.Space, round.Round.Components = s.Name, nil
	for i, slice := range []loop.Slice{nil, {{Factor: 0, Level: 1, Run: 1}}, {{Factor: 0, Level: 1}}, {{Factor: 0, Level: 1, Run: 2}}} {
		round.Round.Components = append(round.Round.Components, loop.Component{Domain: loop.Train, Number: i, Share: 1 << 30, Quota: 10, Slice: slice})
	}
	w.add(loop.Change{Round: round})
	boosted := sample("c", loop.Name{Round: 1, Component: 1}, 2)
	w.addPart(loop.SampleParts, s.Name, w.samples(s, boosted))
	v := w.run(t.TempDir()).latest(w)
	equalLines(t, "of a run", v.table(`SELECT slice, example FROM tempo.lineage WHERE digest = ? ORDER BY example`, boosted.Digest.String()),
		[]string{"speed=walk..trot|trot", "speed=walk..trot|walk"})
	equalLines(t, "fixed", v.table(`SELECT component, fixed::VARCHAR, levels::VARCHAR, coalesce(list_has_all(levels['speed'], list_value('walk', 'trot')), true)
		FROM components ORDER BY ALL`), []string{
		"0|{}|{}|true", "1|{speed=walk..trot}|{speed=[walk, trot]}|true", "2|{speed=walk}|{speed=[walk]}|false",
		"3|{speed=walk..run}|{speed=[walk, trot, run]}|true"})
	equalLines(t, "of no component", v.table(`SELECT list_has_all(['speed'], map_keys(f)), coalesce(list_has_all(f['speed'], list_value('walk')), true)
		FROM (SELECT coalesce(c.levels, MAP {}) AS f FROM (SELECT 9 AS component) LEFT JOIN components c USING (component))`), []string{"true|true"})
}

// I10: what was learned by a metric was learned from rows that it scored.
func TestLineageByMetric(t *testing.T) {
	w := newWorld(t)
	s := measured()
	w.addSpace(s)
	nan := math.NaN()
	outcome := func(example string, iou float64) loop.Outcome {
		return loop.Outcome{Example: example, Group: example, Scenario: []loop.Code{0, 0, 0, loop.Absent}, Origin: loop.Real, Source: loop.SourceTarget,
			HasLoss: example == "loss", Metrics: []float64{iou, nan, nan, nan, nan, nan}}
	}
	w.addPart(loop.OutcomeParts, s.Name, w.outcomes(s, loop.Post{ModelLine: "m", Version: "1"}, outcome("scored", .3), outcome("not", nan), outcome("loss", nan)))
	for number, metric := range []string{"", "iou", "loss", "angle"} {
		round := decided("c", number+1)
		round.Space, round.Round.Components = s.Name, round.Round.Components[:1]
		round.Models = []loop.EvidenceModel{{ModelLine: "m", Version: "1", Metric: metric}}
		w.add(loop.Change{Round: round})
		w.addPart(loop.SampleParts, s.Name, w.samples(s, sample("c", loop.Name{Round: number + 1}, 0, 0, 0, loop.Absent)))
	}
	equalLines(t, "by metric", w.run(t.TempDir()).latest(w).table(`SELECT round, string_agg(example, ' ' ORDER BY example) FROM measured.lineage GROUP BY ALL ORDER BY ALL`),
		[]string{"1|loss not scored", "2|scored", "3|loss", "4|<nil>"})
}

// Resolve finds scenario, domain and source, to the code and fraction; the first
// of several samples with the same bytes answers, void ones do not.
func TestResolve(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	w.add(loop.Change{Round: decided("c", 1)})
	train := sample("c", loop.Name{Round: 1, Component: 1, Index: 1}, 1, 1, 1, 0)
	target := sample("c", loop.Name{Domain: loop.Evaluation, Round: 1, Component: 0, Index: 1}, 0, 0, 0, loop.Absent)
	mixture := sample("c", loop.Name{Domain: loop.Evaluation, Round: 1, Component: 1, Index: 1}, 2, 1, 0, loop.Absent)
	r := rand.New(rand.NewPCG(3, 4))
	for f := range mixture.Scenario.Fractions {
		mixture.Scenario.Fractions[f] = r.Uint32()
	}
	void := sample("c", loop.Name{Round: 1, Component: 1, Index: 2}, 1, 1, 1, 0)
	again := sample("c", loop.Name{Round: 1, Component: 1, Index: 3}, 0, 0, 0, loop.Absent)
	again.Digest = train.Digest
	w.addPart(loop.SampleParts, s.Name, w.samples(s, train, void, target), 1)
	w.addPart(loop.SampleParts, s.Name, w.samples(s, again, mixture))
	later := sample("d", loop.Name{Domain: loop.Evaluation, Round: 1, Index: 9}, 0, 0, 0, loop.Absent)
	earlier := sample("b", loop.Name{Domain: loop.Evaluation, Round: 1, Index: 9}, 2, 1, 0, loop.Absent)
	earlier.Digest = later.Digest
	w.addPart(loop.SampleParts, s.Name, w.samples(s, later))
	w.addPart(loop.SampleParts, s.Name, w.samples(s, earlier))
	v := w.run(t.TempDir()).latest(w)

	missing := digestOf(1 << 63)
	got, err := v.Resolve(t.Context(), "shapes", "", []loop.Digest{mixture.Digest, train.Digest, void.Digest, missing, target.Digest, train.Digest})
	if err != nil {
		t.Fatal(err)
	}
	// Only numeric factors have a value, so only they have a fraction again.
	numeric := func(row loop.SampleRow) loop.Scenario {
		return loop.Scenario{Codes: row.Scenario.Codes, Fractions: []uint32{0, row.Scenario.Fractions[1], 0, 0}}
	}
	want := map[loop.Digest]loop.Resolved{
		train.Digest:   {SpaceVersion: 1, Scenario: numeric(train), Domain: loop.Train, Weight: 1.25, Digest: train.Digest, Origin: loop.Synthetic},
		target.Digest:  {SpaceVersion: 1, Scenario: numeric(target), Domain: loop.Evaluation, Source: loop.SourceTarget, Weight: 1.25, Digest: target.Digest, Origin: loop.Synthetic},
		mixture.Digest: {SpaceVersion: 1, Scenario: numeric(mixture), Domain: loop.Evaluation, Source: loop.SourceMixture, Weight: 1.25, Digest: mixture.Digest, Origin: loop.Synthetic},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	// Campaigns of one seed may make the same bytes of other scenarios. The eval
	// set says whose sample was evaluated; which was committed first is chance (I4).
	for evalSet, want := range map[string]loop.SampleRow{"": earlier, "mine": earlier, "b.eval@1": earlier, "d.eval@1": later, "d.eval": later} {
		got, err := v.Resolve(t.Context(), "shapes", evalSet, []loop.Digest{later.Digest})
		if err != nil || !reflect.DeepEqual(got[later.Digest].Scenario.Codes, want.Scenario.Codes) {
			t.Errorf("eval set %q: %v, %v", evalSet, got, err)
		}
	}
	located, err := v.Locate(t.Context(), []loop.Digest{train.Digest, void.Digest, missing, mixture.Digest})
	if err != nil || !reflect.DeepEqual(located, map[loop.Digest]loop.Address{train.Digest: train.Address, mixture.Digest: mixture.Address}) {
		t.Errorf("located %v: %v", located, err)
	}
}

// Imported samples are found by their examples, version by version, and by digest:
// those of the eval set first, then made ones by name. They have no lineage.
func TestImported(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	photo := func(version, index int, example string, codes ...loop.Code) loop.SampleRow {
		r := sample("photos", loop.Name{Domain: loop.Evaluation, Round: version, Index: uint64(index)}, codes...)
		r.Digest, r.Example, r.Origin = digestOf(uint64(9000+index)), example, loop.Real
		return r
	}
	u := loop.Unknown
	first := []loop.SampleRow{photo(1, 0, "a", 0, 0, u, loop.Absent), photo(1, 1, "b", u, u, 1, u), photo(1, 2, "c", 1, 1, 1, 0)}
	w.addPart(loop.SampleParts, s.Name, w.imported(s, first...))
	made := sample("aaa", loop.Name{Domain: loop.Train, Round: 1}, 2, 1, 1, 0) // the first by name
	made.Digest = first[0].Digest
	w.addPart(loop.SampleParts, s.Name, w.samples(s, made))
	w.addPart(loop.SampleParts, s.Name, w.imported(s, photo(2, 0, "a", 1, 0, u, loop.Absent)))
	trained := photo(1, 7, "x", 0, 0, 0, loop.Absent)
	trained.Campaign, trained.Name.Domain, trained.Origin = "drawings", loop.Train, loop.Synthetic
	w.addPart(loop.SampleParts, s.Name, w.imported(s, trained))
	v := w.run(t.TempDir()).latest(w)

	got, err := v.Examples(t.Context(), "shapes", "photos", 1, []string{"b", "a", "none", "a"})
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	for i, row := range first[:2] {
		r := got[row.Example]
		if !slices.Equal(r.Scenario.Codes, row.Scenario.Codes) || r.Digest != row.Digest || r.Origin != loop.Real || r.Source != loop.SourceTarget ||
			r.Example != row.Example || r.Domain != loop.Evaluation || r.SpaceVersion != 1 || len(r.Values) != 4 {
			t.Errorf("example %d is %+v, want %+v", i, r, row)
		}
		if want, ok := s.Value(1, row.Scenario); ok != !math.IsNaN(r.Values[1]) || ok && r.Values[1] != want {
			t.Errorf("example %d has the value %v, want %v", i, r.Values[1], want)
		}
	}
	if got, err := v.Examples(t.Context(), "shapes", "drawings", 1, []string{"x"}); err != nil || got["x"].Source != "" || got["x"].Origin != loop.Synthetic {
		t.Errorf("outcomes of what is trained on move nothing: %+v, %v", got, err)
	}
	for evalSet, want := range map[string]string{"": "", "photos@1": "a 0", "photos@2": "a 1", "photos": "", "field@1": ""} {
		got, err := v.Resolve(t.Context(), "shapes", evalSet, []loop.Digest{made.Digest})
		r := got[made.Digest]
		text := ""
		if r.Example != "" {
			text = fmt.Sprint(r.Example, " ", r.Scenario.Codes[0])
		}
		if err != nil || text != want {
			t.Errorf("eval set %q: %q, %v; want %q", evalSet, text, err, want)
		}
	}
	for from, want := range map[uint64]string{0: "[0 a][1 b]", 1: "[1 b][2 c]", 2: "[2 c]", 3: ""} {
		space, page, err := v.Imported(t.Context(), "shapes", "photos", 1, from, 2, 0)
		text := ""
		for _, x := range page {
			text += fmt.Sprint([]any{x.Index, x.Example})
		}
		if err != nil || text != want || space.Name != "shapes" {
			t.Errorf("from %d: %s, %v; want %s", from, text, err, want)
		}
	}
	equalLines(t, "lineage", v.table(`SELECT count(*) FROM shapes.lineage WHERE campaign = 'photos'`), []string{"0"})
	equalLines(t, "origins", v.table(`SELECT campaign, example, origin FROM shapes.samples WHERE "index" = 0 ORDER BY ALL`),
		[]string{"aaa|<nil>|<nil>", "photos|a|real", "photos|a|real"})
}

// Committed yields a selection in the order of a manifest, and nothing else (I7).
func TestCommitted(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	var want []loop.CommittedSample
	var rows []loop.SampleRow
	for _, campaign := range []string{"c", "d"} {
		for round := 1; round <= 3; round++ {
			for component := range 3 {
				for index := range uint64(700) {
					for _, domain := range []loop.Domain{loop.Train, loop.Evaluation} {
						row := sample(campaign, loop.Name{Domain: domain, Round: round, Component: component, Index: index * 3, Attempt: int(index) % 2}, 0, 0, 0, loop.Absent)
						rows = append(rows, row)
						if campaign == "c" && round < 3 && domain == loop.Train {
							want = append(want, loop.CommittedSample{Row: loop.ManifestRow{Name: row.Name, Digest: row.Digest, Weight: row.Weight, Split: "train"}, Address: row.Address})
						}
					}
				}
			}
		}
	}
	rand.New(rand.NewPCG(7, 8)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	for part := range slices.Chunk(rows, 5000) {
		w.addPart(loop.SampleParts, s.Name, w.samples(s, part...))
	}
	v := w.run(t.TempDir())
	selection := loop.Selection{Space: "shapes", Campaign: "c", FirstRound: 1, LastRound: 2, AtLeast: uint64(len(w.changes))}
	var got []loop.CommittedSample
	for c, err := range v.Committed(t.Context(), selection) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d samples, want %d, or not in order", len(got), len(want))
	}
	// Leaving the loop ends the read.
	for range v.Committed(t.Context(), selection) {
		break
	}

	// I2: the same name twice is never published.
	twice := rows[0]
	twice.Name, twice.Campaign = want[10].Row.Name, "c"
	twice.Name.Attempt++
	selection.AtLeast = w.addPart(loop.SampleParts, s.Name, w.samples(s, twice))
	var last error
	for _, err := range v.Committed(t.Context(), selection) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "twice") {
		t.Errorf("a name that is there twice: %v", last)
	}
}

// How fast: 200,000 rows in one part, 5,000 digests at once, evidence over all.
func TestSpeed(t *testing.T) {
	if testing.Short() {
		t.Skip("speed")
	}
	const n = 200_000
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	w.add(loop.Change{Round: decided("c", 1)})
	v := w.run(t.TempDir()).latest(w)
	write := func(key, query string) loop.Object {
		object := loop.Object{Key: key, Rows: n}
		w.must(w.db.Exec("COPY (" + query + ") TO " + literal(w.dir+"/"+object.Key) + " (FORMAT parquet, ROW_GROUP_SIZE 122880)"))
		return object
	}
	factors := `CASE WHEN i % 3 = 0 THEN 'it''s "low"' ELSE '🙂' END AS "select", (i % 100) / 10.0 AS size, CASE WHEN i % 100 < 15 THEN 'small' ELSE 'large' END AS size__level,
		CASE WHEN i % 7 = 0 THEN 'no' ELSE 'yes' END AS glove, CASE WHEN i % 7 = 0 THEN 'absent' WHEN i % 2 = 0 THEN 'red' END AS glove_colour`
	samples := write("samples.parquet", `SELECT 'sha256:' || sha256(i::VARCHAR) AS digest, 'c' AS campaign, 1 AS round, 0 AS component, 'train' AS domain, i AS index, 0 AS attempt,
		hash(i)::UBIGINT AS seed, 1.5 AS importance_weight, 'w' AS worker, 'g@1' AS generator, 1.5 AS millis, 'packs/1/ab/cd.tar' AS pack, i * 1024 AS offset, 1024 AS length,
		NULL::VARCHAR AS scores, `+factors+` FROM range(`+fmt.Sprint(n)+`) t(i)`)
	outcomes := write("outcomes.parquet", `SELECT 'm' AS model_line, '1' AS model_version, '' AS task, 'e@1' AS eval_set, '' AS run, i::VARCHAR AS example, (i // 4)::VARCHAR AS "group", NULL::VARCHAR AS sample,
		'synthetic' AS origin, 'target' AS source, i % 5 > 0 AS correct, i AS loss, `+factors+` FROM range(`+fmt.Sprint(n)+`) t(i)`)
	measure := func(what string, rows int, f func()) {
		begin := time.Now()
		f()
		took := time.Since(begin)
		t.Logf("%s: %v, %.0f rows/s", what, took.Round(time.Millisecond), float64(rows)/took.Seconds())
	}
	measure("samples applied", n, func() { w.addPart(loop.SampleParts, s.Name, samples); v.latest(w) })
	measure("outcomes applied", n, func() { w.addPart(loop.OutcomeParts, s.Name, outcomes); v.latest(w) })
	measure("evidence", n, func() {
		e, _, err := v.Evidence(t.Context(), loop.EvidenceQuery{Space: "shapes", Models: []loop.EvidenceModel{{ModelLine: "m", Version: "1"}}})
		if err != nil || e.TotalRows() != n {
			t.Errorf("%d rows: %v", e.TotalRows(), err)
		}
	})
	var digests []loop.Digest
	for _, line := range v.table(`SELECT digest FROM shapes.samples USING SAMPLE reservoir(5000 ROWS) REPEATABLE (1)`) {
		d, err := loop.ParseDigest(line)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d)
	}
	measure("resolve 5000", len(digests), func() {
		if got, err := v.Resolve(t.Context(), "shapes", "", digests); err != nil || len(got) != 5000 {
			t.Errorf("%d resolved: %v", len(got), err)
		}
	})
	measure("locate 512", 512, func() {
		if got, err := v.Locate(t.Context(), digests[:512]); err != nil || len(got) != 512 {
			t.Errorf("%d located: %v", len(got), err)
		}
	})
	measure("committed", n, func() {
		count := 0
		for _, err := range v.Committed(t.Context(), loop.Selection{Space: "shapes", Campaign: "c", FirstRound: 1, LastRound: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			count++
		}
		if count != n {
			t.Errorf("%d committed", count)
		}
	})
	measure("200 small parts applied", 200, func() {
		small := w.samples(s, sample("d", loop.Name{Round: 1}, 0, 0, 0, loop.Absent))
		for range 200 {
			w.addPart(loop.SampleParts, s.Name, small)
		}
		v.latest(w)
	})
	for _, what := range []string{"first copy", "second copy"} {
		measure(what, n, func() {
			at := w.add(loop.Change{Space: s})
			if _, err := v.Query(t.Context(), "SELECT 1", at, 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// A round of as many components as a campaign may list costs the view a
// moment, not its memory.
func TestLargestRound(t *testing.T) {
	w := newWorld(t)
	s := shapes()
	w.addSpace(s)
	large := decided("many", 1)
	large.Round.Components = nil
	for i := range loop.MaxRequests {
		large.Round.Components = append(large.Round.Components, loop.Component{Domain: loop.Train, Number: i, Over: loop.OverTarget, Share: 1 << 32 / loop.MaxRequests, Quota: 1,
			Slice: loop.Slice{{Factor: 0, Level: 1}, {Factor: 1, Level: 1}, {Factor: 2, Level: i % 2}}})
	}
	w.add(loop.Change{Round: large})
	v := w.run(t.TempDir()).latest(w)
	equalLines(t, "components", v.table(`SELECT count(*), sum(quota)::BIGINT, count(*) FILTER (fixed['size'] = 'large'), max(component) FROM main.components`),
		[]string{"10000|10000|10000|9999"})
}
