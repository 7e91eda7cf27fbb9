package lake

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"hone/loop"
)

// The columns of each kind of part. A row's place in its part, counted from 0,
// is how a void names it (C11); it is not a column.

// sampleFields are those of samples that were made here, or imported.
func sampleFields(space *loop.Space, imported bool) ([]field, error) {
	fields := []field{
		digest("digest"), text("campaign"), int32s("round"), int32s("component"), text("domain"), int64s("index"), int32s("attempt"),
		{name: "seed", kind: arrow.PrimitiveTypes.Uint64}, doubles("importance_weight"),
		text("worker"), text("generator"), doubles("millis"),
		text("pack"), int64s("offset"), int64s("length"), orNull(text("scores")),
	}
	if imported {
		fields = append(fields, digest("example"), text("origin"))
	}
	return withFactors(fields, space)
}

func verdictFields(space *loop.Space) ([]field, error) {
	return withFactors([]field{
		text("campaign"), int32s("round"), int32s("component"), text("domain"), int64s("index"), int32s("attempt"),
		text("worker"), text("generator"), text("gate"), text("reason"), orNull(text("scores")),
	}, space)
}

func outcomeFields(space *loop.Space) ([]field, error) {
	var metrics []field
	for _, m := range space.Metrics() {
		metrics = append(metrics, orNull(doubles(m.Name)))
	}
	return withFactors([]field{
		text("model_line"), text("model_version"), text("task"), text("eval_set"), text("run"),
		digest("example"), digest("group"), orNull(digest("sample")), text("origin"), orNull(text("source")),
		{name: "correct", kind: arrow.FixedWidthTypes.Boolean}, orNull(int64s("loss")), orNull(doubles("importance_weight")), orNull(digest("uri")),
	}, space, metrics...)
}

// WriteSamples puts a part of committed samples, in the order given. Columns:
// digest (text), campaign, round, component, domain, index, attempt, seed
// (unsigned), importance_weight, worker, generator, millis, pack, offset,
// length, scores (a JSON object, null without any), of imported samples example
// and origin, then the factors'. A part's samples are all imported, or none is.
func (l *Lake) WriteSamples(ctx context.Context, epoch uint64, space *loop.Space, rows []loop.SampleRow) (loop.Object, error) {
	imported := len(rows) > 0 && rows[0].Example != ""
	fields, err := sampleFields(space, imported)
	if err != nil {
		return loop.Object{}, fmt.Errorf("lake: write samples: %w", err)
	}
	object, err := l.writePart(ctx, epoch, fields, len(rows), func(i int, c *columns) error {
		r := &rows[i]
		if err := checkName(r.Name); err != nil {
			return err
		}
		if !(r.Weight > 0) || math.IsInf(r.Weight, 0) {
			return &loop.Error{Field: "importance_weight", Problem: fmt.Sprintf("%v is not an importance weight", r.Weight)}
		}
		if len(r.Scenario.Fractions) != len(r.Scenario.Codes) {
			return &loop.Error{Field: "scenario", Problem: fmt.Sprintf("%d fractions for %d codes", len(r.Scenario.Fractions), len(r.Scenario.Codes))}
		}
		if (r.Example != "") != imported {
			return &loop.Error{Field: "example", Problem: "imported samples and others in one part"}
		}
		c.text(r.Digest.String())
		c.text(r.Campaign)
		c.name(r.Name)
		c.uint64(r.Seed)
		c.double(r.Weight)
		c.text(r.Worker)
		c.text(r.Generator)
		c.double(r.Millis)
		c.text(r.Address.Key)
		c.int64(r.Address.Offset)
		c.int64(r.Address.Length)
		if err := c.scores(r.Scores); err != nil {
			return err
		}
		if imported {
			c.text(r.Example)
			c.text(string(r.Origin))
		}
		return c.factors(space, r.Scenario.Codes, func(f int) (float64, bool) {
			if f < len(r.Values) {
				return r.Values[f], true
			}
			return space.Value(f, r.Scenario)
		})
	})
	if err != nil {
		return loop.Object{}, fmt.Errorf("lake: write samples: %w", err)
	}
	return object, nil
}

// WriteVerdicts puts a part of attempts that a gate sent back, in the order
// given. Columns: campaign, round, component, domain, index, attempt, worker,
// generator, gate, reason, scores, then the factors'.
func (l *Lake) WriteVerdicts(ctx context.Context, epoch uint64, space *loop.Space, rows []loop.VerdictRow) (loop.Object, error) {
	fields, err := verdictFields(space)
	if err != nil {
		return loop.Object{}, fmt.Errorf("lake: write verdicts: %w", err)
	}
	object, err := l.writePart(ctx, epoch, fields, len(rows), func(i int, c *columns) error {
		r := &rows[i]
		if err := checkName(r.Name); err != nil {
			return err
		}
		if len(r.Scenario.Fractions) != len(r.Scenario.Codes) {
			return &loop.Error{Field: "scenario", Problem: fmt.Sprintf("%d fractions for %d codes", len(r.Scenario.Fractions), len(r.Scenario.Codes))}
		}
		c.text(r.Campaign)
		c.name(r.Name)
		c.text(r.Worker)
		c.text(r.Generator)
		c.text(r.Gate)
		c.text(r.Reason)
		if err := c.scores(r.Scores); err != nil {
			return err
		}
		return c.factors(space, r.Scenario.Codes, func(f int) (float64, bool) { return space.Value(f, r.Scenario) })
	})
	if err != nil {
		return loop.Object{}, fmt.Errorf("lake: write verdicts: %w", err)
	}
	return object, nil
}

// WriteOutcomes puts a part of outcomes, post after post, each in the order of
// its body; the first row of a post is the number of rows before it. Columns:
// model_line, model_version, task, eval_set, run (empty where the post says
// nothing), example, group, sample and source (null where there is none),
// origin, correct, loss (integer micro-units, null where none was posted),
// importance_weight (of the sample; null where it is not known), uri (null where
// none was posted; parts from before it was a column have none), then the
// factors', then one per metric of the space (null where it was not posted).
func (l *Lake) WriteOutcomes(ctx context.Context, epoch uint64, space *loop.Space, posts []loop.PostRows) (loop.Object, error) {
	fields, err := outcomeFields(space)
	if err != nil {
		return loop.Object{}, fmt.Errorf("lake: write outcomes: %w", err)
	}
	metrics := space.Metrics()
	total, post, first := 0, 0, 0
	for i := range posts {
		total += len(posts[i].Rows)
	}
	object, err := l.writePart(ctx, epoch, fields, total, func(i int, c *columns) error {
		for i-first == len(posts[post].Rows) {
			first += len(posts[post].Rows)
			post++
		}
		p, r := &posts[post].Post, &posts[post].Rows[i-first]
		c.text(p.ModelLine)
		c.text(p.Version)
		c.text(p.Task)
		c.text(p.EvalSet)
		c.text(p.Run)
		c.text(r.Example)
		c.text(r.Group)
		if r.Sample.IsZero() {
			c.null()
		} else {
			c.text(r.Sample.String())
		}
		c.text(string(r.Origin))
		c.textOrNull(string(r.Source))
		c.bool(r.Correct)
		if r.HasLoss {
			c.int64(r.Loss)
		} else {
			c.null()
		}
		if r.Weight > 0 && !math.IsInf(r.Weight, 0) {
			c.double(r.Weight)
		} else {
			c.null()
		}
		c.textOrNull(r.URI)
		err := c.factors(space, r.Scenario, func(f int) (float64, bool) {
			if f >= len(r.Values) {
				return 0, false // nobody posted values
			}
			return r.Values[f], true
		})
		if err != nil {
			return err
		}
		return c.metrics(metrics, r.Metrics)
	})
	if err != nil {
		return loop.Object{}, fmt.Errorf("lake: write outcomes: %w", err)
	}
	return object, nil
}

func (c *columns) name(n loop.Name) {
	c.int32(n.Round)
	c.int32(n.Component)
	c.text(n.Domain.String())
	c.int64(int64(n.Index))
	c.int32(n.Attempt)
}

// scores writes {"gate.score":number,...} in the order given.
func (c *columns) scores(scores []loop.Score) error {
	if len(scores) == 0 {
		c.null()
		return nil
	}
	b := []byte{'{'}
	for i, s := range scores {
		if i > 0 {
			if s.Name <= scores[i-1].Name {
				return &loop.Error{Field: "scores", Problem: fmt.Sprintf("%q stands behind %q", s.Name, scores[i-1].Name), Remedy: "scores ascend by name"}
			}
			b = append(b, ',')
		}
		if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
			return &loop.Error{Field: "scores", Problem: fmt.Sprintf("%q is %v, not a number", s.Name, s.Value)}
		}
		name, err := json.Marshal(s.Name)
		if err != nil {
			return err
		}
		b = append(append(b, name...), ':')
		b = strconv.AppendFloat(b, s.Value, 'g', -1, 64)
	}
	c.text(string(append(b, '}')))
	return nil
}
