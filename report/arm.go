package report

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"hone/api"
	"hone/loop"
	"hone/spec"
)

// arm is one campaign of a report.
type arm struct {
	api.Campaign
	asked  loop.Campaign
	space  *loop.Space
	schema string
	// line is the model line that it learns from; empty if there is none.
	line string
}

// openArm asks for a campaign and what its documents say.
func openArm(ctx context.Context, client *api.Client, name string) (*arm, error) {
	campaign, err := client.Campaign(ctx, name)
	if err != nil {
		return nil, err
	}
	a := &arm{Campaign: campaign}
	spaceName, version, err := versioned(campaign.Space)
	if err != nil {
		return nil, fmt.Errorf("campaign %s: %w", name, err)
	}
	definition, err := client.ShowSpace(ctx, spaceName, version)
	if err != nil {
		return nil, err
	}
	space, err := spec.ParseSpace([]byte(definition.Document))
	if err != nil {
		return nil, fmt.Errorf("space %s: %w", campaign.Space, err)
	}
	a.space = &space
	if a.asked, err = spec.ParseCampaign([]byte(campaign.Document), func(string) (*loop.Space, error) { return a.space, nil }); err != nil {
		return nil, fmt.Errorf("campaign %s: %w", name, err)
	}
	if len(a.asked.LearnFrom) > 0 {
		a.line = a.asked.LearnFrom[0].ModelLine
	}
	table, err := client.SQL(ctx, "SELECT min(schema) FROM main.spaces WHERE space = "+literal(spaceName), campaign.Sequence)
	if err != nil {
		return nil, err
	}
	for r := range rowsOf(&table) {
		a.schema = r.text(0)
	}
	return a, nil
}

// versioned splits NAME@VERSION, as a server writes it.
func versioned(s string) (name string, version int, err error) {
	name, text, ok := strings.Cut(s, "@")
	if !ok {
		return name, 0, nil // the latest
	}
	if version, err = strconv.Atoi(text); err != nil || version < 1 || name == "" {
		return "", 0, fmt.Errorf("space %q is not NAME@VERSION", s)
	}
	return name, version, nil
}

// table names a table of the campaign's space.
func (a *arm) table(name string) string { return ident(a.schema) + "." + name }

// sliceOf reads a slice as the API writes it. It is not ok where the space does
// not have it.
func sliceOf(space *loop.Space, names map[string]string) (slice loop.Slice, ok bool) {
	for f := range space.Factors {
		level, named := names[space.Factors[f].Name]
		if !named {
			continue
		}
		p, err := space.Predicate("", f, level)
		if err != nil {
			return nil, false
		}
		slice = append(slice, p)
	}
	return slice, len(slice) == len(names)
}
