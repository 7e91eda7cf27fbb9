package main

import (
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
differs in the end is what the policies did; a canary of a policy is tried in none of
them. The same command again changes nothing.

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
