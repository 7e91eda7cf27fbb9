package spec

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"hone/loop"
)

// ParseCampaign reads a campaign document. Its slices are written by name, so
// the space is needed: lookup finds it, and answers a *loop.Error, or nil and no
// error, if there is none; any other error is returned wrapped, as the failure
// of the caller that it is.
//
// A campaign has a policy, or lists under make what to make.
//
// A campaign with money and no samples asks for as many as it pays for.
//
// Defaults: one round, units of loop.DefaultUnitSize, loop.DefaultMaxAttempts
// attempts, no gates, advance "sealed", decide "auto", and DefaultSeed.
func ParseCampaign(doc []byte, lookup func(space string) (*loop.Space, error)) (loop.Campaign, error) {
	d, err := open(doc)
	if err != nil {
		return loop.Campaign{}, err
	}
	c := loop.Campaign{Rounds: 1, UnitSize: loop.DefaultUnitSize, MaxAttempts: loop.DefaultMaxAttempts,
		Advance: loop.AdvanceSealed, Decide: loop.DecideAuto}
	root, ok := d.object(d.root, "", "name", "owner", "space", "policy", "generator", "seed", "samples", "rounds", "first_samples",
		"make", "evaluation", "learn_from", "gates", "unit_size", "max_attempts", "quota_by", "price", "money", "until", "advance", "decide", "canaries")
	if !ok {
		return loop.Campaign{}, d.err()
	}
	made := root.get("make")
	for _, key := range []string{"name", "space", "policy", "generator"} {
		if key != "policy" || made == nil {
			root.need(key)
		}
	}
	root.text("name", &c.Name)
	root.text("owner", &c.Owner)
	root.text("space", &c.Space)
	root.text("policy", &c.Policy)
	root.text("generator", &c.Generator)
	if !root.count("seed", math.MaxUint64, &c.Seed) {
		c.Seed = DefaultSeed(c.Name)
	}
	root.count("samples", math.MaxInt64, &c.Samples)
	root.small("rounds", &c.Rounds)
	root.count("first_samples", math.MaxInt64, &c.FirstSamples)
	if n := root.get("price"); n != nil {
		if o, ok := d.object(n, "price", "gpu_hour", "currency"); ok {
			o.need("gpu_hour")
			o.positive("gpu_hour", "what an hour of a generator's work costs", &c.Price.GPUHour)
			o.text("currency", &c.Price.Currency)
		}
	}
	if root.get("money") != nil {
		root.positive("money", "an amount above 0; leave it out for no bound", &c.Money)
		if c.ByMoney = root.get("samples") == nil && root.get("make") == nil; c.ByMoney {
			c.Samples = uint64(c.Rounds) * max(loop.PilotSamples, min(c.FirstSamples, loop.MaxQuota))
		}
	}
	root.small("unit_size", &c.UnitSize)
	root.small("max_attempts", &c.MaxAttempts)
	root.text("quota_by", &c.QuotaBy)
	root.text("advance", &c.Advance)
	root.text("decide", &c.Decide)
	if root.text("canaries", &c.Canaries); c.Canaries == loop.CanariesTry {
		c.Canaries = ""
	}
	for i, n := range root.list("gates") {
		var gate string
		d.readText(n, at("gates", i), &gate)
		c.Gates = append(c.Gates, gate)
	}
	for i, n := range root.list("learn_from") {
		var l loop.LearnFrom
		if o, ok := d.object(n, at("learn_from", i), "model_line", "eval_set", "task", "metric", "importance"); ok {
			o.need("model_line")
			o.text("model_line", &l.ModelLine)
			o.text("eval_set", &l.EvalSet)
			o.text("task", &l.Task)
			o.text("metric", &l.Metric)
			o.positive("importance", "a number above 0; 1 if it is left out", &l.Importance)
		}
		c.LearnFrom = append(c.LearnFrom, l)
	}
	space, err := d.findSpace(root, c.Space, lookup)
	if err != nil {
		return loop.Campaign{}, err
	}
	if made != nil {
		if c.Make = d.readMake(space, root); root.get("samples") == nil {
			c.Samples = loop.Requested(c.Make)
		}
	}
	if root.get("until") != nil {
		c.Until = d.readUntil(space, root)
	}
	if n := root.get("evaluation"); n != nil {
		d.readEvaluation(space, n, &c.Evaluation)
	}
	if err := d.err(); err != nil {
		return loop.Campaign{}, err
	}
	if err := placed(c.Validate(space), d.places, d.root); err != nil {
		return loop.Campaign{}, err
	}
	return c, nil
}

// findSpace looks the space up. It is nil if the document names none that there
// is; that has been refused then.
func (d *document) findSpace(root object, name string, lookup func(string) (*loop.Space, error)) (*loop.Space, error) {
	n := root.get("space")
	if n == nil || name == "" {
		if n != nil && n.sort == text {
			d.refuse(n, "space", "", "the space has no name")
		}
		return nil, nil
	}
	space, err := lookup(name)
	if err != nil {
		refusal, ok := errors.AsType[*loop.Error](err)
		if !ok {
			return nil, fmt.Errorf("spec: look up space %q: %w", name, err)
		}
		at := *refusal
		at.Field = "space"
		d.add(n, &at)
		return nil, nil
	}
	if space == nil {
		d.refuse(n, "space", "put the space first", "there is no space %q", name)
	}
	return space, nil
}

// readMake reads the requests of a campaign without a loop; without a space
// their slices are passed over.
func (d *document) readMake(space *loop.Space, root object) []loop.Request {
	items := root.list("make")
	if n := root.get("make"); n.sort == sequence && len(items) == 0 {
		d.refuse(n, "make", "for example [{where: {light: low}, count: 100}]", "nothing is listed")
	}
	requests := make([]loop.Request, 0, len(items))
	for i, n := range items {
		var r loop.Request
		if o, ok := d.object(n, at("make", i), "where", "count"); ok {
			if where := o.get("where"); where != nil && space != nil {
				r.Slice = d.readPredicates(space, where, o.path("where"))
			}
			o.need("count")
			o.count("count", math.MaxInt64, &r.Count)
		}
		requests = append(requests, r)
	}
	return requests
}

// readEvaluation reads the evaluation plan; without a space its slices are
// passed over.
func (d *document) readEvaluation(space *loop.Space, n *node, plan *loop.EvaluationPlan) {
	o, ok := d.object(n, "evaluation", "target", "mixture", "probe", "pinned")
	if !ok {
		return
	}
	o.count("target", math.MaxInt64, &plan.Target)
	o.count("mixture", math.MaxInt64, &plan.Mixture)
	o.count("probe", math.MaxInt64, &plan.Probe)
	for i, n := range o.list("pinned") {
		var pinned loop.Pinned
		if p, ok := d.object(n, at("evaluation.pinned", i), "slice", "count"); ok {
			if slice := p.need("slice"); slice != nil && space != nil {
				pinned.Slice = d.readSlice(space, slice, p.path("slice"))
			}
			p.need("count")
			p.count("count", math.MaxInt64, &pinned.Count)
		}
		plan.Pinned = append(plan.Pinned, pinned)
	}
}

// DefaultSeed is the seed of a campaign that names none: the first 8 bytes,
// big-endian, of SHA-256 over "hone/campaign/1" and the campaign's name. Two
// clusters given the same document make the same samples.
func DefaultSeed(name string) uint64 {
	sum := sha256.Sum256([]byte("hone/campaign/1" + name))
	return binary.BigEndian.Uint64(sum[:])
}
