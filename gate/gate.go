package gate

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"strings"

	"hone/loop"
)

// Gate is a quality check on single samples. It is safe for concurrent use, does
// not change the sample, and answers the same for the same sample, so that a
// delivery may be judged twice.
type Gate interface {
	// Name is what campaigns call the gate by.
	Name() string
	// Judge says whether the sample may count and, if not, why, in a phrase that a
	// person can read. The scores, finite and each name once, are kept either way,
	// under "gate.score". An error says that the gate could not tell: the sample
	// is neither accepted nor sent back, and judged again later.
	Judge(ctx context.Context, s *Sample) (ok bool, reason string, scores []loop.Score, err error)
}

// BuiltIn are the gates that every stage has.
func BuiltIn() []Gate { return []Gate{Format{}, Blank{}} }

// Sample is one sample as gates see it. Its bytes have been hashed, its scenario
// has been expanded from its name; Members ascend by extension.
type Sample struct {
	Space    *loop.Space
	Name     loop.Name
	Scenario loop.Scenario
	Members  []loop.Member

	// pictures are decoded once, whichever gate comes first: the gates judge a
	// sample one after another.
	pictures map[string]picture
}

type picture struct {
	image image.Image
	err   error
}

// Member returns the bytes of the member with that extension.
func (s *Sample) Member(ext string) ([]byte, bool) {
	for _, m := range s.Members {
		if m.Ext == ext {
			return m.Bytes, true
		}
	}
	return nil, false
}

// Picture decodes a PNG member. The error is a phrase for a reason: there is no
// such member, it is no PNG, or it has more than loop.MaxPixels.
func (s *Sample) Picture(ext string) (image.Image, error) {
	p, ok := s.pictures[ext]
	if !ok {
		if s.pictures == nil {
			s.pictures = map[string]picture{}
		}
		p.image, p.err = s.decode(ext)
		s.pictures[ext] = p
	}
	return p.image, p.err
}

func (s *Sample) decode(ext string) (image.Image, error) {
	b, ok := s.Member(ext)
	if !ok {
		return nil, fmt.Errorf("there is no %s", ext)
	}
	// The header first: it says how much memory the rest would take.
	config, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s is not a PNG: %s", ext, phrase(err))
	}
	if pixels := int64(config.Width) * int64(config.Height); pixels > loop.MaxPixels {
		return nil, fmt.Errorf("%s has %d x %d pixels; at most %d in all are allowed", ext, config.Width, config.Height, loop.MaxPixels)
	}
	decoded, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s is not a PNG: %s", ext, phrase(err))
	}
	return decoded, nil
}

// phrase takes the package name off a decoder's error.
func phrase(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "png: "), "invalid format: ")
}
