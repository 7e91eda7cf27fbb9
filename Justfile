# Shortcuts; every one is a command that can be typed as well. `just --list` shows them.

# What the DuckDB driver needs for Arrow; without it analytics does not build.
tags := "duckdb_arrow"

# List the recipes.
default:
    @just --list

# The whole loop on this machine, e.g. `just demo --quick`.
demo *args:
    go run -tags {{tags}} ./cmd/hone demo {{args}}

# All tests, as the README has them.
test *args:
    go test -tags {{tags}} {{args}} ./...

# The linter in its pinned version, installed on first use.
lint *args:
    .ci/lint {{args}}

# The Python package and examples: ruff, mypy, pytest, e.g. `just python -k kill`.
python *args:
    .ci/python {{args}}

# All tests under the race detector.
race *args:
    go test -race -tags {{tags}} -timeout 40m {{args}} ./...

# Server, workers and training job killed with -9 at nine moments a time, so many times over; each judged from the disk alone.
kill times="20":
    HONE_KILLS={{times}} go test -tags {{tags}} -timeout 60m -run TestKilled -v ./cmd/hone

# Three servers, ten workers and their clients as real processes under every fault there is, judged by an independent checker; as root, for networks that can be cut and disks whose power fails.
torture time="60m":
    HONE_TORTURE={{time}} go test -tags {{tags}},faults -timeout 3h -run 'TestTorture$' -v ./cmd/hone

# Cluster, workers and clients under one seed after another, with everything going wrong that may; a failing seed prints how to see it again.
simulate time="10m":
    HONE_SIMULATION={{time}} go test -timeout 0 -run 'TestSimulation$' -v ./coordinator/simulation

# Bugs on purpose, one after another: each must be caught, and the table says by what.
plants:
    go test -tags faults,{{tags}} -run TestPlants -count 1 -v ./fault

# Every fuzz target in turn. Go spends up to a minute per find on making it smaller, which is all of the time: ten tries instead.
fuzz time="60s":
    #!/usr/bin/env bash
    set -euo pipefail
    ran=0
    while IFS=: read -r file line; do
        target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/' <<<"$line")
        printf '\n== %s %s\n' "$(dirname "$file")" "$target"
        go test -tags {{tags}} -run '^$' -fuzz "^$target\$" -fuzztime {{time}} -fuzzminimizetime 10x "./$(dirname "$file")"
        ran=$((ran + 1))
    done < <(git ls-files '*_test.go' | xargs grep -HE '^func Fuzz[A-Za-z0-9_]+\(')
    printf '\n%d fuzz targets, no crash\n' "$ran"
    ((ran > 0))

# Go benchmarks, then that of decisions: an hour on two cores; it goes on where it was stopped. E.g. `just bench --part recall --seeds 2`.
bench *args:
    go test -tags {{tags}} -run '^$' -bench . -benchmem ./...
    go run -tags {{tags}} ./bench decision {{args}}

# The cycle of a unit on three nodes, and in turn with it that of other queues: 40 minutes on two cores, most of it failovers.
dispatch *args:
    cd bench/peers && go build -o ../../.peers .
    go run -tags {{tags}} ./bench dispatch --peers ./.peers {{args}}

# Ten fresh seeds of the loop against uniform, one JSON line each; goes on where it was stopped.
accept *args:
    go run -tags {{tags}} ./bench accept {{args}}

# Format, and take the modern idiom where there is one.
fmt:
    go fix -tags {{tags}} ./...
    gofmt -w $(git ls-files '*.go')

# All that CI runs.
ci:
    bash .ci/run
