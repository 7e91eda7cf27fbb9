package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"io"
	"unicode/utf8"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// ContactSheet is a page of samples beside the scenarios that they were made
// from, so that a person sees what a generator does before anything is spent.
type ContactSheet struct {
	Title, Subtitle string
	Samples         []Contact
}

// Contact is one sample of a sheet.
type Contact struct {
	Picture       []byte   // a PNG; nil where the sample has no picture
	Width, Height int      // of the picture, in pixels
	Facts         []Fact   // factors, then derived labels
	Files         []string // the members, with their sizes
	Problem       string   // what is wrong with the sample
}

// Fact is what a sample was made from: a factor or a derived label, and its level
// or value.
type Fact struct{ Name, Value string }

//go:embed contact_sheet.html
var pages embed.FS

var contactPage = template.Must(template.New("contact_sheet.html").
	Funcs(template.FuncMap{"picture": pictureURI}).ParseFS(pages, "contact_sheet.html"))

// WriteHTML writes the sheet as one page that needs nothing else.
func (s *ContactSheet) WriteHTML(w io.Writer) error { return contactPage.Execute(w, s) }

// The measures of a sheet as a picture, in pixels.
const (
	sheetColumns = 5
	sheetTile    = 176
	sheetMargin  = 12
	sheetLine    = 15
	sheetLetter  = 7 // the font's
	sheetLetters = sheetTile / sheetLetter
)

// WritePNG writes the sheet as a picture, row by row. It fails on a sample whose
// picture is no PNG.
func (s *ContactSheet) WritePNG(w io.Writer) error {
	columns := min(sheetColumns, max(1, len(s.Samples)))
	lines := 1
	for _, sample := range s.Samples {
		lines = max(lines, len(sample.Facts))
	}
	cell := image.Pt(sheetTile+sheetMargin, sheetTile+sheetMargin+lines*sheetLine+6)
	rows := (len(s.Samples) + columns - 1) / columns
	page := image.NewRGBA(image.Rect(0, 0, sheetMargin+columns*cell.X, 3*sheetMargin+2*sheetLine+rows*cell.Y))
	draw.Draw(page, page.Bounds(), image.White, image.Point{}, draw.Src)
	write(page, sheetMargin, sheetMargin+sheetLine, s.Title, color.Black, page.Bounds().Dx()/sheetLetter)
	write(page, sheetMargin, sheetMargin+2*sheetLine, s.Subtitle, color.Gray{Y: 110}, page.Bounds().Dx()/sheetLetter)
	for i, sample := range s.Samples {
		at := image.Pt(sheetMargin+i%columns*cell.X, 2*sheetMargin+2*sheetLine+i/columns*cell.Y)
		tile := image.Rectangle{Min: at, Max: at.Add(image.Pt(sheetTile, sheetTile))}
		draw.Draw(page, tile, image.NewUniform(color.Gray{Y: 235}), image.Point{}, draw.Src)
		if sample.Picture != nil {
			picture, err := png.Decode(bytes.NewReader(sample.Picture))
			if err != nil {
				return fmt.Errorf("sample %d: %w", i, err)
			}
			paste(page, tile, picture)
		} else {
			write(page, at.X+8, at.Y+sheetTile/2, "no picture", color.Gray{Y: 110}, sheetLetters)
		}
		for n, fact := range sample.Facts {
			y := at.Y + sheetTile + (n+1)*sheetLine
			write(page, at.X, y, fact.Name, color.Gray{Y: 120}, sheetLetters)
			taken := utf8.RuneCountInString(fact.Name) + 1
			write(page, at.X+taken*sheetLetter, y, fact.Value, color.Black, sheetLetters-taken)
		}
		if sample.Problem != "" {
			write(page, at.X+4, at.Y+sheetTile-6, sample.Problem, color.RGBA{R: 190, A: 255}, sheetLetters)
		}
	}
	return png.Encode(w, page)
}

// paste scales a picture into the middle of a tile: small ones by whole numbers
// with their pixels kept sharp, for they are what a model is given.
func paste(page draw.Image, tile image.Rectangle, picture image.Image) {
	from := picture.Bounds()
	longer := max(from.Dx(), from.Dy(), 1)
	size := image.Pt(max(1, from.Dx()*tile.Dx()/longer), max(1, from.Dy()*tile.Dy()/longer))
	var scaler draw.Scaler = draw.CatmullRom
	if times := tile.Dx() / longer; times >= 2 {
		size, scaler = image.Pt(from.Dx()*times, from.Dy()*times), draw.NearestNeighbor
	}
	at := tile.Min.Add(tile.Size().Sub(size).Div(2))
	scaler.Scale(page, image.Rectangle{Min: at, Max: at.Add(size)}, picture, from, draw.Over, nil)
}

// write writes a line of at most so many letters. The font has no more than
// ASCII; what it lacks it draws as a box.
func write(page draw.Image, x, y int, text string, ink color.Color, letters int) {
	if letters = max(0, letters); utf8.RuneCountInString(text) > letters {
		runes := []rune(text)
		text = string(runes[:max(0, letters-2)]) + ".."
	}
	d := font.Drawer{Dst: page, Src: image.NewUniform(ink), Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	d.DrawString(text)
}
