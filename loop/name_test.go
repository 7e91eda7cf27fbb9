package loop

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A unit's ID names it, and nothing else has that ID (C16).
func TestUnitIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := Unit{
			Campaign:  rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9_.-]{0,62}`).Draw(t, "campaign"),
			Domain:    Domain(rapid.IntRange(0, 2).Draw(t, "domain")),
			Round:     rapid.IntRange(1, MaxRounds).Draw(t, "round"),
			Component: rapid.IntRange(0, 100_000).Draw(t, "component"),
			Attempt:   rapid.IntRange(0, MaxAttempt).Draw(t, "attempt"),
			Count:     rapid.IntRange(1, MaxUnit).Draw(t, "count"),
		}
		u.First = rapid.Uint64Range(0, MaxQuota-uint64(u.Count)).Draw(t, "first")
		back, err := ParseUnit(u.ID())
		if err != nil || back != u {
			t.Fatalf("%+v has ID %s, which is %+v (%v)", u, u.ID(), back, err)
		}
		if strings.ContainsAny(u.ID(), `/\ :`) {
			t.Fatalf("%s is not a path element", u.ID())
		}
		if name := u.Name(u.Count - 1); name.Index != u.First+uint64(u.Count)-1 || name.Domain != u.Domain {
			t.Fatalf("last name %+v of %+v", name, u)
		}
	})
}

var spoiltUnits = []string{
	"", ".", "-", "c", "c.1-t0-0-0", "c.1-t0-0-0-1-2", "c.1-0-0-0-1", "c.1-x0-0-0-1", "c.0-t0-0-0-1", "c.01-t0-0-0-1",
	"c.1-t0-0-0-0", "c.1-t0-0-0-513", "c.+1-t0-0-0-1", "c.1-t-1-0-0-1", "c.1-t0-0-4294967296-1", "c.1-t0-0-4294967295-2",
	"c.1-t0-65537-0-1", "c.1-t0-0-0-1 ", "../x.1-t0-0-0-1", "é.1-t0-0-0-1", "c.1-t99999999999999999999-0-0-1",
}

func TestSpoiltUnitsAreRefused(t *testing.T) {
	for _, id := range spoiltUnits {
		var refused *Error
		if u, err := ParseUnit(id); !errors.As(err, &refused) || refused.Field != "unit" {
			t.Errorf("%q: %+v, %v", id, u, err)
		}
	}
}

func FuzzParseUnit(f *testing.F) {
	f.Add("demo.loop.12-t0-0-0-50")
	f.Add("exam-2.1-e13-2-4294966784-512")
	for _, id := range spoiltUnits {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		u, err := ParseUnit(id)
		if err != nil {
			return
		}
		if u.ID() != id || u.Validate() != nil {
			t.Fatalf("%q is read as %+v, whose ID is %q (%v)", id, u, u.ID(), u.Validate())
		}
	})
}

func FuzzParseDigest(f *testing.F) {
	f.Add(Digest{1, 2, 0xff}.String())
	f.Add("sha256:" + strings.Repeat("0", 64))
	for _, s := range []string{"", "sha256:", "sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("g", 64), strings.Repeat("0", 64), "md5:" + strings.Repeat("0", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDigest(s)
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) || refused.Field != "digest" {
				t.Fatalf("%v", err)
			}
			return
		}
		if d.String() != s {
			t.Fatalf("%q is read as %s", s, d)
		}
	})
}

func TestDomainsInJSON(t *testing.T) {
	for d, text := range map[Domain]string{Train: `"train"`, Probe: `"probe"`, Evaluation: `"evaluation"`} {
		b, err := json.Marshal(d)
		var back Domain
		if err != nil || string(b) != text || json.Unmarshal(b, &back) != nil || back != d {
			t.Errorf("%v: %s (%v), back %v", d, b, err, back)
		}
	}
	var d Domain
	if err := json.Unmarshal([]byte(`"training"`), &d); err == nil {
		t.Error(`"training" is a domain`)
	}
	if _, ok := ParseDomain(Domain(7).String()); ok {
		t.Error("domain 7 has a name")
	}
}
