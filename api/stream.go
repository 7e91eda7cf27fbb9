package api

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"hone/loop"
)

// Sample is a sample as it came down: its members, ascending by extension, of
// which Digest was computed anew.
type Sample struct {
	Digest  loop.Digest
	Key     string
	Members []loop.Member
}

// Member returns the bytes of the member with that extension, or nil.
func (s *Sample) Member(ext string) []byte {
	for _, m := range s.Members {
		if m.Ext == ext {
			return m.Bytes
		}
	}
	return nil
}

// OpenManifest opens the bytes of a version's manifest, whose SHA-256 is the
// version's manifest_sha256. The caller closes it.
func (c *Client) OpenManifest(ctx context.Context, name string, version int) (io.ReadCloser, error) {
	answer, err := c.send(ctx, request{method: http.MethodGet, path: segments("v1", "datasets", name, number(version), "manifest")})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Manifest yields the rows of a version's manifest in order. It ends at the
// first error. A version never changes (I8), so a download that breaks goes on
// at the row where it stopped.
func (c *Client) Manifest(ctx context.Context, name string, version int) iter.Seq2[ManifestRow, error] {
	return func(yield func(ManifestRow, error) bool) {
		seen := 0
		for {
			body, err := c.OpenManifest(ctx, name, version)
			if err != nil {
				yield(ManifestRow{}, err)
				return
			}
			before, row := seen, 0
			for r, e := range DecodeManifest(body) {
				if err = e; err != nil {
					break
				}
				if row++; row <= seen {
					continue
				}
				seen++
				if !yield(r, nil) {
					body.Close()
					return
				}
			}
			body.Close()
			if err == nil {
				return
			}
			if _, torn := errors.AsType[*tornError](err); !torn || seen == before || ctx.Err() != nil {
				yield(ManifestRow{}, fmt.Errorf("manifest %s@%d: %w", name, version, err))
				return
			}
		}
	}
}

// tornError is a stream that broke off, as against one that says nonsense.
type tornError struct{ err error }

func (e *tornError) Error() string { return e.err.Error() }
func (e *tornError) Unwrap() error { return e.err }

// maxLine bounds a line of a manifest, in bytes.
const maxLine = 64 << 10

// DecodeManifest yields the rows of a manifest: NDJSON, of which the first line
// is a header object.
func DecodeManifest(r io.Reader) iter.Seq2[ManifestRow, error] {
	return func(yield func(ManifestRow, error) bool) {
		lines := bufio.NewReaderSize(r, maxLine)
		for n := 1; ; n++ {
			line, err := lines.ReadSlice('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				if !errors.Is(err, bufio.ErrBufferFull) {
					err = &tornError{err} // what came of the line is no line
				}
				yield(ManifestRow{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if n > 1 && len(line) == 0 {
				return
			}
			var row ManifestRow
			if bad := decodeLine(n, line, &row); bad != nil {
				yield(ManifestRow{}, fmt.Errorf("line %d: %w", n, bad))
				return
			}
			if n > 1 && !yield(row, nil) || err != nil {
				return
			}
		}
	}
}

// decodeLine decodes line n of a manifest, of which the first is the header.
func decodeLine(n int, line []byte, row *ManifestRow) error {
	if n > 1 {
		return json.Unmarshal(line, row)
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(line, &header); err != nil {
		return fmt.Errorf("not a manifest's header: %w", err)
	}
	return nil
}

// Samples yields samples in the order of their digests, each hashed again: bytes
// that do not have the digest asked for are an error. It fetches MaxWanted at a
// time, goes on where a download broke, and ends at the first error.
func (c *Client) Samples(ctx context.Context, digests []loop.Digest) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		for len(digests) > 0 {
			n, goOn, err := c.fetch(ctx, digests[:min(len(digests), MaxWanted)], yield)
			if !goOn {
				return
			}
			digests = digests[n:]
			if err == nil {
				continue
			}
			if _, torn := errors.AsType[*tornError](err); !torn || n == 0 || ctx.Err() != nil {
				yield(Sample{}, err)
				return
			}
		}
	}
}

// fetch asks for some samples and returns how many it yielded, and whether the
// consumer wants more.
func (c *Client) fetch(ctx context.Context, wanted []loop.Digest, yield func(Sample, error) bool) (n int, goOn bool, err error) {
	body, err := json.Marshal(Wanted{Digests: wanted})
	if err != nil {
		return 0, true, err
	}
	answer, err := c.send(ctx, posting("/v1/samples", "application/json", body))
	if err != nil {
		return 0, true, err
	}
	defer answer.Body.Close()
	for s, err := range DecodeSamples(answer.Body) {
		switch {
		case err != nil:
			return n, true, err
		case n == len(wanted):
			return n, true, fmt.Errorf("samples: the server sent more than the %d asked for", len(wanted))
		case s.Digest != wanted[n]:
			return n, true, fmt.Errorf("samples: asked for %s, but the bytes that came are %s", wanted[n], s.Digest)
		}
		n++
		if !yield(s, nil) {
			return n, false, nil
		}
	}
	if n < len(wanted) {
		return n, true, &tornError{fmt.Errorf("samples: the server sent %d of the %d asked for", n, len(wanted))}
	}
	return n, true, nil
}

// DecodeSamples yields the samples of a tar in WebDataset layout: members of a
// sample are adjacent, ascend by extension and share what stands before the
// first dot of their names.
func DecodeSamples(r io.Reader) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		entries := tar.NewReader(bufio.NewReaderSize(r, 1<<16))
		var key string
		var members []loop.Member
		flush := func() bool {
			if len(members) == 0 {
				return true
			}
			digest, err := loop.SampleDigest(members)
			if err != nil {
				yield(Sample{}, fmt.Errorf("samples: %s: %w", key, err))
				return false
			}
			s := Sample{Digest: digest, Key: key, Members: members}
			members = nil
			return yield(s, nil)
		}
		for {
			header, err := entries.Next()
			if errors.Is(err, io.EOF) {
				flush()
				return
			}
			if err != nil {
				yield(Sample{}, &tornError{fmt.Errorf("samples: %w", err)})
				return
			}
			k, ext, ok := strings.Cut(header.Name, ".")
			if !ok || header.Typeflag != tar.TypeReg || header.Size > loop.MaxSampleBytes {
				yield(Sample{}, fmt.Errorf("samples: %q is not a member of a sample", header.Name))
				return
			}
			// Two samples with equal keys, of two campaigns, may be neighbours.
			if len(members) > 0 && (k != key || ext <= members[len(members)-1].Ext) && !flush() {
				return
			}
			var content bytes.Buffer
			if _, err := io.Copy(&content, entries); err != nil {
				yield(Sample{}, &tornError{fmt.Errorf("samples: %q: %w", header.Name, err)})
				return
			}
			key, members = k, append(members, loop.Member{Ext: ext, Bytes: content.Bytes()})
		}
	}
}
