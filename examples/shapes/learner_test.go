package shapes

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

// BenchmarkTrain is one round of the demo's training.
func BenchmarkTrain(b *testing.B) {
	space, r := newRenderer(b, World{})
	random := rand.New(rand.NewPCG(1, 1))
	l := NewLearner(LearnerOptions{Seed: 1})
	for range 6000 {
		p, class := mustRender(b, r, drawCodes(space, r, random, ordinary, nil), random.Uint64())
		l.Add(&p, class, 1)
	}
	for b.Loop() {
		if err := l.Train(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	_ = math.Pi
}
