package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"hone/loop"
)

// Format is the gate "format": the sample has an image.png and a label.json,
// every member called .png is a PNG of at most loop.MaxPixels, and every member
// called .json is one JSON value.
type Format struct{}

// The members that every sample of pictures has.
const (
	imageMember = "image.png"
	labelMember = "label.json"
)

// Name is "format".
func (Format) Name() string { return "format" }

// Judge decodes every picture and label. Its score "pixels" is the number of
// pixels of image.png.
func (Format) Judge(ctx context.Context, s *Sample) (bool, string, []loop.Score, error) {
	for _, ext := range []string{imageMember, labelMember} {
		if _, ok := s.Member(ext); !ok {
			return false, fmt.Sprintf("there is no %s", ext), nil, nil
		}
	}
	for _, m := range s.Members {
		if err := ctx.Err(); err != nil {
			return false, "", nil, err
		}
		switch {
		case strings.HasSuffix(m.Ext, ".png"):
			if _, err := s.Picture(m.Ext); err != nil {
				return false, err.Error(), nil, nil //nolint:nilerr // a broken picture is a verdict, not a failure of the gate
			}
		case strings.HasSuffix(m.Ext, ".json"):
			if !json.Valid(m.Bytes) {
				return false, fmt.Sprintf("%s is not JSON", m.Ext), nil, nil
			}
		}
	}
	decoded, err := s.Picture(imageMember)
	if err != nil {
		return false, err.Error(), nil, nil //nolint:nilerr // a broken picture is a verdict, not a failure of the gate
	}
	size := decoded.Bounds().Size()
	return true, "", []loop.Score{{Name: "pixels", Value: float64(size.X) * float64(size.Y)}}, nil
}
