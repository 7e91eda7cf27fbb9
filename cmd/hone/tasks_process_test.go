package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
	"hone/loop"
	"hone/spec"
)

// A campaign learns from two tasks by a metric of each: one with a threshold, one
// that says how badly. What its second round was decided from has both, each row
// with the weight of its sample and with its clip, and what the first round took;
// the probes that found no suspect were drawn from the target. From the object in
// the lake the round comes to the same bytes again (I4).
func TestCampaignLearnsFromTwoTasks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server and a worker")
	}
	c := newCrew(t, patient(t, 3*time.Minute))
	c.worker("w1", 2)
	c.start("server", "w1")
	document := slices.Concat(shapes.SpaceDocument, []byte(`
tasks:
  - name: detect
    metrics:
      - {name: iou, better: higher, fail: 0.5}
  - name: pose
    metrics:
      - {name: error, unit: mm, better: lower}
`))
	c.put(document, []string{eagerPolicy}, []string{`name: two
space: shapes
policy: eager
generator: shapes
seed: 11
samples: 600
rounds: 2
evaluation: {target: 300, mixture: 300, probe: 50}
learn_from:
  - {model_line: net, eval_set: two.eval, task: detect, metric: iou}
  - {model_line: net, eval_set: two.eval, task: pose, metric: error, importance: 3}
gates: [format, blank]
`})
	c.await("round 1", func() bool {
		round, err := c.client.Round(c.ctx, "two", 1, 2*time.Second)
		return err == nil && round.State == api.RoundPublished
	})
	var rows []api.ManifestRow
	for row, err := range c.client.Manifest(c.ctx, "two.eval", 1) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if len(rows) != 650 {
		t.Fatalf("%d evaluation samples, want 650", len(rows))
	}
	// Of every digest, what is posted follows from its first byte.
	value := func(row *api.ManifestRow) float64 { return float64(row.Digest[0]) / 256 }
	clip := func(i int) int { return i / 4 }
	var detect, pose bytes.Buffer
	failures, measured, loss := int64(0), 0, int64(0)
	for i := range rows {
		x := value(&rows[i])
		fmt.Fprintf(&detect, "{\"sample\":%q,\"group\":\"clip %d\",\"iou\":%v}\n", rows[i].Digest, clip(i), x)
		if x < .5 {
			failures++
		}
		if i%3 == 0 {
			fmt.Fprintf(&pose, "{\"sample\":%q,\"error\":null,\"correct\":true}\n", rows[i].Digest)
			continue
		}
		fmt.Fprintf(&pose, "{\"sample\":%q,\"error\":%v,\"correct\":%t}\n", rows[i].Digest, 100*x*x, x < .9)
		measured++
		loss += int64(math.Round(100 * x * x * loop.MicroUnits))
	}
	for task, body := range map[string]*bytes.Buffer{"detect": &detect, "pose": &pose} {
		o := api.OutcomesOptions{Space: "shapes", Model: "net@1", Task: task, EvalSet: "two.eval@1"}
		if posted, err := c.client.PostOutcomes(c.ctx, o, strings.NewReader(body.String())); err != nil || posted.Accepted != 650 {
			t.Fatalf("%s: %+v, %v", task, posted, err)
		}
	}
	if _, err := c.client.SealModel(c.ctx, "net", "1", 1300); err != nil {
		t.Fatal(err)
	}
	c.await("round 2", func() bool {
		round, err := c.client.Round(c.ctx, "two", 2, 2*time.Second)
		return err == nil && round.State == api.RoundPublished
	})
	c.replays("two", 2)

	objects, err := filepath.Glob(filepath.Join(c.data("server"), "lake", "evidence", "*", "*", "*.bin"))
	if err != nil || len(objects) != 1 {
		t.Fatalf("%d evidence objects, %v", len(objects), err)
	}
	object, err := os.ReadFile(objects[0])
	if err != nil {
		t.Fatal(err)
	}
	e, err := loop.DecodeEvidence(object)
	if err != nil {
		t.Fatal(err)
	}
	space, err := spec.ParseSpace(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(&space); err != nil {
		t.Fatal(err)
	}
	if len(e.Learned) != 2 || !e.Graded() || e.Learned[0].Metric != "iou" || e.Learned[0].Graded() || e.Learned[0].Importance != 1 ||
		e.Learned[1].Unit != "mm" || e.Learned[1].Importance != 3 || e.Learned[1].Best != 0 || !(e.Learned[1].Cap > 90 && e.Learned[1].Cap < 100) {
		t.Errorf("learned from %+v", e.Learned)
	}
	var of [2]struct{ rows, failures, loss, weights, grouped int64 }
	for i := range e.Len() {
		x := &of[e.From[i]]
		x.rows += e.Rows[i]
		x.failures += e.Failures[i]
		x.loss += e.Loss[i]
		x.weights += e.Weight[i] * e.Rows[i]
		if e.Group[i] > 0 {
			x.grouped += e.Rows[i]
		}
	}
	weights := int64(0)
	for i := range rows {
		weights += int64(math.Round(rows[i].Weight * loop.MicroUnits))
	}
	if x := of[0]; x.rows != 650 || x.failures != failures || x.weights != weights || weights == 650*loop.MicroUnits || x.grouped < 640 {
		t.Errorf("detect has %+v, want %d failures and weights of %d", x, failures, weights)
	}
	if x := of[1]; x.rows != int64(measured) || x.loss != loss {
		t.Errorf("pose has %+v, want %d rows, and %d micro-millimetres", x, measured, loss)
	}
	// Round 1 is the base: 300 samples for training, 650 for evaluation.
	if len(e.Made) != 1 || len(e.Made[0].Slice) != 0 || e.Made[0].Accepted+e.Made[0].Abandoned != 950 || e.Made[0].Millis != 0 {
		t.Errorf("made %+v", e.Made)
	}
	c.check()
}
