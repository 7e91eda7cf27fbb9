package spec_test

import (
	"errors"
	"strings"
	"testing"

	"hone/loop"
	"hone/spec"
)

const light = "name: s\nfactors:\n- {name: light, levels: [low, day]}\n"

// makeHead is a campaign without a loop that only lacks what a case adds.
const makeHead = "name: c\nspace: s\ngenerator: g\n"

// campaignHead is a campaign that only lacks what a case adds.
const campaignHead = "name: c\nspace: s\npolicy: p\ngenerator: g\nsamples: 10\n"

// kind of document a case is of.
type kind string

const (
	space    kind = "space"
	policy   kind = "policy"
	campaign kind = "campaign"
)

func smallSpace(t testing.TB) *loop.Space {
	t.Helper()
	s, err := spec.ParseSpace([]byte(`
name: s
factors:
  - {name: light, levels: {low: 0.25, day: 0.75}}
  - {name: glove, levels: ["yes", "no"]}
  - {name: colour, levels: [red, blue], when: {glove: "yes"}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

// parse reads a document of a kind; its campaigns are of smallSpace.
func parse(t testing.TB, k kind, doc string) error {
	var err error
	switch k {
	case space:
		_, err = spec.ParseSpace([]byte(doc))
	case policy:
		_, err = spec.ParsePolicy([]byte(doc))
	case campaign:
		s := smallSpace(t)
		_, err = spec.ParseCampaign([]byte(doc), func(name string) (*loop.Space, error) {
			if name != s.Name {
				return nil, nil
			}
			return s, nil
		})
	}
	return err
}

// Each case names one mistake and what is said of it, place first. Several lines
// are several errors.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		kind kind
		doc  string
		want []string // line:column: field: and a part of the rest, split by "…"
	}{
		{"empty", space, "", []string{"1:1: …the document is empty"}},
		{"only comments", space, "# nothing\n", []string{"1:1: …the document is empty"}},
		{"a list", space, "- a\n", []string{"1:1: …a mapping is expected, not a list"}},
		{"text", policy, "careful", []string{"1:1: …a mapping is expected, not text"}},
		{"not UTF-8", space, "name: s\nowner: é\xff\n", []string{"2:9: …not UTF-8"}},
		{"control character", space, "name: s\nowner: a\x00b\n", []string{"2:9: …control character"}},
		{"two documents", policy, "name: p\n---\nname: q\n", []string{"3:…a second document"}},
		{"a tab", space, "name: s\nfactors:\n\t- name: light\n", []string{"3:1: …a tab; YAML is indented by spaces (put spaces there)"}},
		{"not YAML", policy, "name: p\nsearch: [1\n", []string{"…this is not YAML"}},
		{"not JSON", policy, "{\"name\": \"p\",\n \"floor\": }\n", []string{"2:11: …this is not JSON"}},
		{"JSON cut off", policy, "{\"name\": \"p\",\n", []string{"2:1: …unexpected end"}},
		{"JSON and more", policy, "{\"name\": \"p\"}\n{}", []string{"2:1: …after top-level value"}},
		{"alias", policy, "name: &a p\nowner: *a\n", []string{"1:7: …anchors, aliases and merge keys"}},
		{"merge key", policy, "name: p\n<<: {floor: 1}\n", []string{"2:1: …anchors, aliases and merge keys"}},
		{"tag", policy, "name: !!binary aGk=\n", []string{"1:7: …tags are not taken"}},
		{"directive", policy, "%YAML 1.1\n---\nname: p\n", []string{"1:1: …directives are not taken"}},
		{"explicit key", policy, "? name\n: p\n", []string{"1:1: …keys after ? are not taken"}},
		{"list as key", policy, "[a]: p\n", []string{"1:…"}},

		{"unknown key", policy, "name: p\nfloorr: 1\n", []string{`2:1: floorr: unknown key (did you mean "floor"?)`}},
		{"unknown key deep", policy, "name: p\nshares:\n  bosted: 1\n", []string{`3:3: shares.bosted: unknown key (did you mean "boosted"?)`}},
		{"unknown key far from any", policy, "name: p\nzzzzzzzz: 1\n", []string{`2:1: zzzzzzzz: unknown key (known are name, owner`}},
		{"unknown key in JSON", policy, "{\n  \"name\": \"p\",\n  \"é\": {\"floor\": 1}, \"flor\": 1}", []string{"3:3: é: unknown key", `3:22: flor: unknown key (did you mean "floor"?)`}},
		{"a version", policy, "name: p\nversion: 3\n", []string{"2:1: version: versions are given by the server"}},
		{"key twice", policy, "name: p\nfloor: 0\nfloor: 1\n", []string{"3:1: floor: the key is there already in line 2"}},
		{"key twice in JSON", policy, "{\"name\":\"p\",\n\"floor\":0,\"fl\\u006for\":1}", []string{"2:11: floor: the key is there already in line 2"}},
		{"no name", policy, "floor: 1\n", []string{`1:1: name: "name" is missing`}},
		{"per cent", policy, "name: p\nfloor: 10%\npins: [{slice: {light: low}, share: 2.5 %}]", []string{
			`2:8: floor: a number is expected, not "10%" (write 0.1)`, `3:37: pins[0].share: a number is expected, not "2.5 %" (write 0.025)`}},
		{"per cent of what", policy, "name: p\nfloor: x%", []string{`2:8: floor: a number is expected, not "x%"`}},
		{"no value", policy, "name: p\nfloor:\n", []string{"2:…floor: a number is expected, not null"}},
		{"several at once, in order", policy, "floor: many\nname: 7\nwindow: 1.5\nsearch: []\n", []string{
			`1:8: floor: a number is expected, not "many"`, "2:7: name: text is expected, not a number (put it in quotes)",
			"3:9: window: 1.5 is not a whole number", "4:9: search: a mapping is expected, not a list"}},
		{"NaN", policy, "name: p\nfloor: .nan\n", []string{"2:8: floor: .nan is not a finite number"}},
		{"infinite", policy, "name: p\nfloor: -.inf\n", []string{"2:8: floor: -.inf is not a finite number"}},
		{"overflow", policy, "name: p\nfloor: 1e999\n", []string{"2:8: floor: 1e999 is not a finite number"}},
		{"NaN in JSON", policy, `{"name":"p","floor":NaN}`, []string{"1:21: …this is not JSON"}},
		{"octal", policy, "name: p\nwindow: 017\n", []string{`2:9: window: a whole number is expected, not "017"`}},
		{"negative", policy, "name: p\nwindow: -1\n", []string{"2:9: window: -1 is negative"}},
		{"loop's refusal", policy, "name: p\nshares:\n  cap: 0.1\n  base: 2\n", []string{"4:9: shares.base: 2 is out of bounds"}},
		{"loop's refusal of a group", policy, "name: p\nshares:\n  base: 0.9\n", []string{"3:3: shares: base 0.9 and boosted 0.5"}},

		{"no levels", space, "name: s\nfactors:\n- name: light\n", []string{"3:3: factors[0].levels: the factor has no levels"}},
		{"levels and edges", space, "name: s\nfactors:\n- {name: a, levels: [x], edges: [0, 1]}\n", []string{"3:33: factors[0].edges: the factor has levels already"}},
		{"target of levels", space, "name: s\nfactors:\n- {name: a, levels: [x], target: [1]}\n", []string{"3:34: factors[0].target: a list of shares goes with edges"}},
		{"edges of an ordinal", space, "name: s\nfactors:\n- {name: a, kind: ordinal, edges: [0, 1]}\n", []string{"3:35: factors[0].edges: only a numeric factor has edges"}},
		{"no such kind", space, "name: s\nfactors:\n- {name: a, kind: nummeric, levels: [x]}\n", []string{`3:19: factors[0].kind: "nummeric" is not a kind (did you mean "numeric"?)`}},
		{"sum", space, "name: s\nfactors:\n- name: a\n  levels: {x: 0.25, y: 0.25}\n- name: b\n  levels:\n    x: 1\n    y: 0.5\n", []string{
			"4:11: factors[0].levels: the target shares sum to 0.5 (they must sum to 1)", "7:5: factors[1].levels: the target shares sum to 1.5"}},
		{"sum of bins", space, "name: s\nfactors:\n- name: a\n  edges: [0, 1, 2]\n  target: [1, 1]\n", []string{"5:11: factors[0].target: the target shares sum to 2"}},
		{"negative share", space, "name: s\nfactors:\n- name: a\n  levels: {x: -0.5, y: 1.5}\n", []string{"4:15: factors[0].levels[0].target: -0.5 is not a share"}},
		{"share of some", space, "name: s\nfactors:\n- name: a\n  levels:\n  - {name: x, target: 1}\n  - y\n", []string{`6:5: factors[0].levels[1]: level "y" has no target share`}},
		{"level twice", space, "name: s\nfactors:\n- name: a\n  levels: [x, y,\n    x]\n", []string{`5:5: factors[0].levels[2].name: factor "a" has level "x" twice`}},
		{"reserved level, from a mapping", space, "name: s\nfactors:\n- name: a\n  levels:\n    x: 0.5\n    absent: 0.5\n", []string{"6:5: factors[0].levels[1].name: \"absent\" is reserved"}},
		{"null as a level", space, "name: s\nfactors:\n- {name: a, levels: [x, null]}\n", []string{"3:25: factors[0].levels[1]: a mapping is expected, not null"}},
		{"edges that fall", space, "name: s\nfactors:\n- {name: a, edges: [0, 2, 2]}\n", []string{"3:27: factors[0].edges[2]: 2 is not above"}},
		{"too many shares", space, "name: s\nfactors:\n- {name: a, edges: [0, 2], target: [0.5, 0.5]}\n", []string{"3:36: factors[0].target: a list of 1 shares is expected"}},
		{"bin without edges", space, "name: s\nfactors:\n- {name: a, kind: numeric, levels: [x]}\n", []string{"3:37: factors[0].levels[0]: the edges 0 and 0 do not make a bin"}},
		{"factor's name", space, "name: s\nfactors:\n- {name: a.b, levels: [x]}\n", []string{`3:10: factors[0].name: "a.b" cannot be the name of a factor`}},
		{"reserved factor", space, "name: s\nfactors:\n- {name: seed, levels: [x]}\n", []string{"3:10: factors[0].name: \"seed\" is the name of a column"}},
		{"condition on a later factor", space, "name: s\nfactors:\n- {name: a, levels: [x], when: {light: low}}\n- {name: light, levels: [low]}\n", []string{`3:33: factors[0].when.light: there is no factor "light"`}},
		{"condition on two", space, light + "- {name: b, levels: [x]}\n- {name: c, levels: [x], when: {light: low, b: x}}\n", []string{"5:32: factors[2].when: a condition is on one factor, not 2"}},
		{"condition on no such level", space, light + "- {name: c, levels: [x], when: {light: [low, lwo]}}\n", []string{`4:46: factors[1].when.light: factor "light" has no level "lwo" (did you mean "low"?)`}},
		{"level twice in a condition", space, light + "- {name: c, levels: [x], when: {light: [low, low]}}\n", []string{`4:46: factors[1].when.light: level "low" is there already`}},
		{"constraint of nothing", space, light + "constraints: [{}]\n", []string{"4:15: constraints[0]: the constraint neither forbids nor requires"}},
		{"constraint of two kinds", space, light + "constraints:\n- {forbid: {light: low}, require: {light: day}}\n", []string{"5:3: constraints[0]: forbid stands alone"}},
		{"empty forbid", space, light + "constraints:\n- {forbid: {}}\n", []string{"5:12: constraints[0].forbid: an empty mapping says nothing"}},
		{"no such factor in a constraint", space, light + "constraints:\n- forbid: {lihgt: low}\n", []string{`5:12: constraints[0].forbid.lihgt: there is no factor "lihgt" (did you mean "light"?)`}},
		{"risk of everything", space, light + "risks: [{slice: {}, weight: 2}]\n", []string{"4:17: risks[0].slice: the slice has no predicate"}},
		{"risk weight", space, light + "risks: [{slice: {light: low}, weight: 0}]\n", []string{"4:39: risks[0].weight: 0 is not a risk weight"}},
		{"risk of a list", space, light + "risks: [{slice: {light: [low]}, weight: 1}]\n", []string{"4:25: risks[0].slice.light: the name of a level is expected, not a list"}},

		{"scale", space, "name: s\nfactors:\n- {name: a, edges: [1, 2], scale: lg}\n", []string{`3:35: factors[0].scale: "lg" is not a scale (did you mean "log"?)`}},
		{"scale of categories", space, "name: s\nfactors:\n- {name: a, levels: [x], scale: log}\n", []string{`3:33: factors[0].scale: factor "a" is categorical; only a numeric factor has a scale (give it edges`}},
		{"log of zero", space, "name: s\nfactors:\n- name: a\n  scale: log\n  edges: [0, 1, 2]\n", []string{"5:11: factors[0].levels[0]: the bin from 0 to 1 has no place on a log scale (edges greater than 0…or scale: linear"}},
		{"pin", space, "name: s\nfactors:\n- {name: a, pin: lwo, levels: [low, day]}\n", []string{`3:18: factors[0].pin: factor "a" has no level "lwo" (did you mean "low"?)`}},
		{"pin of a list", space, "name: s\nfactors:\n- {name: a, levels: [low, day], pin: [low]}\n", []string{"3:38: factors[0].pin: the name of a level is expected, not a list"}},
		{"pin of what is forbidden", space, "name: s\nfactors:\n- {name: a, pin: low, levels: [low, day]}\nconstraints: [{forbid: {a: low}}]\n", []string{"3:18: factors[0].pin: with a=low pinned, the constraints leave next to nothing"}},
		{"sticky", space, "name: s\nfactors:\n- {name: a, levels: [x], sticky: 65537}\n", []string{"3:34: factors[0].sticky: 65537 is not a number of consecutive samples"}},
		{"sticky fraction", space, "name: s\nfactors:\n- {name: a, levels: [x], sticky: 1.5}\n", []string{"3:34: factors[0].sticky: 1.5 is not a whole number"}},
		{"protected without share", space, light + "protected: [{slice: {light: low}}]\n", []string{`4:13: protected[0].share: "share" is missing`}},
		{"protected too much", space, light + "protected:\n- {slice: {light: low}, share: .6}\n- {slice: {light: day}, share: .6}\n", []string{"6:32: protected[1].share: the protected slices claim 1.2 of the mixture; at most 0.9 is allowed (protect less"}},
		{"protected weight", space, light + "protected: [{slice: {light: low}, weight: .6}]\n", []string{`4:13: protected[0].share: "share" is missing`, `4:35: protected[0].weight: unknown key (known are slice, share, reason)`}},
		{"protected apart from a pin", space, "name: s\nfactors:\n- {name: a, pin: low, levels: [low, day]}\nprotected: [{slice: {a: day}, share: .1}]\n", []string{"4:21: protected[0].slice: a=day is never made: the space pins a=low (remove the pin, or the slice)"}},
		{"label of a factor's name", space, light + "derived: [{name: light, rules: [{when: {light: low}, level: a}], otherwise: b}]\n", []string{`4:18: derived[0].name: "light" is already the name of factors[0]`}},
		{"label without otherwise", space, light + "derived: [{name: l, rules: [{when: {light: low}, level: a}]}]\n", []string{`4:11: derived[0].otherwise: "otherwise" is missing`}},
		{"label's level", space, light + "derived: [{name: l, levels: [good, bad], rules: [{when: {light: low}, level: god}], otherwise: bad}]\n", []string{`4:78: derived[0].rules[0].level: "god" is not one of the levels (did you mean "good"?)`}},
		{"label's factor", space, light + "derived: [{name: l, rules: [{when: {ligth: low}, level: a}], otherwise: b}]\n", []string{`4:37: derived[0].rules[0].when.ligth: there is no factor "ligth" (did you mean "light"?)`}},
		{"label that always holds", space, light + "derived: [{name: l, rules: [{when: {}, level: a}], otherwise: b}]\n", []string{"4:36: derived[0].rules[0].when: the rule holds everywhere (say so by otherwise)"}},
		{"label's reserved level", space, light + "derived: [{name: l, rules: [{when: {light: low}, level: unknown}], otherwise: b}]\n", []string{`4:57: derived[0].levels[0]: "unknown" is reserved`}},
		{"metric's direction", space, light + "tasks: [{name: t, metrics: [{name: iou, better: high}]}]\n", []string{`4:49: tasks[0].metrics[0].better: "high" is not a direction (did you mean "higher"?)`}},
		{"metric without direction", space, light + "tasks: [{name: t, metrics: [{name: iou}]}]\n", []string{`4:29: tasks[0].metrics[0].better: "better" is missing`}},
		{"metric of two tasks", space, light + "tasks:\n- {name: t, metrics: [{name: iou, better: higher}]}\n- {name: u, metrics: [{name: IoU, better: higher}]}\n", []string{`6:30: tasks[1].metrics[0].name: "IoU" is already the name of tasks[0].metrics[0]`}},
		{"metric that tables have", space, light + "tasks: [{name: t, metrics: [{name: loss, better: lower}]}]\n", []string{`4:36: tasks[0].metrics[0].name: "loss" is the name of a column that every table has`}},
		{"metric's threshold", space, light + "tasks: [{name: t, metrics: [{name: iou, better: higher, fail: .nan}]}]\n", []string{"4:63: tasks[0].metrics[0].fail: .nan is not a finite number"}},
		{"given nothing", space, light + "- {name: b, levels: [x, y], given: {}}\n", []string{"4:36: factors[1].given: one factor and its levels are expected (for example given:"}},
		{"given two", space, light + "- {name: b, levels: [x, y], given: {light: {}, b: {}}}\n", []string{"4:36: factors[1].given: one factor and its levels"}},
		{"given no such factor", space, light + "- {name: b, levels: [x, y], given: {lihgt: {}}}\n", []string{`4:37: factors[1].given: there is no factor "lihgt" (did you mean "light"?)`}},
		{"given itself", space, light + "- {name: b, levels: [x, y], given: {b: {}}}\n", []string{"4:37: factors[1].given: the factor cannot depend on itself"}},
		{"given no such level", space, light + "- {name: b, levels: [x, y], given: {light: {low: [1, 0], dya: [1, 0]}}}\n", []string{`4:58: factors[1].given.dya: factor "light" has no level "dya" (did you mean "day"?)`}},
		{"given too little", space, light + "- {name: b, levels: [x, y], given: {light: {low: [1, 0]}}}\n", []string{`4:44: factors[1].given: nothing is said of factor "b" where light is day (every level`}},
		{"given where absent", space, light + "- {name: b, levels: [x, y], when: {light: low}, given: {light: {low: [1, 0], day: [1, 0]}}}\n", []string{`4:78: factors[1].given.day: factor "b" is absent where light is day (remove it)`}},
		{"given and shares", space, light + "- {name: b, levels: {x: 0.5, y: 0.5}, given: {light: {low: [1, 0], day: [1, 0]}}}\n", []string{`4:25: factors[1].levels[0].target: factor "b" has its shares in factors[1].given already (name its levels alone`}},
		{"given a wrong level", space, light + "- {name: b, levels: [x, y], given: {light: {low: {x: 1}, day: {z: 1}}}}\n", []string{`4:64: factors[1].given.day: factor "b" has no level "z" (did you mean "x"?)`}},
		{"given a wrong sum", space, light + "- {name: b, levels: [x, y], given: {light: {low: {x: 1}, day: {x: 0.5}}}}\n", []string{"4:63: factors[1].given.day: the shares sum to 0.5 (they must sum to 1)"}},
		{"given a short list", space, light + "- {name: b, levels: [x, y], given: {light: {low: [1], day: [1, 0]}}}\n", []string{"4:50: factors[1].given.low: a list of 2 shares is expected, not of 1"}},
		{"given what may be absent", space, light + "- {name: b, levels: [x], when: {light: low}}\n- {name: c, levels: [x], given: {b: {x: [1]}}}\n", []string{`5:33: factors[2].given: factor "b" may be absent where factor "c" is present (give factor "c" the same condition`}},
		{"given and sticky", space, light + "- {name: b, levels: [x, y], sticky: 5, given: {light: {low: [1, 0], day: [0, 1]}}}\n", []string{`4:47: factors[1].given: 5 samples share a value of factor "b", but not one of factor "light"`}},
		{"target of nothing", space, light + "target: {}\n", []string{"4:9: target: nothing is said of the target"}},
		{"target of shares", space, light + "target: {mixtrue: []}\n", []string{`4:9: target: nothing is said`, `4:10: target.mixtrue: unknown key (did you mean "mixture"?)`}},
		{"class without share", space, light + "target: {mixture: [{levels: {light: {low: 1}}}]}\n", []string{`4:20: target.mixture[0].share: "share" is missing`}},
		{"classes that do not sum", space, light + "target:\n  mixture:\n  - {share: 0.5, levels: {light: {low: 1}}}\n", []string{"6:3: classes: the shares of the classes sum to 0.5"}},
		{"class that says less", space, light + "- {name: b, levels: [x, y]}\ntarget:\n  mixture:\n  - {share: 0.5, levels: {light: {low: 1}, b: {x: 1}}}\n  - {share: 0.5, levels: {light: {low: 1}}}\n", []string{`8:26: target.mixture[1].levels: nothing is said of factor "b", but in other classes`}},
		{"class that says more", space, light + "- {name: b, levels: [x, y]}\ntarget:\n  mixture:\n  - {share: 0.5, levels: {light: {low: 1}}}\n  - {share: 0.5, levels: {light: {low: 1}, b: {x: 1}}}\n", []string{`8:44: target.mixture[1].levels.b: the first class says nothing of factor "b"`}},
		{"class of shares given twice", space, "name: s\nfactors:\n- {name: a, levels: {x: 1}}\ntarget: {mixture: [{share: 1, levels: {a: {x: 1}}}]}\n", []string{`3:25: factors[0].levels[0].target: factor "a" has its shares in the target already`}},
		{"joint of what is given", space, light + "- {name: b, levels: [x, y], given: {light: {low: [1, 0], day: [0, 1]}}}\ntarget: {joint: {factors: [b], rows: [[x, 1]]}}\n", []string{`5:28: target: factor "b" is given another factor already`}},
		{"joint row", space, light + "target:\n  joint:\n    factors: [light]\n    rows:\n    - [low, 0.5]\n    - [low, 0.5, 1]\n", []string{"9:7: target.joint.rows[1]: a list of 1 levels and a share is expected"}},
		{"joint row twice", space, light + "target:\n  joint:\n    factors: [light]\n    rows:\n    - [low, 0.5]\n    - [low, 0.5]\n", []string{"9:7: target.joint.rows[1]: this combination has a row already"}},
		{"joint of a wrong level", space, light + "target: {joint: {factors: [light], rows: [[lwo, 1]]}}\n", []string{`4:44: target.joint.rows[0][0]: factor "light" has no level "lwo" (did you mean "low"?)`}},
		{"joint sum", space, light + "target: {joint: {factors: [light], rows: [[low, 0.5]]}}\n", []string{"4:42: target.joint.rows: the shares sum to 0.5"}},
		{"factor of emoji", space, "name: s\nfactors:\n- {name: 🙂, levels: [x]}\n", []string{`3:10: factors[0].name: "🙂" cannot be the name of a factor (a letter, then up to 62 letters, digits or '_': it becomes a column)`}},

		{"no such space", campaign, "name: c\nspace: t\npolicy: p\ngenerator: g\nsamples: 10\n", []string{`2:8: space: there is no space "t"`}},
		{"nothing given", campaign, "owner: me\n", []string{`1:1: name: "name" is missing`, `1:1: space: "space"`, `1:1: policy: "policy"`, `1:1: generator: "generator"`}},
		{"asks for nothing", campaign, "name: c\nspace: s\npolicy: p\ngenerator: g\n", []string{"1:1: samples: the campaign asks for nothing"}},
		{"seed", campaign, campaignHead + "seed: -3\n", []string{"6:7: seed: -3 is negative"}},
		{"seed too large", campaign, campaignHead + "seed: 18446744073709551616\n", []string{"6:7: seed: 18446744073709551616 is not a whole number, or too large"}},
		{"samples a fraction", campaign, strings.Replace(campaignHead, "10", "10.5", 1), []string{"5:10: samples: 10.5 is not a whole number"}},
		{"rounds without a model", campaign, campaignHead + "rounds: 2\n", []string{"1:1: learn_from: 2 rounds, but no model line"}},
		{"a first round larger than even ones", campaign, campaignHead + "rounds: 3\nlearn_from: [{model_line: m}]\nfirst_samples: 4\n",
			[]string{"8:16: first_samples: 4 samples are more than the 3 of even rounds, but rounds grow (at most 3)"}},
		{"a first round of one", campaign, campaignHead + "first_samples: 4\n", []string{"6:16: first_samples: there is one round, which makes all samples"}},
		{"gates as text", campaign, campaignHead + "gates: format\n", []string{"6:8: gates: a list is expected, not text"}},
		{"gate of no name", campaign, campaignHead + "gates: [format, \"9\"]\n", []string{`6:17: gates[1]: "9" is not the name of a gate`}},
		{"quota by a conditional factor", campaign, campaignHead + "quota_by: colour\n", []string{`6:11: quota_by: factor "colour" is conditional`}},
		{"pinned to what cannot occur", campaign, campaignHead + "evaluation:\n  pinned:\n  - {slice: {glove: no, colour: red}, count: 1}\n", []string{"8:13: evaluation.pinned[0].slice: glove=no ∧ colour=red cannot occur"}},
		{"pinned to a misspelt level", campaign, campaignHead + "evaluation: {pinned: [{slice: {light: lowe}, count: 1}]}\n", []string{`6:39: evaluation.pinned[0].slice.light: factor "light" has no level "lowe" (did you mean "low"?)`}},
		{"model line", campaign, campaignHead + "learn_from:\n- model_line: line@3\n", []string{`7:15: learn_from[0].model_line: "line@3" is not a name`}},
		{"to make of a misspelt factor", campaign, makeHead + "make:\n- {where: {lihgt: low}, count: 1}\n", []string{`5:12: make[0].where.lihgt: there is no factor "lihgt" (did you mean "light"?)`}},
		{"to make what cannot occur", campaign, makeHead + "make:\n- {where: {glove: no, colour: red}, count: 1}\n", []string{"5:11: make[0].where: glove=no ∧ colour=red cannot occur"}},
		{"to make in a loop", campaign, makeHead + "policy: p\nmake: [{count: 1}]\n", []string{"4:9: policy: a campaign that makes what it lists decides nothing"}},
		{"to make too many", campaign, makeHead + "make: [{count: 4294967295}, {count: 1}]\n", []string{"1:1: samples: 4294967296 samples; at most"}},
		{"advance", campaign, campaignHead + "advance: sometimes\n", []string{`6:10: advance: "sometimes" is not a way to advance`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := parse(t, c.kind, c.doc)
			list, ok := errors.AsType[spec.Errors](err)
			if !ok {
				t.Fatalf("got %v, want Errors", err)
			}
			if _, ok := errors.AsType[*loop.Error](err); !ok {
				t.Error("no *loop.Error inside")
			}
			if len(list) != len(c.want) {
				t.Fatalf("got %d errors, want %d:\n%v", len(list), len(c.want), err)
			}
			for i, want := range c.want {
				got := list[i].Error()
				prefix, rest, _ := strings.Cut(want, "…")
				if !strings.HasPrefix(got, prefix) || !strings.Contains(got[len(prefix):], rest) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	}
}

// A failure to look the space up is no mistake of the user's, and a refusal by
// whoever looks is one.
func TestLookupFailures(t *testing.T) {
	down := errors.New("the disk is gone")
	_, err := spec.ParseCampaign([]byte(campaignHead), func(string) (*loop.Space, error) { return nil, down })
	if !errors.Is(err, down) {
		t.Errorf("got %v, want it wrapped", err)
	}
	if _, ok := errors.AsType[*loop.Error](err); ok {
		t.Errorf("%v is refused as the user's mistake", err)
	}
	_, err = spec.ParseCampaign([]byte(campaignHead), func(string) (*loop.Space, error) {
		return nil, &loop.Error{Field: "name", Problem: "no such space"}
	})
	if err == nil || err.Error() != "2:8: space: no such space" {
		t.Errorf("got %v", err)
	}
}

func TestTooManyErrorsAreCut(t *testing.T) {
	err := parse(t, space, "name: s\nfactors:\n"+strings.Repeat("- {}\n", 200))
	if list, ok := errors.AsType[spec.Errors](err); !ok || len(list) != 20 {
		t.Errorf("got %d errors", len(list))
	}
}
