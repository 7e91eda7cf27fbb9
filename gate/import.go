package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"hone/loop"
)

// Import takes staged samples in that were not made here: the same bytes, hashed
// again and packed as a delivery's are, but judged by no gate. What it returns is
// like Judge's answer, its rows with names, digests and addresses alone.
func (s *Stage) Import(ctx context.Context, epoch uint64, d loop.Delivery) (loop.Judged, error) {
	judged := []loop.Judged{{Delivery: d}}
	samples, err := s.unpack(ctx, &judged[0])
	if err != nil {
		return loop.Judged{}, fmt.Errorf("gate: import %s: %w", d.Unit.ID(), err)
	}
	p := &packer{lake: s.lake, epoch: epoch, limit: s.packBytes, judged: judged, open: map[group]*pack{}}
	p.add(ctx, 0, samples)
	p.flush(ctx)
	return judged[0], errors.Join(judged[0].Err, ctx.Err())
}

// unpack reads and hashes the samples of a delivery, and begins their rows.
func (s *Stage) unpack(ctx context.Context, j *loop.Judged) ([][]byte, error) {
	d := &j.Delivery
	if err := d.Validate(); err != nil {
		return nil, err
	}
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	in, size, err := s.lake.OpenStaged(ctx, d.Worker, d.Unit.ID(), loop.Bundle)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", loop.ErrStagingGone, err)
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	t := &trial{stage: s, delivery: d}
	samples, at := make([][]byte, len(d.Samples)), int64(0)
	for i, staged := range d.Samples {
		if staged.Offset != at || at+staged.Length > size {
			return nil, &loop.Error{Field: fmt.Sprintf("samples[%d]", i), Problem: fmt.Sprintf("bytes %d+%d of a bundle of %d", staged.Offset, staged.Length, size)}
		}
		at += staged.Length
		samples[i] = make([]byte, staged.Length)
		if _, err := io.ReadFull(in, samples[i]); err != nil {
			return nil, fmt.Errorf("read the bundle: %w", err)
		}
		_, digest, err := t.read(i, samples[i])
		if err != nil {
			return nil, err
		}
		j.Samples = append(j.Samples, loop.SampleRow{Campaign: d.Unit.Campaign, Name: d.Unit.Name(i), Digest: digest, Weight: 1})
	}
	if at != size {
		return nil, &loop.Error{Field: "samples", Problem: fmt.Sprintf("the bundle has %d bytes, its samples %d", size, at)}
	}
	return samples, nil
}
