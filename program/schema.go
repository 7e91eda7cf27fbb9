package program

import (
	_ "embed" // the schemas are files, so that others can be pointed at them
	"slices"
)

//go:embed schemas/generator.json
var generatorSchema []byte

//go:embed schemas/gate.json
var gateSchema []byte

// GeneratorSchema is the JSON Schema (2020-12) of the lines that Hone and a
// generator write.
func GeneratorSchema() []byte { return slices.Clone(generatorSchema) }

// GateSchema is the JSON Schema (2020-12) of the lines that Hone and a gate
// write.
func GateSchema() []byte { return slices.Clone(gateSchema) }
