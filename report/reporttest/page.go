// Package reporttest holds a written report to what every report must be, for the
// tests of whoever writes one. It fails the test that calls it, and guards nothing
// at run time.
package reporttest

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// CheckPage reads a page as a browser does: nothing in it runs, nothing is
// fetched, every tag is closed, and every number of a drawing is one.
func CheckPage(t testing.TB, page []byte) {
	t.Helper()
	for _, leak := range []string{"ZgotmplZ", "NaN", "Inf", "%!", "<nil>", "<no value>"} {
		if bytes.Contains(page, []byte(leak)) {
			t.Errorf("the page has %q", leak)
		}
	}
	if bytes.Contains(bytes.ToLower(page), []byte("@import")) || regexp.MustCompile(`url\s*\(`).Match(page) {
		t.Error("the style fetches something")
	}
	void := []string{"meta", "img", "br"}
	var open []string
	tokens := html.NewTokenizer(bytes.NewReader(page))
	for {
		kind := tokens.Next()
		token := tokens.Token()
		switch kind {
		case html.ErrorToken:
			if !errors.Is(tokens.Err(), io.EOF) {
				t.Fatal(tokens.Err())
			}
			if len(open) > 0 {
				t.Errorf("still open at the end: %v", open)
			}
			return
		case html.StartTagToken:
			if !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
			checkAttributes(t, token)
		case html.SelfClosingTagToken:
			checkAttributes(t, token)
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> closes %v", token.Data, open)
			}
			open = open[:len(open)-1]
		default: // text
		}
	}
}

func checkAttributes(t testing.TB, token html.Token) {
	t.Helper()
	if slices.Contains([]string{"script", "iframe", "object", "embed", "link", "base", "form"}, token.Data) {
		t.Errorf("a <%s>", token.Data)
	}
	for _, a := range token.Attr {
		switch {
		case token.Data == "a" && a.Key == "href":
			// Of all links those that a reader follows to the web are allowed.
			if u, err := url.Parse(a.Val); err != nil || u.Scheme != "http" && u.Scheme != "https" {
				t.Errorf("<a href=%.60q>", a.Val)
			}
		case strings.HasPrefix(a.Key, "on"):
			t.Errorf("<%s %s>", token.Data, a.Key)
		case slices.Contains([]string{"src", "href", "srcset", "poster", "action", "xlink:href"}, a.Key) && !strings.HasPrefix(a.Val, "data:image/png;base64,"):
			t.Errorf("<%s %s=%.60q>", token.Data, a.Key, a.Val)
		case slices.Contains([]string{"x", "y", "width", "height", "x1", "x2", "y1", "y2", "cx", "cy"}, a.Key):
			if x, err := strconv.ParseFloat(a.Val, 64); err != nil || math.IsNaN(x) || x < -1 || x > 2000 {
				t.Errorf("<%s %s=%q>", token.Data, a.Key, a.Val)
			}
		}
	}
	if token.Data == "svg" && !slices.ContainsFunc(token.Attr, func(a html.Attribute) bool { return a.Key == "aria-label" && a.Val != "" }) {
		t.Error("a drawing without a label")
	}
	if token.Data == "img" && !slices.ContainsFunc(token.Attr, func(a html.Attribute) bool { return a.Key == "alt" && a.Val != "" }) {
		t.Error("a picture without a text")
	}
}
