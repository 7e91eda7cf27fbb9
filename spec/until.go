package spec

import (
	"math"

	"hone/loop"
)

// readUntil reads the conditions on which a campaign is done; without a space
// their slices are passed over.
func (d *document) readUntil(space *loop.Space, root object) []loop.Until {
	items := root.list("until")
	conditions := make([]loop.Until, 0, len(items))
	for i, n := range items {
		var u loop.Until
		if o, ok := d.object(n, at("until", i), "failure", "gain", "plateau", "spend", "date"); ok {
			if n := o.get("failure"); n != nil {
				u.Failure = d.readUntilFailure(space, n, o.path("failure"))
			}
			if n := o.get("gain"); n != nil {
				u.Gain = &loop.UntilGain{}
				if g, ok := d.object(n, o.path("gain"), "samples", "gpu_hours", "money", "below"); ok {
					g.count("samples", math.MaxInt64, &u.Gain.Samples)
					g.number("gpu_hours", &u.Gain.GPUHours)
					g.number("money", &u.Gain.Money)
					g.need("below")
					g.number("below", &u.Gain.Below)
				}
			}
			if n := o.get("plateau"); n != nil {
				u.Plateau = &loop.UntilPlateau{}
				if p, ok := d.object(n, o.path("plateau"), "versions"); ok {
					p.need("versions")
					p.small("versions", &u.Plateau.Versions)
				}
			}
			if n := o.get("spend"); n != nil {
				u.Spend = &loop.UntilSpend{}
				if p, ok := d.object(n, o.path("spend"), "gpu_hours", "money"); ok {
					p.number("gpu_hours", &u.Spend.GPUHours)
					p.number("money", &u.Spend.Money)
				}
			}
			o.text("date", &u.Date)
		}
		conditions = append(conditions, u)
	}
	return conditions
}

func (d *document) readUntilFailure(space *loop.Space, n *node, field string) *loop.UntilFailure {
	f := &loop.UntilFailure{Confidence: loop.DefaultConfidence}
	if o, ok := d.object(n, field, "slice", "at_most", "confidence"); ok {
		if slice := o.get("slice"); slice != nil && space != nil {
			f.Slice = d.readSlice(space, slice, o.path("slice"))
		}
		o.need("at_most")
		o.number("at_most", &f.AtMost)
		o.number("confidence", &f.Confidence)
	}
	return f
}
