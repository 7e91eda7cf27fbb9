package api

import (
	"math"

	"hone/loop"
)

// RowsFormat is what the header line of a version's rows says of itself.
const RowsFormat = "rows/1"

// RowsHeader is the first line of GET /v1/datasets/NAME/VERSION/rows: what the
// rows behind it are of.
type RowsHeader struct {
	Hone     string      `json:"hone" example:"rows/1"`
	Dataset  string      `json:"dataset" example:"loop@3"`
	Manifest loop.Digest `json:"manifest_sha256"`
	Samples  int64       `json:"samples" doc:"Of the version; the rows may start later"`
	Campaign string      `json:"campaign"`
	Space    string      `json:"space" example:"shapes@1"`
	Factors  []RowFactor `json:"factors" doc:"What a scenario may hold, in the order of the space"`
	Labels   []string    `json:"labels,omitempty" doc:"The space's derived labels"`
}

// RowFactor is one factor of the space that the rows' scenarios are of.
type RowFactor struct {
	Name string    `json:"name"`
	Kind loop.Kind `json:"kind" enum:"categorical,ordinal,numeric"`
}

// Row is one sample of a version: its line of the manifest, and what it shows.
type Row struct {
	ManifestRow
	Key     string `json:"key" example:"r3-t2-i17-a0" doc:"The sample's name, as WebDataset wants it"`
	Seed    uint64 `json:"seed"`
	Example string `json:"example,omitempty" doc:"What the importer of an imported sample calls it"`
	Described
}

// Described is a scenario in the user's words, as generators get it. A factor
// that is absent is left out.
type Described struct {
	Scenario map[string]any    `json:"scenario" doc:"A level by factor, or the value of a numeric one; null where an importer did not know"`
	Levels   map[string]string `json:"levels,omitempty" doc:"The bin of each numeric factor"`
	Labels   map[string]string `json:"labels,omitempty" doc:"The derived labels"`
}

// DescribeImported is Describe of an imported sample, with its own values, and null
// for a factor that is not known.
func DescribeImported(space *loop.Space, s *loop.ImportedSample) Described {
	d := Describe(space, s.Scenario)
	for f, code := range s.Scenario.Codes {
		name := space.Factors[f].Name
		if code == loop.Unknown {
			d.Scenario[name] = nil
		} else if _, there := d.Scenario[name]; there && f < len(s.Values) && !math.IsNaN(s.Values[f]) {
			d.Scenario[name] = s.Values[f]
		}
	}
	return d
}

// Describe says a scenario in the words of its space.
func Describe(space *loop.Space, scenario loop.Scenario) Described {
	d := Described{Scenario: make(map[string]any, len(space.Factors))}
	for f, code := range scenario.Codes {
		if !code.IsLevel() {
			continue
		}
		name, level := space.Factors[f].Name, space.Text(f, code)
		value, numeric := space.Value(f, scenario)
		if !numeric {
			d.Scenario[name] = level
			continue
		}
		d.Scenario[name] = value
		if d.Levels == nil {
			d.Levels = make(map[string]string)
		}
		d.Levels[name] = level
	}
	for i, level := range space.Derive(scenario.Codes) {
		if !level.IsLevel() {
			continue
		}
		if d.Labels == nil {
			d.Labels = make(map[string]string)
		}
		d.Labels[space.Derived[i].Name] = space.Derived[i].Levels[level]
	}
	return d
}
