package coordinator

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"hone/api"
	"hone/coordinator/state"
	"hone/loop"
)

// Objects reads final objects: package lake's.
type Objects interface {
	OpenObject(ctx context.Context, key string) (io.ReadCloser, int64, error)
	ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error)
}

type datasetOf struct {
	Name    string `path:"name" example:"loop"`
	Version int    `path:"version" minimum:"1"`
}

func (c *Control) datasets(to huma.API) {
	huma.Register(to, operation(http.MethodGet, "/v1/datasets", "list-datasets", "List the latest version of each dataset", "Datasets"), answering(c, c.listDatasets))
	huma.Register(to, operation(http.MethodPost, "/v1/datasets", "publish-dataset", "Publish some of a version's samples under another name", "Datasets"), answering(c, c.publishDataset))
	o := operation(http.MethodPost, "/v1/datasets/{name}/import", "import-dataset", "Make staged samples that were not made here a dataset's next version", "Datasets")
	o.Description = "Outcomes that are posted with this version as their eval set may name its examples alone. All bytes are hashed again; what is wrong is told by example and column, and then nothing is imported."
	huma.Register(to, o, answering(c, c.importDataset))
	huma.Register(to, operation(http.MethodGet, "/v1/datasets/{name}", "list-dataset-versions", "List a dataset's versions", "Datasets"), answering(c, c.listVersions))
	huma.Register(to, operation(http.MethodGet, "/v1/datasets/{name}/{version}", "show-dataset", "Show a dataset version", "Datasets"), answering(c, c.showDataset))
	huma.Register(to, streams(operation(http.MethodGet, "/v1/datasets/{name}/{version}/manifest", "dataset-manifest",
		"A dataset version's manifest", "Datasets"), api.NDJSON, "A header line, then a line per sample; the bytes hash to the version's manifest_sha256"), c.manifest)
	huma.Register(to, streams(operation(http.MethodGet, "/v1/datasets/{name}/{version}/rows", "dataset-rows",
		"A dataset version's samples with their scenarios", "Datasets"), api.NDJSON, "A header line, then a line per sample"), c.rows)
}

func dataset(d *state.DatasetVersion) api.Dataset {
	out := api.Dataset{Name: d.Name, Version: d.Version, Samples: int64(d.Samples), Manifest: d.Manifest.Digest,
		Sequence: d.Sequence, Campaign: d.Campaign, Split: d.Split}
	if d.Import != nil {
		out.Origin = string(d.Import.Origin)
	}
	revoked := uint64(0)
	for _, a := range d.Advisory {
		revoked += a.Indices.Count()
	}
	if revoked > 0 {
		out.Advisory = fmt.Sprintf("%d of its samples were revoked after it was published", revoked)
	}
	return out
}

func (c *Control) listDatasets(context.Context, *struct{}) (out api.DatasetList, _ error) {
	out.Datasets = []api.Dataset{}
	c.c.node.View(func(s *state.State) {
		for _, name := range s.Datasets() {
			d, _ := s.Dataset(name, 0)
			out.Datasets = append(out.Datasets, dataset(&d))
		}
	})
	return out, nil
}

func (c *Control) listVersions(_ context.Context, in *named) (out api.DatasetList, err error) {
	c.c.node.View(func(s *state.State) {
		for _, d := range s.DatasetVersions(in.Name) {
			out.Datasets = append(out.Datasets, dataset(&d))
		}
	})
	if len(out.Datasets) == 0 {
		return out, loop.NotFound("dataset", "there is no dataset %q", in.Name)
	}
	return out, nil
}

func (c *Control) version(in *datasetOf) (d state.DatasetVersion, err error) {
	c.c.node.View(func(s *state.State) {
		var ok bool
		if d, ok = s.Dataset(in.Name, in.Version); !ok {
			err = loop.NotFound("dataset", "there is no dataset %s@%d", in.Name, in.Version)
		}
	})
	return d, err
}

func (c *Control) showDataset(_ context.Context, in *datasetOf) (api.Dataset, error) {
	d, err := c.version(in)
	return dataset(&d), err
}

// manifest streams the manifest object as it lies in the lake.
func (c *Control) manifest(ctx context.Context, in *datasetOf) (*huma.StreamResponse, error) {
	d, err := c.version(in)
	if err != nil {
		return nil, c.problem(err)
	}
	object, size, err := c.o.Objects.OpenObject(ctx, d.Manifest.Key)
	if err != nil {
		return nil, c.problem(fmt.Errorf("open manifest: %w", err))
	}
	return &huma.StreamResponse{Body: func(answer huma.Context) {
		defer object.Close()
		answer.SetHeader("Content-Type", api.NDJSON)
		answer.SetHeader("Content-Length", fmt.Sprint(size))
		if _, err := io.Copy(answer.BodyWriter(), object); err != nil {
			c.c.log.Debug("manifest not sent whole", "dataset", in.Name, "error", err)
		}
	}}, nil
}
