package shapes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"sync"
)

// Side is the number of pixels along a picture's edge.
const Side = 16

// Pixels is the number of pixels in a picture.
const Pixels = Side * Side

// Picture is gray pixels, row by row from the top left.
type Picture [Pixels]uint8

// Classes are the shapes, in the order of their class numbers.
var Classes = []string{"disc", "ring", "square", "triangle", "cross", "bar"}

// A sample's members, by extension.
const (
	ImageMember = "image.png"
	LabelMember = "label.json"
)

// label is what label.json holds.
type label struct {
	Class string `json:"class"`
}

// buffers keeps the state of PNG encoders: making it anew costs ten times what
// encoding a small picture does.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() *png.EncoderBuffer {
	buffer, _ := b.pool.Get().(*png.EncoderBuffer)
	return buffer
}

func (b *buffers) Put(buffer *png.EncoderBuffer) { b.pool.Put(buffer) }

var encoder = png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: &buffers{}}

// PNG encodes the picture as a gray PNG.
func (p *Picture) PNG() ([]byte, error) {
	var b bytes.Buffer
	err := encoder.Encode(&b, &image.Gray{Pix: p[:], Stride: Side, Rect: image.Rect(0, 0, Side, Side)})
	if err != nil {
		return nil, fmt.Errorf("encode picture: %w", err)
	}
	return b.Bytes(), nil
}

// ReadPNG decodes a picture. It refuses anything but a gray picture of the
// right size.
func ReadPNG(b []byte) (*Picture, error) {
	config, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("decode picture: %w", err)
	}
	if config.Width != Side || config.Height != Side {
		return nil, fmt.Errorf("decode picture: it has %d x %d pixels, want %d x %d", config.Width, config.Height, Side, Side)
	}
	decoded, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("decode picture: %w", err)
	}
	gray, ok := decoded.(*image.Gray)
	if !ok {
		return nil, fmt.Errorf("decode picture: it is a %T, want 8-bit gray", decoded)
	}
	p := new(Picture)
	for y := range Side {
		copy(p[y*Side:(y+1)*Side], gray.Pix[y*gray.Stride:])
	}
	return p, nil
}

// writeLabel encodes a class number as label.json.
func writeLabel(class int) ([]byte, error) { return json.Marshal(label{Class: Classes[class]}) }

// ReadLabel decodes label.json to a class number.
func ReadLabel(b []byte) (int, error) {
	var l label
	if err := json.Unmarshal(b, &l); err != nil {
		return 0, fmt.Errorf("decode label: %w", err)
	}
	for class, name := range Classes {
		if name == l.Class {
			return class, nil
		}
	}
	return 0, fmt.Errorf("decode label: %q is none of the classes %v", l.Class, Classes)
}
