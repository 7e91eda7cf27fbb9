package api

// Collect is the body of POST /v1/lake/collect.
type Collect struct {
	DryRun bool `json:"dry_run,omitempty" doc:"Delete nothing, and say what would be deleted if nothing were under way now"`
}

// Collected says what a collection has deleted, or would delete.
type Collected struct {
	DryRun bool `json:"dry_run,omitempty"`
	// Epoch is the open one: what was collected is of those before it, and of a dry
	// run of the open one, too.
	Epoch    uint64          `json:"epoch" doc:"The lake's open epoch: what is put from now on is put under it, and never collected before it is closed"`
	Sequence uint64          `json:"sequence" doc:"The change up to which it was read what is referenced"`
	Kinds    []CollectedKind `json:"kinds"`
}

// CollectedKind counts the objects of a kind in the epochs that were looked at.
type CollectedKind struct {
	Kind      string `json:"kind" enum:"packs,parts,manifests,evidence"`
	Objects   int64  `json:"objects" doc:"How many nothing referenced"`
	Bytes     int64  `json:"bytes"`
	Kept      int64  `json:"kept" doc:"How many are referenced"`
	KeptBytes int64  `json:"kept_bytes"`
}
