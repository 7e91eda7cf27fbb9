package gate

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"hone/loop"
)

func encode(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gray paints a picture of grey levels; value is clamped to 0..1.
func gray(size int, value func(x, y int) float64) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			img.SetGray(x, y, color.Gray{Y: uint8(math.Round(255 * max(0, min(1, value(x, y)))))})
		}
	}
	return img
}

func flat(v float64) func(x, y int) float64 { return func(int, int) float64 { return v } }

// bomb is a PNG whose header claims width x height.
func bomb(t testing.TB, width, height uint32) []byte {
	b := encode(t, gray(1, flat(0)))
	binary.BigEndian.PutUint32(b[16:], width)
	binary.BigEndian.PutUint32(b[20:], height)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

var label = loop.Member{Ext: "label.json", Bytes: []byte(`{"class":1}`)}

func picturesOf(b []byte) *Sample {
	return &Sample{Members: []loop.Member{{Ext: "image.png", Bytes: b}, label}}
}

func judge(t *testing.T, g Gate, s *Sample) (bool, string, []loop.Score) {
	t.Helper()
	ok, reason, scores, err := g.Judge(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	if ok != (reason == "") {
		t.Errorf("accepted %v for the reason %q", ok, reason)
	}
	return ok, reason, scores
}

func TestFormat(t *testing.T) {
	good := encode(t, gray(16, func(x, _ int) float64 { return float64(x) / 16 }))
	for name, c := range map[string]struct {
		members []loop.Member
		reason  string // empty: accepted
	}{
		"good":           {[]loop.Member{{Ext: "image.png", Bytes: good}, label}, ""},
		"more members":   {[]loop.Member{{Ext: "image.png", Bytes: good}, label, {Ext: "mask.png", Bytes: good}, {Ext: "depth.bin"}}, ""},
		"label is null":  {[]loop.Member{{Ext: "image.png", Bytes: good}, {Ext: "label.json", Bytes: []byte("null")}}, ""},
		"no picture":     {[]loop.Member{label}, "there is no image.png"},
		"no label":       {[]loop.Member{{Ext: "image.png", Bytes: good}}, "there is no label.json"},
		"empty picture":  {[]loop.Member{{Ext: "image.png"}, label}, "image.png is not a PNG"},
		"text":           {[]loop.Member{{Ext: "image.png", Bytes: []byte("GIF89a")}, label}, "image.png is not a PNG"},
		"cut off":        {[]loop.Member{{Ext: "image.png", Bytes: good[:len(good)-20]}, label}, "image.png is not a PNG"},
		"flipped byte":   {[]loop.Member{{Ext: "image.png", Bytes: flip(good, len(good)/2)}, label}, "image.png is not a PNG"},
		"bomb":           {[]loop.Member{{Ext: "image.png", Bytes: bomb(t, 65535, 65535)}, label}, "65535 x 65535"},
		"thin bomb":      {[]loop.Member{{Ext: "image.png", Bytes: bomb(t, 1<<31-1, 1)}, label}, "at most"},
		"mask is broken": {[]loop.Member{{Ext: "image.png", Bytes: good}, label, {Ext: "mask.png"}}, "mask.png is not a PNG"},
		"label is empty": {[]loop.Member{{Ext: "image.png", Bytes: good}, {Ext: "label.json"}}, "label.json is not JSON"},
		"two labels":     {[]loop.Member{{Ext: "image.png", Bytes: good}, {Ext: "label.json", Bytes: []byte("{}{}")}}, "label.json is not JSON"},
	} {
		ok, reason, scores := judge(t, Format{}, &Sample{Members: c.members})
		if ok != (c.reason == "") || !strings.Contains(reason, c.reason) {
			t.Errorf("%s: %v, %q; want %q", name, ok, reason, c.reason)
		}
		if ok && (len(scores) != 1 || scores[0] != loop.Score{Name: "pixels", Value: 256}) {
			t.Errorf("%s: scores %v", name, scores)
		}
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x55
	return b
}

func TestBlank(t *testing.T) {
	one := func(at, v float64) func(x, y int) float64 {
		return func(x, y int) float64 {
			if x == 3 && y == 5 {
				return v
			}
			return at
		}
	}
	transparent := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	for i := range transparent.Pix {
		if i%4 != 3 { // colours that nobody sees
			transparent.Pix[i] = uint8(i * 37)
		}
	}
	blue := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for i := range blue.Pix {
		blue.Pix[i] = 255
	}
	blue.SetRGBA(1, 1, color.RGBA{R: 255, G: 255, B: 200, A: 255})
	fine := image.NewGray16(image.Rect(0, 0, 8, 8))
	fine.SetGray16(1, 1, color.Gray16{Y: 2 * 257})
	finer := image.NewGray16(image.Rect(0, 0, 8, 8))
	finer.SetGray16(1, 1, color.Gray16{Y: 2*257 + 1})
	for name, c := range map[string]struct {
		img   image.Image
		blank bool
	}{
		"black":                        {gray(16, flat(0)), true},
		"white":                        {gray(16, flat(1)), true},
		"grey":                         {gray(16, flat(.5)), true},
		"one pixel":                    {gray(1, flat(.5)), true},
		"dithered":                     {gray(16, func(x, y int) float64 { return float64(100+(x+y)%2) / 255 }), true},
		"two levels":                   {gray(16, one(100./255, 102./255)), true},
		"three levels":                 {gray(16, one(100./255, 103./255)), false},
		"a small object on plain":      {gray(256, one(.2, .8)), false},
		"a faint gradient":             {gray(16, func(x, _ int) float64 { return .5 + float64(x)*.002 }), false},
		"a colour of the same grey":    {blue, false},
		"nothing but opacity 0":        {transparent, true},
		"two levels in 16 bits":        {fine, true},
		"more than that in 16 bits":    {finer, false},
		"palette":                      {image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.Black, color.White}), true},
		"a window into a busy picture": {gray(16, func(x, _ int) float64 { return float64(x) / 16 }).SubImage(image.Rect(3, 0, 4, 16)), true},
	} {
		ok, reason, scores := judge(t, Blank{}, picturesOf(encode(t, c.img)))
		if ok == c.blank || len(scores) != 1 || (scores[0].Value <= BlankRange) != c.blank {
			t.Errorf("%s: accepted %v, %q, scores %v", name, ok, reason, scores)
		}
	}
	// rangeOf must look at a window only, which PNG does not keep.
	window := gray(16, func(x, _ int) float64 { return float64(x) / 16 }).SubImage(image.Rect(3, 2, 4, 16))
	if span := rangeOf(window); span != 0 {
		t.Errorf("a window of one level spans %d", span)
	}
	if ok, reason, _ := judge(t, Blank{}, picturesOf(bomb(t, 65535, 65535))); ok || !strings.Contains(reason, "65535") {
		t.Errorf("a bomb: %v, %q", ok, reason)
	}
}

// A gate that sent saturated pictures back would filter a slice away: the
// sensor's .86 + .2 blooming + N(0,.03) must pass, and so must any other picture
// with noise of more than a level or so, dark or bright.
func TestBlankPassesSaturatedPictures(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 400 {
		cx, cy := rng.Float64()*16, rng.Float64()*16
		saturated := gray(16, func(x, y int) float64 {
			d := math.Hypot(float64(x)-cx, float64(y)-cy) / 8
			return .86 + .2*math.Exp(-1.2*d*d) + .03*rng.NormFloat64()
		})
		if ok, reason, scores := judge(t, Blank{}, picturesOf(encode(t, saturated))); !ok {
			t.Fatalf("saturated picture %d: %s, %v", i, reason, scores)
		}
		dark := gray(16, func(int, int) float64 { return .02 + .004*rng.NormFloat64() })
		if ok, reason, scores := judge(t, Blank{}, picturesOf(encode(t, dark))); !ok {
			t.Fatalf("dark picture %d: %s, %v", i, reason, scores)
		}
	}
}

// Both fast paths agree with the plain one.
func TestRangeOfTwin(t *testing.T) {
	type plain struct{ image.Image } // hides the type, and so the fast path
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		rect := image.Rect(0, 0, 1+rng.IntN(9), 1+rng.IntN(9))
		g, c := image.NewGray(rect), image.NewRGBA(rect)
		for i := range g.Pix {
			g.Pix[i] = uint8(100 + rng.IntN(1+rng.IntN(6)))
		}
		for i := range c.Pix {
			c.Pix[i] = uint8(100 + rng.IntN(1+rng.IntN(6)))
		}
		if got, want := rangeOf(g), rangeOf(plain{g}); got != want {
			t.Fatalf("grey: %d, want %d", got, want)
		}
		if got, want := rangeOf(c), rangeOf(plain{c}); got != want {
			t.Fatalf("colour: %d, want %d", got, want)
		}
	}
}

// Whatever bytes a worker stages, the gates answer, and take bounded memory.
func FuzzGates(f *testing.F) {
	f.Add(encode(f, gray(4, flat(.5))), []byte(`{}`))
	f.Add(bomb(f, 65535, 65535), []byte(`[`))
	f.Add(bomb(f, 1, 1<<31-1), []byte(nil))
	f.Add([]byte("\x89PNG\r\n\x1a\n"), []byte(`null`))
	f.Fuzz(func(t *testing.T, picture, label []byte) {
		if len(picture) > 1<<16 || len(picture) >= 24 && uint64(binary.BigEndian.Uint32(picture[16:]))*uint64(binary.BigEndian.Uint32(picture[20:])) > 1<<20 {
			picture = picture[:min(24, len(picture))] // keep the fuzzer's own memory small
		}
		s := &Sample{Members: []loop.Member{{Ext: "image.png", Bytes: picture}, {Ext: "label.json", Bytes: label}}}
		for _, g := range BuiltIn() {
			ok, reason, _, err := g.Judge(context.Background(), s)
			if err != nil || ok != (reason == "") {
				t.Fatalf("%s: %v, %q, %v", g.Name(), ok, reason, err)
			}
		}
	})
}
