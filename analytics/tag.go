//go:build !duckdb_arrow

package analytics

// The DuckDB driver hands out Arrow only under its build tag:
//
//	go build -tags duckdb_arrow ./...
var _ = build_with_tags_duckdb_arrow
