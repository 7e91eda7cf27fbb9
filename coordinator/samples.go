package coordinator

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/loop"
)

type digestOf struct {
	Digest string `path:"digest" example:"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
}

type wanted struct {
	Body api.Wanted
}

const tarType = "application/x-tar"

func (c *Control) samples(to huma.API) {
	huma.Register(to, streams(operation(http.MethodGet, "/v1/samples/{digest}", "sample", "A sample's bytes", "Samples"), tarType,
		"A tar: the sample's members, named KEY.EXT"), c.sample)
	huma.Register(to, streams(operation(http.MethodPost, "/v1/samples", "samples", "Many samples' bytes", "Samples"), tarType,
		"A tar in WebDataset layout: the samples in the order asked for, the members of each side by side"), c.manySamples)
}

func (c *Control) sample(ctx context.Context, in *digestOf) (*huma.StreamResponse, error) {
	digest, err := loop.ParseDigest(in.Digest)
	if err != nil {
		return nil, c.problem(err)
	}
	return c.send(ctx, []loop.Digest{digest})
}

func (c *Control) manySamples(ctx context.Context, in *wanted) (*huma.StreamResponse, error) {
	if len(in.Body.Digests) == 0 { // null is no array, and so has no fewest members
		return nil, c.problem(&loop.Error{Field: "digests", Problem: "no sample is asked for"})
	}
	return c.send(ctx, in.Body.Digests)
}

// send streams samples, one after another, as one tar.
func (c *Control) send(ctx context.Context, digests []loop.Digest) (*huma.StreamResponse, error) {
	at, err := c.c.o.View.Locate(ctx, digests)
	if err != nil {
		return nil, c.problem(err)
	}
	for _, d := range digests {
		if _, ok := at[d]; !ok {
			return nil, c.problem(loop.NotFound("digest", "there is no committed sample %s", d))
		}
	}
	return &huma.StreamResponse{Body: func(answer huma.Context) {
		answer.SetHeader("Content-Type", tarType)
		for _, d := range digests {
			bytes, err := c.o.Objects.ReadRange(ctx, at[d].Key, at[d].Offset, at[d].Length)
			if err == nil {
				_, err = answer.BodyWriter().Write(bytes)
			}
			if err != nil {
				// The status is sent already: breaking the connection off is the only
				// honest answer left.
				c.c.log.Error("sample not sent", "digest", d, "error", err)
				panic(http.ErrAbortHandler)
			}
		}
		// The end of the archive.
		_, _ = answer.BodyWriter().Write(make([]byte, 1024))
	}}, nil
}
