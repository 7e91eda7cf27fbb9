package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	_ "image/gif"  // what people's generators write
	_ "image/jpeg" // is decoded by the standard library
	"image/png"

	"golang.org/x/image/draw"

	"hone/loop"
)

// Thumbnail is the first member that is a picture, as a PNG of at most size
// pixels a side. It returns nil where no member is one; a picture that is broken,
// or claims to have more than loop.MaxPixels, is an error.
func Thumbnail(members []loop.Member, size int) (small []byte, width, height int, err error) {
	for _, m := range members {
		config, kind, err := image.DecodeConfig(bytes.NewReader(m.Bytes))
		if err != nil {
			continue
		}
		if int64(config.Width)*int64(config.Height) > loop.MaxPixels {
			return nil, 0, 0, fmt.Errorf("%s has %d x %d pixels", m.Ext, config.Width, config.Height)
		}
		picture, _, err := image.Decode(bytes.NewReader(m.Bytes))
		if err != nil {
			return nil, 0, 0, fmt.Errorf("%s is a broken %s: %w", m.Ext, kind, err)
		}
		var out bytes.Buffer
		picture = shrink(picture, size)
		if err := png.Encode(&out, picture); err != nil {
			return nil, 0, 0, err
		}
		return out.Bytes(), picture.Bounds().Dx(), picture.Bounds().Dy(), nil
	}
	return nil, 0, 0, nil
}

// shrink scales a picture down to at most size pixels a side. A smaller picture
// stays as it is.
func shrink(in image.Image, size int) image.Image {
	from := in.Bounds()
	longer := max(from.Dx(), from.Dy())
	if longer <= size {
		return in
	}
	out := image.NewRGBA(image.Rect(0, 0, max(1, from.Dx()*size/longer), max(1, from.Dy()*size/longer)))
	draw.CatmullRom.Scale(out, out.Bounds(), in, from, draw.Src, nil)
	return out
}

// pictureURI is a PNG inside a page.
func pictureURI(picture []byte) template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(picture))
}
