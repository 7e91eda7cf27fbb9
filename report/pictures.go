package report

import (
	"context"
	"fmt"
	"html/template"
	"strings"

	"hone/api"
	"hone/loop"
)

// shownSlice is a slice and some of its samples.
type shownSlice struct {
	Name     string
	Pictures []picture
	// Missing says why there are none, if there are none.
	Missing string
	// Sentence and Examples are of what looks unlearnable.
	Sentence string
	Examples []api.Failure
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
	pictureSide     = 104      // pixels of a thumbnail
	pictureSmall    = 48       // up to which pixels are shown as squares
	maxSampleBytes  = 16 << 20 // samples larger than this are not fetched
	maxPictureBytes = 2 << 20  // of all thumbnails, before base64
)

// pictures fetches the newest samples of the boosted slices, and the failures of
// those that look unlearnable.
func (q *queries) pictures(ctx context.Context, n *Numbers) error {
	var each []string
	for i, s := range n.Accuracy[1:] {
		if len(n.pictures) == pictureSlices {
			break
		}
		n.pictures = append(n.pictures, shownSlice{Name: s.Name})
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
		slice := shownSlice{Name: s.Name, Sentence: s.Sentence, Examples: s.Examples}
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
func (q *queries) fetch(ctx context.Context, slice *shownSlice, wanted []wantedPicture, budget *int) error {
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
	slice.Missing = "its samples hold no picture"
	i := 0
	for sample, err := range q.client.Samples(ctx, digests) {
		if err != nil {
			return err
		}
		// What is no picture, or none that can be decoded, is left out.
		small, width, height, err := Thumbnail(sample.Members, pictureSide)
		if err != nil {
			slice.Missing = "its newest picture cannot be shown: " + err.Error()
		}
		if *budget -= len(small); len(small) > 0 && *budget >= 0 {
			slice.Pictures = append(slice.Pictures, picture{Source: pictureURI(small), Title: titles[i], Small: max(width, height) <= pictureSmall})
		}
		i++
	}
	return nil
}
