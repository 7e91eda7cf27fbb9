package api

// Put answers the put of a space, policy or campaign. The same content again is
// the same version, and Created is false.
type Put struct {
	Name    string `json:"name" example:"shapes"`
	Version int    `json:"version" example:"1"`
	Created bool   `json:"created" doc:"Whether this put made the version; false if the same content was there already"`
}

// Definition is a space or policy as its author wrote it.
type Definition struct {
	Name     string `json:"name" example:"shapes"`
	Version  int    `json:"version" example:"1"`
	Versions int    `json:"versions,omitempty" example:"1" doc:"How many versions there are"`
	Owner    string `json:"owner,omitempty"`
	Document string `json:"document" doc:"The source text, YAML or JSON, byte for byte as it was put"`
	// At is in RFC 3339, UTC.
	At string `json:"at,omitempty" example:"2026-01-02T15:04:05Z" doc:"When the version was made"`
}

// Defined names a space or policy in a list.
type Defined struct {
	Name    string `json:"name" example:"shapes"`
	Version int    `json:"version" example:"1" doc:"The latest version"`
	Owner   string `json:"owner,omitempty"`
}

// SpaceList answers GET /v1/spaces, by name.
type SpaceList struct {
	Spaces []Defined `json:"spaces"`
}

// PolicyList answers GET /v1/policies, by name.
type PolicyList struct {
	Policies []Defined `json:"policies"`
}
