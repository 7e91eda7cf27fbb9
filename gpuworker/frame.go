package gpuworker

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"hone/loop"
)

// Subprotocol is what both ends ask for in the websocket's handshake; a peer
// that does not offer it is refused before the first frame.
const Subprotocol = "hone.v1"

// version of the frames. A peer that writes another is told so and left alone.
const version = 1

// Bounds of what is read. A frame is bounded while it is read, not after.
const (
	maxFrame   = 8 << 20
	maxHello   = 1 << 20 // before a worker has been let in
	maxChunk   = 1 << 20 // of a definition
	maxSmall   = 1 << 20 // of a bundle in its delivery
	maxHolds   = 4096
	maxSlots   = 1024
	maxText    = 4 << 10 // of a problem
	maxLeases  = 4096    // in one frame
	maxKinds   = 256     // generators of a worker
	maxVersion = 128     // bytes of a generator's version
)

// frame is one binary message. Exactly one field beside the version is set; the
// key of the field is the kind of the frame. Keys are never used again.
type frame struct {
	Version int `cbor:"0,keyasint"`

	// The worker says:
	Hello    *hello    `cbor:"1,keyasint,omitempty"`
	Credit   *credit   `cbor:"3,keyasint,omitempty"`
	Delivery *delivery `cbor:"6,keyasint,omitempty"`
	Failed   *answer   `cbor:"12,keyasint,omitempty"`
	Drain    *struct{} `cbor:"13,keyasint,omitempty"`

	// The hub says:
	Welcome    *greeting   `cbor:"2,keyasint,omitempty"`
	Definition *definition `cbor:"4,keyasint,omitempty"`
	Lease      *leases     `cbor:"5,keyasint,omitempty"`
	Staged     *answer     `cbor:"7,keyasint,omitempty"`
	Committed  *answer     `cbor:"8,keyasint,omitempty"`
	Again      *answer     `cbor:"9,keyasint,omitempty"`
	Refused    *answer     `cbor:"10,keyasint,omitempty"`
	Later      *answer     `cbor:"11,keyasint,omitempty"`
	Bye        *struct{}   `cbor:"14,keyasint,omitempty"`
	// Error is the last frame before the hub closes.
	Error *fault `cbor:"15,keyasint,omitempty"`
}

// hello is the first frame of a connection.
type hello struct {
	Name string `cbor:"1,keyasint"`
	// Instance is a secret of the worker's directory: it tells a worker that
	// comes back from another one of the same name.
	Instance   string      `cbor:"2,keyasint"`
	Slots      int         `cbor:"3,keyasint"`
	Type       string      `cbor:"4,keyasint,omitempty"`
	Generators []generator `cbor:"5,keyasint"`
	Holds      []unit      `cbor:"6,keyasint,omitempty"`
}

type generator struct {
	Name          string `cbor:"1,keyasint"`
	Version       string `cbor:"2,keyasint"`
	Deterministic bool   `cbor:"3,keyasint,omitempty"`
}

// greeting says that the worker has been let in.
type greeting struct {
	// Small is the most bytes of a bundle that comes in its delivery and is not
	// staged; 0: every one is.
	Small int `cbor:"1,keyasint,omitempty"`
}

// credit says that the worker has room for so many more units.
type credit struct {
	Free int `cbor:"1,keyasint"`
}

// definition is a piece of a round's definition, in loop's own JSON: it is what
// the types define, and the round's part of it is its canonical encoding. Pieces
// of one definition follow each other; the last one says so.
type definition struct {
	Campaign string `cbor:"1,keyasint"`
	Round    int    `cbor:"2,keyasint"`
	JSON     []byte `cbor:"3,keyasint"`
	Last     bool   `cbor:"4,keyasint,omitempty"`
}

type leases struct {
	Leases []lease `cbor:"1,keyasint"`
}

type lease struct {
	Unit      unit   `cbor:"1,keyasint"`
	Generator string `cbor:"2,keyasint"`
}

type unit struct {
	Campaign  string `cbor:"1,keyasint"`
	Domain    uint8  `cbor:"2,keyasint"`
	Round     int    `cbor:"3,keyasint"`
	Component int    `cbor:"4,keyasint"`
	Attempt   int    `cbor:"5,keyasint"`
	First     uint64 `cbor:"6,keyasint"`
	Count     int    `cbor:"7,keyasint"`
}

// delivery is a finished unit; Rows is an Arrow IPC stream with a row per sample.
// Bundle is empty where it is staged.
type delivery struct {
	Worker    string    `cbor:"1,keyasint"`
	Unit      unit      `cbor:"2,keyasint"`
	Generator generator `cbor:"3,keyasint"`
	Millis    int64     `cbor:"4,keyasint"`
	Rows      []byte    `cbor:"5,keyasint"`
	Bundle    []byte    `cbor:"6,keyasint,omitempty"`
}

// answer is about one unit.
type answer struct {
	Unit     unit      `cbor:"1,keyasint"`
	Problem  string    `cbor:"2,keyasint,omitempty"`
	Standing *standing `cbor:"3,keyasint,omitempty"`
}

type standing struct {
	Fresh     int `cbor:"1,keyasint,omitempty"`
	Duplicate int `cbor:"2,keyasint,omitempty"`
	Stale     int `cbor:"3,keyasint,omitempty"`
	Closed    int `cbor:"4,keyasint,omitempty"`
	Rejected  int `cbor:"5,keyasint,omitempty"`
}

// fault is why the hub closes.
type fault struct {
	// Final: the same hello will be refused again.
	Final   bool   `cbor:"1,keyasint,omitempty"`
	Field   string `cbor:"2,keyasint,omitempty"`
	Problem string `cbor:"3,keyasint"`
	Remedy  string `cbor:"4,keyasint,omitempty"`
}

func (f *fault) Error() string {
	return (&loop.Error{Field: f.Field, Problem: f.Problem, Remedy: f.Remedy}).Error()
}

// faultOf tells a peer of an error: what it has to mend itself, or what went
// wrong here.
func faultOf(err error, final bool) *fault {
	f := &fault{Final: final, Problem: clip(err.Error())}
	if refusal, ok := errors.AsType[*loop.Error](err); ok {
		f.Field, f.Problem, f.Remedy = clip(refusal.Field), clip(refusal.Problem), clip(refusal.Remedy)
	}
	return f
}

func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
		for s != "" && s[len(s)-1] >= 0x80 { // no half of a character: CBOR text is UTF-8
			s = s[:len(s)-1]
		}
	}
	return s
}

var (
	encoding = must(cbor.EncOptions{}.EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  8,
		MaxArrayElements: maxLeases,
		MaxMapPairs:      64,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func encode(f frame) []byte {
	f.Version = version
	// Nothing in a frame can fail to encode.
	return must(encoding.Marshal(f))
}

// decode reads one frame; it refuses what is not exactly one kind of frame of
// this version. What stands in the frame is still to be checked.
func decode(b []byte) (frame, error) {
	var f frame
	if err := decoding.Unmarshal(b, &f); err != nil {
		return frame{}, &loop.Error{Problem: fmt.Sprintf("not a frame: %v", err)}
	}
	if f.Version != version {
		return frame{}, &loop.Error{Field: "version", Problem: fmt.Sprintf("frame of version %d", f.Version),
			Remedy: fmt.Sprintf("this end speaks version %d: use equal builds", version)}
	}
	kinds := 0
	for _, set := range []bool{f.Hello != nil, f.Credit != nil, f.Delivery != nil, f.Failed != nil, f.Drain != nil,
		f.Welcome != nil, f.Definition != nil, f.Lease != nil, f.Staged != nil, f.Committed != nil,
		f.Again != nil, f.Refused != nil, f.Later != nil, f.Bye != nil, f.Error != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return frame{}, &loop.Error{Problem: fmt.Sprintf("a frame of %d known kinds; it has exactly one", kinds)}
	}
	return f, nil
}

func wireUnit(u loop.Unit) unit {
	return unit{u.Campaign, uint8(u.Domain), u.Round, u.Component, u.Attempt, u.First, u.Count}
}

// loop checks the unit.
func (u unit) loop() (loop.Unit, error) {
	out := loop.Unit{Campaign: u.Campaign, Domain: loop.Domain(u.Domain), Round: u.Round, Component: u.Component,
		Attempt: u.Attempt, First: u.First, Count: u.Count}
	if err := out.Validate(); err != nil {
		return loop.Unit{}, err
	}
	return out, nil
}

func wireGenerator(g loop.Generator) generator {
	return generator{g.Name, g.Version, g.Deterministic}
}

func (g generator) loop() (loop.Generator, error) {
	out := loop.Generator{Name: g.Name, Version: g.Version, Deterministic: g.Deterministic}
	return out, checkGenerator(out)
}

func checkGenerator(g loop.Generator) error {
	if !loop.ValidName(g.Name) {
		return &loop.Error{Field: "generator.name", Problem: fmt.Sprintf("%q is not a name", clip(g.Name))}
	}
	if g.Version == "" || len(g.Version) > maxVersion {
		return &loop.Error{Field: "generator.version", Problem: fmt.Sprintf("a version of %d bytes", len(g.Version)),
			Remedy: fmt.Sprintf("1 to %d bytes", maxVersion)}
	}
	return nil
}

// worker checks a hello.
func (h *hello) worker() (loop.Worker, error) {
	w := loop.Worker{Name: h.Name, Slots: h.Slots, Type: h.Type}
	switch {
	case !loop.ValidName(h.Name):
		return w, &loop.Error{Field: "name", Problem: fmt.Sprintf("%q is not a worker's name", clip(h.Name)),
			Remedy: "a letter, then up to 62 letters, digits, '_', '.' or '-'"}
	case len(h.Instance) < 16 || len(h.Instance) > 128:
		return w, &loop.Error{Field: "instance", Problem: fmt.Sprintf("%d bytes; 16 to 128 are allowed", len(h.Instance))}
	case h.Slots < 1 || h.Slots > maxSlots:
		return w, &loop.Error{Field: "slots", Problem: fmt.Sprintf("%d slots; 1 to %d are allowed", h.Slots, maxSlots)}
	case len(h.Type) > 64:
		return w, &loop.Error{Field: "type", Problem: fmt.Sprintf("%d bytes; at most 64 are allowed", len(h.Type))}
	case len(h.Generators) < 1 || len(h.Generators) > maxKinds:
		return w, &loop.Error{Field: "generators", Problem: fmt.Sprintf("%d generators; 1 to %d are allowed", len(h.Generators), maxKinds)}
	case len(h.Holds) > maxHolds:
		return w, &loop.Error{Field: "holds", Problem: fmt.Sprintf("%d units; at most %d are allowed", len(h.Holds), maxHolds)}
	}
	seen := make(map[string]bool)
	for _, wire := range h.Generators {
		g, err := wire.loop()
		if err != nil {
			return w, err
		}
		if seen[g.Name] {
			return w, &loop.Error{Field: "generators", Problem: fmt.Sprintf("generator %q is there twice", g.Name)}
		}
		seen[g.Name] = true
		w.Generators = append(w.Generators, g)
	}
	for _, wire := range h.Holds {
		u, err := wire.loop()
		if err != nil {
			return w, err
		}
		w.Holds = append(w.Holds, u)
	}
	return w, nil
}

// loop checks a delivery.
func (d *delivery) loop() (loop.Delivery, error) {
	u, err := d.Unit.loop()
	if err != nil {
		return loop.Delivery{}, err
	}
	g, err := d.Generator.loop()
	if err != nil {
		return loop.Delivery{}, err
	}
	if d.Millis < 0 {
		return loop.Delivery{}, &loop.Error{Field: "millis", Problem: fmt.Sprintf("%d is not a time", d.Millis)}
	}
	samples, err := decodeRows(d.Rows, u.Count)
	if err != nil {
		return loop.Delivery{}, err
	}
	out := loop.Delivery{Worker: d.Worker, Unit: u, Generator: g, Samples: samples, Millis: d.Millis}
	if len(d.Bundle) > 0 {
		out.Bytes = d.Bundle
	}
	if err := out.Validate(); err != nil {
		return loop.Delivery{}, err
	}
	return out, nil
}
