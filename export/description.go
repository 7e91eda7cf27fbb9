package export

import (
	"hone/api"
	"hone/loop"
)

// Description says of an export that is whole what it holds and where that comes
// from. It is the file dataset.json.
type Description struct {
	Head
	Dir     string `json:"-"` // where it lies
	Samples int64  `json:"samples"`
	Bytes   int64  `json:"bytes"` // of all shards
	Split   string `json:"split"`
	// Advisory is what was known of the version beyond its manifest, when it was
	// exported.
	Advisory string          `json:"advisory,omitempty"`
	Space    string          `json:"space"`
	Factors  []api.RowFactor `json:"factors"`
	Labels   []string        `json:"labels,omitempty"`
	Lineage  Lineage         `json:"lineage"`
	Shards   []Shard         `json:"shards"`
}

// Lineage is where the samples come from; every one of them leads further
// by its round, component and index.
type Lineage struct {
	Campaign  string `json:"campaign"`
	Policy    string `json:"policy,omitempty"`
	Generator string `json:"generator"`
	Seed      uint64 `json:"seed"`
	Document  string `json:"document"`
	// Origin is of samples that were imported, which have nothing of the others.
	Origin string `json:"origin,omitempty"`
}

// Head says what an export is of. Two exports with one head have the same
// shards.
type Head struct {
	Hone         string      `json:"hone"`    // headFormat
	Dataset      string      `json:"dataset"` // NAME@VERSION
	Manifest     loop.Digest `json:"manifest_sha256"`
	Format       string      `json:"format"`
	ShardSamples int         `json:"shard_samples"`
	ShardBytes   int64       `json:"shard_bytes"`
}

// headFormat names this layout of Head, Shard and Description.
const headFormat = "export/1"

// Shard is a shard that is whole: a line of the journal.
type Shard struct {
	File    string      `json:"file"`
	SHA256  loop.Digest `json:"sha256"`
	Bytes   int64       `json:"bytes"` // of the file
	Samples int64       `json:"samples"`
	// Members are those that a sample of the shard may have.
	Members []string `json:"members"`
}
