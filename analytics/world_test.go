//go:build duckdb_arrow && cgo

package analytics

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"hone/loop"
)

// world is a catalogue and a lake that hold whatever a test puts there. It
// stands for the two packages that this one may not import.
type world struct {
	t   testing.TB
	dir string
	db  *sql.DB // writes Parquet

	mu      sync.Mutex
	changes []loop.Change
	grown   chan struct{}
	gone    map[string]bool
	// first is the first change that the catalogue retains.
	first uint64
	// taken are changes that a replacement has taken out, whole is the last of those.
	taken map[uint64]bool
	whole uint64
	// asked counts the calls of Path by key.
	asked  map[string]int
	sought chan struct{} // closed and replaced by each call of Path
	// written counts the objects.
	written int
	spaces  map[string]*loop.Space
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &world{t: t, dir: t.TempDir(), db: db, grown: make(chan struct{}), sought: make(chan struct{}), gone: map[string]bool{}, first: 1, taken: map[uint64]bool{}, asked: map[string]int{}, spaces: map[string]*loop.Space{}}
}

// Changes and Path are the world as a view sees it.
func (w *world) Changes(ctx context.Context, after uint64, limit int) ([]loop.Change, error) {
	for {
		w.mu.Lock()
		all, grown, first := w.changes, w.grown, w.first
		w.mu.Unlock()
		switch {
		case after+1 < first:
			return nil, fmt.Errorf("the catalogue begins at %d: %w", first, ErrBehind)
		case after < uint64(len(all)):
			return w.retained(all, after, limit), nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// retained are the changes after a sequence that were not taken out.
func (w *world) retained(all []loop.Change, after uint64, limit int) (changes []loop.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range all[after:] {
		if w.taken[c.Sequence] {
			continue
		}
		if c.Sequence != after+1 {
			c.Whole = w.whole
		}
		if changes = append(changes, c); len(changes) == limit {
			break
		}
		after = c.Sequence
	}
	return changes
}

// compact puts a part with the rows that count in the place of those that were added,
// or replaced others, by these changes.
func (w *world) compact(references ...uint64) uint64 {
	w.t.Helper()
	r := loop.Replace{}
	var selects []string
	rows := int64(0)
	for n, reference := range references {
		c := w.changes[reference-1]
		part, first, last := c.Part, reference, reference
		own := fmt.Sprintf(", %d::UBIGINT AS _sequence, %d::BIGINT AS _at", reference, c.At)
		if c.Replace != nil {
			part, first, last, own = &c.Replace.Part, c.Replace.First, c.Replace.Last, ""
		}
		void := slices.Clone(part.Void)
		for _, v := range w.changes {
			if v.Void != nil && v.Void.Reference == reference {
				void = append(void, v.Void.Rows...)
				w.taken[v.Sequence] = true
			}
		}
		slices.Sort(void)
		void = slices.Compact(void)
		w.taken[reference] = true
		if n == 0 {
			r.First, r.Part.Kind, r.Part.Space = first, part.Kind, part.Space
		}
		r.Last = last
		rows += part.Object.Rows - int64(len(void))
		out := "-1"
		for _, row := range void {
			out += fmt.Sprint(", ", row)
		}
		selects = append(selects, fmt.Sprintf("SELECT * EXCLUDE (file_row_number)%s, %d AS n, file_row_number AS row FROM read_parquet(%s, file_row_number = true) WHERE file_row_number NOT IN (%s)",
			own, n, literal(filepath.Join(w.dir, part.Object.Key)), out))
	}
	key := fmt.Sprintf("part-%d.parquet", w.written)
	w.written++
	w.must(w.db.Exec("COPY (SELECT * EXCLUDE (n, row) FROM (" + strings.Join(selects, " UNION ALL BY NAME ") + ") ORDER BY n, row) TO " + literal(filepath.Join(w.dir, key)) + " (FORMAT parquet)"))
	r.Part.Object = loop.Object{Key: key, Digest: sha256.Sum256([]byte(key)), Rows: rows}
	w.whole = uint64(len(w.changes)) + 1
	return w.add(loop.Change{Replace: &r})
}

func (w *world) Path(key string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[key]++
	close(w.sought)
	w.sought = make(chan struct{})
	if w.gone[key] {
		return "", fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return filepath.Join(w.dir, key), nil
}

// until waits until an object was asked for so many times.
func (w *world) until(key string, times int) {
	w.t.Helper()
	limit := time.After(time.Minute)
	for {
		w.mu.Lock()
		n, sought := w.asked[key], w.sought
		w.mu.Unlock()
		if n >= times {
			return
		}
		select {
		case <-sought:
		case <-limit:
			w.t.Fatalf("%s was asked for %d times, not %d", key, n, times)
		}
	}
}

// lose takes an object away, or brings it back.
func (w *world) lose(key string, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone[key] = gone
}

// add appends a change and returns its sequence.
func (w *world) add(c loop.Change) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.Sequence = uint64(len(w.changes)) + 1
	c.At = 1_700_000_000_000_000 + int64(c.Sequence)*1_000_000
	w.changes = append(w.changes, c)
	close(w.grown)
	w.grown = make(chan struct{})
	return c.Sequence
}

func (w *world) addSpace(s *loop.Space) uint64 {
	w.t.Helper()
	if err := s.Validate(); err != nil {
		w.t.Fatal(err)
	}
	w.spaces[s.Name] = s
	return w.add(loop.Change{Space: s})
}

func (w *world) addPart(kind loop.PartKind, space string, object loop.Object, void ...uint32) uint64 {
	return w.add(loop.Change{Part: &loop.Part{Kind: kind, Space: space, Object: object, Void: void}})
}

// parquet writes rows as an object; columns are SQL definitions.
func (w *world) parquet(columns []string, rows [][]driver.Value) loop.Object {
	w.t.Helper()
	key := fmt.Sprintf("part-%d.parquet", w.written)
	w.written++
	ctx := context.Background()
	conn, err := w.db.Conn(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	w.must(conn.ExecContext(ctx, "CREATE OR REPLACE TEMP TABLE rows("+strings.Join(columns, ", ")+")"))
	err = conn.Raw(func(raw any) error {
		a, err := duckdb.NewAppender(raw.(driver.Conn), "temp", "main", "rows")
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := a.AppendRow(row...); err != nil {
				return err
			}
		}
		return a.Close()
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.must(conn.ExecContext(ctx, "COPY rows TO "+literal(filepath.Join(w.dir, key))+" (FORMAT parquet)"))
	return loop.Object{Key: key, Digest: sha256.Sum256([]byte(key)), Rows: int64(len(rows))}
}

func (w *world) must(_ sql.Result, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// factorColumns and factorValues are a scenario as the columns of a part.
func factorColumns(s *loop.Space) []string {
	var columns []string
	for _, c := range s.Columns() {
		name := c.Name
		if c.Kind == loop.Numeric {
			columns = append(columns, ident(name)+" DOUBLE")
			name += levelSuffix
		}
		columns = append(columns, ident(name)+" VARCHAR")
	}
	return columns
}

func factorValues(s *loop.Space, scenario loop.Scenario) []driver.Value {
	var values []driver.Value
	for f, code := range scenario.Codes {
		if s.Factors[f].Kind == loop.Numeric {
			if x, ok := s.Value(f, scenario); ok {
				values = append(values, x)
			} else {
				values = append(values, nil)
			}
		}
		if code == loop.Unknown {
			values = append(values, nil)
		} else {
			values = append(values, s.Text(f, code))
		}
	}
	return values
}

var sampleColumns = []string{"digest VARCHAR", "campaign VARCHAR", "round INTEGER", "component INTEGER", "domain VARCHAR", `"index" BIGINT`,
	"attempt INTEGER", "seed UBIGINT", "importance_weight DOUBLE", "worker VARCHAR", "generator VARCHAR", "millis DOUBLE", "pack VARCHAR",
	`"offset" BIGINT`, "length BIGINT", "scores VARCHAR"}

// imported is samples of an import: with the columns that only these have.
func (w *world) imported(s *loop.Space, rows ...loop.SampleRow) loop.Object {
	w.t.Helper()
	var values [][]driver.Value
	for _, r := range rows {
		row := []driver.Value{r.Digest.String(), r.Campaign, int32(r.Name.Round), int32(r.Name.Component), r.Name.Domain.String(), int64(r.Name.Index),
			int32(r.Name.Attempt), r.Seed, r.Weight, r.Worker, r.Generator, r.Millis, r.Address.Key, r.Address.Offset, r.Address.Length, nil, r.Example, string(r.Origin)}
		values = append(values, append(row, factorValues(s, r.Scenario)...))
	}
	return w.parquet(append(append(slices.Clone(sampleColumns), "example VARCHAR", "origin VARCHAR"), factorColumns(s)...), values)
}

func (w *world) samples(s *loop.Space, rows ...loop.SampleRow) loop.Object {
	w.t.Helper()
	var values [][]driver.Value
	for _, r := range rows {
		row := []driver.Value{r.Digest.String(), r.Campaign, int32(r.Name.Round), int32(r.Name.Component), r.Name.Domain.String(), int64(r.Name.Index),
			int32(r.Name.Attempt), r.Seed, r.Weight, r.Worker, r.Generator, r.Millis, r.Address.Key, r.Address.Offset, r.Address.Length, `{"blank.mean":0.5}`}
		values = append(values, append(row, factorValues(s, r.Scenario)...))
	}
	return w.parquet(append(slices.Clone(sampleColumns), factorColumns(s)...), values)
}

var verdictColumns = []string{"campaign VARCHAR", "round INTEGER", "component INTEGER", "domain VARCHAR", `"index" BIGINT`, "attempt INTEGER",
	"worker VARCHAR", "generator VARCHAR", "gate VARCHAR", "reason VARCHAR", "scores VARCHAR"}

func (w *world) verdicts(s *loop.Space, rows ...loop.VerdictRow) loop.Object {
	w.t.Helper()
	var values [][]driver.Value
	for _, r := range rows {
		row := []driver.Value{r.Campaign, int32(r.Name.Round), int32(r.Name.Component), r.Name.Domain.String(), int64(r.Name.Index),
			int32(r.Name.Attempt), r.Worker, r.Generator, r.Gate, r.Reason, nil}
		values = append(values, append(row, factorValues(s, r.Scenario)...))
	}
	return w.parquet(append(slices.Clone(verdictColumns), factorColumns(s)...), values)
}

var outcomeColumns = []string{"model_line VARCHAR", "model_version VARCHAR", "task VARCHAR", "eval_set VARCHAR", "run VARCHAR", "example VARCHAR",
	`"group" VARCHAR`, "sample VARCHAR", "origin VARCHAR", "source VARCHAR", "correct BOOLEAN", "loss BIGINT", "importance_weight DOUBLE", "uri VARCHAR"}

func (w *world) outcomes(s *loop.Space, post loop.Post, rows ...loop.Outcome) loop.Object {
	w.t.Helper()
	var values [][]driver.Value
	for _, r := range rows {
		var sample, source, loss, weight, uri driver.Value
		if r.URI != "" {
			uri = r.URI
		}
		if r.Weight > 0 {
			weight = r.Weight
		}
		if !r.Sample.IsZero() {
			sample = r.Sample.String()
		}
		if r.Source != "" {
			source = string(r.Source)
		}
		if r.HasLoss {
			loss = r.Loss
		}
		row := []driver.Value{post.ModelLine, post.Version, post.Task, post.EvalSet, post.Run, r.Example, r.Group, sample, string(r.Origin), source, r.Correct, loss, weight, uri}[:len(outcomeColumns)]
		row = append(row, factorValues(s, loop.Scenario{Codes: r.Scenario, Fractions: make([]uint32, len(r.Scenario))})...)
		for _, v := range r.Metrics {
			if row = append(row, nil); !math.IsNaN(v) {
				row[len(row)-1] = v
			}
		}
		values = append(values, row)
	}
	columns := append(slices.Clone(outcomeColumns), factorColumns(s)...)
	for _, m := range s.Metrics() {
		columns = append(columns, ident(m.Name)+" DOUBLE")
	}
	return w.parquet(columns, values)
}

// running is a view that runs.
type running struct {
	*View
	t    testing.TB
	stop func()
}

// run starts a view of the world in dir. It is stopped by stop, or at the end.
func (w *world) run(dir string, change ...func(*Options)) *running {
	w.t.Helper()
	o := Options{Dir: dir, Cluster: "test", Catalogue: w, Parts: w, Pause: time.Millisecond, Threads: 2,
		Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Queries: QueryLimits{Lag: -1}}
	for _, f := range change {
		f(&o)
	}
	v, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	r := &running{View: v, t: w.t}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.t.Cleanup(r.stop)
	return r
}

// latest waits until the view has seen everything.
func (r *running) latest(w *world) *running {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Wait(ctx, uint64(len(w.changes))); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// table answers a query on our own instance as lines of text.
func (r *running) table(query string, args ...any) []string {
	r.t.Helper()
	var lines []string
	_, err := r.read(context.Background(), 0, func(ctx context.Context, conn *sql.Conn, _ map[string]*layout) error {
		lines = nil
		rows, err := conn.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		cells, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			texts := make([]string, len(cells))
			for i, cell := range cells {
				if t, ok := cell.(time.Time); ok {
					cell = t.UnixMicro()
				}
				texts[i] = fmt.Sprint(cell)
			}
			lines = append(lines, strings.Join(texts, "|"))
		}
		return rows.Err()
	})
	if err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	return lines
}

// shapes is a space with everything in it: hostile names, a numeric factor, a
// conditional one.
func shapes() *loop.Space {
	return &loop.Space{Name: "shapes", Version: 1, Factors: []loop.Factor{
		{Name: "select", Kind: loop.Categorical, Levels: []loop.Level{{Name: `it's "low"`, Target: .5}, {Name: "🙂", Target: .25}, {Name: "null", Target: .25}}},
		{Name: "size", Kind: loop.Numeric, Levels: []loop.Level{{Name: "small", Target: .5, Low: 0, High: 1.5}, {Name: "large", Target: .5, Low: 1.5, High: 10}}},
		{Name: "glove", Kind: loop.Ordinal, Levels: []loop.Level{{Name: "no", Target: .5}, {Name: "yes", Target: .5}}},
		{Name: "glove_colour", Kind: loop.Categorical, Levels: []loop.Level{{Name: "red", Target: .5}, {Name: "; DROP TABLE spaces; --", Target: .5}},
			When: &loop.LevelSet{Factor: 2, Levels: []int{1}}},
	}, Derived: []loop.Derived{{Name: "visible", Levels: []string{"no", "yes"}, Otherwise: 1, Rules: []loop.DerivedRule{
		{When: []loop.LevelSet{{Factor: 0, Levels: []int{0}}, {Factor: 3, Levels: []int{1}}}}}}}}
}

func digestOf(n uint64) loop.Digest { return sha256.Sum256(fmt.Append(nil, n)) }

func equalLines(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// codes is shorthand for a scenario with fractions of a half.
func scenario(codes ...loop.Code) loop.Scenario {
	s := loop.Scenario{Codes: codes, Fractions: make([]uint32, len(codes))}
	for i := range s.Fractions {
		s.Fractions[i] = 1 << 31
	}
	return s
}

func sample(campaign string, name loop.Name, codes ...loop.Code) loop.SampleRow {
	n := uint64(name.Domain)<<60 | uint64(name.Round)<<48 | uint64(name.Component)<<40 | name.Index<<4 | uint64(name.Attempt)
	return loop.SampleRow{Campaign: campaign, Name: name, Seed: ^uint64(0) - n, Scenario: scenario(codes...), Weight: 1.25, Digest: digestOf(n),
		Address: loop.Address{Key: "packs/1/ab/cd.tar", Offset: int64(name.Index) * 1024, Length: 1024}, Worker: "w1", Generator: "shapes@1", Millis: 2.5}
}
