package api

import (
	"encoding/json"
	"math"
	"testing"
)

// TestOutcomeRow: metrics stand beside the other members, as a post has them.
func TestOutcomeRow(t *testing.T) {
	wrong := false
	for _, c := range []struct {
		row  OutcomeRow
		want string
	}{
		{OutcomeRow{Example: "a", Correct: &wrong}, `{"example":"a","correct":false}`},
		{OutcomeRow{Example: "a", Metrics: map[string]float64{"mm": 3, "iou": 0.25}}, `{"example":"a","iou":0.25,"mm":3}`},
		{OutcomeRow{Metrics: map[string]float64{"iou": 1}}, `{"iou":1}`},
		{OutcomeRow{}, `{}`},
	} {
		// A value and a pointer are written alike.
		for _, row := range []any{c.row, &c.row} {
			if got, err := json.Marshal(row); err != nil || string(got) != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		}
	}
	if got, err := json.Marshal(OutcomeRow{Metrics: map[string]float64{"iou": math.NaN()}}); err == nil {
		t.Errorf("NaN became %s", got)
	}
}
