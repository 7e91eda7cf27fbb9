package main

import (
	"math"
	"slices"
	"time"
)

// quantiles are the median, the 99th percentile and the greatest of times that
// something took, by nearest rank; nothing of nothing.
func quantiles(name string, taken []time.Duration) []measure {
	if len(taken) == 0 {
		return nil
	}
	sorted := slices.Clone(taken)
	slices.Sort(sorted)
	line := func(what string, at float64) measure {
		return measure{Name: name + "/" + what, Value: sorted[int(math.Ceil(at*float64(len(sorted))))-1].Seconds() * 1000, Unit: "ms"}
	}
	return []measure{line("p50", .5), line("p99", .99), line("max", 1)}
}
