//go:build !cgo

package analytics

// DuckDB is C++: this package needs CGO_ENABLED=1 and a C compiler. The packages
// that do without are all others but cmd/hone.
var _ = build_with_CGO_ENABLED_1_and_a_C_compiler
