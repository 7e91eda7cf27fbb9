package program

import (
	"bufio"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a program writes, it is one of the messages or a breach that a person
// can read.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		`{"type":"description","protocol":1,"version":"2.1","outputs":["image.png"],"deterministic":true,"scores":["a"]}`,
		`{"type":"sample","index":100,"files":{"image.png":"100.png"}}`,
		`{"type":"done","samples":2}`, `{"type":"failed","error":"why"}`,
		`{"type":"verdict","index":100,"accepted":false,"reason":"blurred","scores":{"sharpness":0.03}}`,
		"", "{}", "null", `{"type":"sample","index":1e3}`, `{"type":"done"}{}`, "\xff", "[[[[", `{"type":null}`, `{"type":"done","samples":2}` + "\r\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReaderSize(strings.NewReader(string(b)), 16)
		for {
			l, err := readLine(in, 200)
			if len(l) > 200 || err == nil && strings.Contains(string(l), "\n") {
				t.Fatalf("a line of %d bytes: %q", len(l), l)
			}
			if err != nil && !errors.Is(err, errLongLine) {
				break
			}
			var (
				d description
				s sample
				v verdict
				e done
				g failed
			)
			kind, err := parse(l, map[string]any{"description": &d, "sample": &s, "verdict": &v, "done": &e, "failed": &g})
			if err == nil {
				switch kind {
				case "description":
					err = d.check()
				case "verdict":
					_, reason, scores, refused := v.answer()
					if err = refused; err == nil && (!utf8.ValidString(reason) || len(scores) > maxScores) {
						t.Fatalf("%q passed as a verdict", l)
					}
				case "sample", "done":
					open := map[uint64]bool{100: true}
					if err = expect(s.Index, 1, open); err == nil {
						err = complete(e, 1, open)
					}
				case "failed":
					err = gaveUp(g)
				default:
					t.Fatalf("%q is a %q", l, kind)
				}
			}
			if err != nil {
				if _, ok := errors.AsType[*Breach](err); !ok || !utf8.ValidString(err.Error()) {
					t.Fatalf("%q gives %q", l, err)
				}
			}
		}
	})
}
