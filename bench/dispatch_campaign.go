package main

import (
	"context"
	"fmt"

	"hone/loop"
)

// maker is what the benchmark's workers are, and what its campaign asks for.
var maker = loop.Generator{Name: "bench", Version: "1"}

const dispatchSpace = `name: bench
factors:
  - {name: light, kind: categorical, levels: {day: 0.5, night: 0.5}}
`

const dispatchCampaign = `name: bench
space: bench
generator: bench
seed: 1
make: [{count: %d}]
unit_size: %d
`

// work gives the cluster more to do than anybody will.
func (c *cluster) work(ctx context.Context, unit int) error {
	if _, err := c.client.PutSpace(ctx, []byte(dispatchSpace)); err != nil {
		return err
	}
	if _, err := c.client.CreateCampaign(ctx, fmt.Appendf(nil, dispatchCampaign, 1<<30, unit)); err != nil {
		return err
	}
	return until(ctx, startWithin, "the round opens", func() bool {
		_, err := c.client.Round(ctx, "bench", 1, 0)
		return err == nil
	})
}

// committed is how many samples the cluster says it has.
func (c *cluster) committed(ctx context.Context) (uint64, error) {
	campaign, err := c.client.Campaign(ctx, "bench")
	return campaign.Committed, err
}
