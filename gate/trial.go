package gate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"
	"sync"

	"hone/fault"
	"hone/loop"
)

// trial is the judging of one delivery.
type trial struct {
	stage      *Stage
	delivery   *loop.Delivery
	definition *loop.Definition
	sampler    *loop.Sampler
	gates      []Gate
}

// result is what became of one sample.
type result struct {
	row     loop.SampleRow // without an address
	verdict loop.Verdict
	bytes   []byte
	err     error
}

// errAbandoned marks samples that were not judged because another one failed.
var errAbandoned = errors.New("abandoned")

// run reads the bundle once, front to back, and judges its samples in parallel.
// It fails as a whole with the first sample's failure, in index order.
func (t *trial) run(ctx context.Context) ([]result, error) {
	d := t.delivery
	in, size, err := t.bundle(ctx)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if last := d.Samples[len(d.Samples)-1]; last.Offset+last.Length > size {
		return nil, &loop.Error{Field: fmt.Sprintf("samples[%d]", len(d.Samples)-1),
			Problem: fmt.Sprintf("bytes %d+%d of a bundle of %d", last.Offset, last.Length, size), Remedy: "stage the whole bundle before it is delivered"}
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make([]result, len(d.Samples))
	var running sync.WaitGroup
	at := int64(0)
	for i, staged := range d.Samples {
		select {
		case t.stage.turns <- struct{}{}:
		case <-ctx.Done():
			results[i].err = errAbandoned
			continue
		}
		b := make([]byte, staged.Length)
		if _, err = io.CopyN(io.Discard, in, staged.Offset-at); err == nil {
			_, err = io.ReadFull(in, b)
		}
		if err != nil {
			<-t.stage.turns
			results[i].err = fmt.Errorf("read the bundle: %w", err)
			cancel()
			continue
		}
		at = staged.Offset + staged.Length
		running.Go(func() {
			defer func() { <-t.stage.turns }()
			if results[i] = t.judge(ctx, i, b); results[i].err != nil {
				cancel()
			}
		})
	}
	running.Wait()
	for i := range results {
		if err := results[i].err; err != nil && !errors.Is(err, errAbandoned) && !errors.Is(err, context.Canceled) {
			return nil, err
		}
	}
	// All that is left are those whom a failure or the caller's context stopped.
	return results, ctx.Err()
}

// bundle is what was delivered, from its start, and how many bytes that is.
func (t *trial) bundle(ctx context.Context) (io.ReadCloser, int64, error) {
	d := t.delivery
	if d.Bytes != nil {
		return io.NopCloser(bytes.NewReader(d.Bytes)), int64(len(d.Bytes)), nil
	}
	in, size, err := t.stage.lake.OpenStaged(ctx, d.Worker, d.Unit.ID(), loop.Bundle)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: %w", loop.ErrStagingGone, err)
	}
	return in, size, err
}

func (t *trial) judge(ctx context.Context, i int, b []byte) result {
	r, err := t.expand(i, b)
	if err != nil {
		return result{err: err}
	}
	members, digest, err := t.read(i, b)
	if err != nil {
		return result{err: err}
	}
	r.row.Digest = digest
	s := &Sample{Space: &t.definition.Space, Name: r.row.Name, Scenario: r.row.Scenario, Members: members}
	if r.verdict, err = t.pass(ctx, s); err != nil {
		return result{err: err}
	}
	r.row.Scores = r.verdict.Scores
	if r.verdict.Accepted {
		r.bytes = b
	}
	return r
}

// expand derives from the sample's name all that a worker has no say in.
func (t *trial) expand(i int, b []byte) (result, error) {
	d := t.delivery
	name := d.Unit.Name(i)
	scenario, err := t.sampler.Scenario(name.Domain, name.Component, name.Index)
	if err != nil {
		return result{}, fmt.Errorf("expand %s: %s", name.Key(), err.Error())
	}
	weight := t.sampler.Weight(name.Domain, name.Component, scenario.Codes)
	if !(weight > 0) || math.IsInf(weight, 0) {
		return result{}, fmt.Errorf("expand %s: its importance weight is %v", name.Key(), weight)
	}
	return result{row: loop.SampleRow{
		Campaign: d.Unit.Campaign, Name: name, Seed: loop.SampleSeed(t.definition.Seed, name), Scenario: scenario, Weight: weight,
		Worker: d.Worker, Generator: d.Generator.Name + "@" + d.Generator.Version, Millis: float64(d.Millis) / float64(len(d.Samples)),
	}}, nil
}

// read takes the sample's bytes apart and compares them with what the worker
// said: the name and the digest. Its refusals are of the whole delivery (C16).
func (t *trial) read(i int, b []byte) ([]loop.Member, loop.Digest, error) {
	field := fmt.Sprintf("samples[%d]", i)
	key, members, digest, err := loop.ReadSample(b, loop.MaxSampleBytes)
	if refusal := (*loop.Error)(nil); errors.As(err, &refusal) {
		return nil, digest, &loop.Error{Field: field, Problem: refusal.Problem, Remedy: refusal.Remedy}
	} else if err != nil {
		return nil, digest, err
	}
	if want := t.delivery.Unit.Name(i).Key(); key != want {
		return nil, digest, &loop.Error{Field: field, Problem: fmt.Sprintf("the bytes are those of %s, not of %s", key, want)}
	}
	if claimed := t.delivery.Samples[i].Digest; digest != claimed && !fault.Planted("trust a worker's digest") {
		return nil, digest, &loop.Error{Field: field + ".digest", Problem: fmt.Sprintf("the staged bytes have digest %s, not %s", digest, claimed)}
	}
	return members, digest, nil
}

// pass lets the gates judge in the campaign's order, up to the first that sends
// the sample back.
func (t *trial) pass(ctx context.Context, s *Sample) (loop.Verdict, error) {
	v := loop.Verdict{Index: s.Name.Index, Accepted: true}
	for _, g := range t.gates {
		if err := ctx.Err(); err != nil {
			return v, errAbandoned
		}
		ok, reason, scores, err := ask(ctx, g, s)
		if err != nil {
			if ctx.Err() != nil {
				return v, errAbandoned
			}
			// Its text alone: whatever a gate fails with, it is neither a refusal of the
			// delivery nor the loss of its bytes.
			return v, fmt.Errorf("gate %s on %s: %s", g.Name(), s.Name.Key(), err.Error())
		}
		for _, score := range scores {
			score.Name = g.Name() + "." + score.Name
			v.Scores = append(v.Scores, score)
		}
		if !ok {
			v.Accepted, v.Gate, v.Reason = false, g.Name(), tidy(reason)
			break
		}
	}
	slices.SortStableFunc(v.Scores, func(a, b loop.Score) int { return strings.Compare(a.Name, b.Name) })
	for i, score := range v.Scores {
		if math.IsNaN(score.Value) || math.IsInf(score.Value, 0) || i > 0 && score.Name == v.Scores[i-1].Name {
			return v, fmt.Errorf("score %s of %s: %v, or given twice", score.Name, s.Name.Key(), score.Value)
		}
	}
	return v, nil
}

// ask turns a panic of a gate into its error: one bad gate must neither take the
// service down nor send a sample back that it never judged.
func ask(ctx context.Context, g Gate, s *Sample) (ok bool, reason string, scores []loop.Score, err error) {
	defer func() {
		if p := recover(); p != nil {
			ok, err = false, fmt.Errorf("panic: %v", p)
		}
	}()
	return g.Judge(ctx, s)
}

// maxReason bounds a reason in bytes: it is kept in state and in tables.
const maxReason = 256

func tidy(reason string) string {
	if reason == "" {
		reason = "no reason given"
	}
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return strings.ToValidUTF8(reason, "")
}
