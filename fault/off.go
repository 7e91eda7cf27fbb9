//go:build !faults

package fault

import "time"

// Enabled reports whether this build can be broken at all.
const Enabled = false

// Planted reports whether a bug is planted: never in this build, so that the
// compiler drops what it guards.
func Planted(string) bool { return false }

// Plant does nothing: a build without the tag cannot be broken.
func Plant(string) {}

// Point marks a place of interest; in this build nothing happens there.
func Point(string) {}

// Number is a setting that tests of faults make smaller; in this build it is what
// it is given.
func Number(_ string, n uint64) uint64 { return n }

// Time is the time that the shell's clock shows; in this build it is right.
func Time(t time.Time) time.Time { return t }

// Record writes down what passes a place; in this build it does not.
func Record(string, uint64, []byte) {}
