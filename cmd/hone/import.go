package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
	"hone/spec"
)

// imported is what `import` says with --output json.
type imported struct {
	api.Imported
	Bytes   int64            `json:"bytes"`
	Factors []importedFactor `json:"factors"`
	LeftOut int              `json:"left_out,omitempty"`
}

// importedFactor is how much is known of one factor.
type importedFactor struct {
	Name  string  `json:"name"`
	Known int64   `json:"known"`
	Rate  float64 `json:"known_rate"`
	// Unlisted are values that are no level, and so are not known, by how often.
	Unlisted map[string]int64 `json:"unlisted,omitempty"`
}

func importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "make labelled data that you have a dataset, of which outcomes can be posted",
		ArgsUsage: "PATH",
		Description: `PATH is a table (Parquet, CSV or NDJSON) or a folder.

Of a table each row is an example: the columns that are called as the space's
factors say what it shows, a column path (or file, file_name, image; --path) names
its file, by which the example is called (or by the column example; --id), and the
other columns become its member label.json. A CSV's values are text.

In a folder the files that share a name up to its first dot are an example, called
by that: a/b.png and a/b.json are a/b, and the factors stand in a/b.json. Where
there is a metadata.csv or metadata.jsonl with a column file_name, that table is
what is imported. Names that begin with a dot are left out.

What a factor has no level for, or nobody wrote down, is unknown, and counted. The
same content again changes nothing; other content becomes the next version. Then
post outcomes with --eval-set NAME@VERSION: rows name an example, and what it
shows is filled in.

Examples:
   hone import photos/ --space shapes --name real-eval
   hone import labels.parquet --root photos --id image_id --space shapes --name real-eval`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "space", Usage: "the space's `NAME`; its latest version"},
			&cli.StringFlag{Name: "name", Usage: "the dataset's `NAME`"},
			&cli.StringFlag{Name: "split", Value: loop.Evaluation.String(), Usage: "`SPLIT`: evaluation, to post outcomes of, or train"},
			&cli.StringFlag{Name: "origin", Value: string(loop.Real), Usage: "`ORIGIN`: real or synthetic"},
			&cli.StringSliceFlag{Name: "ignore", Usage: "leave the `COLUMNS` out, joined by commas"},
			&cli.StringFlag{Name: "root", Usage: "the table's paths are below `DIR` (default: its own folder)"},
			&cli.StringFlag{Name: "path", Usage: "the `COLUMN` that names a file (default: path, file, file_name or image)"},
			&cli.StringFlag{Name: "id", Usage: "the `COLUMN` by which examples are called"},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "PATH")
			if err != nil {
				return err
			}
			if err := required(c, "space", "name"); err != nil {
				return err
			}
			i := &importing{client: patientClient(c), name: c.String("name"), stderr: c.App.ErrWriter}
			i.request = api.Import{Space: c.String("space"), Split: c.String("split"), Origin: c.String("origin")}
			if i.domain, err = importedSplit(i.request.Split, i.request.Origin); err != nil {
				return err
			}
			if err := i.prepare(c.Context); err != nil {
				return err
			}
			i.source, err = openImport(c.Context, args[0], i.space, importColumns{
				root: c.String("root"), path: c.String("path"), id: c.String("id"), ignore: ignored(c)})
			if err != nil {
				return err
			}
			defer i.source.close()
			out, err := i.run(c.Context)
			if err != nil {
				return err
			}
			return show(c, out, func(w io.Writer) { writeImported(w, out) })
		},
	}
}

func importedSplit(split, origin string) (loop.Domain, error) {
	domain, ok := loop.ParseDomain(split)
	if !ok || domain == loop.Probe {
		return 0, usage("--split is evaluation or train, not %q", split)
	}
	if origin != string(loop.Real) && origin != string(loop.Synthetic) {
		return 0, usage("--origin is real or synthetic, not %q", origin)
	}
	return domain, nil
}

// importing is one run of the command. The source is gone through twice: all of it
// is looked at before a byte is sent.
type importing struct {
	client  *api.Client
	name    string
	domain  loop.Domain
	request api.Import
	space   *loop.Space
	source  *importSource
	stderr  io.Writer

	samples  int64
	bytes    int64 // of the files
	tallies  []importedFactor
	mistakes []error
	more     int

	// unit is what is gathered next.
	first  uint64
	bundle []byte
	rows   bytes.Buffer
	count  int
}

// The bounds of a unit, and of how many mistakes are listed.
const (
	importUnitBytes    = 64 << 20
	maxImportMistakes  = 20
	maxUnlistedShown   = 3
	maxUnlistedCounted = 100
)

// prepare asks for the space, and whether the name is free, before all the work.
func (i *importing) prepare(ctx context.Context) error {
	space, err := i.client.ShowSpace(ctx, i.request.Space, 0)
	if err != nil {
		return err
	}
	read, err := spec.ParseSpace([]byte(space.Document))
	if err != nil {
		return err
	}
	i.space = &read
	d, err := i.client.Dataset(ctx, i.name, 0)
	if err == nil && d.Origin == "" {
		return loop.Conflict("--name", "dataset %q is of campaign %q; choose another name", i.name, d.Campaign)
	}
	if err != nil && !errors.Is(err, loop.ErrNotFound) {
		return err
	}
	return nil
}

func (i *importing) run(ctx context.Context) (*imported, error) {
	if err := i.survey(ctx); err != nil {
		return nil, err
	}
	if err := i.send(ctx); err != nil {
		return nil, err
	}
	fmt.Fprintf(i.stderr, "Hashing and packing %s samples.\n", thousands(i.samples))
	answer, err := i.client.ImportDataset(ctx, i.name, i.request)
	if err != nil {
		return nil, err
	}
	return &imported{Imported: answer, Bytes: i.bytes, Factors: i.tallies, LeftOut: i.source.leftOut}, nil
}

func (i *importing) mistake(err error) {
	if len(i.mistakes) == maxImportMistakes {
		i.more++
		return
	}
	i.mistakes = append(i.mistakes, err)
}

// survey looks at every example but its bytes.
func (i *importing) survey(ctx context.Context) error {
	i.tallies = make([]importedFactor, len(i.space.Factors))
	for f := range i.tallies {
		i.tallies[f] = importedFactor{Name: i.space.Factors[f].Name, Unlisted: map[string]int64{}}
	}
	seen := map[string]bool{}
	for x, err := range i.source.examples() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if refusal, ok := errors.AsType[*loop.Error](err); ok {
				i.mistake(refusal)
				continue
			}
			return err
		}
		if !api.ValidExample(x.id) {
			i.mistake(&loop.Error{Field: x.where, Problem: fmt.Sprintf("%q is no name of an example: 1 to 1024 bytes of UTF-8 without control characters", x.id)})
		}
		if seen[x.id] {
			i.mistake(&loop.Error{Field: x.where, Problem: fmt.Sprintf("there is another example %q", x.id), Remedy: "name a column of ids of their own with --id"})
		}
		seen[x.id] = true
		size := int64(0)
		for _, name := range x.files {
			n, err := i.source.size(name)
			if err != nil {
				i.mistake(&loop.Error{Field: x.where, Problem: err.Error()})
			}
			size += n
		}
		if size > loop.MaxSampleBytes {
			i.mistake(&loop.Error{Field: x.where, Problem: fmt.Sprintf("the example has %s; at most %s are allowed", sizeText(size), sizeText(loop.MaxSampleBytes))})
		}
		if _, refusals := api.ReadScenario(i.space, i.scenario(x, true)); len(refusals) > 0 {
			i.mistake(&loop.Error{Field: x.where + ", column " + refusals[0].Field, Problem: refusals[0].Problem, Remedy: refusals[0].Remedy})
		}
		i.samples++
		i.bytes += size
	}
	if len(i.mistakes) > 0 {
		if i.more > 0 {
			i.mistakes = append(i.mistakes, fmt.Errorf("and %s more", thousands(int64(i.more))))
		}
		return fmt.Errorf("nothing was imported:\n%w", errors.Join(i.mistakes...))
	}
	if i.samples == 0 {
		return &loop.Error{Field: i.source.name, Problem: "there is no example in it"}
	}
	for f := range i.tallies {
		i.tallies[f].Rate = float64(i.tallies[f].Known) / float64(i.samples)
	}
	return nil
}

// scenario is what of an example's values the space has levels for.
func (i *importing) scenario(x *labelled, tally bool) map[string]any {
	scenario := make(map[string]any, len(i.space.Factors))
	for f := range i.space.Factors {
		factor := &i.space.Factors[f]
		value := x.factor(factor)
		if value == nil {
			continue
		}
		code, _, ok := api.ReadLevel(factor, value)
		switch t := &i.tallies[f]; {
		case ok && code != loop.Unknown:
			scenario[factor.Name] = value
			if tally {
				t.Known++
			}
		case !ok && tally:
			if text := fmt.Sprint(value); len(t.Unlisted) < maxUnlistedCounted || t.Unlisted[text] > 0 {
				t.Unlisted[text]++
			}
		}
	}
	return scenario
}

// send stages all examples, unit by unit.
func (i *importing) send(ctx context.Context) error {
	meter := newMeter(i.stderr, "samples sent", i.samples)
	defer meter.close()
	for x, err := range i.source.examples() {
		if err == nil {
			err = i.add(x)
		}
		if err == nil && (i.count == loop.MaxUnit || len(i.bundle) >= importUnitBytes) {
			err = i.flush(ctx)
		}
		if ctx.Err() != nil {
			meter.note("Interrupted; nothing was imported.")
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		meter.at(int64(i.first) + int64(i.count))
	}
	return i.flush(ctx)
}

// add puts an example into the unit that is gathered.
func (i *importing) add(x *labelled) error {
	members, err := i.source.members(x)
	if err != nil {
		return fmt.Errorf("%s: %w", x.where, err)
	}
	name := loop.Name{Domain: i.domain, Round: 1, Index: i.first + uint64(i.count)}
	before := len(i.bundle)
	var digest loop.Digest
	if i.bundle, digest, err = loop.AppendSample(i.bundle, name.Key(), members); err != nil {
		return fmt.Errorf("%s: %w", x.where, err)
	}
	i.count++
	return json.NewEncoder(&i.rows).Encode(api.ImportRow{Example: x.id, Scenario: i.scenario(x, false), Digest: digest, Bytes: int64(len(i.bundle) - before)})
}

// flush stages the unit that is gathered, if there is anything in it.
func (i *importing) flush(ctx context.Context) error {
	if i.count == 0 {
		return nil
	}
	unit := api.ImportedUnit(i.name, i.domain, i.first, i.count)
	if err := i.client.Stage(ctx, api.ImportWorker, unit, loop.Bundle, bytes.NewReader(i.bundle)); err != nil {
		return err
	}
	if err := i.client.Stage(ctx, api.ImportWorker, unit, api.ImportRows, bytes.NewReader(i.rows.Bytes())); err != nil {
		return err
	}
	i.request.Units = append(i.request.Units, api.ImportUnit{Samples: i.count, Rows: sha256.Sum256(i.rows.Bytes())})
	i.first, i.count, i.bundle = i.first+uint64(i.count), 0, i.bundle[:0]
	i.rows.Reset()
	return nil
}

func writeImported(w io.Writer, m *imported) {
	what := "imported"
	if !m.Created {
		what = "unchanged: it holds just that already"
	}
	fmt.Fprintf(w, "dataset %s@%d %s\n", m.Name, m.Version, what)
	facts(w, "samples", thousands(m.Samples)+", "+sizeText(m.Bytes), "split", m.Split, "origin", m.Origin, "manifest", m.Manifest.String())
	if m.LeftOut > 0 {
		facts(w, "left out", fmt.Sprintf("%d files without an extension", m.LeftOut))
	}
	rows := make([][]string, len(m.Factors))
	for f, x := range m.Factors {
		rows[f] = []string{x.Name, fmt.Sprintf("%.1f %%", 100*x.Rate), unlistedText(x.Unlisted)}
	}
	grid(w, []string{"FACTOR", "KNOWN", "NO LEVEL"}, rows)
}

// unlistedText names the most frequent values that are no level.
func unlistedText(unlisted map[string]int64) string {
	values := make([]string, 0, len(unlisted))
	for v := range unlisted {
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b string) int {
		if unlisted[a] != unlisted[b] {
			return int(unlisted[b] - unlisted[a])
		}
		return strings.Compare(a, b)
	})
	var shown []string
	for _, v := range values[:min(len(values), maxUnlistedShown)] {
		shown = append(shown, fmt.Sprintf("%q %s×", v, thousands(unlisted[v])))
	}
	if n := len(values) - len(shown); n > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(shown, ", ")
}
