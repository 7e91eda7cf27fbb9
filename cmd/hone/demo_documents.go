package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"text/template"

	"maps"

	"hone/api"
	"hone/examples/shapes"
)

// demoDocuments are what the demo puts, as a user would write it.
type demoDocuments struct {
	space     []byte
	policies  [][]byte
	campaigns [][]byte
}

const policyDocument = `# The demo's {{.}} policy: every setting it does not name has its default.
name: {{.}}
strategy: {{.}}
`

const armDocument = `# One arm of the demo: train on {{.Name}}@N, evaluate on {{.Name}}.eval@N, post the
# outcomes as model {{.Name}}@N, seal it, and the next round is decided.
name: {{.Name}}
space: shapes
policy: {{.Policy}}
generator: shapes
seed: {{.Seed}}
samples: {{.Samples}}
rounds: {{.Rounds}}
evaluation:
  target: {{.Target}}
  mixture: {{.Mixture}}
learn_from:
  - model_line: {{.Name}}
    eval_set: {{.Name}}.eval
gates: [format, blank]
`

const examDocument = `# The demo's exam: evaluation samples alone. Its outcomes report, and move nothing.
name: exam
space: shapes
policy: uniform
generator: shapes
seed: {{.Seed}}
samples: 0
rounds: 1
evaluation:
  target: {{.Target}}
  pinned:
{{- range .Pinned}}
    - slice: { {{- .}} }
      count: {{$.Count}}
{{- end}}
gates: [format, blank]
`

func (d *demo) documents() (demoDocuments, error) {
	out := demoDocuments{space: shapes.SpaceDocument}
	for _, strategy := range []string{"hone", "uniform"} {
		policy, err := fill(policyDocument, strategy)
		if err != nil {
			return out, err
		}
		out.policies = append(out.policies, policy)
	}
	var pinned []string
	for _, slice := range shapes.Learnable() {
		text := ""
		for i, factor := range slices.Sorted(maps.Keys(slice)) {
			if i > 0 {
				text += ", "
			}
			text += factor + ": " + slice[factor]
		}
		pinned = append(pinned, text)
	}
	exam, err := fill(examDocument, map[string]any{"Seed": d.seed + shapes.ExamSeed, "Target": d.size.examTarget, "Pinned": pinned, "Count": d.size.pinned})
	if err != nil {
		return out, err
	}
	out.campaigns = append(out.campaigns, exam)
	for _, arm := range []struct{ name, policy string }{{armLoop, "hone"}, {armUniform, "uniform"}} {
		document, err := fill(armDocument, map[string]any{"Name": arm.name, "Policy": arm.policy, "Seed": d.seed,
			"Samples": d.size.rounds * d.size.samples, "Rounds": d.size.rounds, "Target": d.size.target, "Mixture": d.size.mixture})
		if err != nil {
			return out, err
		}
		out.campaigns = append(out.campaigns, document)
	}
	return out, nil
}

func fill(document string, with any) ([]byte, error) {
	t, err := template.New("document").Parse(document)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, with)
	return b.Bytes(), err
}

func (o demoDocuments) put(ctx context.Context, client *api.Client) error {
	if _, err := client.PutSpace(ctx, o.space); err != nil {
		return fmt.Errorf("put space: %w", err)
	}
	for _, policy := range o.policies {
		if _, err := client.PutPolicy(ctx, policy, api.Because{}); err != nil {
			return fmt.Errorf("put policy: %w", err)
		}
	}
	for _, campaign := range o.campaigns {
		if _, err := client.CreateCampaign(ctx, campaign); err != nil {
			return fmt.Errorf("create campaign: %w", err)
		}
	}
	return nil
}
