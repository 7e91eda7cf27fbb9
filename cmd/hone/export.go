package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
)

// exported is an export that is whole: dataset.json, and what the command
// prints.
type exported struct {
	exportHead
	Dir     string `json:"-"`
	Samples int64  `json:"samples"`
	Bytes   int64  `json:"bytes"`
	Split   string `json:"split"`
	// Advisory is what was known of the version beyond its manifest, when it was
	// exported.
	Advisory string          `json:"advisory,omitempty"`
	Space    string          `json:"space"`
	Factors  []api.RowFactor `json:"factors"`
	Labels   []string        `json:"labels,omitempty"`
	Lineage  exportLineage   `json:"lineage"`
	Shards   []exportShard   `json:"shards"`
}

// exportLineage is where the samples come from; every one of them leads further
// by its round, component and index.
type exportLineage struct {
	Campaign  string `json:"campaign"`
	Policy    string `json:"policy,omitempty"`
	Generator string `json:"generator"`
	Seed      uint64 `json:"seed"`
	Document  string `json:"document"`
}

// exportOptions are the flags of an export.
type exportOptions struct {
	Dir, Format  string
	ShardSamples int
	ShardBytes   int64
}

// exportFormats are the layouts, by name.
var exportFormats = map[string]struct {
	ext string
	// begin starts a shard whose samples have these members or fewer.
	begin func(to io.Writer, e *export, members []string) (shardWriter, error)
}{
	"webdataset": {"tar", beginWebDataset},
	"parquet":    {"parquet", beginParquet},
}

// shardWriter writes the samples of one shard.
type shardWriter interface {
	write(row *api.Row, s *api.Sample) error
	// end writes what stands at the end of a shard.
	end() error
}

func exportFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "to", Usage: "write into `DIR`, which is made, or holds an earlier try of the same export"},
		&cli.StringFlag{Name: "format", Value: "webdataset", Usage: "the `LAYOUT`: webdataset or parquet"},
		&cli.IntFlag{Name: "shard-samples", Value: 10_000, Usage: "at most `N` samples per shard"},
		&cli.IntFlag{Name: "shard-size", Value: 256, Usage: "about `MIB` of samples per shard at most"},
	}
}

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write a version as files that trainings read",
		ArgsUsage: "NAME[@VERSION]",
		Description: `Every byte is hashed on its way, against the version's manifest. A file under its
final name is whole, and dataset.json comes last: killed, or on a full disk, the
same command goes on with the shards that are whole; repeated, it verifies them.

webdataset: NAME-000000.tar, ... with the members of each sample, and what Hone
knows of it (scenario, importance weight, seed, ...) as KEY.hone.json.
parquet: NAME-000000.parquet, ... with a row per sample: a column per factor as
in the SQL table samples, and a BLOB per member (image.png is image_png).
With several shards, DuckDB reads them as
   select * from read_parquet('DIR/*.parquet', union_by_name = true)

Examples:
   hone dataset export loop@12 --to ./loop-12
   hone dataset export loop --format parquet --to ./table`,
		Flags: exportFlags(),
		Action: func(c *cli.Context) error {
			options, err := readExportOptions(c)
			if err != nil {
				return err
			}
			d, err := namedDataset(c)
			if err != nil {
				return err
			}
			e, err := exportDataset(c.Context, patientClient(c), d, options, c.App.ErrWriter)
			if err != nil {
				return err
			}
			return show(c, e, func(w io.Writer) { writeExported(w, e) })
		},
	}
}

// patientClient is a client that waits for a server to come up again: what it does
// takes long, and can wait.
func patientClient(c *cli.Context) *api.Client {
	client := client(c)
	client.Patience = time.Minute
	return client
}

func readExportOptions(c *cli.Context) (exportOptions, error) {
	o := exportOptions{Dir: c.String("to"), Format: c.String("format"), ShardSamples: c.Int("shard-samples"), ShardBytes: int64(c.Int("shard-size")) << 20}
	if err := required(c, "to"); err != nil {
		return o, err
	}
	if _, ok := exportFormats[o.Format]; !ok {
		return o, usage("--format is webdataset or parquet, not %q", o.Format)
	}
	if o.ShardSamples < 1 || o.ShardBytes < 1<<20 || o.ShardBytes > math.MaxInt32<<20 {
		return o, usage("--shard-samples and --shard-size are numbers from 1")
	}
	return o, nil
}

func writeExported(w io.Writer, e *exported) {
	facts(w, "dataset", e.Dataset, "directory", e.Dir, "format", e.Format, "samples", thousands(e.Samples),
		"shards", digits(len(e.Shards)), "size", sizeText(e.Bytes), "manifest", e.Manifest.String(), "advisory", e.Advisory)
}

// export is one run of an export.
type export struct {
	client  *api.Client
	dataset api.Dataset
	o       exportOptions
	target  *exportTarget
	header  api.RowsHeader
	meter   *meter
}

// exportDataset exports a version, or the rest of it.
func exportDataset(ctx context.Context, client *api.Client, d api.Dataset, o exportOptions, stderr io.Writer) (*exported, error) {
	target, err := openTarget(o.Dir, exportHead{Hone: exportFormat, Dataset: fmt.Sprintf("%s@%d", d.Name, d.Version),
		Manifest: d.Manifest, Format: o.Format, ShardSamples: o.ShardSamples, ShardBytes: o.ShardBytes})
	if err != nil {
		return nil, fmt.Errorf("export %s@%d: %w", d.Name, d.Version, err)
	}
	defer target.close()
	e := &export{client: client, dataset: d, o: o, target: target, meter: newMeter(stderr, "samples exported", d.Samples)}
	defer e.meter.close()
	out, err := e.run(ctx)
	if isFull(err) {
		err = fmt.Errorf("no space left in %s: %s; make room and run the same command again, it goes on behind the %d shards that are there: %w",
			o.Dir, e.wanting(), len(target.shards), err)
	}
	if err != nil {
		if ctx.Err() != nil {
			e.meter.note("Interrupted; the same command goes on behind the %d shards that are whole.", len(target.shards))
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("export %s@%d: %w", d.Name, d.Version, err)
	}
	return out, nil
}

// wanting says how much room the rest needs, by what there is of it.
func (e *export) wanting() string {
	samples, bytes := e.there()
	rest := thousands(e.dataset.Samples-samples) + " samples are still to come"
	if samples == 0 {
		return rest
	}
	return fmt.Sprintf("about %s more are needed, %s", sizeText(int64(float64(bytes)/float64(samples)*float64(e.dataset.Samples-samples))), rest)
}

// there is what the shards that are whole hold.
func (e *export) there() (samples, bytes int64) {
	for _, s := range e.target.shards {
		samples, bytes = samples+s.Samples, bytes+s.Bytes
	}
	return samples, bytes
}

func (e *export) run(ctx context.Context) (*exported, error) {
	if n := len(e.target.shards); n > 0 {
		e.meter.note("Verifying the %d shards that are there.", n)
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
func (e *export) fetchManifest(ctx context.Context) error {
	if digest, err := hashFile(e.target.path(exportManifest)); err == nil && digest == e.dataset.Manifest {
		return nil
	}
	body, err := e.client.OpenManifest(ctx, e.dataset.Name, e.dataset.Version)
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := e.target.create(exportManifest)
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
func (e *export) fetchShards(ctx context.Context, bad []int) error {
	if err := e.target.reopen(); err != nil {
		return err
	}
	first := int64(0)
	var members []string
	for i, s := range slices.Clone(e.target.shards) {
		if slices.Contains(bad, i) {
			e.meter.note("%s is damaged or gone, and is made again.", s.File)
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
func (e *export) fetch(ctx context.Context, to *shards, from, until int64) error {
	defer to.discard()
	header, rows, err := e.client.Rows(ctx, e.dataset.Name, e.dataset.Version, from)
	if err != nil {
		return err
	}
	e.header = header
	manifest, err := os.Open(e.target.path(exportManifest))
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
			e.meter.at(n - int64(len(batch)) + int64(i))
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
func (e *export) describe(ctx context.Context) (*exported, error) {
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
	campaign, err := e.client.Campaign(ctx, d.Campaign)
	if err != nil {
		return nil, err
	}
	samples, bytes := e.there()
	if samples != d.Samples {
		return nil, fmt.Errorf("the shards hold %d samples of %d", samples, d.Samples)
	}
	shards := e.target.shards
	if shards == nil {
		shards = []exportShard{}
	}
	return &exported{exportHead: e.target.head, Dir: e.o.Dir, Samples: samples, Bytes: bytes, Split: d.Split, Advisory: d.Advisory,
		Space: e.header.Space, Factors: e.header.Factors, Labels: e.header.Labels, Shards: shards,
		Lineage: exportLineage{Campaign: d.Campaign, Policy: campaign.Policy, Generator: campaign.Generator, Seed: campaign.Seed, Document: campaign.Document}}, nil
}

// shards spreads samples over shards. Where one ends depends on the samples
// alone, so that an export that goes on makes the shards that it would have.
type shards struct {
	e      *export
	number int
	// again: one listed shard is made again, whatever its size.
	again bool
	// members are those that any sample so far had.
	members []string

	file    *partial // nil between shards
	writer  shardWriter
	bytes   int64 // of the samples in it
	samples int64
}

func (w *shards) put(row *api.Row, s *api.Sample) error {
	size, all := int64(0), w.members
	for _, m := range s.Members {
		size += int64(len(m.Bytes))
		if !slices.Contains(all, m.Ext) {
			all = union(all, []string{m.Ext})
		}
	}
	full := w.samples == int64(w.e.o.ShardSamples) || w.bytes+size > w.e.o.ShardBytes
	if w.file != nil && !w.again && (full || len(all) > len(w.members)) {
		if err := w.end(); err != nil {
			return err
		}
	}
	if w.file == nil {
		if err := w.begin(all); err != nil {
			return err
		}
	}
	if err := w.writer.write(row, s); err != nil {
		return fmt.Errorf("%s: %w", row.Key, err)
	}
	w.bytes += size
	w.samples++
	return nil
}

func (w *shards) begin(members []string) (err error) {
	if w.file, err = w.e.target.create(w.e.target.shardName(w.number)); err != nil {
		return err
	}
	w.members, w.bytes, w.samples = members, 0, 0
	w.writer, err = exportFormats[w.e.o.Format].begin(w.file, w.e, members)
	return err
}

// end makes the shard whole, if one is begun.
func (w *shards) end() error {
	if w.file == nil {
		return nil
	}
	if err := w.writer.end(); err != nil {
		return err
	}
	digest, err := w.file.commit()
	if err != nil {
		return err
	}
	s := exportShard{File: w.file.name, SHA256: digest, Bytes: w.file.bytes, Samples: w.samples, Members: w.members}
	w.file, w.number = nil, w.number+1
	return w.e.target.add(s)
}

func (w *shards) discard() {
	if w.file != nil {
		w.file.discard()
	}
}

// sizeText writes a number of bytes for a person.
func sizeText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}

var errMember = errors.New("two columns or members of one name")
