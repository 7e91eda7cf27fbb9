package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// peer is a queue of work that others have written: the program of bench/peers runs
// it, from nothing, for each reading.
type peer struct {
	o    *dispatchOptions
	kind string
}

// contending are the peers that were asked for, or all that can be started here.
func (o *dispatchOptions) contending(ctx context.Context) ([]contender, error) {
	if o.peers == "" {
		return nil, nil
	}
	out, err := exec.CommandContext(ctx, o.peers, "--peer", "list").Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.peers, err)
	}
	kinds, err := chosenOf("peer", o.kinds, strings.Fields(string(out)))
	if err != nil {
		return nil, err
	}
	var all []contender
	for _, kind := range slices.Compact(kinds) {
		all = append(all, &peer{o, kind})
	}
	return all, nil
}

func (p *peer) name() string { return p.kind }

func (p *peer) close() error { return nil }

func (p *peer) read(ctx context.Context, connections int) (r reading, err error) {
	window := max(connections, p.o.window)
	command := exec.CommandContext(ctx, p.o.peers, "--peer", p.kind, "--connections", strconv.Itoa(connections), "--window", strconv.Itoa(window),
		"--payload", strconv.Itoa(p.o.payload), "--seconds", p.o.seconds.String(), "--dir", p.o.dir)
	var problems bytes.Buffer
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil {
		return r, fmt.Errorf("%s: %w\n%s", p.o.peers, err, problems.String())
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var m measure
		if err := decoder.Decode(&m); err != nil {
			return r, fmt.Errorf("%s: %w", p.o.peers, err)
		}
		r.measures = append(r.measures, m)
	}
	if len(r.measures) == 0 || !strings.HasSuffix(r.measures[0].Name, "/units") {
		return r, errors.New("the peer has said nothing of units")
	}
	r.rate, r.note = r.measures[0].Value, r.measures[0].Note
	r.measures = r.measures[1:]
	return r, nil
}
