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
// committed + abandoned + in_flight + pending (I3). Of a closed campaign requested
// is what its rounds still answer for.
type Counts struct {
	Requested uint64 `json:"requested" doc:"How many samples were asked for, over all rounds, opened or not; of a closed campaign, how many it had set about making"`
	Committed uint64 `json:"committed" doc:"How many passed every gate and count"`
	Rejected  uint64 `json:"rejected" doc:"How many attempts a gate sent back"`
	Replaced  uint64 `json:"replaced" doc:"How many of the committed are not a first attempt"`
	Abandoned uint64 `json:"abandoned" doc:"How many were given up after the last attempt allowed"`
	InFlight  uint64 `json:"in_flight" doc:"How many are being made or judged"`
	Pending   uint64 `json:"pending" doc:"How many nobody makes yet"`
	GivenUp   uint64 `json:"given_up,omitempty" doc:"How many more a closed campaign had been asked for: requested + given_up is what its document asks for"`
}

// Campaign is what `campaign show` shows. Its counts are of training samples;
// those of evaluation samples stand apart.
type Campaign struct {
	Name  string `json:"name" example:"loop"`
	State string `json:"state" enum:"running,paused,done,done_short,closed" doc:"done: every quota is committed; done_short: some samples were abandoned, see reasons; paused: nothing is decided or handed out until it is resumed; closed: it was ended by hand"`
	Counts
	Round        int         `json:"round" doc:"The latest round, from 1; 0 before the first is decided"`
	Rounds       int         `json:"rounds" doc:"How many rounds there will be"`
	FirstSamples uint64      `json:"first_samples,omitempty" doc:"How many training samples the first round makes, where each round makes more than the one before; rounds are even without it"`
	Evaluation   *Counts     `json:"evaluation,omitempty" doc:"The accounting of the evaluation samples, if the campaign makes any"`
	Space        string      `json:"space" doc:"The space and its version, NAME@VERSION"`
	Policy       string      `json:"policy" doc:"The policy and its version, NAME@VERSION; empty for a campaign that makes what it lists"`
	Canary       *Canary     `json:"canary,omitempty" doc:"The version of the policy that it tries beside that one"`
	Generator    string      `json:"generator"`
	Owner        string      `json:"owner,omitempty"`
	Seed         uint64      `json:"seed"`
	Waiting      string      `json:"waiting,omitempty" example:"a worker with generator shapes" doc:"What the campaign waits for, if it does"`
	Reasons      []string    `json:"reasons,omitempty" doc:"Why samples were abandoned or the campaign stopped"`
	Proposal     *Proposal   `json:"proposal,omitempty" doc:"The last proposal of the next round, where the campaign decides by proposals"`
	Steered      *Steered    `json:"steered,omitempty" doc:"Who paused, resumed or closed it last, when and why"`
	Samples      uint64      `json:"samples,omitempty" doc:"How many training samples it asks for in all, by its latest version"`
	Money        float64     `json:"money,omitempty" doc:"The most that it may cost, by its latest version; missing: there is no bound"`
	Version      int         `json:"version,omitempty" doc:"The version of what the campaign asks for, from 1; each extension makes the next"`
	Amendments   []Amendment `json:"amendments,omitempty" doc:"The versions from the second on"`
	Document     string      `json:"document,omitempty" doc:"The campaign's source text"`
	Sequence     uint64      `json:"sequence,omitempty" doc:"Up to which change this was counted"`
}

// Canary is a version of a policy that campaigns try beside the one that they follow.
type Canary struct {
	Policy string  `json:"policy" example:"careful@5"`
	Share  float64 `json:"share" doc:"Of every round's training samples" example:"0.1"`
}

// Ended reports whether nothing more will come of the campaign by itself: its
// last round is published, and of a closed one all that was in flight is settled.
func (c *Campaign) Ended() bool {
	if c.Waiting != "" {
		return false
	}
	switch c.State {
	case CampaignDone, CampaignDoneShort:
		return true
	case CampaignClosed:
		open := c.Pending + c.InFlight
		if c.Evaluation != nil {
			open += c.Evaluation.Pending + c.Evaluation.InFlight
		}
		return open == 0
	}
	return false
}

// Steered is who paused, resumed or closed a campaign, when and why.
type Steered struct {
	To     string `json:"to" enum:"running,paused,closed"`
	At     string `json:"at" format:"date-time"`
	Author string `json:"author,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Amendment is a later version of what a campaign asks for.
type Amendment struct {
	Version int     `json:"version" doc:"From 2"`
	Samples uint64  `json:"samples" doc:"Training samples in all"`
	Rounds  int     `json:"rounds" doc:"Rounds in all"`
	Money   float64 `json:"money,omitempty" doc:"The most that it may cost; missing where that stayed as it was"`
	Policy  string  `json:"policy,omitempty" doc:"NAME@VERSION of the policy that it followed from then on; empty where that stayed as it was"`
	At      string  `json:"at" format:"date-time"`
	Author  string  `json:"author,omitempty"`
	Reason  string  `json:"reason,omitempty"`
}

// Steer says who pauses, resumes or closes a campaign, and why.
type Steer struct {
	Author string `json:"author,omitempty" maxLength:"128" example:"ann"`
	Reason string `json:"reason,omitempty" maxLength:"1024" example:"the GPUs are needed elsewhere"`
}

// Extend sets what a campaign asks for in all, so that the same request again
// changes nothing. What is left out stays as it is.
type Extend struct {
	Samples *uint64  `json:"samples,omitempty" doc:"Training samples in all, never fewer than the rounds so far have decided on" example:"9000"`
	Rounds  *int     `json:"rounds,omitempty" minimum:"1" doc:"Rounds in all, never fewer than there are" example:"8"`
	Money   *float64 `json:"money,omitempty" exclusiveMinimum:"0" maximum:"1e12" doc:"The most that it may cost in all, by its price. Where the samples follow from that and none are named, each round to come is planned as the first was"`
	Version int      `json:"version,omitempty" minimum:"0" doc:"The campaign's version that the numbers were computed from; refused if it is another by now"`
	Steer
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
