//go:build !faults

package fault

// Enabled reports whether this build can be broken at all.
const Enabled = false

// Planted reports whether a bug is planted: never in this build, so that the
// compiler drops what it guards.
func Planted(string) bool { return false }

// Point marks a place of interest; in this build nothing happens there.
func Point(string) {}
