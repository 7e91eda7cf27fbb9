package api

// Query is the body of POST /v1/sql.
type Query struct {
	Query   string `json:"query" minLength:"1" maxLength:"1048576" example:"select light, avg(correct::int) from shapes.outcomes group by light"`
	AtLeast uint64 `json:"at_least,omitempty" doc:"Wait until the answer has seen this sequence"`
}

// Table is the answer to a query: every row has one value per column. Numbers
// read by this package's Client are json.Number, so that no digit is lost.
type Table struct {
	Columns  []string `json:"columns"`
	Rows     [][]any  `json:"rows"`
	Sequence uint64   `json:"sequence" doc:"Up to which change the answer has seen everything"`
	// Truncated answers end at the server's bound on rows.
	Truncated bool `json:"truncated,omitempty" doc:"Whether there were more rows than one answer may have"`
}

// Status is how a node and its fleet are.
type Status struct {
	Version       string            `json:"version" doc:"The build"`
	Node          string            `json:"node"`
	Role          string            `json:"role" enum:"leader,follower,candidate" doc:"What the node is at the moment"`
	Leader        string            `json:"leader,omitempty" doc:"The address of the leader, if one is known"`
	UptimeSeconds float64           `json:"uptime_seconds"`
	Sequence      uint64            `json:"sequence" doc:"The latest change"`
	ViewSequence  uint64            `json:"view_sequence" doc:"Up to which change queries see everything"`
	Campaigns     []CampaignSummary `json:"campaigns"`
	Workers       []Worker          `json:"workers"`
}

// Worker is a connected worker.
type Worker struct {
	Name       string   `json:"name"`
	Type       string   `json:"type,omitempty" doc:"The hardware, e.g. H100"`
	Slots      int      `json:"slots"`
	Busy       int      `json:"busy" doc:"How many units it makes at the moment"`
	Generators []string `json:"generators" doc:"NAME@VERSION"`
	Committed  uint64   `json:"committed" doc:"How many samples of it were committed since it connected"`
	Rejected   uint64   `json:"rejected"`
	// Rate is learned from its latest units.
	Rate float64 `json:"samples_per_second,omitempty"`
}
