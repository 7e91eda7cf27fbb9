package api

// The states of a campaign.
const (
	CampaignRunning   = "running"
	CampaignPaused    = "paused"
	CampaignDone      = "done"
	CampaignDoneShort = "done_short"
	CampaignClosed    = "closed"
)

// Counts is the accounting of some samples: at every moment requested =
// committed + abandoned + in_flight + pending (I3).
type Counts struct {
	Requested uint64 `json:"requested" doc:"How many samples were asked for, over all rounds, opened or not"`
	Committed uint64 `json:"committed" doc:"How many passed every gate and count"`
	Rejected  uint64 `json:"rejected" doc:"How many attempts a gate sent back"`
	Replaced  uint64 `json:"replaced" doc:"How many of the committed are not a first attempt"`
	Abandoned uint64 `json:"abandoned" doc:"How many were given up after the last attempt allowed"`
	InFlight  uint64 `json:"in_flight" doc:"How many are being made or judged"`
	Pending   uint64 `json:"pending" doc:"How many nobody makes yet"`
}

// Campaign is what `campaign show` shows. Its counts are of training samples;
// those of evaluation samples stand apart.
type Campaign struct {
	Name  string `json:"name" example:"loop"`
	State string `json:"state" enum:"running,paused,done,done_short,closed" doc:"done: every quota is committed; done_short: some samples were abandoned, see reasons"`
	Counts
	Round      int      `json:"round" doc:"The latest round, from 1; 0 before the first is decided"`
	Rounds     int      `json:"rounds" doc:"How many rounds there will be"`
	Evaluation *Counts  `json:"evaluation,omitempty" doc:"The accounting of the evaluation samples, if the campaign makes any"`
	Space      string   `json:"space" doc:"The space and its version, NAME@VERSION"`
	Policy     string   `json:"policy" doc:"The policy and its version, NAME@VERSION; empty for a campaign that makes what it lists"`
	Generator  string   `json:"generator"`
	Owner      string   `json:"owner,omitempty"`
	Seed       uint64   `json:"seed"`
	Waiting    string   `json:"waiting,omitempty" example:"a worker with generator shapes" doc:"What the campaign waits for, if it does"`
	Reasons    []string `json:"reasons,omitempty" doc:"Why samples were abandoned or the campaign stopped"`
	Document   string   `json:"document,omitempty" doc:"The campaign's source text"`
	Sequence   uint64   `json:"sequence,omitempty" doc:"Up to which change this was counted"`
}

// CampaignSummary is one campaign of a list.
type CampaignSummary struct {
	Name      string `json:"name"`
	State     string `json:"state" enum:"running,paused,done,done_short,closed"`
	Space     string `json:"space"`
	Requested uint64 `json:"requested"`
	Committed uint64 `json:"committed"`
	Round     int    `json:"round"`
	Rounds    int    `json:"rounds"`
}

// CampaignList answers GET /v1/campaigns, by name.
type CampaignList struct {
	Campaigns []CampaignSummary `json:"campaigns"`
}
