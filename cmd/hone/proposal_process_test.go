package main

import (
	"fmt"

	"hone/api"
)

// proposal waits until a round of a campaign is proposed and waits for approval.
func (c *crew) proposal(campaign string, n int) (p api.Proposal) {
	c.t.Helper()
	c.await(fmt.Sprintf("a proposal of round %d of %s", n, campaign), func() bool {
		list, err := c.client.Proposals(c.ctx, campaign)
		if err != nil || len(list) == 0 {
			return false
		}
		p = list[len(list)-1]
		return p.Round == n && p.State == api.ProposalWaiting
	})
	return p
}
