package gpuworker

import (
	"context"

	"hone/loop"
)

// Generator makes samples. One value serves all slots of a worker, so Make is
// called concurrently.
type Generator interface {
	// Describe names the generator and its version; it is constant.
	Describe() loop.Generator
	// Make makes every sample of the work and emits each exactly once, in any
	// order and from any goroutine. Members are only read until emit returns.
	//
	// An error from emit is final: the unit has failed, and Make should return.
	// Make returns soon after ctx ends. A panic, an error, a sample too few, a
	// wrong index or one sample too large fails the whole unit, which is then
	// leased again; it never harms the worker.
	Make(ctx context.Context, work Work, emit func(index uint64, members []loop.Member) error) error
}

// Work is a unit with everything that is needed to make it.
type Work struct {
	Unit  loop.Unit
	Space *loop.Space // shared; not to be changed
	// Seed is the campaign's. What is random in a sample comes from the sample's
	// own seed; this one is for what a whole campaign shares.
	Seed uint64
	// Samples are the unit's samples in the order of their indices.
	Samples []Sample
}

// Sample is one sample to be made.
type Sample struct {
	Name     loop.Name
	Scenario loop.Scenario
	// Seed is the sample's own (C5): everything random in it derives from this.
	Seed uint64
}
