package gate

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"hone/loop"
)

// Lake is what the stage needs of the lake.
type Lake interface {
	// OpenStaged opens a staged file for reading from its start, and says how many
	// bytes it has; fs.ErrNotExist if it is not there.
	OpenStaged(ctx context.Context, worker, unitID, name string) (io.ReadCloser, int64, error)
	// PutPack puts an object that write writes, durably, under a key of the epoch.
	PutPack(ctx context.Context, epoch uint64, samples int64, write func(io.Writer) error) (loop.Object, error)
}

// Lookup finds the definition of a campaign's round, and the names of the gates
// of the campaign.
type Lookup func(campaign string, round int) (*loop.Definition, []string, error)

// Options configure a stage.
type Options struct {
	Lake Lake
	// Gates are those that campaigns may name. Default: BuiltIn.
	Gates []Gate
	// Workers is how many samples are judged at a time, over all calls. Default:
	// the number of processors.
	Workers int
	// PackBytes closes a pack before it has loop.MaxUnit samples. It also bounds
	// what the stage holds in memory: accepted samples of up to PackBytes per
	// campaign and domain, and one delivery. Default 128 MiB.
	PackBytes int64
}

// DefaultPackBytes is the default of Options.PackBytes.
const DefaultPackBytes = 128 << 20

// Stage judges deliveries. It is safe for concurrent use.
type Stage struct {
	lake      Lake
	gates     map[string]Gate
	turns     chan struct{}
	packBytes int64
	samplers  samplers
}

// New makes a stage. It starts nothing.
func New(o Options) *Stage {
	if o.Gates == nil {
		o.Gates = BuiltIn()
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.PackBytes == 0 {
		o.PackBytes = DefaultPackBytes
	}
	s := &Stage{lake: o.Lake, gates: map[string]Gate{}, turns: make(chan struct{}, o.Workers), packBytes: o.PackBytes}
	for _, g := range o.Gates {
		s.gates[g.Name()] = g
	}
	return s
}

// CheckGates refuses a list of gates that names one twice, or one that the stage
// does not have.
func (s *Stage) CheckGates(names []string) error {
	_, err := s.pick(names)
	return err
}

func (s *Stage) pick(names []string) ([]Gate, error) {
	gates := make([]Gate, len(names))
	for i, name := range names {
		g, ok := s.gates[name]
		if !ok || slices.Contains(names[:i], name) {
			known := make([]string, 0, len(s.gates))
			for n := range s.gates {
				known = append(known, n)
			}
			slices.Sort(known)
			problem := fmt.Sprintf("there is no gate %q", name)
			if ok {
				problem = fmt.Sprintf("gate %q is named twice", name)
			}
			return nil, &loop.Error{Field: fmt.Sprintf("gates[%d]", i), Problem: problem, Remedy: "the gates are " + strings.Join(known, ", ") + "; hone serve --gate-cmd adds one"}
		}
		gates[i] = g
	}
	return gates, nil
}

// Judge judges deliveries and returns what it made of each, in their order; the
// packs of all of them are durable by then. Samples of several deliveries share
// packs, each of one campaign and domain, so that who streams whole packs to
// train never meets an evaluation sample. A delivery that cannot be judged says
// so in its Err and has no verdicts; the others do not notice. Judge itself fails
// only when ctx ends, and then nothing may be made of any delivery.
func (s *Stage) Judge(ctx context.Context, lookup Lookup, epoch uint64, deliveries []loop.Delivery) ([]loop.Judged, error) {
	judged := make([]loop.Judged, len(deliveries))
	packer := &packer{lake: s.lake, epoch: epoch, limit: s.packBytes, judged: judged, open: map[group]*pack{}}
	for i := range deliveries {
		judged[i].Delivery = deliveries[i]
		bytes, err := s.judge(ctx, lookup, &judged[i])
		if err != nil {
			fail(&judged[i], err)
		} else {
			packer.add(ctx, i, bytes)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("gate: judge: %w", err)
		}
	}
	packer.flush(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("gate: judge: %w", err)
	}
	return judged, nil
}

// fail leaves nothing of a delivery but its error.
func fail(j *loop.Judged, err error) {
	*j = loop.Judged{Delivery: j.Delivery, Err: fmt.Errorf("gate: judge %s of %s: %w", j.Delivery.Unit.ID(), j.Delivery.Worker, err)}
}

// judge fills in everything but addresses and packs, and returns the bytes of
// the accepted samples, parallel to Samples.
func (s *Stage) judge(ctx context.Context, lookup Lookup, j *loop.Judged) ([][]byte, error) {
	d := &j.Delivery
	if err := d.Validate(); err != nil {
		return nil, err
	}
	definition, names, err := lookup(d.Unit.Campaign, d.Unit.Round)
	if err != nil {
		return nil, fmt.Errorf("look up: %w", err)
	}
	if d.Generator.Name != definition.Generator {
		return nil, &loop.Error{Field: "generator", Problem: fmt.Sprintf("%q; the campaign is of generator %q", d.Generator.Name, definition.Generator)}
	}
	gates, err := s.pick(names)
	if err != nil {
		// Not the worker's mistake, so not an *Error of the delivery.
		return nil, fmt.Errorf("the campaign's gates: %s", err.Error())
	}
	sampler, err := s.samplers.get(definition)
	if err != nil {
		return nil, fmt.Errorf("the campaign's round: %s", err.Error())
	}
	if definition.Round.Find(d.Unit.Domain, d.Unit.Component) == nil {
		return nil, &loop.Error{Field: "unit.component", Problem: fmt.Sprintf("round %d has no %s component %d", d.Unit.Round, d.Unit.Domain, d.Unit.Component)}
	}
	trial := &trial{stage: s, delivery: d, definition: definition, sampler: sampler, gates: gates}
	results, err := trial.run(ctx)
	if err != nil {
		return nil, err
	}
	var accepted [][]byte
	for i := range results {
		r := &results[i]
		j.Verdicts = append(j.Verdicts, r.verdict)
		if r.verdict.Accepted {
			j.Samples = append(j.Samples, r.row)
			accepted = append(accepted, r.bytes)
		} else {
			j.Rejected = append(j.Rejected, loop.VerdictRow{Campaign: r.row.Campaign, Name: r.row.Name, Worker: r.row.Worker,
				Generator: r.row.Generator, Gate: r.verdict.Gate, Reason: r.verdict.Reason, Scenario: r.row.Scenario, Scores: r.verdict.Scores})
		}
	}
	return accepted, nil
}
