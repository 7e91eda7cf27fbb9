package coordinator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// The page shows every route and every type, loads nothing from elsewhere, and
// may run nothing.
func TestDocs(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		answer := w.request("GET", "/docs", "")
		page := answer.Body.String()
		if kind := answer.Header().Get("Content-Type"); answer.Code != 200 || kind != "text/html; charset=utf-8" {
			t.Fatalf("%d %s", answer.Code, kind)
		}
		policy := answer.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("the policy is %q", policy)
		}
		// What a browser would load or run.
		for _, m := range regexp.MustCompile(`(?i)(?:src|srcset|action)="?|<link[^>]*href="([^"]*)"|<script|style="|\son[a-z]+="|url\(`).FindAllStringSubmatch(page, -1) {
			if m[1] != "/docs/style.css" {
				t.Errorf("the page has %s", m[0])
			}
		}
		var described struct {
			Paths      map[string]map[string]struct{ OperationID, Summary string }
			Components struct{ Schemas map[string]any }
		}
		if err := json.Unmarshal([]byte(w.must("GET", "/openapi.json", "")), &described); err != nil {
			t.Fatal(err)
		}
		for path, methods := range described.Paths {
			for method, o := range methods {
				if !strings.Contains(page, `<article id="`+o.OperationID+`">`) || !strings.Contains(page, "<code>"+path+"</code>") {
					t.Errorf("%s %s is not on the page", method, path)
				}
			}
		}
		for name := range described.Components.Schemas {
			if !strings.Contains(page, `<article id="type-`+name+`">`) {
				t.Errorf("type %s is not on the page", name)
			}
		}
		// Each link leads somewhere.
		for _, m := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if id, err := url.PathUnescape(m[1]); err != nil || !strings.Contains(page, `id="`+id+`"`) {
				t.Errorf("#%s leads nowhere", m[1])
			}
		}
		if strings.Contains(page, "<h2>Other</h2>") {
			t.Error("a route has no tag, or one that is not among the tags")
		}
		css := w.request("GET", "/docs/style.css", "")
		if css.Code != 200 || !strings.HasPrefix(css.Header().Get("Content-Type"), "text/css") || regexp.MustCompile(`@import|url\(|//`).MatchString(css.Body.String()) {
			t.Errorf("the style: %d %v", css.Code, css.Header())
		}
		// What a caller calls this server is shown, and is no markup.
		hostile := httptest.NewRequestWithContext(t.Context(), "GET", "/docs", nil)
		hostile.Host = "<script>alert(1)</script>"
		shown := httptest.NewRecorder()
		w.mux.ServeHTTP(shown, hostile)
		if strings.Contains(shown.Body.String(), "<script") {
			t.Error("the host's name is markup")
		}
	})
}

// A path or method that there is not is a problem document like any refusal.
func TestUnknownRoutes(t *testing.T) {
	inWorld(t, Options{}, func(t *testing.T, w *world) {
		for _, c := range []struct {
			method, path string
			status       int
			allow        string
		}{
			{"GET", "/", 404, ""},
			{"GET", "/v1", 404, ""},
			{"GET", "/v1/spaces/", 404, ""},
			{"POST", "/v2/campaigns", 404, ""},
			{"DELETE", "/v1/spaces", 405, "GET, HEAD, POST"},
			{"GET", "/v1/campaigns/c/pause", 405, "POST"},
			{"BREW", "/v1/status", 405, "GET, HEAD"},
			{"POST", "/docs", 405, "GET, HEAD"},
			{"GET", "/v1/staging/w/u/n", 405, "PUT"},
			{"GET", "/<script>", 404, ""},
		} {
			answer := w.request(c.method, strings.ReplaceAll(c.path, "<", "%3C"), "")
			var p struct {
				Status        int
				Title, Detail string
			}
			err := json.Unmarshal(answer.Body.Bytes(), &p)
			if err != nil || answer.Code != c.status || p.Status != c.status || p.Title != http.StatusText(c.status) || p.Detail == "" ||
				answer.Header().Get("Content-Type") != "application/problem+json" || answer.Header().Get("Allow") != c.allow {
				t.Errorf("%s %s: %d, Allow %q: %s", c.method, c.path, answer.Code, answer.Header().Get("Allow"), answer.Body)
			}
		}
	})
}
