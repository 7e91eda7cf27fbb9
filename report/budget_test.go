package report

import "testing"

func TestRanges(t *testing.T) {
	for in, want := range map[string]string{"": "", "3": "3", "1, 2": "1–2", "1, 2, 3, 7, 9, 10": "1–3, 7, 9–10"} {
		if got := ranges(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}
