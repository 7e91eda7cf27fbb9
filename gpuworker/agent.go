package gpuworker

import (
	"context"
	"io"
	"log/slog"
	"time"

	"hone/loop"
)

// AgentOptions configure an agent. Server, Name, Dir and at least one generator
// are required.
type AgentOptions struct {
	// Server is the coordinator's base URL, e.g. "http://127.0.0.1:7070".
	Server string
	// Name is stable over restarts and unique among the fleet.
	Name string
	// Slots is how many units are made at a time. Default 1.
	Slots int
	// Type names the hardware, e.g. "H100". Default "cpu".
	Type string
	// Dir is the worker's own directory (C19): what it has made and has had no
	// verdict on stays there over crashes (C9). It is created if missing, and
	// belongs to one agent at a time.
	Dir        string
	Generators []Generator
	// Stage uploads a unit's bundle. Default: PUT to the server's
	// /v1/staging/WORKER/UNIT/samples.tar.
	Stage Stage
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// UnitTimeout is how long a generator may take for one unit. Default 10 min.
	UnitTimeout time.Duration
	// Grace is how long a stopping agent goes on finishing what it has begun and
	// delivering what it has made. Default 10 s.
	Grace time.Duration
	// MaxHeld is how many finished units may wait for their verdict before no
	// more work is asked for. Default 32 + 4×Slots.
	MaxHeld int
	// MinBackoff and MaxBackoff bound the pauses between attempts to connect or to
	// deliver; each is drawn between half and all of a bound that doubles.
	// Defaults 100 ms and 10 s.
	MinBackoff, MaxBackoff time.Duration
	// PingEvery, PongWithin and WriteWithin are as in HubOptions.
	PingEvery, PongWithin, WriteWithin time.Duration
}

// Stage puts a unit's bundle into the worker's staging area and returns when it
// is durable there. It may be called again for a unit that is staged already. A
// *loop.Error refuses the bundle for good; after any other error it is tried
// again. Bundle is at its beginning and has size bytes.
type Stage func(ctx context.Context, unit loop.Unit, bundle io.ReadSeeker, size int64) error

// Agent is the worker's end: it asks for work, has generators make it, and keeps
// what it has made until it is committed.
type Agent struct {
	o AgentOptions
}

// NewAgent checks the options; it starts nothing and touches no file.
func NewAgent(o AgentOptions) (*Agent, error) { return &Agent{o: o}, nil }

// Run works until ctx ends and then drains: it takes no more, finishes what it
// has begun and delivers it, for at most Grace, and returns nil. It connects
// again by itself for ever. It returns an error only where trying again cannot
// help: the server refuses the worker for good, the directory cannot be used,
// or generators hang faster than they end.
func (a *Agent) Run(ctx context.Context) error { <-ctx.Done(); return nil }
