package spec_test

import (
	"bytes"
	"testing"

	"hone/loop"
	"hone/spec"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compiled(t testing.TB) map[kind]*jsonschema.Schema {
	t.Helper()
	out := make(map[kind]*jsonschema.Schema)
	for k, raw := range map[kind][]byte{space: spec.SpaceSchema(), policy: spec.PolicySchema(), campaign: spec.CampaignSchema()} {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource(string(k), v); err != nil {
			t.Fatal(err)
		}
		// Compile validates the schema against the 2020-12 meta-schema.
		if out[k], err = c.Compile(string(k)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestSchemasAcceptTheExamples(t *testing.T) {
	schemas := compiled(t)
	for path, k := range map[string]kind{"../examples/shapes/space.yaml": space, "../examples/parts/space.yaml": space, "../examples/policy.yaml": policy, "../examples/campaign.yaml": campaign} {
		var v any
		if err := yaml.Unmarshal(read(t, path), &v); err != nil {
			t.Fatal(err)
		}
		if err := schemas[k].Validate(v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Parser and schema say the same of the shape of a document; of sums,
// references and the like only the parser knows.
func TestSchemasAgreeWithTheParser(t *testing.T) {
	const (
		both     = "both accept"
		neither  = "both refuse"
		semantic = "only the parser refuses"
	)
	schemas := compiled(t)
	factor := func(f string) string { return "name: s\nfactors:\n- " + f + "\n" }
	const learns = "learn_from: [{model_line: m}]\n"
	const campaignGrows = campaignHead + learns + "rounds: 3\n"
	for _, c := range []struct {
		kind kind
		doc  string
		want string
	}{
		{space, factor("{name: a, levels: [x, 2, true]}"), both},
		{space, factor("{name: a, levels: {x: 1, y: 0}}"), both},
		{space, factor("{name: a, levels: [{name: x}, {name: y}]}"), both},
		{space, factor("{name: a, levels: [x, {name: y}]}"), both},
		{space, factor("{name: a, levels: [{name: x, target: 1}]}"), both},
		{space, factor("{name: a, kind: numeric, levels: [{name: x, low: 0, high: 1}]}"), both},
		{space, factor("{name: a, edges: [0, 1.5]}"), both},
		{space, factor("{name: a, kind: numeric, edges: [0, 1, 2], target: [1, 0]}"), both},
		{space, light + "- {name: b, levels: [x], when: {light: low}}\n", both},
		{space, light + "- {name: b, levels: [x], when: {light: [low]}}\n", both},
		{space, light + "constraints: [{forbid: {light: low}}]\nrisks: []\n", both},
		{space, light + "constraints: [{require: {light: [low]}}]\n", both},
		{space, light + "- {name: b, levels: [x, y]}\nconstraints: [{when: {light: low}, require: {b: x}}]\n", both},
		{space, light + "constraints: []\nrisks: [{slice: {light: low}, weight: 1.5, reason: r}]\n", both},

		{space, factor("{name: a, edges: [1, 2], scale: log, pin: '[1,2)', sticky: 50}"), both},
		{space, factor("{name: a, kind: numeric, levels: [{name: x, low: 0, high: 1}], scale: circular, sticky: 0}"), both},
		{space, factor("{name: a, levels: [1, 2], pin: 2, sticky: 65536}"), both},
		{space, light + "protected: [{slice: {light: low}, share: 0.1, reason: r}]", both},
		{space, light + "derived: [{name: d, rules: [{when: {light: [low, day]}, level: 1}], otherwise: yes}]", both},
		{space, light + "derived: [{name: d, levels: [a, b], rules: [{when: {light: low}, level: a}], otherwise: b}]", both},
		{space, light + "tasks: [{name: t}, {name: u, description: d, metrics: [{name: m, unit: mm, better: lower, fail: -1}]}]", both},
		{space, light + "tasks: []\nderived: []\nprotected: []", both},

		{space, light + "- {name: b, levels: [x, y], given: {light: {low: {x: 1}, day: [0.5, 0.5]}}}", both},
		{space, light + "- {name: b, edges: [0, 1, 2], given: {light: {low: [1, 0], day: {'[0,1)': 1}}}}", both},
		{space, light + "- {name: b, levels: [x, y], when: {light: low}, given: {light: {low: {x: 1}}}}", both},
		{space, light + "target: {mixture: [{share: 0.5, levels: {light: {low: 1}}}, {share: 0.5, levels: {light: [0, 1]}}]}", both},
		{space, light + "target: {joint: {factors: [light], rows: [[low, 0.5], [day, 0.5]]}}", both},

		{space, light + "- {name: b, levels: [x, y], given: {}}", neither},
		{space, light + "- {name: b, levels: [x, y], given: light}", neither},
		{space, light + "- {name: b, levels: [x, y], given: {light: low}}", neither},
		{space, light + "- {name: b, levels: [x, y], given: {light: {low: x, day: y}}}", neither},
		{space, light + "- {name: b, levels: [x, y], given: {light: {low: {x: -1, y: 2}, day: {x: 1}}}}", neither},
		{space, light + "target: {}", neither},
		{space, light + "target: []", neither},
		{space, light + "target: {mixture: []}", neither},
		{space, light + "target: {mixture: {share: 1}}", neither},
		{space, light + "target: {mixture: [{share: 1}]}", neither},
		{space, light + "target: {mixture: [{levels: {light: {low: 1}}}]}", neither},
		{space, light + "target: {mixture: [{share: 1, levels: {}}]}", neither},
		{space, light + "target: {mixture: [{share: 1, levels: {light: {low: 1}}, weight: 1}]}", neither},
		{space, light + "target: {mixture: [{share: -1, levels: {light: {low: 1}}}]}", neither},
		{space, light + "target: {joint: {factors: [light]}}", neither},
		{space, light + "target: {joint: {rows: [[low, 1]]}}", neither},
		{space, light + "target: {joint: {factors: [light], rows: []}}", neither},
		{space, light + "target: {joint: {factors: [], rows: [[1]]}}", neither},
		{space, light + "target: {joint: {factors: [light], rows: [{low: 1}]}}", neither},
		{space, light + "target: {mixture: [{share: 1, levels: {light: {low: 1}}}], joint: {factors: [light], rows: [[low, 1]]}}", neither},
		{space, light + "- {name: b, levels: {x: 1}, given: {light: {low: [1], day: [1]}}}", semantic},
		{space, light + "- {name: b, levels: [x, y], given: {light: {low: [0.5, 0.4], day: [1, 0]}}}", semantic},
		{space, light + "- {name: b, levels: [x, y], given: {light: {low: [0.5, 0.5]}}}", semantic},
		{space, light + "- {name: b, levels: [x, y], given: {b: {x: [1, 0], y: [1, 0]}}}", semantic},
		{space, light + "target: {joint: {factors: [light], rows: [[low, low]]}}", semantic},
		{space, light + "target: {joint: {factors: [light], rows: [[low, day, 1]]}}", semantic},
		{space, light + "target: {joint: {factors: [light], rows: [[low, 0.5]]}}", semantic},

		{space, factor("{name: a, edges: [1, 2], scale: cubic}"), neither},
		{space, factor("{name: a, levels: [x], scale: log}"), neither},
		{space, factor("{name: a, kind: ordinal, levels: [x], scale: linear}"), neither},
		{space, factor("{name: a, levels: [x], pin: null}"), neither},
		{space, factor("{name: a, levels: [x], pin: [x]}"), neither},
		{space, factor("{name: a, levels: [x], sticky: -1}"), neither},
		{space, factor("{name: a, levels: [x], sticky: 65537}"), neither},
		{space, factor("{name: a, levels: [x], sticky: often}"), neither},
		{space, light + "protected: [{slice: {light: low}}]", neither},
		{space, light + "protected: [{slice: {light: low}, share: 0}]", neither},
		{space, light + "protected: [{slice: {light: low}, share: 1}]", neither},
		{space, light + "protected: [{slice: {}, share: 0.1}]", neither},
		{space, light + "protected: {slice: {light: low}, share: 0.1}", neither},
		{space, light + "derived: [{name: d, rules: [{when: {light: low}, level: a}]}]", neither},
		{space, light + "derived: [{name: d, rules: [], otherwise: b}]", neither},
		{space, light + "derived: [{name: d, otherwise: b}]", neither},
		{space, light + "derived: [{name: d, levels: [], rules: [{when: {light: low}, level: a}], otherwise: b}]", neither},
		{space, light + "derived: [{name: d, rules: [{when: {}, level: a}], otherwise: b}]", neither},
		{space, light + "derived: [{name: d, rules: [{level: a}], otherwise: b}]", neither},
		{space, light + "derived: [{name: d, rules: [{when: {light: low}, level: [a]}], otherwise: b}]", neither},
		{space, light + "derived: [{name: d, rules: [{when: {light: low}, level: absent}], otherwise: b}]", neither},
		{space, light + "derived: [{name: d-e, rules: [{when: {light: low}, level: a}], otherwise: b}]", neither},
		{space, light + "tasks: [{metrics: []}]", neither},
		{space, light + "tasks: [{name: t, metrics: [{name: m}]}]", neither},
		{space, light + "tasks: [{name: t, metrics: [{name: m, better: more}]}]", neither},
		{space, light + "tasks: [{name: t, metrics: [{name: m m, better: lower}]}]", neither},
		{space, light + "tasks: [{name: t, metrics: [{name: m, better: lower, fail: null}]}]", neither},
		{space, light + "tasks: [{name: t, metrics: [{name: m, better: lower, unit: 3}]}]", neither},

		{space, "", neither},
		{space, "[]", neither},
		{space, "name: s", neither},
		{space, "name: s\nfactors: []", neither},
		{space, "name: 9s\nfactors: [{name: a, levels: [x]}]", neither},
		{space, light + "version: 1\n", neither},
		{space, light + "owner: 3\n", neither},
		{space, light + "description: null\n", neither},
		{space, light + "risks: null\n", neither},
		{space, factor("{name: a}"), neither},
		{space, factor("{name: a-b, levels: [x]}"), neither},
		{space, factor("{levels: [x]}"), neither},
		{space, factor("{name: a, levels: []}"), neither},
		{space, factor("{name: a, levels: {}}"), neither},
		{space, factor("{name: a, levels: x}"), neither},
		{space, factor("{name: a, levels: [null]}"), neither},
		{space, factor("{name: a, levels: [[x]]}"), neither},
		{space, factor("{name: a, levels: [\"\"]}"), neither},
		{space, factor("{name: a, levels: [absent]}"), neither},
		{space, factor("{name: a, levels: {unknown: 1}}"), neither},
		{space, factor("{name: a, levels: {x: many}}"), neither},
		{space, factor("{name: a, levels: {x: -1, y: 2}}"), neither},
		{space, factor("{name: a, levels: [{target: 1}]}"), neither},
		{space, factor("{name: a, levels: [{name: x, share: 1}]}"), neither},
		{space, factor("{name: a, levels: [x], edges: [0, 1]}"), neither},
		{space, factor("{name: a, levels: [x], target: [1]}"), neither},
		{space, factor("{name: a, edges: [0]}"), neither},
		{space, factor("{name: a, edges: [a, b]}"), neither},
		{space, factor("{name: a, kind: ordinal, edges: [0, 1]}"), neither},
		{space, factor("{name: a, kind: vector, levels: [x]}"), neither},
		{space, light + "- {name: b, levels: [x], when: {}}\n", neither},
		{space, light + "- {name: b, levels: [x], when: {light: []}}\n", neither},
		{space, light + "- {name: b, levels: [x], when: low}\n", neither},
		{space, light + "- {name: c, levels: [x]}\n- {name: b, levels: [x], when: {light: low, c: x}}\n", neither},
		{space, light + "constraints: [{}]\n", neither},
		{space, light + "constraints: [{when: {light: low}}]\n", neither},
		{space, light + "constraints: [{forbid: {}}]\n", neither},
		{space, light + "constraints: [{forbid: {light: low}, when: {light: low}}]\n", neither},
		{space, light + "constraints: [{forbid: {light: low}, require: {light: low}}]\n", neither},
		{space, light + "constraints: {forbid: {light: low}}\n", neither},
		{space, light + "risks: [{slice: {light: low}}]\n", neither},
		{space, light + "risks: [{weight: 1}]\n", neither},
		{space, light + "risks: [{slice: {}, weight: 1}]\n", neither},
		{space, light + "risks: [{slice: {light: [low]}, weight: 1}]\n", neither},
		{space, light + "risks: [{slice: {light: low}, weight: 0}]\n", neither},

		{space, factor("{name: a, levels: {x: 0.5}}"), semantic},
		{space, factor("{name: a, levels: [x, x]}"), semantic},
		{space, factor("{name: a, edges: [1, 0]}"), semantic},
		{space, factor("{name: a, levels: [x], when: {b: y}}"), semantic},
		{space, factor("{name: seed, levels: [x]}"), semantic},
		{space, factor("{name: a, levels: [x], pin: y}"), semantic},
		{space, factor("{name: a, edges: [0, 1], scale: log}"), semantic},
		{space, light + "protected: [{slice: {light: low}, share: 0.95}]", semantic},
		{space, light + "derived: [{name: light, rules: [{when: {light: low}, level: a}], otherwise: b}]", semantic},
		{space, light + "derived: [{name: d, levels: [a], rules: [{when: {light: low}, level: a}], otherwise: b}]", semantic},
		{space, light + "tasks: [{name: t}, {name: t}]", semantic},

		{policy, "name: p", both},
		{policy, "name: p\nsearch: {}\nshares: {}\ndamping: {}", both},
		{policy, "name: p\nstrategy: uniform\nwindow: 2.0", both},
		{policy, "name: p\ncoverage: {order: 3, samples: 14, share: 0.5, factors: [light]}", both},
		{policy, "name: p\ncoverage: {order: 4}", neither},
		{policy, "name: p\ncoverage: {order: 2, samples: 15}", neither},
		{policy, "name: p\ncoverage: {order: 2, share: 0}", neither},
		{policy, "name: p\ncoverage: {order: 2, factors: light}", neither},
		{policy, "name: p\ncoverage: {order: 2, factors: [light, light]}", semantic},
		{policy, "strategy: hone", neither},
		{policy, "name: p\nstrategy: greedy", neither},
		{policy, "name: p\nwindow: 2.5", neither},
		{policy, "name: p\nwindow: 0", neither},
		{policy, "name: p\nfloor: 1.01", neither},
		{policy, "name: p\nfloor: high", neither},
		{policy, "name: p\nsearch: {order: 7}", neither},
		{policy, "name: p\nsearch: {depth: 1}", neither},
		{policy, "name: p\nsearch: null", neither},
		{policy, "name: p\nshares: {base: 0}", neither},
		{policy, "name: p\ndamping: {samples: -1}", neither},
		{policy, "name: p\ndamping: {least: 0}", neither},
		{policy, "name: p\npins: [{slice: {light: low, glove: 2}, share: 0.1, author: ann, reason: r, expires: 2030-01-31}]\nbans: []", both},
		{policy, "name: p\nbans: [{slice: {light: low}, author: ann, reason: r, expires: '2030-01-31'}]\npins: []", both},
		{policy, "name: p\npins: [{slice: {light: low}}]", neither},
		{policy, "name: p\npins: [{share: 0.1}]", neither},
		{policy, "name: p\npins: [{slice: {light: low}, share: 1}]", neither},
		{policy, "name: p\npins: [{slice: {}, share: 0.1}]", neither},
		{policy, "name: p\npins: [{slice: {a: x, b: x, c: x, d: x, e: x, f: x, g: x}, share: 0.1}]", neither},
		{policy, "name: p\npins: [{slice: {light: [low]}, share: 0.1}]", neither},
		{policy, "name: p\npins: [{slice: light, share: 0.1}]", neither},
		{policy, "name: p\npins: {slice: {light: low}, share: 0.1}", neither},
		{policy, "name: p\npins: null", neither},
		{policy, "name: p\nbans: [{slice: {light: low}, share: 0.1}]", neither},
		{policy, "name: p\nbans: [{slice: {light: low}, expires: tomorrow}]", neither},
		{policy, "name: p\nbans: [{slice: {light: low}, until: 2030-01-31}]", neither},
		{policy, "name: p\nbans: [{slice: {light: low}, expires: 2030-02-31}]", semantic},
		{policy, "name: p\nbans: [{slice: {light: low}}, {slice: {light: low}}]", semantic},
		{policy, "name: p\nbans: [{slice: {light: low}}]\npins: [{slice: {light: low}, share: 0.1}]", semantic},
		{policy, "name: p\npins: [{slice: {light: low}, share: 0.7}]", semantic},
		{policy, "name: p\nshares: {base: 0.9}", semantic},
		{policy, "name: p\ndamping: {quarantine: 0.01}", semantic},

		{campaign, campaignHead, both},
		{campaign, campaignHead + "seed: 18446744073709551615\ngates: []\nlearn_from: []\nevaluation: {}", both},
		{campaign, campaignHead + "evaluation: {target: 5, mixture: 0, pinned: [{slice: {light: low}, count: 1}]}", both},
		{campaign, campaignHead + "rounds: 2\nlearn_from: [{model_line: m, task: t, eval_set: e}]", both},
		{campaign, campaignHead + "rounds: 2\nlearn_from: [{model_line: m, metric: loss, importance: 0.5}]\nevaluation: {probe: 5}", both},
		{campaign, campaignHead + "learn_from: [{model_line: m, importance: 0}]", neither},
		{campaign, campaignHead + "learn_from: [{model_line: m, importance: high}]", neither},
		{campaign, campaignHead + "learn_from: [{model_line: m, importance: 1000001}]", neither},
		{campaign, campaignHead + "evaluation: {probe: -1}", neither},
		{campaign, campaignHead + "evaluation: {probe: 5}", semantic},
		{campaign, campaignHead + "learn_from: [{model_line: m, metric: sharpness}]", semantic},
		{campaign, campaignHead + "learn_from: [{model_line: m}, {model_line: m, importance: 2}]", semantic},
		{campaign, campaignHead + "quota_by: glove\nadvance: sealed\ndecide: auto\nunit_size: 512\nmax_attempts: 1", both},
		{campaign, campaignHead + learns + "until: [{failure: {at_most: 0.05}}, {failure: {slice: {light: low}, at_most: 0.1, confidence: 0.9}}]", both},
		{campaign, campaignHead + learns + "until: [{gain: {samples: 1000, below: 0.001}}, {gain: {gpu_hours: 2.5, below: 0.01}}, {plateau: {versions: 3}}]", both},
		{campaign, campaignHead + learns + "until: [{spend: {gpu_hours: 40}}, {date: 2027-01-31}]", both},
		{campaign, campaignHead + "until: []", both},
		{campaign, campaignHead + "price: {gpu_hour: 2.5, currency: EUR}", both},
		{campaign, campaignHead + "price: {gpu_hour: 2, currency: €}", both},
		{campaign, campaignHead + "price: {gpu_hour: 0}", neither},
		{campaign, campaignHead + "price: {currency: EUR}", neither},
		{campaign, campaignHead + "price: 2.5", neither},
		{campaign, campaignHead + "price: {gpu_hour: 2.5, currency: 'E U R'}", neither},
		{campaign, campaignHead + "price: {gpu_hour: 2.5, sample: 1}", neither},
		{campaign, campaignHead + "rounds: 2\nprice: {gpu_hour: 2.5}\nmoney: 500\n" + learns, both},
		{campaign, "name: c\nspace: s\npolicy: p\ngenerator: g\nrounds: 2\nprice: {gpu_hour: 2.5}\nmoney: 500\n" + learns, both},
		{campaign, campaignHead + "rounds: 2\nprice: {gpu_hour: 2.5}\nmoney: 0\n" + learns, neither},
		{campaign, campaignHead + "rounds: 2\nmoney: 500 EUR\n" + learns, neither},
		{campaign, campaignHead + "rounds: 2\nmoney: 500\n" + learns, semantic},
		{campaign, campaignHead + "price: {gpu_hour: 2.5}\nmoney: 500", semantic},
		{campaign, campaignHead + learns + "price: {gpu_hour: 2.5}\nuntil: [{spend: {money: 500}}, {gain: {money: 100, below: 0.001}}]", both},
		{campaign, campaignHead + learns + "price: {gpu_hour: 2.5}\nuntil: [{spend: {money: 500, gpu_hours: 2}}]", neither},
		{campaign, campaignHead + learns + "until: [{spend: {}}]", neither},
		{campaign, campaignHead + learns + "until: [{spend: {money: 500}}]", semantic},
		{campaign, campaignHead + learns + "until: [{gain: {money: 500, below: 0.001}}]", semantic},
		{campaign, campaignHead + learns + "until: [{}]", neither},
		{campaign, campaignHead + learns + "until: {plateau: {versions: 3}}", neither},
		{campaign, campaignHead + learns + "until: [{plateau: {versions: 3}, date: 2027-01-31}]", neither},
		{campaign, campaignHead + learns + "until: [{plateau: {}}]", neither},
		{campaign, campaignHead + learns + "until: [{plateau: {versions: 0}}]", neither},
		{campaign, campaignHead + learns + "until: [{failure: {slice: {light: low}}}]", neither},
		{campaign, campaignHead + learns + "until: [{failure: {at_most: 5}}]", neither},
		{campaign, campaignHead + learns + "until: [{failure: {at_most: 0.1, confidence: 1}}]", neither},
		{campaign, campaignHead + learns + "until: [{gain: {below: 0.1}}]", neither},
		{campaign, campaignHead + learns + "until: [{gain: {samples: 9, gpu_hours: 1, below: 0.1}}]", neither},
		{campaign, campaignHead + learns + "until: [{spend: {gpu_hours: 0}}]", neither},
		{campaign, campaignHead + learns + "until: [{spend: {dollars: 5}}]", neither},
		{campaign, campaignHead + learns + "until: [{date: tomorrow}]", neither},
		{campaign, campaignHead + learns + "until: [{samples: 5}]", neither},
		{campaign, campaignHead + "until: [{plateau: {versions: 3}}]", semantic},
		{campaign, campaignHead + learns + "until: [{date: 2027-02-30}]", semantic},
		{campaign, campaignHead + learns + "until: [{failure: {slice: {light: lowe}, at_most: 0.1}}]", semantic},
		{campaign, makeHead + "make: [{count: 2}]\nuntil: [{date: 2027-02-03}]", semantic},
		{campaign, makeHead + "make: [{where: {light: low, glove: yes}, count: 3}, {count: 1}]", both},
		{campaign, makeHead + "make: [{where: {}, count: 3}]\nsamples: 3\nevaluation: {target: 2}", both},
		{campaign, makeHead, neither},
		{campaign, makeHead + "make: []", neither},
		{campaign, makeHead + "make: {count: 1}", neither},
		{campaign, makeHead + "make: [{where: {light: low}}]", neither},
		{campaign, makeHead + "make: [{where: light, count: 1}]", neither},
		{campaign, makeHead + "make: [{where: {light: low}, count: 0}]", neither},
		{campaign, makeHead + "make: [{slice: {light: low}, count: 1}]", neither},
		{campaign, makeHead + "policy: p\nmake: [{count: 1}]", neither},
		{campaign, makeHead + "make: [{count: 1}]\nsamples: 2", semantic},
		{campaign, makeHead + "make: [{count: 2}]\nrounds: 2", semantic},
		{campaign, makeHead + "make: [{count: 2}]\nlearn_from: [{model_line: m}]", semantic},
		{campaign, makeHead + "make: [{where: {light: lo}, count: 2}]", semantic},
		{campaign, "name: c\nspace: s\npolicy: p\nsamples: 1", neither},
		{campaign, campaignHead + "seed: -1", neither},
		{campaign, campaignHead + "seed: one", neither},
		{campaign, campaignHead + "rounds: 0", neither},
		{campaign, campaignHead + "rounds: 10001", neither},
		{campaign, campaignHead + "unit_size: 513", neither},
		{campaign, campaignHead + "max_attempts: 0", neither},
		{campaign, campaignHead + "advance: continuous", neither},
		{campaign, campaignHead + "decide: ask", neither},
		{campaign, campaignHead + "decide: propose", both},
		{campaign, campaignHead + "canaries: try", both},
		{campaign, campaignHead + "canaries: none", both},
		{campaign, campaignHead + "canaries: some", neither},
		{campaign, campaignHead + "gates: [1]", neither},
		{campaign, campaignHead + "gates: blank", neither},
		{campaign, campaignHead + "learn_from: [m]", neither},
		{campaign, campaignHead + "learn_from: [{task: t}]", neither},
		{campaign, campaignHead + "evaluation: {pinned: [{slice: {light: low}}]}", neither},
		{campaign, campaignHead + "evaluation: {pinned: [{slice: {light: low}, count: 0}]}", neither},
		{campaign, campaignHead + "evaluation: {pinned: [{slice: {}, count: 1}]}", neither},
		{campaign, campaignHead + "evaluation: {target: 4294967296}", neither},
		{campaign, campaignHead + "budget: 5", neither},
		{campaign, campaignHead + "rounds: 2", semantic},
		{campaign, campaignHead + "quota_by: pose", semantic},
		{campaign, campaignGrows + "first_samples: 1", both},
		{campaign, campaignGrows + "first_samples: 0", both},
		{campaign, campaignGrows + "first_samples: 4", semantic},
		{campaign, campaignHead + "first_samples: 1", semantic},
		{campaign, campaignGrows + "first_samples: -1", neither},
		{campaign, campaignGrows + "first_samples: 0.5", neither},
		{campaign, campaignGrows + "first_samples: half", neither},
		{campaign, campaignHead + "evaluation: {pinned: [{slice: {light: high}, count: 1}]}", semantic},
	} {
		var v any
		if err := yaml.Unmarshal([]byte(c.doc), &v); err != nil {
			t.Fatalf("%q: %v", c.doc, err)
		}
		bySchema, byParser := schemas[c.kind].Validate(v), parse(t, c.kind, c.doc)
		if (bySchema == nil) != (c.want != neither) || (byParser == nil) != (c.want == both) {
			t.Errorf("%s %q: want that %s\nschema: %v\nparser: %v", c.kind, c.doc, c.want, bySchema, byParser)
		}
	}
}

// Every strategy that a policy may name is in the schema.
func TestSchemaKnowsTheStrategies(t *testing.T) {
	schema := compiled(t)[policy]
	for _, name := range loop.Strategies() {
		if err := schema.Validate(map[string]any{"name": "p", "strategy": name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
