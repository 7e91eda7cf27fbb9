package coordinator

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

type importBody struct {
	Name string `path:"name" example:"real-eval"`
	Body api.Import
}

// Bounds of an import.
const (
	// maxImportRows bounds a unit's rows.ndjson, in bytes.
	maxImportRows = 64 << 20
	// maxImportMistakes is how many mistakes a refusal lists.
	maxImportMistakes = 20
	// importPartRows is how many rows of samples a part has.
	importPartRows = 65_536
)

// importDataset makes a dataset version of staged samples: all of them, or nothing.
// It may be sent again at any time: what was packed is content-addressed, and one
// entry makes all of it count.
func (c *Control) importDataset(ctx context.Context, in *importBody) (out api.Imported, err error) {
	t, err := c.c.leading()
	if err != nil {
		return out, err
	}
	if err := t.checkDatasetName(in.Name); err != nil {
		return out, err
	}
	domain, ok := loop.ParseDomain(in.Body.Split)
	if !ok || domain == loop.Probe {
		return out, &loop.Error{Field: "split", Problem: fmt.Sprintf("%q; train and evaluation are allowed", in.Body.Split)}
	}
	select {
	case c.c.importing <- struct{}{}:
		defer func() { <-c.c.importing }()
	case <-ctx.Done():
		return out, ctx.Err()
	}
	i := &importing{t: t, name: in.Name, domain: domain, body: &in.Body}
	for tries := 0; ; tries++ {
		out, err = i.run(ctx)
		// Another import or a new epoch came between.
		if err == nil || !errors.Is(err, errStale) || tries == 3 {
			break
		}
	}
	if errors.Is(err, errStale) {
		err = fmt.Errorf("%w: %w", loop.ErrConflict, err)
	}
	if ctx.Err() == nil && !errors.Is(err, loop.ErrUnavailable) {
		i.sweep(ctx)
	}
	return out, err
}

// Imported tells which version of an imported dataset an eval set is; set is empty
// where it is none.
func (n *Node) Imported(space, evalSet string) (set string, version int, err error) {
	set, text, _ := strings.Cut(evalSet, "@")
	version, _ = strconv.Atoi(text) // 0 is no version
	var latest, d state.DatasetVersion
	n.View(func(s *state.State) {
		latest, _ = s.Dataset(set, 0)
		d, _ = s.Dataset(set, max(version, 0))
	})
	switch {
	case latest.Import == nil:
		return "", 0, nil
	case d.Version == 0 || strconv.Itoa(version) != text || version < 1:
		err = &loop.Error{Field: "eval_set", Problem: fmt.Sprintf("%q is no version of the imported dataset %s", evalSet, set),
			Remedy: fmt.Sprintf("the latest is %s@%d", set, latest.Version)}
	case d.Import.Space != space:
		err = &loop.Error{Field: "eval_set", Problem: fmt.Sprintf("%s was imported for space %q, not for %q", evalSet, d.Import.Space, space)}
	}
	return set, version, err
}

// importing is one import.
type importing struct {
	t      *term
	name   string
	domain loop.Domain
	body   *api.Import
	space  *loop.Space

	mistakes []api.Mistake
	more     int // mistakes beyond those that are listed
}

// run reads the rows twice: first all of them are judged, then all bytes are packed.
func (i *importing) run(ctx context.Context) (out api.Imported, err error) {
	var latest state.DatasetVersion
	i.t.c.node.View(func(s *state.State) {
		space, _ := s.Space(i.body.Space, 0)
		i.space = space.Space
		latest, _ = s.Dataset(i.name, 0)
	})
	switch {
	case i.space == nil:
		return out, loop.NotFound("space", "there is no space %q", i.body.Space)
	case latest.Version > 0 && latest.Import == nil:
		return out, loop.Conflict("name", "dataset %q is of campaign %q; choose another name", i.name, latest.Campaign)
	case latest.Import != nil && latest.Import.Space != i.body.Space:
		return out, loop.Conflict("space", "dataset %q is of space %q; choose another name", i.name, latest.Import.Space)
	}
	content, err := i.content()
	if err != nil {
		return out, err
	}
	// Sent again when its answer was lost, it finds itself, and nothing staged any more.
	if latest.Import != nil && latest.Import.Content == content {
		return api.Imported{Dataset: dataset(&latest)}, nil
	}
	samples, err := i.judge(ctx)
	if err != nil {
		return out, err
	}
	command := state.Import{Name: i.name, ExpectedLatest: latest.Version, Space: i.space.Name, Domain: i.domain, Origin: loop.Origin(i.body.Origin), Content: content}
	if err := i.pack(ctx, int64(samples), &command); err != nil {
		return out, err
	}
	event, err := i.t.c.node.Propose(ctx, state.Command{Import: &command})
	if err != nil {
		return out, fmt.Errorf("import %s: %w", i.name, err)
	}
	published := event.(state.Published)
	var version state.DatasetVersion
	i.t.c.node.View(func(s *state.State) { version, _ = s.Dataset(i.name, published.Version) })
	i.t.c.log.Info("imported", "dataset", fmt.Sprintf("%s@%d", i.name, version.Version), "samples", version.Samples)
	return api.Imported{Dataset: dataset(&version), Created: !published.Duplicate}, nil
}

// content is the digest of all that is imported: the request names the digests of
// the rows, and these those of the bytes.
func (i *importing) content() (loop.Digest, error) {
	text, err := json.Marshal(i.body)
	return sha256.Sum256(append([]byte("hone/import/1"), text...)), err
}

// judge reads all rows, refuses what is wrong with them, and counts them.
func (i *importing) judge(ctx context.Context) (samples uint64, err error) {
	i.mistakes, i.more = nil, 0
	seen := map[[16]byte]bool{}
	for n := range i.body.Units {
		rows, err := i.rows(ctx, n, samples)
		if err != nil {
			return samples, err
		}
		for _, row := range rows {
			i.check(&row)
			sum := sha256.Sum256([]byte(row.Example))
			key := [16]byte(sum[:16])
			if seen[key] {
				i.mistake(row.Example, "example", "there are two examples of that name")
			}
			seen[key] = true
		}
		samples += uint64(len(rows))
	}
	if len(i.mistakes) == 0 {
		return samples, nil
	}
	detail := fmt.Sprintf("%d mistakes in the rows; nothing was imported", len(i.mistakes)+i.more)
	if i.more > 0 {
		detail += fmt.Sprintf(" (the first %d are listed)", len(i.mistakes))
	}
	return samples, api.NewProblem(http.StatusUnprocessableEntity, detail, i.mistakes...)
}

// rows reads the rows of unit n, which begins with the sample first.
func (i *importing) rows(ctx context.Context, n int, first uint64) ([]api.ImportRow, error) {
	u := &i.body.Units[n]
	id := api.ImportedUnit(i.name, i.domain, first, u.Samples).ID()
	refuse := func(format string, args ...any) ([]api.ImportRow, error) {
		return nil, &loop.Error{Field: fmt.Sprintf("units[%d]", n), Problem: fmt.Sprintf(format, args...)}
	}
	in, size, err := i.t.c.o.Staging.OpenStaged(ctx, api.ImportWorker, id, api.ImportRows)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, i.gone(id)
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if size > maxImportRows {
		return refuse("%s of %s has %d bytes; at most %d are allowed", api.ImportRows, id, size, maxImportRows)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", api.ImportRows, id, err)
	}
	if loop.Digest(sha256.Sum256(text)) != u.Rows {
		return nil, i.gone(id)
	}
	rows := make([]api.ImportRow, 0, u.Samples)
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxImportRows)
	for lines.Scan() {
		var row api.ImportRow
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&row); err != nil {
			return refuse("row %d of %s: %s", len(rows)+1, id, strings.TrimPrefix(err.Error(), "json: "))
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		return refuse("%s of %s: %v", api.ImportRows, id, err)
	}
	if len(rows) != u.Samples {
		return refuse("%s of %s has %d rows, not %d", api.ImportRows, id, len(rows), u.Samples)
	}
	return rows, nil
}

// gone is of a unit that is not staged as the request says: it was swept after an
// earlier try, or somebody else imports under this name.
func (i *importing) gone(id string) error {
	return loop.Conflict("units", "unit %s is not staged any more, or otherwise; stage all of it again", id)
}

func (i *importing) mistake(example, column, format string, args ...any) {
	if len(i.mistakes) == maxImportMistakes {
		i.more++
		return
	}
	i.mistakes = append(i.mistakes, api.Mistake{Location: fmt.Sprintf("example %q, column %s", example, column), Message: fmt.Sprintf(format, args...)})
}

// check judges one row.
func (i *importing) check(row *api.ImportRow) {
	if !api.ValidExample(row.Example) {
		i.mistake(row.Example, "example", "a name has 1 to 1024 bytes of UTF-8 without control characters")
	}
	if row.Digest.IsZero() || row.Bytes <= 0 || row.Bytes > loop.MaxSampleBytes {
		i.mistake(row.Example, "digest", "%d bytes with digest %s are no sample", row.Bytes, row.Digest)
	}
	_, refusals := api.ReadScenario(i.space, row.Scenario)
	for _, r := range refusals {
		i.mistake(row.Example, r.Field, "%s (%s)", r.Problem, r.Remedy)
	}
}

// pack has the staged bytes packed, writes parts of their rows as it goes, and the
// manifest over all of it.
func (i *importing) pack(ctx context.Context, samples int64, command *state.Import) error {
	var broken error
	var rows []loop.SampleRow
	epoch := i.t.c.node.epoch()
	write := func() error {
		if len(rows) == 0 {
			return nil
		}
		object, err := i.t.c.o.Parts.WriteSamples(ctx, epoch, i.space, rows)
		if err != nil {
			return err
		}
		command.Samples, rows = append(command.Samples, object), nil
		return nil
	}
	all := func(yield func(loop.ManifestRow, loop.Address) bool) {
		first := uint64(0)
		for n := range i.body.Units {
			unit, err := i.unit(ctx, epoch, n, first, command)
			if err != nil {
				broken = err
				return
			}
			first += uint64(len(unit))
			for j := range unit {
				row := &unit[j]
				if !yield(loop.ManifestRow{Name: row.Name, Digest: row.Digest, Weight: 1, Split: i.domain.String()}, row.Address) {
					return
				}
			}
			if rows = append(rows, unit...); len(rows) >= importPartRows {
				if broken = write(); broken != nil {
					return
				}
			}
		}
		broken = write()
	}
	var err error
	command.Manifest, command.Addresses, err = i.t.c.o.Parts.WriteManifest(ctx, epoch, i.name, samples, all)
	if broken != nil {
		err = broken
	}
	if err != nil {
		return fmt.Errorf("import %s: %w", i.name, err)
	}
	return nil
}

// unit has one unit packed and returns its rows.
func (i *importing) unit(ctx context.Context, epoch uint64, n int, first uint64, command *state.Import) ([]loop.SampleRow, error) {
	described, err := i.rows(ctx, n, first)
	if err != nil {
		return nil, err
	}
	d := loop.Delivery{Worker: api.ImportWorker, Unit: api.ImportedUnit(i.name, i.domain, first, len(described)), Samples: make([]loop.Staged, len(described))}
	at := int64(0)
	for j := range described {
		d.Samples[j] = loop.Staged{Index: first + uint64(j), Digest: described[j].Digest, Offset: at, Length: described[j].Bytes}
		at += described[j].Bytes
	}
	judged, err := i.t.c.o.Gates.Import(ctx, epoch, d)
	if errors.Is(err, loop.ErrStagingGone) {
		return nil, i.gone(d.Unit.ID())
	}
	if err != nil {
		return nil, err
	}
	for _, p := range judged.Packs {
		command.Packs = append(command.Packs, p.Key)
	}
	for j := range judged.Samples {
		row := &judged.Samples[j]
		row.Name.Round = command.ExpectedLatest + 1
		row.Example, row.Origin = described[j].Example, command.Origin
		row.Scenario, _ = api.ReadScenario(i.space, described[j].Scenario) // judged before
		row.Values = i.values(described[j].Scenario)
	}
	return judged.Samples, nil
}

// values are a row's own of the numeric factors.
func (i *importing) values(described map[string]any) []float64 {
	values := make([]float64, len(i.space.Factors))
	for f := range values {
		factor := &i.space.Factors[f]
		value, ok := described[factor.Name].(float64)
		if values[f] = math.NaN(); ok && factor.Kind == loop.Numeric {
			values[f] = factor.Wrap(value)
		}
	}
	return values
}

// sweep removes all that was ever staged for this dataset. That it fails is no
// matter: the next import sweeps again.
func (i *importing) sweep(ctx context.Context) {
	units, err := i.t.c.o.Staging.StagedUnits(ctx, api.ImportWorker)
	for _, u := range units {
		if u.Campaign == i.name {
			err = errors.Join(err, i.t.c.o.Staging.Sweep(ctx, api.ImportWorker, u.ID()))
		}
	}
	if err != nil {
		i.t.c.log.Warn("an import's staging is not swept", "dataset", i.name, "error", err)
	}
}
