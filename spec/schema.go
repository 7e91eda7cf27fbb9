package spec

import (
	_ "embed" // the schemas are files, so that editors can be pointed at them
	"slices"
)

//go:embed schemas/space.json
var spaceSchema []byte

//go:embed schemas/policy.json
var policySchema []byte

//go:embed schemas/campaign.json
var campaignSchema []byte

// SpaceSchema is the JSON Schema (2020-12) of a space document. A schema holds
// the shape; sums, references and feasibility are checked by ParseSpace alone.
func SpaceSchema() []byte { return slices.Clone(spaceSchema) }

// PolicySchema is the JSON Schema (2020-12) of a policy document.
func PolicySchema() []byte { return slices.Clone(policySchema) }

// CampaignSchema is the JSON Schema (2020-12) of a campaign document.
func CampaignSchema() []byte { return slices.Clone(campaignSchema) }
