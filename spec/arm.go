package spec

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"

	"hone/loop"
)

// Arm says what the campaign of one arm of an experiment has in place of what its
// base document says.
type Arm struct {
	Experiment, Name, Policy string
}

// Campaign is the name of the arm's campaign.
func (a Arm) Campaign() string { return a.Experiment + "." + a.Name }

// Document is the base campaign's document, which ParseCampaign has read as base,
// for the arm: with a name and a policy of its own, and model lines that nothing but
// this arm moves. No canary is tried in it: an arm is of one policy. The seed is the base's in all arms, so that what is drawn from the
// target for evaluation is the same scenarios. Comments are not kept.
func (a Arm) Document(doc []byte, base *loop.Campaign) ([]byte, error) {
	var root yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(doc, &root, yaml.UseOrderedMap()); err != nil {
		return nil, fmt.Errorf("read the campaign's document: %w", err)
	}
	root = put(root, "name", a.Campaign())
	root = put(root, "policy", a.Policy)
	root = put(root, "seed", base.Seed)
	root = put(root, "canaries", loop.CanariesNone)
	if len(base.LearnFrom) > 0 {
		var lines []yaml.MapSlice
		for i := range base.LearnFrom {
			lines = append(lines, a.learn(root, i, &base.LearnFrom[i], base.Name))
		}
		root = put(root, "learn_from", lines)
	}
	text, err := yaml.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("write the document of arm %s: %w", a.Name, err)
	}
	return append(fmt.Appendf(nil, "# Arm %s of the experiment %s.\n", a.Name, a.Experiment), text...), nil
}

// learn is entry i of learn_from, of the arm's own model line; what is evaluated on
// the base's own evaluation set is on the arm's.
func (a Arm) learn(root yaml.MapSlice, i int, l *loop.LearnFrom, base string) yaml.MapSlice {
	var entry yaml.MapSlice
	for _, item := range root {
		if list, ok := item.Value.([]any); ok && item.Key == "learn_from" && i < len(list) {
			entry, _ = list[i].(yaml.MapSlice)
		}
	}
	entry = put(entry, "model_line", l.ModelLine+"."+a.Name)
	if own := loop.EvaluationSet(base); l.EvalSet == own || strings.HasPrefix(l.EvalSet, own+"@") {
		entry = put(entry, "eval_set", loop.EvaluationSet(a.Campaign())+strings.TrimPrefix(l.EvalSet, own))
	}
	return entry
}

func put(m yaml.MapSlice, key string, value any) yaml.MapSlice {
	for i := range m {
		if m[i].Key == key {
			m[i].Value = value
			return m
		}
	}
	return append(m, yaml.MapItem{Key: key, Value: value})
}
