//go:build faults

package coordinator

import (
	"testing"

	"hone/fault"
)

// A collector that takes objects of the open epoch, too, loses what is being
// committed.
func TestPlantedDeleteOfTheOpenEpoch(t *testing.T) {
	fault.Plant("delete a key of the open epoch")
	defer fault.Plant("")
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		if gone := whileCollecting(t, w); len(gone) == 0 {
			t.Error("nobody noticed")
		}
	})
}
