package spec_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hone/loop"
	"hone/spec"
)

// Documents made to hurt are refused, in a time that a server can afford. The
// limit is many times what they take, so that a slow machine passes and a
// square or an exponential does not.
func TestHostileDocumentsAreBounded(t *testing.T) {
	const size = spec.MaxBytes / 4 // enough to tell a square: tens of seconds, not tenths of one
	fill := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	keys := func(limit int) string {
		var b strings.Builder
		for i := 0; b.Len() < limit; i++ {
			fmt.Fprintf(&b, "k%d: v\n", i)
		}
		return b.String()
	}
	steps := func() string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			b.WriteString(strings.Repeat(" ", i) + "a:\n")
		}
		return b.String()
	}
	for name, doc := range map[string]string{
		"too large":          strings.Repeat("#", spec.MaxBytes+1),
		"comments":           fill("#\n"),
		"comments within":    "name: p\n" + fill("#\n"),
		"blanks":             fill(" "),
		"lines":              fill("\n"),
		"open lists":         fill("["),
		"open mappings":      "a: " + fill("{a: "),
		"nested entries":     fill("- "),
		"nested keys":        fill("? "),
		"nested blocks":      steps(),
		"open lists in JSON": `{"a":` + fill("["),
		"open maps in JSON":  fill(`{"a":`),
		"anchors":            fill("&a "),
		"tags":               fill("! "),
		"documents":          fill("---\n"),
		"same key":           fill("a: b\n"),
		"same key in JSON":   `{` + fill(`"a":0,`) + `"a":0}`,
		"keys":               keys(size),
		"keys in JSON":       "{" + strings.TrimSuffix(strings.NewReplacer("k", `"k`, ": v\n", `":0,`).Replace(keys(size/2)), ",") + "}",
		"keys below limits":  keys(90_000),
		"flow keys":          "a: {" + strings.ReplaceAll(keys(700_000), "\n", ",") + "}",
		"many mappings":      "a:\n" + strings.Repeat("- x: 1\n", 30_000),
		"a long list":        "factors: [" + strings.TrimSuffix(fill("b,"), ",") + "]",
		"a long word":        "name: " + fill("b"),
		"a long key":         fill("b") + ": 1",
		"long quotes":        `name: "` + fill(`\n`) + `"`,
		"open quotes":        `name: "` + fill("b\n "),
		"a literal":          "name: |\n" + fill(" b\n"),
		"colons":             fill(":"),
		"billion laughs": "a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\nname: *d\n",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			if _, err := spec.ParsePolicy([]byte(doc)); err == nil {
				t.Error("it was accepted")
			} else if len(err.Error()) > 16<<10 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			} else {
				t.Log(took)
			}
		})
	}
}

// A space that names many things wrong, or many things often, costs no more
// than its size.
func TestHostileSpacesAreBounded(t *testing.T) {
	levels := func(n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf(`"a-rather-long-name-%05d"`, i)
		}
		return strings.Join(names, ",")
	}
	head := `{"name":"s","factors":[{"name":"a","levels":[` + levels(10_000) + `]}`
	for name, doc := range map[string]string{
		"wrong levels":   head + `],"constraints":[{"forbid":{"a":[` + strings.Repeat(`"b",`, 300_000) + `"b"]}}]}`,
		"levels often":   head + `],"constraints":[` + strings.Repeat(`{"forbid":{"a":[`+levels(10_000)+`]}},`, 6) + `{}]}`,
		"too many":       head + strings.Repeat(`,{"name":"a","levels":[1,2]}`, 30_000) + `]}`,
		"unknown keys":   `{"name":"s","factors":[{` + keysOf(100_000) + `}]}`,
		"empty factors":  `{"name":"s","factors":[` + strings.Repeat(`{},`, 300_000) + `{}]}`,
		"empty risks":    head + `],"risks":[` + strings.Repeat(`{},`, 300_000) + `{}]}`,
		"empty labels":   head + `],"derived":[` + strings.Repeat(`{},`, 300_000) + `{}]}`,
		"empty rules":    head + `],"derived":[{"name":"d","otherwise":"x","rules":[` + strings.Repeat(`{},`, 300_000) + `{}]}]}`,
		"labels often":   head + `],"derived":[` + strings.Repeat(`{"name":"d","otherwise":"x","levels":[`+levels(10_000)+`]},`, 6) + `{}]}`,
		"wide rules":     head + `],"derived":[{"name":"d","otherwise":"x","rules":[` + strings.Repeat(`{"when":{"a":[`+levels(10_000)+`]},"level":"y"},`, 6) + `{}]}]}`,
		"empty tasks":    head + `],"tasks":[` + strings.Repeat(`{},`, 300_000) + `{}]}`,
		"empty metrics":  head + `],"tasks":[{"name":"t","metrics":[` + strings.Repeat(`{},`, 300_000) + `{}]}]}`,
		"protected":      head + `],"protected":[` + strings.Repeat(`{},`, 300_000) + `{}]}`,
		"many pins":      `{"name":"s","factors":[` + strings.Repeat(`{"name":"a","pin":"x","levels":[`+levels(10_000)+`]},`, 10) + `{}]}`,
		"wide rows":      head + `,{"name":"b","levels":[` + levels(10_000) + `],"given":{"a":{` + wideRows(levels(10_000), 8) + `}}}]}`,
		"many rows":      head + `,{"name":"b","levels":[1],"given":{"a":{` + keysOf(100_000) + `}}}]}`,
		"many classes":   head + `],"target":{"mixture":[` + strings.Repeat(`{},`, 300_000) + `{}]}}`,
		"a wide table":   head + `],"target":{"joint":{"factors":["a"],"rows":[["` + strings.ReplaceAll(strings.ReplaceAll(levels(9_000), `"`, ``), `,`, `",1],["`) + `",1]]}}}`,
		"many cells":     head + `],"target":{"joint":{"factors":["a"],"rows":[` + strings.Repeat(`[1],`, 300_000) + `[]]}}}`,
		"wide condition": head + `,{"name":"b","levels":[1],"when":{` + keysOf(100_000) + `}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			if _, err := spec.ParseSpace([]byte(doc)); err == nil {
				t.Error("it was accepted")
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// What only looks hostile is taken: words of SQL as names, any script in the
// names of levels, ten thousand of them, every limit at once; and soon.
func TestUnusualSpacesAreTaken(t *testing.T) {
	var many strings.Builder
	many.WriteString("name: many\nfactors:\n- name: select\n  levels:\n")
	for l := range loop.MaxLevels {
		fmt.Fprintf(&many, "    level-%d: 0.0001\n", l)
	}
	var full strings.Builder
	full.WriteString(`{"name":"full","factors":[`)
	for f := range loop.MaxFactors {
		fmt.Fprintf(&full, `{"name":"f%d","levels":[1,2,3],"sticky":50},`, f)
	}
	full.WriteString(`{}],"derived":[`)
	for d := range loop.MaxDerived {
		fmt.Fprintf(&full, `{"name":"d%d","otherwise":"no","rules":[{"when":{"f%d":1,"f%d":[2,3]},"level":"yes"}]},`, d, d, d+1)
	}
	full.WriteString(`{}],"protected":[`)
	for p := range loop.MaxProtected {
		fmt.Fprintf(&full, `{"slice":{"f%d":1,"f%d":2},"share":0.01},`, p, p+64)
	}
	full.WriteString(`{}],"tasks":[`)
	for i := range loop.MaxTasks {
		fmt.Fprintf(&full, `{"name":"t%d","metrics":[{"name":"m%d","better":"lower"},{"name":"n%d","better":"higher"}]},`, i, i, i)
	}
	full.WriteString(`{}]}`)
	for name, doc := range map[string]string{
		"words of SQL":  "name: select\nfactors:\n- {name: select, levels: [from, where, drop table]}\n- {name: order, levels: ['; --', \"it's\", '\"']}\n",
		"level names":   "name: s\nfactors:\n- {name: mood, levels: {🙂: 0.5, Größe: 0.25, 手套: 0.25}, pin: 🙂}\n",
		"10,000 levels": many.String(),
		"all limits":    strings.ReplaceAll(full.String(), `,{}`, ``),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			if _, err := spec.ParseSpace([]byte(doc)); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			} else {
				t.Log(took)
			}
		})
	}
}

// wideRows gives so many levels a row that names all levels.
func wideRows(levels string, n int) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`"a-rather-long-name-%05d":{%s:1}`, i, strings.ReplaceAll(levels, ",", ":0,"))
	}
	return strings.Join(rows, ",")
}

func keysOf(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"k%d":1`, i)
	}
	return strings.Join(keys, ",")
}
