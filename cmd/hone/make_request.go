package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/loop"
	"hone/spec"
)

// makeRequest is a campaign without a loop, and the space that it is of.
type makeRequest struct {
	space    *loop.Space
	campaign loop.Campaign
	document []byte
}

// makeDocument is the campaign as it is written; by its bytes it is known again.
type makeDocument struct {
	Name      string     `json:"name"`
	Space     string     `json:"space"`
	Generator string     `json:"generator"`
	Seed      *uint64    `json:"seed,omitempty"`
	Make      []makeLine `json:"make"`
	Gates     []string   `json:"gates,omitempty"`
	QuotaBy   string     `json:"quota_by,omitempty"`
	UnitSize  int        `json:"unit_size,omitempty"`
}

type makeLine struct {
	Where map[string]string `json:"where,omitempty"`
	Count uint64            `json:"count"`
}

// readMakeRequest turns the flags into a campaign, and refuses what the server
// would refuse, in the words of whoever typed them.
func readMakeRequest(c *cli.Context) (*makeRequest, error) {
	definition, err := client(c).ShowSpace(c.Context, c.String("space"), 0)
	if err != nil {
		return nil, err
	}
	parsed, err := spec.ParseSpace([]byte(definition.Document))
	if err != nil {
		return nil, fmt.Errorf("space %s: %w", definition.Name, err)
	}
	space := &parsed
	space.Version = definition.Version
	requests, err := requested(c, space)
	if err != nil {
		return nil, err
	}
	d := makeDocument{Name: c.String("name"), Space: space.Name, Generator: c.String("generator"), QuotaBy: c.String("quota-by"), UnitSize: c.Int("unit-size")}
	if c.IsSet("seed") {
		seed := c.Uint64("seed")
		d.Seed = &seed
	}
	for gate := range strings.SplitSeq(c.String("gates"), ",") {
		if gate = strings.TrimSpace(gate); gate != "" {
			d.Gates = append(d.Gates, gate)
		}
	}
	for _, r := range requests {
		d.Make = append(d.Make, makeLine{space.Names(r.Slice), r.Count})
	}
	if d.Name == "" {
		if d.Name, err = nameOf(&d, space); err != nil {
			return nil, err
		}
	}
	m := &makeRequest{space: space}
	if m.document, err = json.Marshal(&d); err != nil {
		return nil, err
	}
	m.campaign, err = spec.ParseCampaign(m.document, func(string) (*loop.Space, error) { return space, nil })
	// The places are those of a document that nobody wrote.
	if refusal, ok := errors.AsType[*loop.Error](err); ok {
		return nil, refusal
	}
	return m, err
}

// requested are the samples that --where and -n, or --scenarios, ask for.
func requested(c *cli.Context, space *loop.Space) ([]loop.Request, error) {
	if path := c.String("scenarios"); path != "" {
		if c.IsSet("where") || c.IsSet("samples") {
			return nil, usage("--scenarios says which and how many; leave out --where and --samples")
		}
		text, err := document(c, path)
		if err != nil {
			return nil, err
		}
		requests, err := spec.ParseScenarios(text, space)
		if err != nil {
			return nil, inFile(path, err)
		}
		return requests, nil
	}
	if n := c.Int64("samples"); n < 1 || uint64(n) >= loop.MaxQuota {
		return nil, usage("%s needs -n, a number of samples from 1, or --scenarios (see %s --help)", c.Command.HelpName, c.Command.HelpName)
	}
	r := loop.Request{Count: uint64(c.Int64("samples"))}
	if typed := c.String("where"); strings.TrimSpace(typed) != "" {
		names, err := spec.ParsePredicates(typed)
		if err != nil {
			return nil, err
		}
		if r.Slice, err = spec.PredicatesOf(space, "--where", names); err != nil {
			return nil, err
		}
	}
	return []loop.Request{r}, nil
}

// nameOf is a name that follows from what is asked for: the same command again
// names the same campaign.
func nameOf(d *makeDocument, space *loop.Space) (string, error) {
	content, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(content, "%d", space.Version))
	return fmt.Sprintf("make-%.40s-%s", space.Name, hex.EncodeToString(sum[:5])), nil
}

// describe says what is asked for.
func (m *makeRequest) describe() string {
	requests := m.campaign.Make
	what := m.space.Describe(requests[0].Slice)
	if len(requests) > 1 {
		what = fmt.Sprintf("%s scenarios", thousands(len(requests)))
	}
	return fmt.Sprintf("%s samples of %s, from space %s, by generator %s, gates: %s", thousands(m.campaign.Samples), what,
		m.space.Name, m.campaign.Generator, cmp.Or(strings.Join(m.campaign.Gates, ", "), "none"))
}
