package shapes

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"hone/loop"
)

func newRenderer(t testing.TB, world World) (*loop.Space, *Renderer) {
	t.Helper()
	space := testSpace(t)
	r, err := NewRenderer(space, world)
	if err != nil {
		t.Fatal(err)
	}
	return space, r
}

// draw draws codes from the target until the picture lies in the slice asked
// for; fixed levels, by name, come first.
func drawCodes(space *loop.Space, r *Renderer, random *rand.Rand, want planted, fixed map[string]string) []loop.Code {
	for {
		codes := make([]loop.Code, len(space.Factors))
		for f := range space.Factors {
			factor := &space.Factors[f]
			if factor.When != nil && !factor.When.Contains(int(codes[factor.When.Factor])) {
				codes[f] = loop.Absent
				continue
			}
			if name, ok := fixed[factor.Name]; ok {
				codes[f] = loop.Code(factor.Level(name))
				continue
			}
			x := random.Float64()
			for l := range factor.Levels {
				if x -= factor.Levels[l].Target; x < 0 || l == len(factor.Levels)-1 {
					codes[f] = loop.Code(l)
					break
				}
			}
		}
		if sliceOf(r, codes) == want {
			return codes
		}
	}
}

func sliceOf(r *Renderer, codes []loop.Code) planted {
	var levels [factors]int
	for f, at := range r.position {
		if codes[at].IsLevel() {
			levels[f] = r.level[f][codes[at]]
		}
	}
	return World{}.slice(&levels)
}

func mustRender(t testing.TB, r *Renderer, codes []loop.Code, seed uint64) (Picture, int) {
	t.Helper()
	p, class, err := r.Render(codes, seed)
	if err != nil {
		t.Fatal(err)
	}
	return p, class
}

var plantedConditions = func() map[planted]map[string]string {
	all := map[planted]map[string]string{ordinary: {}}
	for in := saturated; in <= heated; in++ {
		all[in] = in.named()
	}
	return all
}()

// TestContactSheet writes a picture of pictures: two rows per planted slice and
// of ordinary scenes, four columns per class.
func TestContactSheet(t *testing.T) {
	space, r := newRenderer(t, World{})
	random := rand.New(rand.NewPCG(1, 2))
	const zoom, each, gap = 4, 4, 2
	cell := Side*zoom + gap
	rows := []planted{ordinary, ordinary, ordinary, mirrored, mirrored, tipped, tipped, strobed, strobed, heated, heated, saturated}
	sheet := image.NewRGBA(image.Rect(0, 0, cell*each*len(Classes), cell*len(rows)))
	for row, in := range rows {
		for column := range each * len(Classes) {
			fixed := map[string]string{"shape": Classes[column/each]}
			for k, v := range plantedConditions[in] {
				fixed[k] = v
			}
			codes := drawCodes(space, r, random, in, fixed)
			p, _ := mustRender(t, r, codes, random.Uint64())
			for y := range Side * zoom {
				for x := range Side * zoom {
					g := p[y/zoom*Side+x/zoom]
					sheet.SetRGBA(column*cell+x, row*cell+y, color.RGBA{g, g, g, 255})
				}
			}
		}
	}
	path := filepath.Join(t.ArtifactDir(), "contact-sheet.png")
	var b bytes.Buffer
	if err := png.Encode(&b, sheet); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Log("contact sheet:", path)
}

// TestGolden pins pictures to the byte (I4, C12): everything random comes from
// the seed.
func TestGolden(t *testing.T) {
	const want = "064f74e054f8f1cd5a4f96adf75469e2f301ee9b9bad0d0bca659688c74aae96"
	space, r := newRenderer(t, World{})
	random := rand.New(rand.NewPCG(3, 4))
	h := sha256.New()
	for in := ordinary; in <= heated; in++ {
		for range 40 {
			codes := drawCodes(space, r, random, in, plantedConditions[in])
			seed := random.Uint64()
			p, _ := mustRender(t, r, codes, seed)
			if again, _ := mustRender(t, r, codes, seed); again != p {
				t.Fatal("the same seed gives another picture")
			}
			h.Write(p[:])
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("pictures changed: %s, want %s", got, want)
	}
}

func TestSpoiledSeeds(t *testing.T) {
	space, r := newRenderer(t, World{})
	random := rand.New(rand.NewPCG(5, 6))
	spoiled := 0
	const n = 20_000
	for range n {
		p, _ := mustRender(t, r, drawCodes(space, r, random, ordinary, nil), random.Uint64())
		if flat(p) {
			spoiled++
		}
	}
	if spoiled < 60 || spoiled > 140 {
		t.Errorf("%d of %d pictures have one value, want about %d", spoiled, n, n/spoiledOne)
	}
	// A saturated picture is not a spoiled one: a gate can tell them apart.
	for seed := range uint64(2000) {
		codes := drawCodes(space, r, random, saturated, plantedConditions[saturated])
		p, _ := mustRender(t, r, codes, seed)
		low, high := extremes(p)
		if spread := int(high) - int(low); spread != 0 && spread < 12 {
			t.Fatalf("seed %d: a saturated picture spans only %d values", seed, spread)
		}
	}
}

func flat(p Picture) bool { low, high := extremes(p); return low == high }

func extremes(p Picture) (low, high uint8) {
	low = 255
	for _, v := range p {
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// TestSaturatedShowsNothing: what cannot be learned must not leak the class.
func TestSaturatedShowsNothing(t *testing.T) {
	space, r := newRenderer(t, World{})
	random := rand.New(rand.NewPCG(7, 8))
	for seed := range uint64(200) {
		a := drawCodes(space, r, random, saturated, plantedConditions[saturated])
		b := drawCodes(space, r, random, saturated, plantedConditions[saturated])
		pa, _ := mustRender(t, r, a, seed)
		pb, _ := mustRender(t, r, b, seed)
		if pa != pb {
			t.Fatalf("seed %d: scenarios %v and %v differ in a saturated picture", seed, a, b)
		}
	}
}

// TestNullWorld: without planted slices pictures outside them are the same, and
// those inside are ordinary.
func TestNullWorld(t *testing.T) {
	space, r := newRenderer(t, World{})
	_, null := newRenderer(t, World{Null: true})
	random := rand.New(rand.NewPCG(9, 10))
	for in := ordinary; in <= heated; in++ {
		differ := 0
		for range 50 {
			codes := drawCodes(space, r, random, in, plantedConditions[in])
			seed := random.Uint64()
			a, _ := mustRender(t, r, codes, seed)
			b, _ := mustRender(t, null, codes, seed)
			if a != b {
				differ++
			}
		}
		if (in == ordinary) != (differ == 0) {
			t.Errorf("slice %d: %d of 50 pictures differ from the null world's", in, differ)
		}
	}
}

// TestOccluderSide: the side moves the occluder and nothing else; without it
// the occluder comes from anywhere.
func TestOccluderSide(t *testing.T) {
	space, r := newRenderer(t, World{})
	codes := make([]loop.Code, len(space.Factors))
	codes[space.Factor("occlusion")] = 3
	at := space.Factor("occluder_side")
	seen := map[Picture]bool{}
	for l := range space.Factors[at].Levels {
		codes[at] = loop.Code(l)
		p, _ := mustRender(t, r, codes, 12)
		seen[p] = true
	}
	codes[at] = loop.Absent
	p, _ := mustRender(t, r, codes, 12)
	seen[p] = true
	if len(seen) != 5 {
		t.Errorf("%d different pictures for four sides and none, want 5", len(seen))
	}
	codes[space.Factor("occlusion")] = 0
	absent, _ := mustRender(t, r, codes, 12)
	codes[at] = 1
	if side, _ := mustRender(t, r, codes, 12); side != absent {
		t.Error("an occluder's side shows where there is no occluder")
	}
}

func TestRefusals(t *testing.T) {
	space := testSpace(t)
	r, err := NewRenderer(space, World{})
	if err != nil {
		t.Fatal(err)
	}
	for _, codes := range [][]loop.Code{nil, make([]loop.Code, 3), {99, 0, 0, 0, 0, 0, 0, 0, 0}, {loop.Unknown, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if _, _, err := r.Render(codes, 1); err == nil {
			t.Errorf("codes %v were rendered", codes)
		}
	}
	for name, change := range map[string]func(*loop.Space){
		"unknown level":  func(s *loop.Space) { s.Factors[1].Levels[2].Name = "water" },
		"missing factor": func(s *loop.Space) { s.Factors[0].Name = "turn" },
		"conditional":    func(s *loop.Space) { s.Factors[7].When = &loop.LevelSet{Factor: 0, Levels: []int{0}} },
	} {
		s := testSpace(t)
		change(s)
		_, err := NewRenderer(s, World{})
		var refusal *loop.Error
		if !errors.As(err, &refusal) || refusal.Field == "" {
			t.Errorf("%s: got %v, want a refusal that names the field", name, err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	space, r := newRenderer(b, World{})
	codes := make([]loop.Code, len(space.Factors))
	var seed uint64
	for b.Loop() {
		seed++
		_, _, _ = r.Render(codes, seed)
	}
}
