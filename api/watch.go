package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"reflect"
)

// WatchCampaign yields a campaign as it stands and again whenever it has changed,
// the last time when it has ended. A connection that breaks off is made again,
// within the client's patience; it ends at the first error.
func (c *Client) WatchCampaign(ctx context.Context, name string) iter.Seq2[Campaign, error] {
	return func(yield func(Campaign, error) bool) {
		var last Campaign
		for {
			answer, err := c.send(ctx, request{method: http.MethodGet, path: segments("v1", "campaigns", name, "watch")})
			if err != nil {
				yield(Campaign{}, err)
				return
			}
			for now, err := range decodeCampaigns(answer.Body) {
				if err != nil {
					if _, torn := errors.AsType[*tornError](err); torn && ctx.Err() == nil {
						break // the server has gone: ask the next
					}
					answer.Body.Close()
					yield(Campaign{}, fmt.Errorf("watch %s: %w", name, err))
					return
				}
				// A new stream begins with what the old one may have told.
				if !reflect.DeepEqual(now, last) && !yield(now, nil) || now.Ended() {
					answer.Body.Close()
					return
				}
				last = now
			}
			answer.Body.Close()
			if err := sleep(ctx, c.Pause); err != nil {
				yield(Campaign{}, err)
				return
			}
		}
	}
}

// decodeCampaigns yields the lines of a stream. One that breaks off within a
// line, or is cut, ends with a tornError.
func decodeCampaigns(r io.Reader) iter.Seq2[Campaign, error] {
	return func(yield func(Campaign, error) bool) {
		lines := bufio.NewReaderSize(r, 1<<16)
		for {
			line, err := readLine(lines)
			if errors.Is(err, io.EOF) && len(line) == 0 {
				return
			}
			if err != nil {
				yield(Campaign{}, &tornError{err})
				return
			}
			var now Campaign
			if err := json.Unmarshal(line, &now); err != nil {
				yield(Campaign{}, err)
				return
			}
			if !yield(now, nil) {
				return
			}
		}
	}
}

// maxWatchLine bounds a line, in bytes: a campaign may have many reasons.
const maxWatchLine = 16 << 20

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
		if len(line) > maxWatchLine {
			return nil, fmt.Errorf("a line of more than %d bytes", maxWatchLine)
		}
	}
}
