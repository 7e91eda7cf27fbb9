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
	"net/url"
	"strconv"
)

// Rows opens a version's rows from one on, counted from 0. The rows come in
// order and end at the first error; like a manifest's they never change, so a
// download that breaks goes on where it stopped. They must be consumed, once:
// what is open until then is a connection.
func (c *Client) Rows(ctx context.Context, name string, version int, from int64) (RowsHeader, iter.Seq2[Row, error], error) {
	fail := func(err error) error { return fmt.Errorf("rows of %s@%d: %w", name, version, err) }
	body, header, err := c.openRows(ctx, name, version, from)
	if err != nil {
		return RowsHeader{}, nil, fail(err)
	}
	return header, func(yield func(Row, error) bool) {
		for next := from; ; {
			before := next
			var err error
			for next < header.Samples {
				var row Row
				if row, err = body.next(); err != nil {
					break
				}
				next++
				if !yield(row, nil) {
					body.close()
					return
				}
			}
			body.close()
			if next == header.Samples {
				return
			}
			if _, torn := errors.AsType[*tornError](err); torn && next > before && ctx.Err() == nil {
				if body, _, err = c.openRows(ctx, name, version, next); err == nil {
					continue
				}
			}
			yield(Row{}, fail(err))
			return
		}
	}, nil
}

// rowStream is one download of rows.
type rowStream struct {
	lines *bufio.Reader
	close func() error
}

func (c *Client) openRows(ctx context.Context, name string, version int, from int64) (*rowStream, RowsHeader, error) {
	var header RowsHeader
	body, err := c.rowsBody(ctx, name, version, from)
	if err != nil {
		return nil, header, err
	}
	s := &rowStream{bufio.NewReaderSize(body, maxRow), body.Close}
	if err := s.decode(&header); err != nil {
		s.close()
		return nil, header, err
	}
	if header.Hone != RowsFormat {
		s.close()
		return nil, header, fmt.Errorf("the answer is %q, not %q", header.Hone, RowsFormat)
	}
	return s, header, nil
}

func (c *Client) rowsBody(ctx context.Context, name string, version int, from int64) (io.ReadCloser, error) {
	answer, err := c.send(ctx, request{method: http.MethodGet, path: segments("v1", "datasets", name, number(version), "rows"),
		query: url.Values{"from": {strconv.FormatInt(from, 10)}}})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// maxRow bounds a row, in bytes: a space may have 256 factors.
const maxRow = 1 << 20

func (s *rowStream) next() (row Row, err error) { return row, s.decode(&row) }

func (s *rowStream) decode(to any) error {
	line, err := s.lines.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("a line has more than %d bytes", maxRow)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return &tornError{err} // what came of the line is no line
	}
	return json.Unmarshal(line, to)
}
