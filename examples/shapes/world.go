package shapes

import "math"

// Everything that makes the world what it is stands in this file. It was fixed
// before any policy was tuned on it; change it and every figure changes.

// World selects a world.
type World struct {
	// Null removes the misleading slices and the unlearnable one.
	Null bool
}

// The levels that the renderer can draw, by factor. Numbers below are parallel
// to these names.
var levelNames = [...][]string{
	rotation:   {"r0", "r45", "r90", "r135", "r180", "r225", "r270", "r315"},
	background: {"plain", "gradient", "stripes", "checker", "metal", "foliage"},
	shape:      Classes,
	light:      {"low", "dusk", "overcast", "day", "glare"},
	scale:      {"small", "modest", "medium", "large", "near"},
	occlusion:  {"none", "light", "medium", "strong"},
	side:       {"right", "bottom", "left", "top"},
	blur:       {"none", "soft", "strong", "motion"},
	contrast:   {"full", "mid", "low", "infrared"},
}

var factorNames = [...]string{
	rotation: "rotation", background: "background", shape: "shape", light: "light", scale: "scale",
	occlusion: "occlusion", side: "occluder_side", blur: "blur", contrast: "contrast",
}

// The factors of the world, in the renderer's own order.
const (
	rotation = iota
	background
	shape
	light
	scale
	occlusion
	side
	blur
	contrast
	factors
)

// Levels that formulas name.
const (
	bgGradient, bgStripes, bgChecker, bgMetal, bgFoliage = 1, 2, 3, 4, 5

	lightLow, lightDusk, lightOvercast, lightDay, lightGlare = 0, 1, 2, 3, 4

	disc, ring, square, triangle, cross, bar = 0, 1, 2, 3, 4, 5

	rotation225      = 5
	scaleNear        = 4
	occlusionStrong  = 3
	blurMotion       = 3
	contrastInfrared = 3
)

const (
	// gain is the amplitude of a part at full contrast.
	gain = .55
	// shading along the part's own axis shows the rotation of disc and ring too.
	shading = .3
	// kappa is the strength of a true cue against the decoy's.
	kappa = .3
	// noise is the standard deviation of the sensor's noise.
	noise = .02
	// decoyShift displaces decoy and cue, in radii, along the rotation.
	decoyShift = .12
	// ghostShift is how much lower the stroboscope's ghost stands, in radii.
	ghostShift = .35
	// engraving is how much smaller the engraved class is.
	engraving = 1.6
	// rotationJitter (radians) and centreJitter are half widths.
	rotationJitter = .125
	centreJitter   = .08
	// sideJitter is the half width of the occluder's direction about its side:
	// an eighth of a turn, so that the four sides together cover the circle.
	sideJitter = math.Pi / 4
	// spoiledOne: one seed in this many gives a picture of one value.
	spoiledOne = 200
)

var (
	radius = [...]float64{.50, .56, .62, .68, .76}
	// occluderEdge is the distance of the occluder's edge, in 1.6 radii.
	occluderEdge = [...]float64{math.Inf(1), .52, .43, .34}
	amplitude    = [...]float64{1, .86, .72, .9}
	// boxBlur is how much of a 3x3 box is mixed in.
	boxBlur = [...]float64{0, .5, .8, 0}
)

// planted is a conjunction in which the picture misleads.
type planted int

// The planted slices, in order of precedence.
const (
	ordinary planted = iota
	// saturated: the sensor saturates, and no class is to be seen.
	saturated
	// mirrored: the metal mirrors the lit back; the part is a dark silhouette.
	mirrored
	// tipped: the part tips away and shows its flank; only its rim catches light.
	tipped
	// strobed: a stroboscopic double exposure; the front is a ghost, lower down.
	strobed
	// heated: infrared sees the heater behind the face; the class is engraved,
	// small.
	heated
)

// conjunctions are the planted slices, as factors and the renderer's levels.
var conjunctions = [...][]struct{ factor, level int }{
	saturated: {{light, lightGlare}, {scale, scaleNear}},
	mirrored:  {{background, bgMetal}, {light, lightLow}},
	tipped:    {{rotation, rotation225}, {occlusion, occlusionStrong}},
	strobed:   {{background, bgStripes}, {light, lightDay}, {blur, blurMotion}},
	heated:    {{background, bgChecker}, {light, lightGlare}, {contrast, contrastInfrared}},
}

// decoyOf is by how many classes the decoy of a slice is off; the true class
// is what stands on the other side of the part.
var decoyOf = [...]int{mirrored: 1, tipped: 2, strobed: 4, heated: 5}

// slice says in which planted conjunction a picture lies, if any: levels are
// the renderer's own. Where two hold the first listed wins.
func (w World) slice(l *[factors]int) planted {
	if w.Null {
		return ordinary
	}
next:
	for in := saturated; in <= heated; in++ {
		for _, c := range conjunctions[in] {
			if l[c.factor] != c.level {
				continue next
			}
		}
		return in
	}
	return ordinary
}

// Learnable are the planted slices that mislead and can be learned, level by
// factor, for those who examine a learner; the world's own policy never sees
// them.
func Learnable() []map[string]string {
	var out []map[string]string
	for in := mirrored; in <= heated; in++ {
		out = append(out, in.named())
	}
	return out
}

// Unlearnable is the planted slice that nobody can learn.
func Unlearnable() map[string]string { return saturated.named() }

func (in planted) named() map[string]string {
	named := map[string]string{}
	for _, c := range conjunctions[in] {
		named[factorNames[c.factor]] = levelNames[c.factor][c.level]
	}
	return named
}
