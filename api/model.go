package api

// Seal is the body of POST /v1/models/LINE/VERSION/seal.
type Seal struct {
	Rows int64 `json:"rows" minimum:"0" doc:"How many rows were posted of this model version, over all posts"`
}

// Model is one model version.
type Model struct {
	ModelLine string `json:"model_line" example:"detector"`
	Version   string `json:"version" example:"7"`
	Rows      int64  `json:"rows" doc:"How many outcome rows count"`
	Sealed    bool   `json:"sealed"`
	Sequence  uint64 `json:"sequence,omitempty" doc:"The change that sealed it, or the latest post"`
}

// ModelList answers GET /v1/models, by line, in the order of first posts.
type ModelList struct {
	Models []Model `json:"models"`
}
