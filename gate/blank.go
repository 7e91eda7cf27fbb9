package gate

import (
	"context"
	"fmt"
	"image"

	"hone/loop"
)

// Blank is the gate "blank": it sends back pictures of one flat colour, or
// nearly so. A picture is blank if no channel spans more than BlankRange from its
// darkest to its brightest pixel.
//
// The measure is the range, and the bound lies at what rounding and dithering of
// a flat colour can bring about, because a gate that sends back more than failed
// renderings filters slices away. A saturated, foggy or dark picture still has
// its noise: with a standard deviation of a single level of 8 bits, 256 pixels
// span fewer than 3 levels with odds of about 1e-40. Measures of the bulk of the
// picture, such as its deviation, would take a small object on a plain ground for
// nothing at all.
type Blank struct{}

// BlankRange is the largest range of a blank picture: two levels of 8 bits, as a
// part of the whole range.
const BlankRange = 2.0 / 255

// Name is "blank".
func (Blank) Name() string { return "blank" }

// Judge looks at image.png. Its score "range" is the largest range of a channel,
// as a part of the whole range: 0 is constant, 1 is black and white.
func (Blank) Judge(_ context.Context, s *Sample) (bool, string, []loop.Score, error) {
	decoded, err := s.Picture(imageMember)
	if err != nil {
		return false, err.Error(), nil, nil //nolint:nilerr // a broken picture is a verdict, not a failure of the gate
	}
	span := rangeOf(decoded)
	scores := []loop.Score{{Name: "range", Value: float64(span) / 0xffff}}
	// In integers of 16 bits, in which a level of 8 bits is 257.
	if span <= 2*257 {
		return false, fmt.Sprintf("%s is blank: no channel spans more than %d of 255 levels", imageMember, (span+256)/257), scores, nil
	}
	return true, "", scores, nil
}

// rangeOf is the largest range of a channel, in 16 bits. Colours are multiplied
// by their opacity, so that what cannot be seen does not count.
func rangeOf(img image.Image) uint32 {
	switch img := img.(type) {
	case *image.Gray: // the formats of plain renderers, read without an interface per pixel
		return rangeOfBytes(img.Pix, img.Stride, img.Rect, 1)
	case *image.RGBA:
		return rangeOfBytes(img.Pix, img.Stride, img.Rect, 4)
	}
	low, high := [4]uint32{0xffff, 0xffff, 0xffff, 0xffff}, [4]uint32{}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			red, green, blue, alpha := img.At(x, y).RGBA()
			for c, v := range [4]uint32{red, green, blue, alpha} {
				low[c], high[c] = min(low[c], v), max(high[c], v)
			}
		}
	}
	return widest(low, high)
}

// rangeOfBytes is rangeOf for rows of pixels of so many channels of 8 bits.
func rangeOfBytes(pix []byte, stride int, rect image.Rectangle, channels int) uint32 {
	low, high := [4]uint32{0xff, 0xff, 0xff, 0xff}, [4]uint32{}
	for y := range rect.Dy() {
		for x, v := range pix[y*stride : y*stride+rect.Dx()*channels] {
			c := x % channels
			low[c], high[c] = min(low[c], uint32(v)), max(high[c], uint32(v))
		}
	}
	return 257 * widest(low, high)
}

func widest(low, high [4]uint32) uint32 {
	span := uint32(0)
	for c := range low {
		if high[c] > low[c] {
			span = max(span, high[c]-low[c])
		}
	}
	return span
}
