package gpuworker

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// HubOptions configure a hub. Dispatcher and Receiver are required.
type HubOptions struct {
	Dispatcher Dispatcher
	Receiver   Receiver
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// MaxWorkers is how many connections are open at most; further ones are
	// answered 503. Default 10,000.
	MaxWorkers int
	// Grace is how long a stopping hub waits for deliveries that are being judged.
	// Default 10 s.
	Grace time.Duration
	// PingEvery, PongWithin and WriteWithin are when a silent peer is pinged, how
	// long it may stay silent, and how long one frame may take to be written.
	// Defaults 10 s, 25 s, 10 s.
	PingEvery, PongWithin, WriteWithin time.Duration
}

// Hub is the server's end of the workers' sockets: GET /v1/workers.
type Hub struct {
	o HubOptions
}

// NewHub returns a hub; it starts nothing.
func NewHub(o HubOptions) *Hub { return &Hub{o: o} }

// Run lets workers in until ctx ends. Then it hands out nothing more, says bye,
// lets deliveries that are being judged come to their end for at most Grace, and
// returns when every connection is closed.
func (h *Hub) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// ServeHTTP takes one worker's connection and returns when it has ended. Before
// Run has begun and after its ctx has ended it answers 503.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {}
