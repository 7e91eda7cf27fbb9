package main

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"hone/loop"
)

func TestQuantiles(t *testing.T) {
	var taken []time.Duration
	for i := range 200 {
		taken = append(taken, time.Duration(200-i)*time.Millisecond)
	}
	var got []float64
	for _, m := range quantiles("x", taken) {
		got = append(got, m.Value)
	}
	if want := []float64{100, 198, 200}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if quantiles("x", nil) != nil {
		t.Error("quantiles of nothing")
	}
}

// The silence that counts is the longest since the kill, whenever the last words of
// the dead leader were read.
func TestGap(t *testing.T) {
	start := time.Unix(0, 0)
	a := &acknowledgements{units: map[string]bool{}}
	for _, ms := range []int{-5000, -10, 20, 40, 1900, 1950, 2600} {
		a.at = append(a.at, start.Add(time.Duration(ms)*time.Millisecond))
	}
	if gap := a.gap(start); gap != 1900*time.Millisecond {
		t.Errorf("a gap of %v", gap)
	}
}

// What the thin worker sends is what an agent would send: the hub reads it.
func TestRowStream(t *testing.T) {
	for _, count := range []int{1, 3, 50} {
		r, err := newRowStream(count)
		if err != nil {
			t.Fatal(err)
		}
		var samples []loop.Staged
		for i := range count {
			samples = append(samples, loop.Staged{Index: uint64(7 + i), Digest: loop.Digest{byte(i), 31: 9}, Offset: int64(100 * i), Length: 100})
		}
		if got := readRows(t, r.of(samples)); !slices.Equal(got, samples) {
			t.Errorf("%d rows: %v", count, got)
		}
	}
}

// readRows reads a stream as any reader of Arrow does.
func readRows(t *testing.T, stream []byte) (samples []loop.Staged) {
	t.Helper()
	r, err := ipc.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	for r.Next() {
		batch := r.RecordBatch()
		for i := range int(batch.NumRows()) {
			samples = append(samples, loop.Staged{Index: batch.Column(0).(*array.Uint64).Value(i), Digest: loop.Digest(batch.Column(1).(*array.FixedSizeBinary).Value(i)),
				Offset: batch.Column(2).(*array.Int64).Value(i), Length: batch.Column(3).(*array.Int64).Value(i)})
		}
	}
	return samples
}
