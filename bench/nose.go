package main

import (
	_ "embed"
	"fmt"
	"math"
	"math/rand/v2"

	"hone/examples/shapes"
	"hone/loop"
)

// The second world, an electronic nose: sixteen gas sensors read at sixteen
// times, as one row of gray values per sensor, and a model that names one of six
// gases. It was written before any strategy ran on it, and has nothing in common
// with the world of shapes but its size: eleven factors instead of nine, 14
// million scenarios, time series instead of pictures.
//
// A gas is a pattern over the sensors that rises after an onset and decays when
// the nose is purged. All factors leave a trace in the reading. In four
// conjunctions the pattern of another gas is seen at full strength, and the true
// one only as a weak trace, each in a way of its own, so that what is learned in
// one helps in no other:
//
//	slice                                      deployment  uniform  where the true gas shows
//	film       wet x floor                          1.7 %    2.8 %  it desorbs late, while the nose is purged
//	undershoot arid x spent                         1.7 %    3.3 %  a dip at the onset
//	mirrored   smoke x warm x battery                .9 %    1.0 %  on the sensors in reverse order
//	pulsed     still x cabinet x gusty               .5 %    1.0 %  as a ripple from reading to reading
//	flooded    humid x flood                        2.5 %    3.3 %  nowhere: every sensor is at its rail
//
// Uniform sampling shows some ten to fifteen pictures of mirrored or pulsed per
// thousand, over six gases, and everything else in them varies: a learner sees
// the decoy a hundred times more often where it is the truth. Flooded fails
// more than any other slice, and no sample mends it.
//
//go:embed nose.yaml
var noseDocument []byte

// The nose's factors, in the order of nose.yaml.
const (
	noseMount = iota
	noseHumidity
	noseTemperature
	noseFlow
	noseGas
	noseDose
	noseAge
	noseInterferent
	noseLoad
	noseSupply
	noseVent
)

const (
	noseSensors = shapes.Side
	noseTimes   = shapes.Side
	nosePurge   = 11 // the reading at which the nose is purged
	// noseTrace is the strength of a true trace against the decoy's.
	noseTrace = .05
	noseNoise = .015
)

// trap is a conjunction in which the reading misleads.
type trap int

const (
	trapNone trap = iota
	trapFlooded
	trapFilm
	trapUndershoot
	trapMirrored
	trapPulsed
)

// traps are the planted slices in order of precedence, level by factor.
var traps = [...]map[string]string{
	trapFlooded:    {"humidity": "humid", "dose": "flood"},
	trapFilm:       {"humidity": "wet", "mount": "floor"},
	trapUndershoot: {"humidity": "arid", "age": "spent"},
	trapMirrored:   {"interferent": "smoke", "temperature": "warm", "supply": "battery"},
	trapPulsed:     {"flow": "still", "mount": "cabinet", "vent": "gusty"},
}

// noseDecoy is by how many gases the decoy of a trap is off.
var noseDecoy = [...]int{trapFilm: 1, trapUndershoot: 2, trapMirrored: 4, trapPulsed: 5}

// nose renders readings.
type nose struct {
	traps []loop.Slice // by trap, flooded first; none in a null world
	// patterns are what the gases do to the sensors, and airs what the
	// interferents do.
	patterns [6][noseSensors]float64
	airs     [5][noseSensors]float64
}

func noseWorld(null bool) (*world, error) {
	w, err := emptyWorld("nose", noseDocument, traps[trapFilm:], traps[trapFlooded])
	if err != nil {
		return nil, err
	}
	n := &nose{}
	if !null {
		n.traps = append([]loop.Slice{w.unlearnable}, w.learnable...)
	}
	random := rand.New(rand.NewPCG(noseStream, 0))
	for _, table := range [][][noseSensors]float64{n.patterns[:], n.airs[1:]} {
		for i := range table {
			for s := range table[i] {
				table[i][s] = .1 + .9*random.Float64()
			}
		}
	}
	w.draw = n.draw
	return w, nil
}

// noseStream separates the nose's stream from other uses of a sample seed.
const noseStream = 0x6e6f73652f2f2f31 // "nose///1"

// What levels do.
var (
	noseStrength = [...]float64{.28, .33, .38, .44, .50}    // by dose
	noseSlowness = [...]float64{4.6, 3.8, 3.0, 2.4, 1.8}    // by temperature, in readings
	noseOnset    = [...]float64{4, 3, 2, 1}                 // by flow
	noseLoads    = [...]float64{.06, .10, .15}              // by load
	noseVents    = [...]float64{1, .93, .86, 1}             // by vent
	noseWear     = [...]float64{1, .95, .90, .84, .78}      // by age, of every second sensor
	noseDamp     = [...]float64{-.06, 0, .03, .06, .1, .14} // by humidity, of every fourth sensor
)

func (n *nose) in(codes []loop.Code) trap {
	for i, slice := range n.traps {
		if slice.Matches(codes) {
			return trapFlooded + trap(i)
		}
	}
	return trapNone
}

// draw renders a reading: row s is sensor s, column t time t.
func (n *nose) draw(codes []loop.Code, seed uint64) (reading shapes.Picture, gas int, err error) {
	if len(codes) != noseVent+1 || !codes[noseGas].IsLevel() {
		return reading, 0, fmt.Errorf("codes %v are no scenario of the nose", codes)
	}
	random := rand.New(rand.NewPCG(seed, noseStream))
	gas = int(codes[noseGas])
	in := n.in(codes)
	deviation := noseNoise
	var value [noseSensors][noseTimes]float64
	if in == trapFlooded {
		deviation *= 1.5
		phase := 2 * math.Pi * random.Float64()
		for s := range value {
			for t := range value[s] {
				value[s][t] = .88 + .05*math.Sin(phase+float64(s+t)/5)
			}
		}
	} else {
		n.respond(&value, codes, gas, in, random)
	}
	for s := range value {
		for t, v := range value[s] {
			v += deviation * random.NormFloat64()
			reading[s*noseTimes+t] = uint8(math.Round(255 * min(max(v, 0), 1)))
		}
	}
	return reading, gas, nil
}

// respond is what the sensors say of the air.
func (n *nose) respond(value *[noseSensors][noseTimes]float64, codes []loop.Code, gas int, in trap, random *rand.Rand) {
	within := func(half float64) float64 { return half * (2*random.Float64() - 1) }
	strength := noseStrength[codes[noseDose]] * noseVents[codes[noseVent]] * (1 + within(.06))
	slowness := noseSlowness[codes[noseTemperature]] * (1 + within(.08))
	onset := noseOnset[codes[noseFlow]] + within(.3)
	gust := 2 * math.Pi * random.Float64()
	tilt := float64(codes[noseMount]) * math.Pi / 3

	seen := gas
	if in != trapNone {
		seen = (gas + noseDecoy[in]) % len(n.patterns)
	}
	var rise [noseTimes]float64
	top := 0.0
	for t := range rise {
		at := float64(t)
		switch {
		case t >= nosePurge:
			rise[t] = top * math.Exp(-(at-nosePurge+1)/slowness)
		case at >= onset:
			rise[t] = 1 - math.Exp(-(at-onset+1)/slowness)
			top = rise[t]
		}
	}
	for s := range value {
		gain := 1 + within(.03)
		if s%2 == 1 {
			gain *= noseWear[codes[noseAge]]
		}
		still := .16 + .05*math.Sin(2*math.Pi*float64(s)/noseSensors+tilt)
		switch s % 4 {
		case 0:
			still += noseDamp[codes[noseHumidity]]
		case 1:
			still += .03 * float64(codes[noseTemperature])
		case 2:
			still += .03 * float64(codes[noseAge])
		}
		if codes[noseLoad].IsLevel() {
			still += noseLoads[codes[noseLoad]] * n.airs[codes[noseInterferent]][s]
		}
		for t := range value[s] {
			v := still + supplied(int(codes[noseSupply]), t)
			v += gain * strength * n.patterns[seen][s] * rise[t]
			v += gain * noseTrace * strength * n.trace(in, gas, s, t, onset, &rise)
			if codes[noseVent] == 3 {
				v *= 1 + .06*math.Sin(gust+float64(t)*1.9)
			}
			value[s][t] = v
		}
	}
}

// supplied is what the supply adds at a time.
func supplied(level, t int) float64 {
	switch level {
	case 1: // a battery droops
		return -.005 * float64(t)
	case 2: // the sun comes and goes
		return .03 * math.Sin(2*math.Pi*float64(t)/noseTimes)
	case 3: // a crank ripples
		return .02 * float64(1-2*(t%2))
	}
	return 0
}

// trace is how the true gas shows in a trap.
func (n *nose) trace(in trap, gas, s, t int, onset float64, rise *[noseTimes]float64) float64 {
	switch in {
	case trapFilm:
		if t >= nosePurge {
			return .8 * n.patterns[gas][s]
		}
	case trapUndershoot:
		if after := float64(t) - onset; after >= 0 && after < 3 {
			return -1.4 * n.patterns[gas][s]
		}
	case trapMirrored:
		return n.patterns[gas][noseSensors-1-s] * rise[t]
	case trapPulsed:
		return float64(1-2*(t%2)) * n.patterns[gas][s] * rise[t]
	default: // nothing hides
	}
	return 0
}
