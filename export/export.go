package export

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"

	"hone/api"
	"hone/loop"
)

// Options say where an export goes and how it is laid out.
type Options struct {
	// Dir is made, or holds an earlier try of the same export.
	Dir string
	// Format is the layout: webdataset or parquet.
	Format string
	// ShardSamples bounds the samples of a shard, ShardBytes the bytes of their
	// members, from 1 MiB; a sample that has more is a shard of its own. An export
	// goes on only with the bounds that it was begun with.
	ShardSamples int
	ShardBytes   int64
}

// Validate refuses, as a *loop.Error in the words of the command's flags, what no
// export can be.
func (o *Options) Validate() error {
	if _, ok := formats[o.Format]; !ok {
		return &loop.Error{Problem: fmt.Sprintf("--format is webdataset or parquet, not %q", o.Format)}
	}
	if o.ShardSamples < 1 || o.ShardBytes < 1<<20 || o.ShardBytes > math.MaxInt32<<20 {
		return &loop.Error{Problem: "--shard-samples and --shard-size are numbers from 1"}
	}
	return nil
}

// Progress is told how far an export is, from within Run; what is nil is not
// called.
type Progress struct {
	// At says how many samples of the version are exported.
	At func(samples int64)
	// Note says what a person should know, in a sentence.
	Note func(format string, args ...any)
}

func (p Progress) at(samples int64) {
	if p.At != nil {
		p.At(samples)
	}
}

func (p Progress) note(format string, args ...any) {
	if p.Note != nil {
		p.Note(format, args...)
	}
}

// Export is one export of a version into a directory, which belongs to it from
// Open to Close.
type Export struct {
	client   *api.Client
	dataset  api.Dataset
	o        Options
	target   *target
	header   api.RowsHeader
	progress Progress
}

// Open makes the directory, locks it and reads what an earlier export has left
// there. It fetches nothing. A directory in which anything else lies, or another
// export works, is refused with loop.ErrConflict and left as it is.
func Open(client *api.Client, d api.Dataset, o Options) (*Export, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	target, err := openTarget(o.Dir, Head{Hone: headFormat, Dataset: fmt.Sprintf("%s@%d", d.Name, d.Version),
		Manifest: d.Manifest, Format: o.Format, ShardSamples: o.ShardSamples, ShardBytes: o.ShardBytes})
	if err != nil {
		return nil, fmt.Errorf("export %s@%d: %w", d.Name, d.Version, err)
	}
	return &Export{client: client, dataset: d, o: o, target: target}, nil
}

// Close gives the directory back.
func (e *Export) Close() { e.target.close() }

// Run exports what is not there yet, verifies what is, and mends what is damaged.
// After an error, or when the context has ended, the shards that are whole stay,
// and another export of the same goes on behind them.
func (e *Export) Run(ctx context.Context, p Progress) (*Description, error) {
	e.progress = p
	out, err := e.run(ctx)
	if isFull(err) {
		err = fmt.Errorf("no space left in %s: %s; make room and run the same command again, it goes on behind the %d shards that are there: %w",
			e.o.Dir, e.wanting(), len(e.target.shards), err)
	}
	if err != nil {
		if ctx.Err() != nil {
			p.note("Interrupted; the same command goes on behind the %d shards that are whole.", len(e.target.shards))
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("export %s@%d: %w", e.dataset.Name, e.dataset.Version, err)
	}
	return out, nil
}

func (e *Export) run(ctx context.Context) (*Description, error) {
	if n := len(e.target.shards); n > 0 {
		e.progress.note("Verifying what is there already (shards: %d).", n)
	}
	bad, err := e.target.damaged()
	if err != nil {
		return nil, err
	}
	if err := e.fetchManifest(ctx); err != nil {
		return nil, err
	}
	if !e.target.done || len(bad) > 0 {
		if err := e.fetchShards(ctx, bad); err != nil {
			return nil, err
		}
	}
	out, err := e.describe(ctx)
	if err != nil || e.target.done {
		return out, err
	}
	return out, e.target.finish(out)
}

// fetchManifest puts the manifest beside the shards, as it is: its digest is the
// version's.
func (e *Export) fetchManifest(ctx context.Context) error {
	if digest, err := hashFile(e.target.path(manifestFile)); err == nil && digest == e.dataset.Manifest {
		return nil
	}
	body, err := e.client.OpenManifest(ctx, e.dataset.Name, e.dataset.Version)
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := e.target.create(manifestFile)
	if err != nil {
		return err
	}
	defer f.discard()
	if _, err := io.Copy(f, body); err != nil {
		return err
	}
	if digest := loop.Digest(f.hash.Sum(nil)); digest != e.dataset.Manifest {
		return fmt.Errorf("the manifest that came hashes to %s, not to the version's %s", digest, e.dataset.Manifest)
	}
	_, err = f.commit()
	return err
}

// fetchShards makes damaged shards again, and then those that are missing.
func (e *Export) fetchShards(ctx context.Context, bad []int) error {
	if err := e.target.reopen(); err != nil {
		return err
	}
	first := int64(0)
	var members []string
	for i, s := range slices.Clone(e.target.shards) {
		if slices.Contains(bad, i) {
			e.progress.note("%s is damaged or gone, and is made again.", s.File)
			w := &shards{e: e, number: i, again: true, members: s.Members}
			if err := e.fetch(ctx, w, first, first+s.Samples); err != nil {
				return err
			}
		}
		first += s.Samples
		members = union(members, s.Members)
	}
	return e.fetch(ctx, &shards{e: e, number: len(e.target.shards), members: members}, first, e.dataset.Samples)
}

// fetch brings the rows from..until-1 of the manifest into shards. Who a sample
// is, its digest and its weight, comes from the manifest; from the server's rows
// what it shows; and the bytes must have the digest.
func (e *Export) fetch(ctx context.Context, to *shards, from, until int64) error {
	defer to.discard()
	header, rows, err := e.client.Rows(ctx, e.dataset.Name, e.dataset.Version, from)
	if err != nil {
		return err
	}
	e.header = header
	manifest, err := os.Open(e.target.path(manifestFile))
	if err != nil {
		return err
	}
	defer manifest.Close()
	listed, stop := iter.Pull2(api.DecodeManifest(manifest))
	defer stop()
	for range from {
		listed()
	}
	n := from
	var batch []api.Row
	flush := func() error {
		digests := make([]loop.Digest, len(batch))
		for i := range batch {
			digests[i] = batch[i].Digest
		}
		i := 0
		for s, err := range e.client.Samples(ctx, digests) {
			if err == nil {
				err = to.put(&batch[i], &s)
			}
			if err != nil {
				return err
			}
			i++
			e.progress.at(n - int64(len(batch)) + int64(i))
		}
		batch = batch[:0]
		return nil
	}
	for row, err := range rows {
		if n == until {
			break
		}
		if err != nil {
			return err
		}
		line, err, ok := listed()
		if err != nil {
			return err
		}
		if !ok || row.ManifestRow != line || row.Key != keyOf(&line) {
			return fmt.Errorf("row %d from the server is not the manifest's", n)
		}
		n++
		if batch = append(batch, row); len(batch) == api.MaxWanted {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if n < until {
		return fmt.Errorf("the server sent %d rows of %d", n, until)
	}
	if err := flush(); err != nil {
		return err
	}
	return to.end()
}

// keyOf is the key of a sample that a manifest names; empty for one of no domain.
func keyOf(r *api.ManifestRow) string {
	domain, ok := loop.ParseDomain(r.Split)
	if !ok {
		return ""
	}
	return loop.Name{Domain: domain, Round: r.Round, Component: r.Component, Index: r.Index, Attempt: r.Attempt}.Key()
}

// describe is the description of the whole export.
func (e *Export) describe(ctx context.Context) (*Description, error) {
	d := e.dataset
	if e.header.Hone == "" { // no row was needed
		header, rows, err := e.client.Rows(ctx, d.Name, d.Version, d.Samples)
		if err != nil {
			return nil, err
		}
		for range rows {
		}
		e.header = header
	}
	lineage := Lineage{Origin: d.Origin}
	if d.Campaign != "" {
		campaign, err := e.client.Campaign(ctx, d.Campaign)
		if err != nil {
			return nil, err
		}
		lineage = Lineage{Campaign: d.Campaign, Policy: campaign.Policy, Generator: campaign.Generator, Seed: campaign.Seed, Document: campaign.Document}
	}
	samples, bytes := e.there()
	if samples != d.Samples {
		return nil, fmt.Errorf("the shards hold %d samples of %d", samples, d.Samples)
	}
	shards := e.target.shards
	if shards == nil {
		shards = []Shard{}
	}
	return &Description{Head: e.target.head, Dir: e.o.Dir, Samples: samples, Bytes: bytes, Split: d.Split, Advisory: d.Advisory,
		Space: e.header.Space, Factors: e.header.Factors, Labels: e.header.Labels, Shards: shards,
		Lineage: lineage}, nil
}
