package shapes

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

// school is some pictures of the ordinary world.
func school(t testing.TB, seed uint64, n int) (pictures []Picture, classes []uint8) {
	t.Helper()
	space, r := newRenderer(t, World{Null: true})
	random := rand.New(rand.NewPCG(seed, 1))
	for range n {
		p, class := mustRender(t, r, drawCodes(space, r, random, ordinary, nil), random.Uint64())
		pictures, classes = append(pictures, p), append(classes, uint8(class))
	}
	return pictures, classes
}

func TestLearnerLearns(t *testing.T) {
	pictures, classes := school(t, 1, 1500)
	exam, truth := school(t, 2, 500)
	l := NewLearner(LearnerOptions{Seed: 1, Steps: 60, Batch: 128})
	for i := range pictures {
		l.Add(&pictures[i], int(classes[i]), 1)
	}
	accuracy := func() (correct float64) {
		for _, j := range l.Evaluate(exam, truth) {
			if j.Correct {
				correct += 1 / float64(len(exam))
			}
			if !(j.Loss >= 0) || math.IsInf(j.Loss, 0) {
				t.Fatalf("loss %v", j.Loss)
			}
		}
		return correct
	}
	before := accuracy()
	if err := l.Train(context.Background()); err != nil {
		t.Fatal(err)
	}
	if after := accuracy(); before > .35 || after < .6 {
		t.Errorf("accuracy %.2f untrained and %.2f trained, want about a sixth and at least .6", before, after)
	}
}

// TestLearnerIsDeterministic: the same samples and seed give the same
// judgements to the bit, however many processors there are; another seed does
// not.
func TestLearnerIsDeterministic(t *testing.T) {
	pictures, classes := school(t, 3, 300)
	judge := func(seed uint64) []Judgement {
		l := NewLearner(LearnerOptions{Seed: seed, Steps: 10, Batch: 64})
		for round := range 2 { // warm start included
			for i := range 150 {
				i += 150 * round
				l.Add(&pictures[i], int(classes[i]), float64(i%7))
			}
			if err := l.Train(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		return l.Evaluate(pictures, classes)
	}
	same := func(a, b []Judgement) bool {
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	first := judge(1)
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	if !same(first, judge(1)) {
		t.Error("the same seed gives another model")
	}
	if same(first, judge(2)) {
		t.Error("another seed gives the same model")
	}
}

// TestGradient compares backward with differences of the loss: a naive twin.
func TestGradient(t *testing.T) {
	const batch = 5
	random := rand.New(rand.NewPCG(1, 2))
	n := newNetwork([]int{7, 6, 5, 4}, batch, random)
	inputs := make([]float32, 7*batch)
	for i := range inputs {
		inputs[i] = float32(random.NormFloat64())
	}
	classes, weights := []uint8{0, 3, 1, 2, 2}, []float32{1, .5, 2, .3, 1.2}
	loss := func() (sum float64) {
		copy(n.active[0].Data, inputs)
		n.forward(batch)
		for row := range batch {
			sum -= float64(weights[row]) * math.Log(float64(n.output(row)[classes[row]])) / batch
		}
		return sum
	}
	loss()
	n.backward(classes, weights)
	const h = 1e-3 // small, so that hardly a ReLU changes sides
	for k := range n.layers {
		l := &n.layers[k]
		for i, slope := range l.slope {
			held := l.value[i]
			l.value[i] = held + h
			above := loss()
			l.value[i] = held - h
			below := loss()
			l.value[i] = held
			if want := (above - below) / (2 * h); math.Abs(want-float64(slope)) > 2e-3 {
				t.Fatalf("layer %d, parameter %d: slope %.5f, by differences %.5f", k, i, slope, want)
			}
		}
	}
}

// TestWeights: importance weights are clipped and tempered, and scaled to mean 1
// over the data set, so that their common size changes nothing.
func TestWeights(t *testing.T) {
	pictures, classes := school(t, 4, 64)
	judge := func(weight func(i int) float64) []Judgement {
		l := NewLearner(LearnerOptions{Seed: 1, Steps: 5, Batch: 32})
		for i := range pictures {
			l.Add(&pictures[i], int(classes[i]), weight(i))
		}
		if err := l.Train(context.Background()); err != nil {
			t.Fatal(err)
		}
		return l.Evaluate(pictures, classes)
	}
	apart := func(a, b []Judgement) (most float64) {
		for i := range a {
			most = max(most, math.Abs(a[i].Loss-b[i].Loss))
		}
		return most
	}
	ones := judge(func(int) float64 { return 1 })
	if d := apart(ones, judge(func(int) float64 { return 4 })); d > 1e-4 {
		t.Errorf("four times the weight on every sample moves a loss by %g", d)
	}
	skewed := judge(func(i int) float64 { return .1 + 9.9*float64(i%2) })
	if d := apart(skewed, judge(func(i int) float64 { return 1e6 * float64(i%2) })); d != 0 {
		t.Errorf("weights beyond the clip move a loss by %g", d)
	}
	if apart(ones, skewed) < 1e-3 {
		t.Error("weights change nothing")
	}
}

func TestTrainStops(t *testing.T) {
	pictures, classes := school(t, 5, 10)
	l := NewLearner(LearnerOptions{Seed: 1})
	if err := l.Train(context.Background()); err != nil {
		t.Errorf("training on nothing: %v", err)
	}
	l.Add(&pictures[0], int(classes[0]), 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Train(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestExamScores(t *testing.T) {
	pictures, classes := school(t, 6, 40)
	l := NewLearner(LearnerOptions{Seed: 1, Batch: 16})
	e := &Exam{}
	for i := range pictures {
		e.Add(i%3, &pictures[i], int(classes[i]))
	}
	judgements, score := e.Take(l)
	var correct, total [3]float64
	for i, j := range judgements {
		total[i%3]++
		if j.Correct {
			correct[i%3]++
		}
	}
	if score.Mean != correct[0]/total[0] || len(score.Slices) != 2 ||
		score.Slices[0] != correct[1]/total[1] || score.Slices[1] != correct[2]/total[2] {
		t.Errorf("score %+v of %v correct of %v", score, correct, total)
	}
	scores := []Score{{Samples: 10, Slices: []float64{.9, .2}}, {Samples: 20, Slices: []float64{.4, .36}}, {Samples: 30, Slices: []float64{.1, .9}}}
	if n, ok := SamplesTo(scores, .35); n != 20 || !ok {
		t.Errorf("worst .35 after %d samples (%v), want 20", n, ok)
	}
	if _, ok := SamplesTo(scores, .5); ok {
		t.Error("worst .5 was reached, but never is")
	}
}

// BenchmarkTrain is one round of the demo's training.
func BenchmarkTrain(b *testing.B) {
	pictures, classes := school(b, 1, 6000)
	l := NewLearner(LearnerOptions{Seed: 1})
	for i := range pictures {
		l.Add(&pictures[i], int(classes[i]), 1)
	}
	for b.Loop() {
		if err := l.Train(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
