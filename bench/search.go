package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hone/loop"
)

// search times the exact search for failing slices: over a table of ten million
// rows, from nothing and after more rows have come; and, by the score of SliceLine,
// over Adult, beside the package sliceline where there is a Python that has it.
type search struct{}

func (search) name() string { return "search" }

func (search) run(ctx context.Context, o *options) ([]measure, error) {
	var adult []measure
	var err error
	if o.adult == "" {
		fmt.Fprintln(o.log, "search: without --adult FILE the search over Adult is left out")
	} else if adult, err = searchAdult(ctx, o); err != nil {
		return nil, err
	}
	many, err := searchMany(ctx, o)
	return append(adult, many...), err
}

// parallel runs do on every core.
func parallel(n int, do func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	group.Wait()
}

// The synthetic table: 5 % of its rows fail, 20 % of those in four planted slices.
const (
	manyRows, manyMore      = 10_000_000, 10_000
	manyFactors, manyLevels = 20, 20
)

var manyPlanted = []loop.Slice{{{Factor: 0, Level: 3}, {Factor: 5, Level: 7}}, {{Factor: 2, Level: 1}, {Factor: 9, Level: 9}, {Factor: 14, Level: 0}},
	{{Factor: 7, Level: 19}, {Factor: 8, Level: 18}}, {{Factor: 11, Level: 4}, {Factor: 12, Level: 4}, {Factor: 19, Level: 5}}}

// manyTable draws rows by integer arithmetic alone.
func manyTable(space *loop.Space, from, n int) *loop.Rows {
	r := &loop.Rows{Space: space, Codes: make([][]loop.Code, manyFactors), Error: make([]float64, n), Each: parallel}
	draw := func(row, salt int) uint64 {
		x := uint64(row)*0x9E3779B97F4A7C15 + uint64(salt)*0xBF58476D1CE4E5B9
		x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
		x = (x ^ x>>27) * 0x94D049BB133111EB
		return x ^ x>>31
	}
	parallel(manyFactors, func(f int) {
		r.Codes[f] = make([]loop.Code, n)
		for i := range r.Codes[f] {
			r.Codes[f][i] = loop.Code(draw(from+i, f+1) >> 32 * manyLevels >> 32)
		}
	})
	for i := range r.Error {
		rate := uint64(5)
		for _, slice := range manyPlanted {
			in := true
			for _, p := range slice {
				in = in && int(r.Codes[p.Factor][i]) == p.Level
			}
			if in {
				rate = 20
			}
		}
		if draw(from+i, 0)>>32*100>>32 < rate {
			r.Error[i] = 1
		}
	}
	return r
}

func searchMany(ctx context.Context, o *options) ([]measure, error) {
	space := &loop.Space{Name: "many"}
	for f := range manyFactors {
		factor := loop.Factor{Name: fmt.Sprint("f", f), Kind: loop.Categorical}
		for l := range manyLevels {
			factor.Levels = append(factor.Levels, loop.Level{Name: fmt.Sprint("l", l)})
		}
		space.Factors = append(space.Factors, factor)
	}
	rows := manyTable(space, 0, manyRows)
	runtime.GC()
	var base runtime.MemStats
	runtime.ReadMemStats(&base)
	peak := watchHeap(ctx)
	start := time.Now()
	counted, err := rows.Count(loop.DefaultSearch())
	if err != nil {
		return nil, err
	}
	survey := counted.Survey()
	nothing := time.Since(start)
	found := 0
	for _, slice := range manyPlanted {
		if slices.ContainsFunc(survey.Findings, func(f loop.Finding) bool { return f.Slice.Equal(slice) }) {
			found++
		}
	}
	fmt.Fprintf(o.log, "search: %d of %d planted slices, %d found, tested %v (%.1f s)\n", found, len(manyPlanted), len(survey.Findings), survey.Tested, nothing.Seconds())
	// The table is added to several times: what one addition takes is no sample.
	var took []float64
	for i := range 5 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		more := manyTable(space, manyRows+i*manyMore, manyMore)
		start := time.Now()
		if err := counted.Add(more); err != nil {
			return nil, err
		}
		survey = counted.Survey()
		took = append(took, time.Since(start).Seconds()*1000)
	}
	mean, lower, upper := interval(took)
	heap := float64(peak()) / (1 << 30)
	cores := fmt.Sprintf("%d rows, %d factors of %d levels, order 3; %d cores", manyRows, manyFactors, manyLevels, runtime.GOMAXPROCS(0))
	out := []measure{
		measure{Name: "search/many/from nothing", Value: nothing.Seconds(), Unit: "s", Note: cores}.goal(nothing <= 8*time.Second, "<= 8"),
		measure{Name: "search/many/after more rows", Value: mean, Unit: "ms", Note: fmt.Sprintf("a survey after %d rows more", manyMore)}.
			within(lower, upper).goal(mean <= 250, "<= 250"),
		measure{Name: "search/many/memory", Value: heap, Unit: "GiB", Note: "the heap at its largest, the rows themselves included"}.goal(heap <= 3, "<= 3"),
		measure{Name: "search/many/planted found", Value: float64(found) / float64(len(manyPlanted))}.goal(found == len(manyPlanted), "1"),
	}
	return out, nil
}

// watchHeap looks at the heap until it is asked for the largest.
func watchHeap(ctx context.Context) func() uint64 {
	ctx, stop := context.WithCancel(ctx)
	largest, done := uint64(0), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			largest = max(largest, m.Sys-m.HeapReleased)
			select {
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		stop()
		<-done
		return largest
	}
}

// The objective over Adult.
const (
	adultAlpha   = .95
	adultSupport = .01
	adultTop     = 10
)

func searchAdult(ctx context.Context, o *options) ([]measure, error) {
	rows, err := readAdult(o.adult)
	if err != nil {
		return nil, err
	}
	columns := 0
	for f := range rows.Space.Factors {
		columns += len(rows.Space.Factors[f].Levels)
	}
	goal := loop.Objective{Alpha: adultAlpha, Support: int(math.Ceil(adultSupport * float64(len(rows.Error)))), Top: adultTop}
	timed := func(goal loop.Objective) ([]loop.ScoredSlice, float64, []float64, error) {
		var best []loop.ScoredSlice
		var took []float64
		for range 20 {
			start := time.Now()
			if best, err = rows.Best(goal); err != nil {
				return nil, 0, nil, err
			}
			took = append(took, time.Since(start).Seconds()*1000)
		}
		return best, slices.Sorted(slices.Values(took))[len(took)/2], took, nil
	}
	best, median, took, err := timed(goal)
	if err != nil {
		return nil, err
	}
	for i, s := range best {
		fmt.Fprintf(o.log, "search: adult %2d: %.6f, %d rows, %.0f errors: %s\n", i+1, s.Score, s.Rows, s.Errors, rows.Space.Describe(s.Slice))
	}
	_, lower, upper := interval(took)
	out := []measure{measure{Name: "search/adult/top 10 of all depths", Value: median, Unit: "ms",
		Note: fmt.Sprintf("%d one-hot columns, %d rows, support %d, alpha %v, one core; median of %d", columns, len(rows.Error), goal.Support, adultAlpha, len(took))}.
		within(lower, upper).goal(median <= 40, "<= 40")}
	goal.Depth = 3
	shallow, median, took, err := timed(goal)
	if err != nil {
		return nil, err
	}
	_, lower, upper = interval(took)
	m := measure{Name: "search/adult/top 10 of depth 3", Value: median, Unit: "ms"}.within(lower, upper)
	if o.python == "" {
		fmt.Fprintln(o.log, "search: without --python COMMAND the package sliceline is not run beside it")
		return append(out, m), nil
	}
	scores, millis, err := runPeer(ctx, o, rows, goal)
	if err != nil {
		return nil, err
	}
	if len(scores) != len(shallow) {
		return nil, fmt.Errorf("sliceline has %d slices, Hone %d", len(scores), len(shallow))
	}
	furthest := 0.0
	for i := range scores {
		furthest = max(furthest, math.Abs(scores[i]-shallow[i].Score))
	}
	m = m.against(millis)
	faster := millis / median
	return append(out, m,
		measure{Name: "search/adult/times faster than sliceline", Value: faster, Note: "the package sliceline from PyPI, the same vector, depth 3, the same run"}.goal(faster >= 50, ">= 50"),
		measure{Name: "search/adult/largest difference of scores", Value: furthest}.goal(furthest <= 1e-9, "<= 1e-9")), nil
}

// runPeer writes the columns and errors down for the script in bench/peers, and
// reads its scores and milliseconds.
func runPeer(ctx context.Context, o *options, rows *loop.Rows, goal loop.Objective) (scores []float64, millis float64, err error) {
	file, err := os.CreateTemp("", "adult-*.csv")
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	w := csv.NewWriter(file)
	for i, e := range rows.Error {
		record := []string{strconv.FormatFloat(e, 'g', -1, 64)}
		for f := range rows.Codes {
			record = append(record, strconv.Itoa(int(rows.Codes[f][i])+1))
		}
		if err := w.Write(record); err != nil {
			return nil, 0, errors.Join(err, file.Close())
		}
	}
	w.Flush()
	if err := errors.Join(w.Error(), file.Close()); err != nil {
		return nil, 0, err
	}
	command := exec.CommandContext(ctx, o.python, "bench/peers/sliceline_peer.py", file.Name(),
		fmt.Sprint(goal.Alpha), fmt.Sprint(goal.Support), fmt.Sprint(goal.Top), fmt.Sprint(goal.Depth))
	command.Stderr = o.log
	said, err := command.Output()
	if err != nil {
		return nil, 0, fmt.Errorf("bench/peers/sliceline_peer.py: %w", err)
	}
	for _, word := range strings.Fields(string(said)) {
		x, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("bench/peers/sliceline_peer.py said %q", said)
		}
		scores = append(scores, x)
	}
	if len(scores) == 0 {
		return nil, 0, errors.New("bench/peers/sliceline_peer.py said nothing")
	}
	return scores[1:], scores[0], nil
}

// readAdult reads the table, bins its numbers, fits a logistic regression to its
// label, and takes for errors what that gets wrong.
func readAdult(path string) (_ *loop.Rows, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	reader := csv.NewReader(file)
	reader.TrimLeadingSpace, reader.FieldsPerRecord = true, -1
	var table [][]string
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(record) == 15 {
			table = append(table, record)
		}
	}
	if len(table) == 0 {
		return nil, fmt.Errorf("%s: no row has the 15 columns of Adult", path)
	}
	r := &loop.Rows{Space: &loop.Space{Name: "adult"}}
	for column := range 14 {
		if column == 2 { // fnlwgt, the weight of the census
			continue
		}
		numeric := slices.Contains([]int{0, 4, 10, 11, 12}, column)
		codes, names, err := code(table, column, numeric)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		factor := loop.Factor{Name: fmt.Sprint("column", column+1), Kind: loop.Categorical}
		for _, name := range names {
			factor.Levels = append(factor.Levels, loop.Level{Name: name})
		}
		r.Codes, r.Space.Factors = append(r.Codes, codes), append(r.Space.Factors, factor)
	}
	label := make([]float64, len(table))
	for i := range table {
		if strings.HasPrefix(table[i][14], ">50K") {
			label[i] = 1
		}
	}
	r.Error = mistaken(r, label)
	return r, nil
}

// code makes codes of a column: of ten bins of equal width, empty ones among them,
// or of its values in order.
func code(table [][]string, column int, numeric bool) ([]loop.Code, []string, error) {
	names := make([]string, len(table))
	for i := range table {
		names[i] = table[i][column]
	}
	if numeric {
		low, high := math.Inf(1), math.Inf(-1)
		values := make([]float64, len(table))
		for i := range names {
			x, err := strconv.ParseFloat(names[i], 64)
			if err != nil {
				return nil, nil, fmt.Errorf("row %d, column %d: %w", i+1, column+1, err)
			}
			values[i], low, high = x, min(low, x), max(high, x)
		}
		for i, x := range values {
			names[i] = fmt.Sprintf("bin%02d", min(9, int(10*(x-low)/(high-low)))+1)
		}
	}
	all := slices.Clone(names)
	for bin := range 10 {
		if numeric {
			all = append(all, fmt.Sprintf("bin%02d", bin+1))
		}
	}
	levels := slices.Compact(slices.Sorted(slices.Values(all)))
	codes := make([]loop.Code, len(names))
	for i, name := range names {
		at, _ := slices.BinarySearch(levels, name)
		codes[i] = loop.Code(at)
	}
	return codes, levels, nil
}

// mistaken is 1 where a logistic regression over the one-hot columns, fitted to
// all rows by so many steps down the gradient, is wrong.
func mistaken(r *loop.Rows, label []float64) []float64 {
	const steps, rate = 300, 2.0
	weights := make([][]float64, len(r.Codes))
	for f := range weights {
		weights[f] = make([]float64, len(r.Space.Factors[f].Levels))
	}
	bias, n := 0.0, float64(len(label))
	predict := func(i int) float64 {
		x := bias
		for f := range weights {
			x += weights[f][r.Codes[f][i]]
		}
		return 1 / (1 + math.Exp(-x))
	}
	for range steps {
		slope, slopes := 0.0, make([][]float64, len(weights))
		for f := range slopes {
			slopes[f] = make([]float64, len(weights[f]))
		}
		for i := range label {
			d := predict(i) - label[i]
			slope += d
			for f := range slopes {
				slopes[f][r.Codes[f][i]] += d
			}
		}
		bias -= rate * slope / n
		for f := range weights {
			for l := range weights[f] {
				weights[f][l] -= rate * slopes[f][l] / n
			}
		}
	}
	wrong := make([]float64, len(label))
	for i := range label {
		if predict(i) >= .5 != (label[i] == 1) {
			wrong[i] = 1
		}
	}
	return wrong
}
