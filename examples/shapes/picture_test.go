package shapes

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"testing"

	"hone/gpuworker"
	"hone/loop"
)

func TestPictureRoundTrip(t *testing.T) {
	pictures, _ := school(t, 7, 50)
	for i := range pictures {
		b, err := pictures[i].PNG()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadPNG(b)
		if err != nil || *got != pictures[i] {
			t.Fatalf("picture %d came back different (%v)", i, err)
		}
	}
}

func TestReadPNGRefuses(t *testing.T) {
	encode := func(m image.Image) []byte {
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	colourful := image.NewRGBA(image.Rect(0, 0, Side, Side))
	colourful.Set(1, 1, color.RGBA{200, 0, 0, 255})
	good := encode(image.NewGray(image.Rect(0, 0, Side, Side)))
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("picture"), "cut off": good[:len(good)-20],
		"too large": encode(image.NewGray(image.Rect(0, 0, Side+1, Side))), "colour": encode(colourful),
	} {
		if _, err := ReadPNG(b); err == nil {
			t.Errorf("%s was read as a picture", name)
		}
	}
	for _, b := range []string{"", "{}", `{"class":"sphere"}`, `[1]`} {
		if _, err := ReadLabel([]byte(b)); err == nil {
			t.Errorf("%q was read as a label", b)
		}
	}
}

func FuzzReadPNG(f *testing.F) {
	pictures, _ := school(f, 8, 3)
	for i := range pictures {
		b, err := pictures[i].PNG()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadPNG(b)
		if err != nil {
			return
		}
		again, err := p.PNG()
		if err != nil {
			t.Fatal(err)
		}
		if q, err := ReadPNG(again); err != nil || *q != *p {
			t.Fatalf("a picture that was read does not come back (%v)", err)
		}
	})
}

func FuzzReadLabel(f *testing.F) {
	f.Add([]byte(`{"class":"disc"}`))
	f.Add([]byte(`{"class":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if class, err := ReadLabel(b); err == nil && (class < 0 || class >= len(Classes)) {
			t.Fatalf("class %d", class)
		}
	})
}

// TestGenerator: a unit's samples come once each, in order, with the members
// that a training job reads, and equal names give equal bytes (C5, C12).
func TestGenerator(t *testing.T) {
	space, r := newRenderer(t, World{})
	random := rand.New(rand.NewPCG(11, 12))
	work := gpuworker.Work{Space: space}
	for i := range 20 {
		codes := drawCodes(space, r, random, ordinary, nil)
		work.Samples = append(work.Samples, gpuworker.Sample{
			Name: loop.Name{Index: uint64(100 + i)}, Scenario: loop.Scenario{Codes: codes}, Seed: random.Uint64(),
		})
	}
	make := func() (digests []loop.Digest) {
		err := Generator{}.Make(context.Background(), work, func(index uint64, members []loop.Member) error {
			if want := uint64(100 + len(digests)); index != want {
				t.Fatalf("index %d, want %d", index, want)
			}
			digest, err := loop.SampleDigest(members)
			if err != nil {
				t.Fatal(err)
			}
			picture, err := ReadPNG(members[0].Bytes)
			if err != nil {
				t.Fatal(err)
			}
			class, err := ReadLabel(members[1].Bytes)
			if err != nil {
				t.Fatal(err)
			}
			s := work.Samples[len(digests)]
			if p, c := mustRender(t, r, s.Scenario.Codes, s.Seed); p != *picture || c != class {
				t.Fatalf("sample %d is not what the renderer draws", index)
			}
			digests = append(digests, digest)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return digests
	}
	first, second := make(), make()
	if len(first) != 20 {
		t.Fatalf("%d samples of 20", len(first))
	}
	for i := range first {
		if first[i] != second[i] {
			t.Errorf("sample %d has two digests", i)
		}
	}

	refused := errors.New("full")
	err := Generator{}.Make(context.Background(), work, func(uint64, []loop.Member) error { return refused })
	if !errors.Is(err, refused) {
		t.Errorf("got %v, want emit's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := (Generator{}).Make(ctx, work, func(uint64, []loop.Member) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if (Generator{}).Describe() == (Generator{World: World{Null: true}}).Describe() {
		t.Error("two worlds share a version, though their pictures differ")
	}
}

func BenchmarkReadPNG(b *testing.B) {
	pictures, _ := school(b, 9, 1)
	encoded, err := pictures[0].PNG()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = pictures[0].PNG()
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = ReadPNG(encoded)
		}
	})
}
