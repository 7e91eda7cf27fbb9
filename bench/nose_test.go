package main

import (
	"testing"

	"hone/examples/shapes"
	"hone/loop"
)

// TestNoseCanBeLearned: what an ordinary share of samples leaves wrong a larger
// one mends, but for the flooded slice. Otherwise no strategy could win, and the
// world would measure nothing.
func TestNoseCanBeLearned(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a network")
	}
	w, err := newWorld("nose", false)
	if err != nil {
		t.Fatal(err)
	}
	make := []loop.Request{{Count: 5000}, {Slice: w.unlearnable, Count: 500}}
	for _, slice := range w.learnable {
		make = append(make, loop.Request{Slice: slice, Count: 1000})
	}
	round, err := loop.Decide(w.space, nil, nil, nil, loop.Budget{Campaign: "oracle", Number: 1, Make: make}, 1)
	if err != nil {
		t.Fatal(err)
	}
	learner := shapes.NewLearner(shapes.LearnerOptions{Seed: 1, Steps: 900})
	if err := w.make(&round, loop.Train, func(s made) { learner.Add(&s.picture, s.class, 1) }); err != nil {
		t.Fatal(err)
	}
	if err := learner.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	exam, err := w.exam(2)
	if err != nil {
		t.Fatal(err)
	}
	_, score := exam.Take(learner)
	t.Logf("mean %.3f, slices %.3f", score.Mean, score.Slices)
	if score.Mean < .9 || score.Worst() < .6 {
		t.Errorf("mean %.3f, slices %.3f; want at least .9, and .6 each", score.Mean, score.Slices)
	}
}
