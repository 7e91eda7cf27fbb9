package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/loop"
	"hone/spec"
)

// controlArm is the arm that is as its base document says.
const controlArm = "control"

func experimentCommand() *cli.Command {
	return &cli.Command{
		Name:  "experiment",
		Usage: "campaigns that differ in their policy alone, side by side",
		Subcommands: []*cli.Command{
			{
				Name:      "create",
				Usage:     "create a campaign for each arm: the control as FILE says, the others with another policy",
				ArgsUsage: "FILE|-",
				Flags: []cli.Flag{
					&cli.StringSliceFlag{Name: "arm", Usage: "an arm as `ARM=POLICY`, repeatable: the name of a policy, or the file of one, which is put"},
					&cli.StringFlag{Name: "name", Usage: "call the experiment `NAME`, not as the campaign in FILE"},
				},
				Description: `FILE is a campaign's document. Each arm becomes the campaign NAME.ARM, with its own
dataset NAME.ARM, its own evaluation sets NAME.ARM.eval, and model lines of its own: line
L of FILE is L.ARM. Budget, rounds, seed and evaluation are the same for all, so that what
differs in the end is what the policies did. The same command again changes nothing.

Example:
   hone experiment create campaign.yaml --arm hone=hone --arm bolder=bolder.yaml`,
				Action: createExperiment,
			},
			{
				Name:      "show",
				Usage:     "compare the arms: what was made, and how their models do",
				ArgsUsage: "NAME",
				Description: `Models are compared by the newest sealed version of each arm, on what it was evaluated
on that was drawn as deployment is, with 95 % intervals that know that rows of a group are
not independent. The difference is to the control.

Example:
   hone experiment show shapes-first`,
				Action: func(c *cli.Context) error {
					args, err := arguments(c, "NAME")
					if err != nil {
						return err
					}
					e, err := readExperiment(c, args[0])
					if err != nil {
						return err
					}
					return show(c, e, func(w io.Writer) { writeExperiment(w, &e) })
				},
			},
		},
	}
}

// plannedArm is an arm before it is created.
type plannedArm struct {
	spec.Arm
	policy   []byte // to be put; nil where the policy is known by its name
	document []byte
}

func createExperiment(c *cli.Context) error {
	args, err := arguments(c, "FILE")
	if err != nil {
		return err
	}
	if err := required(c, "arm"); err != nil {
		return err
	}
	text, err := document(c, args[0])
	if err != nil {
		return err
	}
	client := client(c)
	lookup := func(name string) (*loop.Space, error) {
		d, err := client.ShowSpace(c.Context, name, 0)
		if err != nil {
			return nil, err
		}
		space, err := spec.ParseSpace([]byte(d.Document))
		return &space, err
	}
	base, err := spec.ParseCampaign(text, lookup)
	if err != nil {
		return inFile(args[0], err)
	}
	if len(base.Make) > 0 || base.Samples == 0 {
		return fmt.Errorf("%s: the campaign makes what it lists, so that no policy decides for it: there is nothing to compare", args[0])
	}
	arms, err := planArms(c, &base)
	if err != nil {
		return err
	}
	// All of it is known to be right before any of it is created.
	for i := range arms {
		if arms[i].document, err = arms[i].Document(text, &base); err != nil {
			return err
		}
		if _, err := spec.ParseCampaign(arms[i].document, lookup); err != nil {
			return fmt.Errorf("arm %s: %w", arms[i].Name, err)
		}
		if arms[i].policy == nil {
			if _, err := client.ShowPolicy(c.Context, arms[i].Policy, 0); err != nil {
				return fmt.Errorf("arm %s: %w", arms[i].Name, err)
			}
		}
	}
	var made []api.Put
	for _, arm := range arms {
		if arm.policy != nil {
			if _, err := client.PutPolicy(c.Context, arm.policy, api.Because{}); err != nil {
				return fmt.Errorf("arm %s: %w", arm.Name, err)
			}
		}
		put, err := client.CreateCampaign(c.Context, arm.document)
		if err != nil {
			return fmt.Errorf("arm %s: %w", arm.Name, err)
		}
		made = append(made, put)
	}
	return show(c, made, func(w io.Writer) {
		for i, put := range made {
			change := "created"
			if !put.Created {
				change = "unchanged"
			}
			fmt.Fprintf(w, "campaign %s %s: policy %s, %s samples in %s\n", put.Name, change, arms[i].Policy, thousands(base.Samples), counted(base.Rounds, "round"))
			for _, l := range base.LearnFrom {
				fmt.Fprintf(w, "   train %s.%s on %s@ROUND, evaluate it on %s@ROUND\n", l.ModelLine, arms[i].Name, put.Name, loop.EvaluationSet(put.Name))
			}
		}
		fmt.Fprintf(w, "\nCompare them: hone experiment show %s\n", arms[0].Experiment)
	})
}

// planArms reads --arm; the control comes first.
func planArms(c *cli.Context, base *loop.Campaign) ([]plannedArm, error) {
	name := base.Name
	if c.IsSet("name") {
		name = c.String("name")
	}
	arms := []plannedArm{{Arm: spec.Arm{Experiment: name, Name: controlArm, Policy: base.Policy}}}
	for _, flag := range c.StringSlice("arm") {
		arm, policy, ok := strings.Cut(flag, "=")
		switch {
		case !ok || policy == "" || !loop.ValidName(arm) || strings.Contains(arm, "."):
			return nil, usage("--arm %q is not ARM=POLICY, with an ARM of letters, digits, '_' and '-'", flag)
		case arm == "eval":
			return nil, usage("--arm: %s.eval would be an evaluation set; call the arm otherwise", name)
		case slices.ContainsFunc(arms, func(a plannedArm) bool { return a.Name == arm }):
			return nil, usage("--arm: there are two arms %s (%s is the campaign as FILE has it)", arm, controlArm)
		}
		planned := plannedArm{Arm: spec.Arm{Experiment: name, Name: arm, Policy: policy}}
		if ext := filepath.Ext(policy); ext == ".yaml" || ext == ".yml" || ext == ".json" {
			text, err := document(c, policy)
			if err != nil {
				return nil, err
			}
			parsed, err := spec.ParsePolicy(text)
			if err != nil {
				return nil, inFile(policy, err)
			}
			planned.policy, planned.Policy = text, parsed.Name
		}
		arms = append(arms, planned)
	}
	return arms, nil
}

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
