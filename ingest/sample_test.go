package ingest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"hone/api"
	"hone/loop"
)

// In an imported eval set a row is the example that it names, by the importer's
// name or by its digest; what it says of it must agree.
func TestImportedExamples(t *testing.T) {
	digest := loop.Digest{7, 7}.String()
	for name, x := range map[string]struct{ row, set, want string }{
		"by example":          {`{"example":"img/1","correct":false}`, importedSet, "img/1 img/1 real target light=low size=12.1"},
		"by digest":           {`{"sample":"` + digest + `","correct":false}`, importedSet, "img/1 img/1 real target light=low size=12.1"},
		"by both":             {`{"example":"img/1","sample":"` + digest + `","correct":false}`, importedSet, "img/1 img/1 real target light=low size=12.1"},
		"in another eval set": {`{"sample":"` + digest + `","correct":false}`, "field@1", "img/1 img/1 real target light=low size=12.1"},
		"group":               {`{"example":"img/1","group":"clip","correct":false}`, importedSet, "img/1 clip real target light=low size=12.1"},
		"what agrees":         {`{"example":"img/1","scenario":{"light":"low","pose":null},"origin":"real","correct":false}`, importedSet, "img/1 img/1 real target light=low size=12.1"},
		"what was not known":  {`{"example":"img/1","scenario":{"pose":"left"},"correct":false}`, importedSet, "img/1 img/1 real target light=low pose=left size=12.1"},
		"one that was made":   {`{"sample":"` + sampleDigest.String() + `","correct":false}`, importedSet, sampleDigest.String() + " " + sampleDigest.String() + " synthetic probe light=low pose=right size=15 glove=no glove_colour=absent glove_tint=absent"},
		"no import":           {`{"example":"img/1","correct":false}`, "photos@2", "img/1 img/1 real target"},

		"another example":  {`{"example":"img/2","correct":false}`, importedSet, `422 row 1, column example: eval set photos@1 has no example "img/2"`},
		"another scenario": {`{"example":"img/1","scenario":{"light":"high"},"correct":false}`, importedSet, "422 row 1, column light: the example was imported with light=low"},
		"another sample":   {`{"example":"img/1","sample":"` + sampleDigest.String() + `","correct":false}`, importedSet, "422 row 1, column sample: the sample of the example"},
		"another origin":   {`{"example":"img/1","origin":"synthetic","correct":false}`, importedSet, "422 row 1, column origin: the sample is real"},
	} {
		w := newWorld()
		server, _ := serve(t, w, Options{})
		got := post(t, server, api.NDJSON, strings.NewReader(x.row+"\n"), "eval_set", x.set)
		text := ""
		if got.status != 200 {
			text = fmt.Sprint(got.status, " ", got.where())
		} else {
			o := w.counted[0].Rows[0]
			text = fmt.Sprint(o.Example, " ", o.Group, " ", o.Origin, " ", o.Source)
			for f, code := range o.Scenario {
				if !math.IsNaN(o.Values[f]) {
					text += fmt.Sprintf(" %s=%v", w.space.Factors[f].Name, o.Values[f])
				} else if code != loop.Unknown {
					text += " " + w.space.Factors[f].Name + "=" + w.space.Text(f, code)
				}
			}
			if o.Example == "img/1" && x.set == importedSet && o.Sample != (loop.Digest{7, 7}) {
				t.Errorf("%s: the sample is %s", name, o.Sample)
			}
		}
		if !strings.HasPrefix(text, x.want) || got.status == 200 && text != x.want {
			t.Errorf("%s: %s\nwant %s", name, text, x.want)
		}
	}
}
