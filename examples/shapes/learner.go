package shapes

import (
	"context"
	"math"
	"math/rand/v2"
)

// LearnerOptions configure a Learner; a zero field means its default.
type LearnerOptions struct {
	// Steps is the number of optimiser steps per call of Train: 250.
	Steps int
	// Batch is the number of samples per step: 256.
	Batch int
	// Rate is Adam's learning rate: 0.002.
	Rate float64
	// Temper is the power to which importance weights are taken: 0.5. At 1 the
	// weights pull a boosted slice back to its prevalence in the target, and it
	// is learned slowly; at 0 the mean pays for the boosts.
	Temper float64
	// Seed decides the initial weights and the order of training.
	Seed uint64
}

func (o LearnerOptions) withDefaults() LearnerOptions {
	if o.Steps == 0 {
		o.Steps = 250
	}
	if o.Batch == 0 {
		o.Batch = 256
	}
	if o.Rate == 0 {
		o.Rate = .002
	}
	if o.Temper == 0 {
		o.Temper = .5
	}
	return o
}

// Importance weights are clipped to these bounds before they are tempered.
const (
	leastWeight = .1
	mostWeight  = 10
)

// Learner is a small network that names the shape in a picture, warm-started:
// each Train goes on from where the last one ended, over all samples added so
// far. Equal options, samples in equal order and equal calls give equal
// results. It is not safe for concurrent use; it computes on one goroutine.
type Learner struct {
	options LearnerOptions
	random  *rand.Rand
	network *network
	// pictures, classes and weights are all samples so far.
	pictures []Picture
	classes  []uint8
	weights  []float32 // tempered, not yet scaled to mean 1
	order    []int32
	next     int
}

// Judgement is the learner's result on one picture: whether it named the class,
// and the cross entropy in nats.
type Judgement struct {
	Correct bool
	Loss    float64
}

// NewLearner makes an untrained learner.
func NewLearner(options LearnerOptions) *Learner {
	options = options.withDefaults()
	random := rand.New(rand.NewPCG(options.Seed, learnerStream))
	return &Learner{
		options: options,
		random:  random,
		network: newNetwork([]int{Pixels, 128, 128, len(Classes)}, options.Batch, random),
	}
}

// learnerStream separates the learner's stream from other uses of a seed.
const learnerStream = 0x6c6561726e65722f // "learner/"

// Add adds one sample to the training data. weight is its importance weight.
func (l *Learner) Add(picture *Picture, class int, weight float64) {
	weight = math.Min(math.Max(weight, leastWeight), mostWeight)
	l.pictures = append(l.pictures, *picture)
	l.classes = append(l.classes, uint8(class))
	l.weights = append(l.weights, float32(math.Pow(weight, l.options.Temper)))
}

// Len is the number of samples added so far.
func (l *Learner) Len() int { return len(l.pictures) }

// Train takes one round's steps over a fresh permutation of all samples so far,
// permuting again whenever it has seen them all. It stops early, with the
// context's error, only between steps. Without samples it does nothing.
func (l *Learner) Train(ctx context.Context) error {
	if l.Len() == 0 {
		return nil
	}
	sum := 0.0
	for _, w := range l.weights {
		sum += float64(w)
	}
	toMean := float32(float64(l.Len()) / sum)
	for len(l.order) < l.Len() {
		l.order = append(l.order, int32(len(l.order)))
	}
	l.shuffle()
	weights := make([]float32, l.options.Batch)
	classes := make([]uint8, l.options.Batch)
	for range l.options.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		for row := range l.options.Batch {
			if l.next == len(l.order) {
				l.shuffle()
			}
			i := l.order[l.next]
			l.next++
			expand(l.network.input(row), &l.pictures[i])
			classes[row] = l.classes[i]
			weights[row] = l.weights[i] * toMean
		}
		l.network.forward(l.options.Batch)
		l.network.backward(classes, weights)
		l.network.adam(l.options.Rate)
	}
	return nil
}

func (l *Learner) shuffle() {
	l.next = 0
	l.random.Shuffle(len(l.order), func(i, j int) { l.order[i], l.order[j] = l.order[j], l.order[i] })
}

// Evaluate judges pictures against their classes, in order.
func (l *Learner) Evaluate(pictures []Picture, classes []uint8) []Judgement {
	judgements := make([]Judgement, 0, len(pictures))
	for len(pictures) > 0 {
		n := min(len(pictures), l.options.Batch)
		for row := range n {
			expand(l.network.input(row), &pictures[row])
		}
		l.network.forward(n)
		for row := range n {
			probabilities := l.network.output(row)
			best := 0
			for c, p := range probabilities {
				if p > probabilities[best] {
					best = c
				}
			}
			truth := classes[row]
			judgements = append(judgements, Judgement{
				Correct: best == int(truth),
				Loss:    -math.Log(math.Max(float64(probabilities[truth]), 1e-12)),
			})
		}
		pictures, classes = pictures[n:], classes[n:]
	}
	return judgements
}

// intensity is what the network sees of a gray value.
var intensity = func() (table [256]float32) {
	for v := range table {
		table[v] = (float32(v)/255 - .35) / .25
	}
	return table
}()

func expand(row []float32, p *Picture) {
	for i, v := range p {
		row[i] = intensity[v]
	}
}
