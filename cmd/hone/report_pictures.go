package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"

	"hone/api"
	"hone/loop"
)

// reportedSlice is a slice and some of its samples.
type reportedSlice struct {
	Name     string
	Pictures []picture
	// Missing says why there are none, if there are none.
	Missing string
	// Sentence and Examples are of what looks unlearnable.
	Sentence string
	Examples []api.ForecastExample
}

// picture is one thumbnail.
type picture struct {
	Source template.URL // a data URI that this program has encoded
	Title  string
	// Small pictures are shown enlarged, pixel by pixel.
	Small bool
}

// The bounds of pictures. What a sample holds was made by others.
const (
	pictureSlices   = 8
	pictureEach     = 8
	pictureSide     = 112      // pixels of a thumbnail
	pictureSmall    = 48       // up to which a picture is kept as it is
	maxPictureSide  = 8192     // of what is decoded
	maxPictureArea  = 16 << 20 // pixels
	maxSampleBytes  = 16 << 20 // samples larger than this are not fetched
	maxPictureBytes = 2 << 20  // of all thumbnails, before base64
)

// pictures fetches the newest samples of the boosted slices, and the failures of
// those that look unlearnable.
func (q *reportQueries) pictures(ctx context.Context, n *reportNumbers) error {
	var each []string
	for i, s := range n.Accuracy[1:] {
		if len(n.pictures) == pictureSlices {
			break
		}
		n.pictures = append(n.pictures, reportedSlice{Name: s.Name})
		each = append(each, fmt.Sprintf(`(SELECT %d, digest, round, worker FROM %s
WHERE campaign = %s AND split = 'train' AND length <= %d AND %s ORDER BY committed_at DESC, component DESC, "index" DESC LIMIT %d)`,
			i, q.arm.table("samples"), literal(q.arm.Name), maxSampleBytes, inSlice(q.arm.space, s.in), pictureEach))
	}
	budget := maxPictureBytes
	if len(each) > 0 {
		table, err := q.ask(ctx, strings.Join(each, "\nUNION ALL "))
		if err != nil {
			return err
		}
		found := make([][]wantedPicture, len(each))
		for r := range rowsOf(&table) {
			i := r.integer(0)
			found[i] = append(found[i], wantedPicture{r.text(1), fmt.Sprintf("round %s, made by %s", r.text(2), r.text(3))})
		}
		for i := range found {
			if err := q.fetch(ctx, &n.pictures[i], found[i], &budget); err != nil {
				return err
			}
		}
	}
	for _, s := range n.Forecast.Slices {
		if s.Outlook != loop.Unlearnable {
			continue
		}
		slice := reportedSlice{Name: s.Name, Sentence: s.Sentence, Examples: s.Examples}
		var wanted []wantedPicture
		for _, e := range s.Examples {
			if e.Sample != "" {
				wanted = append(wanted, wantedPicture{e.Sample, "failed: " + e.EvalSet + " " + e.Example})
			}
		}
		if err := q.fetch(ctx, &slice, wanted, &budget); err != nil {
			return err
		}
		n.failures = append(n.failures, slice)
	}
	return nil
}

type wantedPicture struct{ digest, title string }

// fetch adds the pictures of samples to a slice, while the budget of bytes lasts.
func (q *reportQueries) fetch(ctx context.Context, slice *reportedSlice, wanted []wantedPicture, budget *int) error {
	slice.Missing = "no sample of it was committed yet"
	var digests []loop.Digest
	var titles []string
	for _, w := range wanted {
		if digest, err := loop.ParseDigest(w.digest); err == nil {
			digests, titles = append(digests, digest), append(titles, w.title)
		}
	}
	if len(digests) == 0 || *budget <= 0 {
		return nil
	}
	slice.Missing = "its samples hold no PNG or JPEG picture"
	i := 0
	for sample, err := range q.client.Samples(ctx, digests) {
		if err != nil {
			return err
		}
		for _, m := range sample.Members {
			p, size, ok := thumbnail(m.Bytes)
			if !ok {
				continue
			}
			if *budget -= size; *budget >= 0 {
				p.Title = titles[i]
				slice.Pictures = append(slice.Pictures, p)
			}
			break
		}
		i++
	}
	return nil
}

// thumbnail makes a small picture of a PNG or JPEG. It is not ok for anything
// else, and for what is too large to decode for a thumbnail.
func thumbnail(encoded []byte) (p picture, size int, ok bool) {
	config, format, err := image.DecodeConfig(bytes.NewReader(encoded))
	if err != nil || format != "png" && format != "jpeg" || config.Width < 1 || config.Height < 1 ||
		config.Width > maxPictureSide || config.Height > maxPictureSide || config.Width*config.Height > maxPictureArea {
		return p, 0, false
	}
	full, _, err := image.Decode(bytes.NewReader(encoded))
	if err != nil {
		return p, 0, false
	}
	b := full.Bounds()
	small := b.Dx() <= pictureSmall && b.Dy() <= pictureSmall
	scaled := shrink(full, pictureSide)
	var out bytes.Buffer
	kind := "png"
	// A picture with few pixels is exact; a photograph is smaller as a JPEG.
	if small {
		err = png.Encode(&out, scaled)
	} else {
		kind, err = "jpeg", jpeg.Encode(&out, scaled, &jpeg.Options{Quality: 80})
	}
	if err != nil {
		return p, 0, false
	}
	p.Source = template.URL("data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString(out.Bytes()))
	p.Small = small
	return p, out.Len(), true
}

// shrink scales a picture down so that no side is longer than side: each pixel is
// the mean of those that it stands for (of some 64 of them where they are many), on white where
// they are transparent.
func shrink(from image.Image, side int) image.Image {
	b := from.Bounds()
	width, height := b.Dx(), b.Dy()
	if long := max(width, height); long > side {
		width, height = max(1, width*side/long), max(1, height*side/long)
	}
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		y0, y1 := b.Min.Y+y*b.Dy()/height, b.Min.Y+max(y*b.Dy()/height+1, (y+1)*b.Dy()/height)
		for x := range width {
			x0, x1 := b.Min.X+x*b.Dx()/width, b.Min.X+max(x*b.Dx()/width+1, (x+1)*b.Dx()/width)
			var red, green, blue, n uint64
			for v := y0; v < y1; v += max(1, (y1-y0)/8) {
				for u := x0; u < x1; u += max(1, (x1-x0)/8) {
					r, g, bl, a := from.At(u, v).RGBA()
					white := uint64(0xffff - a)
					red, green, blue, n = red+uint64(r)+white, green+uint64(g)+white, blue+uint64(bl)+white, n+1
				}
			}
			out.SetRGBA(x, y, color.RGBA{uint8(red / n >> 8), uint8(green / n >> 8), uint8(blue / n >> 8), 0xff})
		}
	}
	return out
}
