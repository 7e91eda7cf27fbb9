//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"hone/api"
)

// What every node's DuckDB must say of samples and outcomes: of each component
// how many, and of all their digests in order one sum; of each model how many rows.
const (
	samplesQuery = `SELECT campaign, split::VARCHAR, round, component, count(*), count(DISTINCT "index"),
	md5(string_agg(digest || '-' || attempt, ',' ORDER BY "index"))
	FROM shapes.samples GROUP BY ALL ORDER BY ALL`
	rowsQuery = `SELECT model_line, model_version, count(*) FROM shapes.outcomes GROUP BY ALL ORDER BY ALL`
)

// ask asks one node's own DuckDB, whoever leads, once it has seen a sequence.
func (n *node) ask(ctx context.Context, query string, atLeast uint64) ([]string, error) {
	body, err := json.Marshal(api.Query{Query: query, AtLeast: atLeast})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.host+":"+httpPort+"/v1/sql?consistency=stale", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var table struct {
		api.Table
		Detail string `json:"detail"`
	}
	decoder := json.NewDecoder(response.Body)
	decoder.UseNumber()
	if err := decoder.Decode(&table); err != nil {
		return nil, fmt.Errorf("%s: %w", response.Status, err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Hone-Consistency") != "stale" || table.Truncated {
		return nil, fmt.Errorf("%s: %s", response.Status, table.Detail)
	}
	var rows []string
	for _, row := range table.Rows {
		rows = append(rows, joined(row...))
	}
	return rows, nil
}

// view is what a node's DuckDB said.
type view struct{ samples, outcomes []string }

// views asks every node's, when it has seen all that is committed.
func (r *rack) views() map[string]view {
	r.t.Helper()
	cluster, err := r.client.Cluster(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string]view{}
	for _, n := range r.nodes {
		r.await(n.name+"'s view", func() bool {
			samples, err := n.ask(r.ctx, samplesQuery, cluster.Sequence)
			outcomes, err2 := n.ask(r.ctx, rowsQuery, cluster.Sequence)
			if err = cmp.Or(err, err2); err != nil {
				r.t.Logf("%s's view: %v", n.name, err)
			}
			out[n.name] = view{samples, outcomes}
			return err == nil
		})
	}
	return out
}

// views compares what every node's DuckDB says with the history and the parts.
func (c *checker) views(of map[string]view) {
	c.t.Helper()
	type group struct {
		campaign, split  string
		round, component int
	}
	groups := map[group]map[uint64]string{}
	for at, s := range c.history.samples {
		if !s.committed {
			continue
		}
		g := group{at.campaign, at.domain.String(), at.round, at.component}
		if groups[g] == nil {
			groups[g] = map[uint64]string{}
		}
		if p, i := c.standsIn(at, s); p == nil {
			c.t.Errorf("%+v: there is no row %d of %s", at, s.row, s.part)
		} else {
			groups[g][at.index] = fmt.Sprintf("%v-%d", p["digest"][i], s.attempt)
		}
	}
	var want view
	for g, digests := range groups {
		var ordered []string
		for _, i := range slices.Sorted(maps.Keys(digests)) {
			ordered = append(ordered, digests[i])
		}
		sum := md5.Sum([]byte(strings.Join(ordered, ",")))
		want.samples = append(want.samples, joined(g.campaign, g.split, g.round, g.component, len(digests), len(digests), hex.EncodeToString(sum[:])))
	}
	for model, rows := range c.history.rows {
		if line, version, _ := strings.Cut(model, "@"); rows > 0 {
			want.outcomes = append(want.outcomes, joined(line, version, rows))
		}
	}
	for name, got := range of {
		c.differ(name+"'s samples", got.samples, want.samples)
		c.differ(name+"'s outcomes", got.outcomes, want.outcomes)
	}
}

func (c *checker) differ(what string, got, want []string) {
	c.t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	for _, row := range got {
		if _, ok := slices.BinarySearch(want, row); !ok {
			c.t.Errorf("%s: DuckDB has %q, the log has not", what, row)
		}
	}
	for _, row := range want {
		if _, ok := slices.BinarySearch(got, row); !ok {
			c.t.Errorf("%s: the log has %q, DuckDB has not", what, row)
		}
	}
}
