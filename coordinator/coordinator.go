package coordinator

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hone/coordinator/schedule"
	"hone/loop"
)

// Gates judges deliveries: package gate's stage.
type Gates interface {
	// Judge answers one Judged per delivery, in order; lookup gives the definition
	// of a round and the names of the gates that its samples must pass. An error
	// is the stage's own, and nothing was judged.
	Judge(ctx context.Context, lookup func(campaign string, round int) (*loop.Definition, []string, error),
		epoch uint64, deliveries []loop.Delivery) ([]loop.Judged, error)
	// CheckGates refuses a list that names a gate which there is not.
	CheckGates(names []string) error
	// Import packs staged samples that were not made here, hashed again.
	Import(ctx context.Context, epoch uint64, d loop.Delivery) (loop.Judged, error)
}

// PartWriter writes what the leader makes durable before it proposes it (C17):
// package lake's.
type PartWriter interface {
	WriteSamples(ctx context.Context, epoch uint64, space *loop.Space, rows []loop.SampleRow) (loop.Object, error)
	WriteVerdicts(ctx context.Context, epoch uint64, space *loop.Space, rows []loop.VerdictRow) (loop.Object, error)
	PutEvidence(ctx context.Context, epoch uint64, lines int64, encoded []byte) (loop.Object, error)
	// WriteManifest writes a manifest and the address object beside it (C26).
	WriteManifest(ctx context.Context, epoch uint64, name string, rows int64, samples iter.Seq2[loop.ManifestRow, loop.Address]) (manifest, addresses loop.Object, err error)
}

// Staging is where workers leave bytes for the gates (C19): package lake's.
type Staging interface {
	Stage(ctx context.Context, worker, unitID, name string, r io.Reader) (int64, error)
	OpenStaged(ctx context.Context, worker, unitID, name string) (io.ReadCloser, int64, error)
	Sweep(ctx context.Context, worker, unitID string) error
	StagedUnits(ctx context.Context, worker string) ([]loop.Unit, error)
}

// View answers from state and lake: package analytics'.
type View interface {
	// Evidence waits for q.AtLeast and says at which sequence it was read.
	Evidence(ctx context.Context, q loop.EvidenceQuery) (loop.Evidence, uint64, error)
	// Committed yields samples in the order of (round, component, index).
	Committed(ctx context.Context, s loop.Selection) iter.Seq2[loop.CommittedSample, error]
	// Locate finds committed samples' bytes; a digest it does not know is left out.
	Locate(ctx context.Context, digests []loop.Digest) (map[loop.Digest]loop.Address, error)
	// Imported reads samples of an imported version from an index on, with the space
	// by whose codes they are told.
	Imported(ctx context.Context, space, set string, version int, from uint64, limit int, atLeast uint64) (*loop.Space, []loop.ImportedSample, error)
}

// Options configure a coordinator.
type Options struct {
	Node    *Node
	Gates   Gates
	Parts   PartWriter
	Staging Staging
	// Collection is the lake again, for who collects its garbage, and Merger for who
	// merges parts; without it none are.
	Collection Collection
	Merger     Merger
	View       View
	Logger     *slog.Logger
	// Build is the program's version: rounds say which build decided them.
	Build string
	// Schedule tunes who gets which unit.
	Schedule schedule.Options
	// ReconnectWindow is how long a new leader waits for the workers of the one
	// before it to announce what they hold, before it hands out open indices
	// that may be with them (C2). Default 2 s.
	ReconnectWindow time.Duration
	// MergeParts is how many small parts of a kind and space are merged into one.
	// Default 16.
	MergeParts int
	// Linger is how long a judged delivery waits for others to share a part and
	// a log entry with, as a delivery does for others to share a pack with. Default
	// 25 ms.
	Linger time.Duration
}

// Coordinator is what a leader does: it decides rounds, hands out units, takes
// deliveries in and publishes. It is gpuworker's Dispatcher and Receiver.
type Coordinator struct {
	o    Options
	node *Node
	log  *slog.Logger

	// importing is held by the one import that is under way: it bounds memory, and
	// versions come one after another anyway.
	importing chan struct{}
	// joined numbers sessions over all terms, so that none is taken for another.
	joined atomic.Uint64

	mu sync.Mutex
	// term is the current one, nil while this node does not lead.
	term *term
	// ready is closed when the node leads for the first time, or knows who does.
	ready chan struct{}
	once  sync.Once
	// moved is closed, and replaced, when leadership has moved.
	moved chan struct{}
}

// New returns a coordinator. Run starts it, and its node.
func New(o Options) *Coordinator {
	if o.ReconnectWindow == 0 {
		o.ReconnectWindow = 2 * time.Second
	}
	if o.MergeParts == 0 {
		o.MergeParts = 16
	}
	if o.Linger == 0 {
		o.Linger = 25 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Coordinator{o: o, node: o.Node, log: o.Logger, ready: make(chan struct{}), moved: make(chan struct{}), importing: make(chan struct{}, 1)}
}

// Run runs the node, and a term whenever it leads, until ctx ends.
func (c *Coordinator) Run(ctx context.Context) error {
	looks, done := context.WithCancel(ctx)
	var looking sync.WaitGroup
	looking.Go(func() { c.look(looks) })
	defer looking.Wait()
	defer done()
	return c.node.Run(ctx, c.lead)
}

func (c *Coordinator) lead(ctx context.Context) error {
	t := newTerm(ctx, c)
	c.mu.Lock()
	c.term = t
	c.mu.Unlock()
	c.once.Do(func() { close(c.ready) })
	defer func() {
		c.mu.Lock()
		c.term = nil
		c.mu.Unlock()
	}()
	return t.run()
}

// Ready is closed when the node, since it started, has led for the first time or
// has learnt who leads.
func (c *Coordinator) Ready() <-chan struct{} { return c.ready }

// leading is the current term. Its error wraps loop.ErrUnavailable.
func (c *Coordinator) leading() (*term, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.term == nil {
		return nil, fmt.Errorf("this node does not lead: %w", loop.ErrUnavailable)
	}
	return c.term, nil
}
