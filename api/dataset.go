package api

import "hone/loop"

// Dataset is one published version of a dataset.
type Dataset struct {
	Name     string      `json:"name" example:"loop"`
	Version  int         `json:"version" example:"3"`
	Samples  int64       `json:"samples"`
	Manifest loop.Digest `json:"manifest_sha256" doc:"The digest of the manifest's bytes"`
	Sequence uint64      `json:"sequence"`
	Campaign string      `json:"campaign"`
	Split    string      `json:"split" enum:"train,probe,evaluation"`
	Advisory string      `json:"advisory,omitempty" doc:"What became known about the version after it was published"`
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
