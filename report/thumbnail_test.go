package report

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"hone/loop"
)

func encoded(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestThumbnail(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 400, 100))
	for x := range 400 {
		for y := range 100 {
			gray.SetGray(x, y, color.Gray{Y: uint8(x / 200 * 255)}) // black, then white
		}
	}
	small, width, height, err := Thumbnail([]loop.Member{{Ext: "label.json", Bytes: []byte("{}")}, {Ext: "image.png", Bytes: encoded(t, gray)}}, 40)
	if err != nil || width != 40 || height != 10 {
		t.Fatalf("%d x %d, %v", width, height, err)
	}
	picture, err := png.Decode(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	for x, want := range map[int]uint32{0: 0, 15: 0, 24: 0xffff, 39: 0xffff} {
		if r, _, _, _ := picture.At(x, 5).RGBA(); r != want {
			t.Errorf("pixel %d is %x, want %x", x, r, want)
		}
	}
	for name, members := range map[string][]loop.Member{
		"none":     nil,
		"no image": {{Ext: "points.bin", Bytes: []byte("\x89PN")}},
	} {
		if small, _, _, err := Thumbnail(members, 40); small != nil || err != nil {
			t.Errorf("%s: %d bytes, %v", name, len(small), err)
		}
	}
	whole := encoded(t, gray)
	if _, _, _, err := Thumbnail([]loop.Member{{Ext: "image.png", Bytes: whole[:len(whole)/2]}}, 40); err == nil {
		t.Error("a broken picture was shown")
	}
	// A few bytes that claim 60000 x 60000 pixels.
	bomb := encoded(t, image.NewGray(image.Rect(0, 0, 1, 1)))
	copy(bomb[16:], []byte{0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60})
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	if _, _, _, err := Thumbnail([]loop.Member{{Ext: "image.png", Bytes: bomb}}, 40); err == nil || !strings.Contains(err.Error(), "60000 x 60000") {
		t.Errorf("a bomb: %v", err)
	}
}
