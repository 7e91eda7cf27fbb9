package spec

import "hone/loop"

// ParsePolicy reads a policy document: whatever it does not name stays as in
// loop.DefaultPolicy.
func ParsePolicy(doc []byte) (loop.Policy, error) {
	d, err := open(doc)
	if err != nil {
		return loop.Policy{}, err
	}
	p := loop.DefaultPolicy()
	root, ok := d.object(d.root, "", "name", "owner", "strategy", "floor", "minimum_rows", "memory", "window",
		"search", "shares", "damping", "value", "probes", "curriculum", "coverage", "pins", "bans")
	if !ok {
		return loop.Policy{}, d.err()
	}
	root.need("name")
	root.text("name", &p.Name)
	root.text("owner", &p.Owner)
	root.text("strategy", &p.Strategy)
	root.number("floor", &p.Floor)
	root.small("minimum_rows", &p.MinimumRows)
	root.number("memory", &p.Memory)
	root.small("window", &p.Window)
	if n := root.get("search"); n != nil {
		if o, ok := d.object(n, "search", "order", "false_discovery", "minimum_support", "minimum_z", "descent", "slices", "runs"); ok {
			o.small("order", &p.Search.Order)
			o.number("false_discovery", &p.Search.FalseDiscovery)
			o.number("minimum_support", &p.Search.MinimumSupport)
			o.number("minimum_z", &p.Search.MinimumZ)
			o.number("descent", &p.Search.Descent)
			o.small("slices", &p.Search.Slices)
			o.small("runs", &p.Search.Runs)
		}
	}
	if n := root.get("shares"); n != nil {
		if o, ok := d.object(n, "shares", "boosted", "cap", "base", "prevalence", "smallest", "trust_region"); ok {
			o.number("boosted", &p.Shares.Boosted)
			o.number("cap", &p.Shares.Cap)
			o.number("base", &p.Shares.Base)
			o.number("prevalence", &p.Shares.Prevalence)
			o.number("smallest", &p.Shares.Smallest)
			o.number("trust_region", &p.Shares.TrustRegion)
		}
	}
	if n := root.get("damping"); n != nil {
		if o, ok := d.object(n, "damping", "samples", "rows", "progress", "errors", "least", "quarantine", "reopen", "trickle"); ok {
			o.count("samples", 1<<53, &p.Damping.Samples)
			o.number("rows", &p.Damping.Rows)
			o.number("progress", &p.Damping.Progress)
			o.number("errors", &p.Damping.Errors)
			o.number("least", &p.Damping.Least)
			o.number("quarantine", &p.Damping.Quarantine)
			o.small("reopen", &p.Damping.Reopen)
			o.number("trickle", &p.Damping.Trickle)
		}
	}
	if n := root.get("value"); n != nil {
		if o, ok := d.object(n, "value", "cost", "time"); ok {
			o.truth("cost", &p.Value.Cost)
			o.truth("time", &p.Value.Time)
		}
	}
	if n := root.get("probes"); n != nil {
		if o, ok := d.object(n, "probes", "slices"); ok {
			o.small("slices", &p.Probes.Slices)
		}
	}
	if n := root.get("curriculum"); n != nil {
		if o, ok := d.object(n, "curriculum", "schedule", "share", "rounds"); ok {
			o.text("schedule", &p.Curriculum.Schedule)
			o.number("share", &p.Curriculum.Share)
			o.small("rounds", &p.Curriculum.Rounds)
		}
	}
	if n := root.get("coverage"); n != nil {
		if o, ok := d.object(n, "coverage", "order", "samples", "share", "factors"); ok {
			o.small("order", &p.Coverage.Order)
			o.small("samples", &p.Coverage.Samples)
			o.number("share", &p.Coverage.Share)
			for i, n := range o.list("factors") {
				var name string
				d.readText(n, at("coverage.factors", i), &name)
				p.Coverage.Factors = append(p.Coverage.Factors, name)
			}
		}
	}
	for i, n := range root.some("pins", loop.MaxOverrides) {
		p.Pins = append(p.Pins, d.readOverride(n, at("pins", i), true))
	}
	for i, n := range root.some("bans", loop.MaxOverrides) {
		p.Bans = append(p.Bans, d.readOverride(n, at("bans", i), false))
	}
	if err := d.validated(p.Validate); err != nil {
		return loop.Policy{}, err
	}
	return p, nil
}

// readOverride reads a pin, or a ban, which has no share.
func (d *document) readOverride(n *node, field string, pin bool) (out loop.Override) {
	known := []string{"slice", "author", "reason", "expires"}
	if pin {
		known = append(known, "share")
	}
	o, ok := d.object(n, field, known...)
	if !ok {
		return out
	}
	if n := o.need("slice"); n != nil {
		out.Slice = d.readNames(n, o.path("slice"))
	}
	if pin {
		o.need("share")
		o.number("share", &out.Share)
	}
	o.text("author", &out.Author)
	o.text("reason", &out.Reason)
	o.text("expires", &out.Expires)
	return out
}

// readNames reads a slice of whatever space.
func (d *document) readNames(n *node, field string) map[string]string {
	if n.sort != mapping {
		d.refuse(n, field, "for example {light: low, glove: yes}", "a mapping from factor to level is expected, not %s", n.sort)
		return nil
	}
	names := make(map[string]string, min(len(n.keys), loop.MaxOrder))
	for i, key := range n.keys {
		here := field + "." + key.text
		d.places[here] = n.items[i]
		if !n.items[i].scalar() {
			d.refuse(n.items[i], here, "", "the name of a level is expected, not %s", n.items[i].sort)
			continue
		}
		names[key.text] = n.items[i].text
	}
	return names
}
