package spec

import (
	"reflect"
	"testing"

	"hone/loop"
)

// The arms of an experiment differ in nothing but name, policy and what they learn
// from: the same budget, the same seed, the same evaluation.
func TestArmDocument(t *testing.T) {
	for _, doc := range []string{
		"# a comment\nname: base\nspace: s\npolicy: plain\ngenerator: g\nsamples: 600\nrounds: 3\nevaluation: {target: 100, mixture: 50}\n" +
			"learn_from:\n  - {model_line: net, eval_set: base.eval, importance: 2}\n  - model_line: other\n    eval_set: field@3\ngates: [format]\nunit_size: 7\n",
		`{"name":"base","space":"s","policy":"plain","generator":"g","seed":18446744073709551615,"samples":600,"rounds":3,"learn_from":[{"model_line":"net"}]}`,
	} {
		lookup := func(string) (*loop.Space, error) { return &loop.Space{Name: "s"}, nil }
		base, err := ParseCampaign([]byte(doc), lookup)
		if err != nil {
			t.Fatal(err)
		}
		arm := Arm{Experiment: "trial", Name: "bold", Policy: "bolder"}
		text, err := arm.Document([]byte(doc), &base)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseCampaign(text, lookup)
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		want := base
		want.Name, want.Policy, want.Canaries = "trial.bold", "bolder", loop.CanariesNone
		want.LearnFrom = append([]loop.LearnFrom(nil), base.LearnFrom...)
		for i := range want.LearnFrom {
			l := &want.LearnFrom[i]
			l.ModelLine += ".bold"
			if l.EvalSet == "base.eval" {
				l.EvalSet = "trial.bold.eval"
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the arm is\n%+v\nwant\n%+v", got, want)
		}
	}
}
