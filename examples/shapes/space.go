package shapes

import _ "embed"

// SpaceDocument is space.yaml: what may vary in the pictures, as a user would
// put it.
//
//go:embed space.yaml
var SpaceDocument []byte
