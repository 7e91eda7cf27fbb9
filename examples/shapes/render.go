package shapes

import (
	"fmt"
	"math"
	"math/rand/v2"

	"hone/loop"
)

// Renderer draws the pictures of one space in one world. It holds no state that
// a picture changes, so that goroutines may share it.
type Renderer struct {
	world World
	// position is each factor's place in the space, -1 for one that is missing;
	// level translates the space's codes into the renderer's levels.
	position [factors]int
	level    [factors][]int
}

// NewRenderer binds the renderer to a space, by the names of its factors and
// levels: their order does not matter, and factors that the renderer does not
// know change nothing. It refuses a space that lacks a factor (but for
// occluder_side, without which occluders come from anywhere), makes one
// conditional, or has a level that cannot be drawn.
func NewRenderer(space *loop.Space, world World) (*Renderer, error) {
	r := &Renderer{world: world}
	for f, name := range factorNames {
		at := space.Factor(name)
		r.position[f] = at
		if at < 0 {
			if f == side {
				continue
			}
			return nil, &loop.Error{Field: "factors", Problem: fmt.Sprintf("space %q has no factor %q, which the shapes generator draws", space.Name, name)}
		}
		factor := &space.Factors[at]
		if factor.When != nil && f != side {
			return nil, &loop.Error{
				Field:   fmt.Sprintf("factors[%d].when", at),
				Problem: fmt.Sprintf("factor %q is conditional, but the shapes generator needs it in every scenario", name),
			}
		}
		r.level[f] = make([]int, len(factor.Levels))
		for l := range factor.Levels {
			found := indexOf(levelNames[f], factor.Levels[l].Name)
			if found < 0 {
				return nil, &loop.Error{
					Field:   fmt.Sprintf("factors[%d].levels[%d]", at, l),
					Problem: fmt.Sprintf("the shapes generator cannot draw %s=%s", name, factor.Levels[l].Name),
					Remedy:  fmt.Sprintf("one of %v", levelNames[f]),
				}
			}
			r.level[f][l] = found
		}
	}
	return r, nil
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

// Render draws the picture of a scenario. Everything random in it comes from
// the seed; class is the position in Classes of the shape that is truly there.
// It refuses codes that are no scenario of the renderer's space.
func (r *Renderer) Render(codes []loop.Code, seed uint64) (picture Picture, class int, err error) {
	var levels [factors]int
	for f, at := range r.position {
		levels[f] = -1
		if at < 0 {
			continue
		}
		if at >= len(codes) {
			return picture, 0, fmt.Errorf("render: %d codes, but %s is factor %d", len(codes), factorNames[f], at)
		}
		code := codes[at]
		if f == side && !code.IsLevel() {
			continue
		}
		if int(code) >= len(r.level[f]) {
			return picture, 0, fmt.Errorf("render: %s has no level %d", factorNames[f], code)
		}
		levels[f] = r.level[f][code]
	}
	r.draw(&picture, &levels, seed)
	return picture, levels[shape], nil
}

// seedStream separates the renderer's stream from other uses of a sample seed.
const seedStream = 0x7368617065732f31 // "shapes/1"

// scene is what a seed decides, drawn in a fixed order whatever the levels are,
// so that a level changes only what it is about.
type scene struct {
	theta, cx, cy float64
	phase         float64
	occluder      float64 // direction, radians; about its side when it has one
	bloomX        float64
	bloomY        float64
	texture       uint64
}

func (r *Renderer) draw(picture *Picture, levels *[factors]int, seed uint64) {
	random := rand.New(rand.NewPCG(seed, seedStream))
	if random.Uint64N(spoiledOne) == 0 {
		value := uint8(random.Uint32())
		for i := range picture {
			picture[i] = value
		}
		return
	}
	within := func(half float64) float64 { return half * (2*random.Float64() - 1) }
	var s scene
	s.theta = float64(levels[rotation])*math.Pi/4 + within(rotationJitter)
	s.cx, s.cy = within(centreJitter), within(centreJitter)
	s.phase = random.Float64()
	turn := random.Float64()
	s.bloomX, s.bloomY = within(1), within(1)
	s.texture = random.Uint64()
	if levels[side] >= 0 {
		s.occluder = float64(levels[side])*math.Pi/2 + sideJitter*(2*turn-1)
	} else {
		s.occluder = 2 * math.Pi * turn
	}

	var light [Pixels]float64
	deviation := noise
	if in := r.world.slice(levels); in == saturated {
		s.saturate(&light)
		deviation = 1.5 * noise
	} else {
		s.expose(&light, levels, in)
		smear(&light, levels[blur])
	}
	for i, p := range light {
		p += deviation * random.NormFloat64()
		picture[i] = uint8(math.Round(255 * clamp(p)))
	}
}

// saturate is what is left when the sensor saturates: a bloom, and no class.
func (s *scene) saturate(out *[Pixels]float64) {
	for i := range out {
		u, v := place(i)
		du, dv := u-s.bloomX, v-s.bloomY
		out[i] = .86 + .2*math.Exp(-2*(du*du+dv*dv))
	}
}

// expose renders background, part, occluder and light.
func (s *scene) expose(out *[Pixels]float64, levels *[factors]int, in planted) {
	size := radius[levels[scale]]
	sin, cos := math.Sincos(s.theta)
	edge := 1.6 / (Side * size) // width of an edge, in radii
	strength := gain * amplitude[levels[contrast]]
	class, seen := levels[shape], levels[shape]
	var tx, ty float64
	if in != ordinary {
		seen = (class + decoyOf[in]) % len(Classes)
		tx, ty = decoyShift*cos, decoyShift*sin
	}
	ny, nx := math.Sincos(s.occluder)
	reach := 1.6 * size * occluderEdge[levels[occlusion]]

	for i := range out {
		u, v := place(i)
		// (x, y) is the place in the part's own axes, in radii.
		x := (cos*(u-s.cx) + sin*(v-s.cy)) / size
		y := (-sin*(u-s.cx) + cos*(v-s.cy)) / size
		p := s.backdrop(i, u, v, levels)
		p += strength * cover(distance(seen, x-tx, y-ty), edge) * (1 + shading*x)
		switch in {
		case mirrored:
			p -= kappa * strength * cover(distance(class, x+tx, y+ty), edge)
		case tipped:
			p += 1.7 * kappa * strength * cover(math.Abs(distance(class, x+tx, y+ty))-.10, edge)
		case strobed:
			p -= .9 * kappa * strength * cover(distance(class, x-sin*ghostShift, y-cos*ghostShift), edge)
		case heated:
			p -= 1.3 * kappa * strength * cover(distance(class, engraving*x, engraving*y), engraving*edge)
		default: // ordinary pictures have no cue, saturated ones are not drawn here
		}
		if u*nx+v*ny > reach {
			p = .32 + .05*hash(s.texture, 3, i)
		}
		out[i] = illuminate(levels[light], p, u, v)
	}
}

func (s *scene) backdrop(i int, u, v float64, levels *[factors]int) float64 {
	b := .18
	switch levels[background] {
	case bgGradient:
		b = .18 + .12*v
	case bgStripes:
		b = .16 + .12*wave(2.2*u+s.phase)
	case bgChecker:
		b = .14 + .14*math.Abs(wave(1.8*u+s.phase)-wave(1.8*v+s.phase))
	case bgMetal:
		band := u + v - s.phase + .5
		b = .17 + .12*hash(s.texture, 1, i/Side) + .14*math.Exp(-6*band*band)
	case bgFoliage:
		b = .10 + .20*hash(s.texture, 2, i/Side/2*Side+i%Side/2)
	}
	if levels[contrast] == contrastInfrared {
		b = .30 + .3*(b-.18)
	}
	return b
}

func illuminate(level int, p, u, v float64) float64 {
	switch level {
	case lightLow:
		return .52 * p
	case lightDusk:
		return .68 * (1 + .3*u) * p
	case lightOvercast:
		return .82 * p
	case lightGlare:
		du, dv := u-.8, v+.8
		return .85*p + .35*math.Exp(-1.2*(du*du+dv*dv))
	}
	return p
}

// smear blurs with boxes of three pixels; the border repeats outwards.
func smear(p *[Pixels]float64, level int) {
	from := *p
	at := func(row, column int) float64 {
		return from[min(max(row, 0), Side-1)*Side+min(max(column, 0), Side-1)]
	}
	switch mix := boxBlur[level]; {
	case level == blurMotion:
		for i := range p {
			row, column := i/Side, i%Side
			p[i] = (at(row, column-1) + at(row, column) + at(row, column+1)) / 3
		}
	case mix > 0:
		for i := range p {
			row, column := i/Side, i%Side
			sum := 0.0
			for dr := -1; dr <= 1; dr++ {
				for dc := -1; dc <= 1; dc++ {
					sum += at(row+dr, column+dc)
				}
			}
			p[i] = (1-mix)*from[i] + mix*sum/9
		}
	}
}

// distance is that of a place from the outline of a class, in radii: negative
// inside.
func distance(class int, x, y float64) float64 {
	ax, ay := math.Abs(x), math.Abs(y)
	switch class {
	case disc:
		return math.Hypot(x, y) - .85
	case ring:
		return math.Abs(math.Hypot(x, y)-.72) - .2
	case square:
		return math.Max(ax, ay) - .75
	case triangle:
		return math.Max(-y-.6, .866*ax+.5*y-.5)
	case cross:
		return math.Min(math.Max(ax-.95, ay-.27), math.Max(ax-.27, ay-.95))
	case bar:
		return math.Max(ax-1, ay-.3)
	}
	panic("shapes: no such class")
}

// cover is how much of a pixel lies inside an outline at that distance.
func cover(distance, edge float64) float64 { return clamp(.5 - distance/edge) }

func clamp(x float64) float64 { return math.Min(math.Max(x, 0), 1) }

// wave is a square wave of period 1.
func wave(x float64) float64 {
	if x-math.Floor(x) < .5 {
		return 0
	}
	return 1
}

// place is the centre of pixel i, both coordinates in [-1,1], v downwards.
func place(i int) (u, v float64) {
	return (float64(i%Side)+.5)*2/Side - 1, (float64(i/Side)+.5)*2/Side - 1
}

// hash is a fixed number in [0,1) per (key, which, i).
func hash(key uint64, which, i int) float64 {
	z := key + uint64(which)<<32 + uint64(i)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return float64(z>>11) / (1 << 53)
}
