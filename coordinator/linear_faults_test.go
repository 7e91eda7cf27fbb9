//go:build faults

package coordinator

import (
	"testing"

	"hone/fault"
)

// The check can fail: it finds reads that ask nobody whether the node still leads,
// and failures that are none.
func TestPlantedAnswersThatNobodyCanExplain(t *testing.T) {
	for _, plant := range []string{"read without asking the others", "report a timed-out proposal as failed"} {
		t.Run(plant, func(t *testing.T) {
			fault.Plant(plant)
			defer fault.Plant("")
			for seed := range uint64(6) {
				if part, _ := offence(lived(t, seed, 40)); part != nil {
					t.Logf("seed %d: a history of %d operations", seed, len(part))
					return
				}
			}
			t.Error("nobody noticed")
		})
	}
}
