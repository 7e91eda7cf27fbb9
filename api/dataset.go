package api

import (
	"strings"
	"unicode/utf8"

	"hone/loop"
)

// Dataset is one published version of a dataset.
type Dataset struct {
	Name     string      `json:"name" example:"loop"`
	Version  int         `json:"version" example:"3"`
	Samples  int64       `json:"samples"`
	Manifest loop.Digest `json:"manifest_sha256" doc:"The digest of the manifest's bytes"`
	Sequence uint64      `json:"sequence"`
	Campaign string      `json:"campaign" doc:"Whose samples it holds; empty if it was imported"`
	Split    string      `json:"split" enum:"train,probe,evaluation"`
	Advisory string      `json:"advisory,omitempty" doc:"What became known about the version after it was published"`
	Origin   string      `json:"origin,omitempty" enum:"real,synthetic" doc:"What the samples of an imported version are"`
}

// Import is the body of POST /v1/datasets/NAME/import. Before it, each unit's
// samples were staged as one tar, samples.tar, and beside it rows.ndjson, a row
// per sample: by the worker hone-import, under the unit's id, in which the campaign
// is NAME, the round 1 and the component 0.
type Import struct {
	Space  string       `json:"space" example:"shapes" doc:"The space by which the samples' scenarios are told; its latest version"`
	Split  string       `json:"split" enum:"train,evaluation"`
	Origin string       `json:"origin" enum:"real,synthetic"`
	Units  []ImportUnit `json:"units" minItems:"1" maxItems:"20000" doc:"What was staged, in order"`
}

// ImportUnit is one staged unit of an import.
type ImportUnit struct {
	Samples int         `json:"samples" minimum:"1" maximum:"512"`
	Rows    loop.Digest `json:"rows_sha256" doc:"The digest of its rows.ndjson"`
}

// ImportRow is a line of rows.ndjson.
type ImportRow struct {
	Example  string         `json:"example" doc:"What outcomes call the sample"`
	Scenario map[string]any `json:"scenario,omitempty" doc:"A level by factor, or the value of a numeric one; what is left out is not known"`
	Digest   loop.Digest    `json:"digest" doc:"The sample's"`
	Bytes    int64          `json:"bytes" doc:"How many the sample has in samples.tar"`
}

// How the units of an import are staged.
const (
	ImportWorker = "hone-import"
	ImportRows   = "rows.ndjson"
)

// ValidExample reports whether outcomes can name an example so: by 1 to 1024 bytes
// of UTF-8 without control characters.
func ValidExample(name string) bool {
	return name != "" && len(name) <= 1024 && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// ImportedUnit names the unit of an import that begins with the sample first.
func ImportedUnit(name string, domain loop.Domain, first uint64, samples int) loop.Unit {
	return loop.Unit{Campaign: name, Domain: domain, Round: 1, First: first, Count: samples}
}

// Imported answers POST /v1/datasets/NAME/import.
type Imported struct {
	Dataset
	Created bool `json:"created" doc:"false: the latest version holds just that already"`
}

// Publish is the body of POST /v1/datasets.
type Publish struct {
	Name  string            `json:"name" example:"dark-metal" doc:"Of the dataset; its next version is published"`
	From  string            `json:"from" example:"loop@12" doc:"The version to take samples from; the latest without @VERSION"`
	Where map[string]string `json:"where,omitempty" doc:"Only samples with these levels, by factor"`
}

// Published answers POST /v1/datasets.
type Published struct {
	Dataset
	Created bool  `json:"created" doc:"false: the latest version holds just that already"`
	Revoked int64 `json:"revoked" doc:"How many samples were left out because they were revoked since"`
}

// DatasetList answers GET /v1/datasets (the latest version of each, by name)
// and GET /v1/datasets/NAME (its versions, from the first).
type DatasetList struct {
	Datasets []Dataset `json:"datasets"`
}

// ManifestRow is one line of a manifest behind its header line (C26).
type ManifestRow struct {
	Round     int         `json:"round"`
	Component int         `json:"component"`
	Index     uint64      `json:"index"`
	Attempt   int         `json:"attempt"`
	Digest    loop.Digest `json:"digest"`
	Weight    float64     `json:"importance_weight"`
	Split     string      `json:"split"`
}

// Wanted is the body of POST /v1/samples.
type Wanted struct {
	Digests []loop.Digest `json:"digests" minItems:"1" maxItems:"512"`
}

// MaxWanted is the most samples that one request may ask for.
const MaxWanted = 512
