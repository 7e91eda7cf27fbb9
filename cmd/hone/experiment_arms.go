package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
	"hone/spec"
)

// experiment is what is known of an experiment's arms, the control first.
type experiment struct {
	Experiment string          `json:"experiment"`
	Arms       []experimentArm `json:"arms"`
	// Uneven says what the arms differ in that they should not; empty if nothing.
	Uneven []string `json:"uneven,omitempty"`
}

type experimentArm struct {
	Arm       string            `json:"arm"`
	Campaign  string            `json:"campaign"`
	Policy    string            `json:"policy"`
	State     string            `json:"state"`
	Round     int               `json:"round"`
	Requested uint64            `json:"requested"`
	Committed uint64            `json:"committed"`
	Rejected  uint64            `json:"rejected"`
	Boosted   float64           `json:"boosted"` // share of the latest round
	Models    []experimentModel `json:"models"`
}

// experimentModel is how the newest sealed version of a line does.
type experimentModel struct {
	Model string `json:"model"`
	Task  string `json:"task,omitempty"`
	Rows  int64  `json:"rows"`
	// Fails is of rows drawn from the target, and Yield of those drawn from the
	// arm's own mixture; Difference is that of Fails to the control.
	Fails      *loop.Interval `json:"fails,omitempty"`
	Difference *loop.Interval `json:"difference,omitempty"`
	Yield      *loop.Interval `json:"yield,omitempty"`
}

func readExperiment(c *cli.Context, name string) (experiment, error) {
	client := client(c)
	list, err := client.Campaigns(c.Context)
	if err != nil {
		return experiment{}, err
	}
	models, err := client.Models(c.Context)
	if err != nil {
		return experiment{}, err
	}
	e := experiment{Experiment: name}
	for _, summary := range list {
		arm, ok := strings.CutPrefix(summary.Name, name+".")
		if !ok || strings.Contains(arm, ".") {
			continue
		}
		a, err := readArm(c, client, summary, arm, models)
		if err != nil {
			return experiment{}, fmt.Errorf("arm %s: %w", arm, err)
		}
		e.Arms = append(e.Arms, a)
	}
	control := slices.IndexFunc(e.Arms, func(a experimentArm) bool { return a.Arm == controlArm })
	if control < 0 {
		return experiment{}, loop.NotFound("experiment", "there is no experiment %q: no campaign is called %s.%s (hone campaign list)", name, name, controlArm)
	}
	first := e.Arms[control]
	e.Arms = append([]experimentArm{first}, slices.Delete(e.Arms, control, control+1)...)
	for i := range e.Arms[1:] {
		a := &e.Arms[i+1]
		if a.Requested != first.Requested {
			e.Uneven = append(e.Uneven, fmt.Sprintf("%s asks for %s samples, and the control for %s", a.Arm, thousands(a.Requested), thousands(first.Requested)))
		}
		if a.Round != first.Round {
			e.Uneven = append(e.Uneven, fmt.Sprintf("%s is in round %d, and the control in round %d", a.Arm, a.Round, first.Round))
		}
		for j := range a.Models {
			if m := &a.Models[j]; j < len(first.Models) && m.Task == first.Models[j].Task && m.Fails != nil && first.Models[j].Fails != nil {
				d := m.Fails.Above(*first.Models[j].Fails)
				m.Difference = &d
			}
		}
	}
	return e, nil
}

func readArm(c *cli.Context, client *api.Client, summary api.CampaignSummary, name string, models []api.Model) (experimentArm, error) {
	campaign, err := client.Campaign(c.Context, summary.Name)
	if err != nil {
		return experimentArm{}, err
	}
	a := experimentArm{Arm: name, Campaign: campaign.Name, Policy: campaign.Policy, State: campaign.State, Round: campaign.Round,
		Requested: campaign.Requested, Committed: campaign.Committed, Rejected: campaign.Rejected, Models: []experimentModel{}}
	if campaign.Round > 0 {
		r, err := client.Round(c.Context, campaign.Name, campaign.Round, 0)
		if err != nil {
			return experimentArm{}, err
		}
		if r.Decision != nil {
			for _, k := range r.Decision.Components {
				if k.Domain == loop.Train.String() && len(k.Slice) > 0 {
					a.Boosted += k.Share
				}
			}
		}
	}
	parsed, err := spec.ParseCampaign([]byte(campaign.Document), func(string) (*loop.Space, error) {
		space, version, err := versioned(campaign.Space)
		if err != nil {
			return nil, err
		}
		d, err := client.ShowSpace(c.Context, space, version)
		if err != nil {
			return nil, err
		}
		parsed, err := spec.ParseSpace([]byte(d.Document))
		return &parsed, err
	})
	if err != nil {
		return experimentArm{}, err
	}
	var lines []string
	for _, l := range parsed.LearnFrom {
		if slices.Contains(lines, l.ModelLine) {
			continue
		}
		lines = append(lines, l.ModelLine)
		newest := ""
		for _, m := range models {
			if m.ModelLine == l.ModelLine && m.Sealed {
				newest = m.Version
			}
		}
		if newest == "" {
			continue
		}
		did, err := readModel(c, client, parsed.Space, l.ModelLine, newest, campaign.Sequence)
		if err != nil {
			return experimentArm{}, err
		}
		a.Models = append(a.Models, did...)
	}
	return a, nil
}

// readModel counts the outcomes of a model version by task and source, and by group.
func readModel(c *cli.Context, client *api.Client, space, line, version string, sequence uint64) ([]experimentModel, error) {
	schemas, err := client.SQL(c.Context, "SELECT DISTINCT schema FROM spaces WHERE space = "+sqlText(space), sequence)
	if err != nil || len(schemas.Rows) != 1 {
		return nil, err
	}
	table, err := client.SQL(c.Context, fmt.Sprintf(`SELECT task, source, count(*), sum(n)::DOUBLE, sum(k)::DOUBLE, sum(n*n)::DOUBLE, sum(n*k)::DOUBLE, sum(k*k)::DOUBLE
FROM (SELECT coalesce(task, '') AS task, source, "group", count(*) AS n, count(*) FILTER (NOT correct) AS k FROM %s.outcomes
	WHERE model_line = %s AND model_version = %s AND source IN ('target', 'mixture') GROUP BY ALL)
GROUP BY ALL ORDER BY task, source`, sqlName(fmt.Sprint(schemas.Rows[0][0])), sqlText(line), sqlText(version)), sequence)
	if err != nil {
		return nil, err
	}
	var out []experimentModel
	for _, row := range table.Rows {
		var sums [6]float64
		for i := range sums {
			number, ok := row[2+i].(json.Number)
			if !ok {
				return nil, fmt.Errorf("the server answers %v where a number was asked for", row[2+i])
			}
			if sums[i], err = number.Float64(); err != nil {
				return nil, err
			}
		}
		task, source := fmt.Sprint(row[0]), fmt.Sprint(row[1])
		if len(out) == 0 || out[len(out)-1].Task != task {
			out = append(out, experimentModel{Model: line + "@" + version, Task: task})
		}
		m := &out[len(out)-1]
		rate := loop.Grouped{Groups: sums[0], N: sums[1], K: sums[2], NN: sums[3], NK: sums[4], KK: sums[5]}.Rate()
		if loop.Source(source) == loop.SourceTarget {
			m.Fails, m.Rows = &rate, int64(sums[1])
		} else {
			m.Yield = &rate
		}
	}
	return out, nil
}

func writeExperiment(w io.Writer, e *experiment) {
	rows := [][]string{}
	for _, a := range e.Arms {
		rows = append(rows, []string{a.Arm, a.Policy, a.State, digits(a.Round), thousands(a.Committed), thousands(a.Rejected), percent(a.Boosted)})
	}
	grid(w, []string{"ARM", "POLICY", "STATE", "ROUND", "SAMPLES", "REJECTED", "FOR SLICES"}, rows)
	rows = [][]string{}
	for _, a := range e.Arms {
		for _, m := range a.Models {
			row := []string{a.Arm, strings.TrimSpace(m.Model + " " + m.Task), thousands(m.Rows), "", "", ""}
			for i, of := range []*loop.Interval{m.Fails, nil, m.Yield} {
				if of != nil {
					row[3+i] = interval(of.Expected, of.Lower, of.Upper)
				}
			}
			if d := m.Difference; d != nil {
				row[4] = fmt.Sprintf("%s (%+.1f to %+.1f)", points(d.Expected), 100*d.Lower, 100*d.Upper)
			}
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		fmt.Fprint(w, "\nNo arm has a sealed model version yet.\n")
	} else {
		fmt.Fprint(w, "\nHow the newest models fail (YIELD: of what their own arm made for the mixture's evaluation):\n\n")
		grid(w, []string{"ARM", "MODEL", "ROWS", "FAILS IN DEPLOYMENT", "TO THE CONTROL", "YIELD"}, rows)
	}
	for _, u := range e.Uneven {
		fmt.Fprintf(w, "\nNot like with like: %s.\n", printable(u))
	}
}
