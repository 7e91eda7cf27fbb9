package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hone/api"
	"hone/examples/shapes"
	"hone/loop"
)

// demoResult is the demo's last line with --output json.
type demoResult struct {
	Rounds  int         `json:"rounds"`
	Samples demoSamples `json:"samples"`
	Loop    demoArm     `json:"loop"`
	Uniform demoArm     `json:"uniform"`
	Dataset demoDataset `json:"dataset"`
	Elapsed float64     `json:"elapsed_seconds"`
}

// demoSamples counts the training indices of both arms.
type demoSamples struct {
	Requested        uint64 `json:"requested"`
	Committed        uint64 `json:"committed"`
	Rejected         uint64 `json:"rejected"`
	Replaced         uint64 `json:"replaced"`
	Abandoned        uint64 `json:"abandoned"`
	DuplicateIndices uint64 `json:"duplicate_indices"`
	QuotaExact       bool   `json:"quota_exact"`
}

// demoArm is how one arm did.
type demoArm struct {
	WorstSliceAccuracy float64 `json:"worst_slice_accuracy"`
	MeanAccuracy       float64 `json:"mean_accuracy"`
	// NoiseSliceShare is the unlearnable slice's part of the training samples.
	NoiseSliceShare float64 `json:"noise_slice_share"`
	// SamplesToWorst is after how many samples the worst slice first was .35
	// accurate; nil if it never was.
	SamplesToWorst *int `json:"samples_to_worst_035"`
}

type demoDataset struct {
	Version  string      `json:"version"`
	Manifest loop.Digest `json:"manifest_sha256"`
	Samples  int64       `json:"samples"`
}

// worstGoal is the accuracy that samples_to_worst_035 asks for.
const worstGoal = .35

// result asks the service what became of both arms, and counts their manifests
// itself.
func (d *demo) result(ctx context.Context, hone, uniform []shapes.Score) (*demoResult, error) {
	r := &demoResult{Rounds: d.size.rounds, Samples: demoSamples{QuotaExact: true}}
	for _, arm := range []struct {
		name   string
		scores []shapes.Score
		to     *demoArm
	}{{armLoop, hone, &r.Loop}, {armUniform, uniform, &r.Uniform}} {
		last := arm.scores[len(arm.scores)-1]
		*arm.to = demoArm{WorstSliceAccuracy: last.Worst(), MeanAccuracy: last.Mean}
		if n, ok := shapes.SamplesTo(arm.scores, worstGoal); ok {
			arm.to.SamplesToWorst = &n
		}
		c, err := d.client.Campaign(ctx, arm.name)
		if err != nil {
			return nil, err
		}
		r.Samples.Requested += c.Requested
		r.Samples.Committed += c.Committed
		r.Samples.Rejected += c.Rejected
		r.Samples.Replaced += c.Replaced
		r.Samples.Abandoned += c.Abandoned
		listed, distinct, err := d.count(ctx, arm.name)
		if err != nil {
			return nil, err
		}
		r.Samples.DuplicateIndices += listed - distinct
		r.Samples.QuotaExact = r.Samples.QuotaExact && c.State == api.CampaignDone &&
			c.Committed == c.Requested && distinct == c.Requested && listed == distinct
		if arm.to.NoiseSliceShare, err = d.noiseShare(ctx, arm.name, c.Sequence); err != nil {
			return nil, err
		}
	}
	version, err := d.client.Dataset(ctx, armLoop, d.size.rounds)
	if err != nil {
		return nil, err
	}
	r.Dataset = demoDataset{Version: fmt.Sprintf("%s@%d", version.Name, version.Version), Manifest: version.Manifest, Samples: version.Samples}
	r.Elapsed = float64(time.Since(d.started).Round(100*time.Millisecond)) / float64(time.Second)
	return r, nil
}

// count reads an arm's last manifest and counts its lines and the indices that
// they name.
func (d *demo) count(ctx context.Context, arm string) (listed, distinct uint64, err error) {
	type index struct {
		round, component int
		index            uint64
	}
	seen := map[index]bool{}
	for row, err := range d.client.Manifest(ctx, arm, d.size.rounds) {
		if err != nil {
			return 0, 0, err
		}
		listed++
		seen[index{row.Round, row.Component, row.Index}] = true
	}
	return listed, uint64(len(seen)), nil
}

// noiseShare is the unlearnable slice's part of an arm's training samples.
func (d *demo) noiseShare(ctx context.Context, arm string, atLeast uint64) (float64, error) {
	slice := shapes.Unlearnable()
	var inside []string
	for _, factor := range slices.Sorted(maps.Keys(slice)) {
		inside = append(inside, fmt.Sprintf(`"%s" = '%s'`, factor, slice[factor]))
	}
	table, err := d.client.SQL(ctx, fmt.Sprintf(
		`select avg((coalesce(%s, false))::int)::double from shapes.samples where campaign = '%s' and split = 'train'`,
		strings.Join(inside, " and "), arm), atLeast)
	if err != nil {
		return 0, err
	}
	if len(table.Rows) != 1 || len(table.Rows[0]) != 1 {
		return 0, fmt.Errorf("noise share of %s: the answer has no number", arm)
	}
	share, ok := table.Rows[0][0].(json.Number)
	if !ok {
		return 0, fmt.Errorf("noise share of %s: the answer has no number", arm)
	}
	return share.Float64()
}
