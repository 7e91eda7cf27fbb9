package main

import (
	"net/http"
	"strings"
	"testing"

	"hone/api"
)

// Any of a cluster's nodes may be named: the command goes where they send it.
func TestServers(t *testing.T) {
	leader, follower := newService(t), newService(t)
	leader.answer("GET /v1/status", api.Status{Node: "n2", Role: "leader"})
	follower.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, leader.URL+r.RequestURI, http.StatusTemporaryRedirect)
	})
	for _, servers := range []string{follower.URL, "127.0.0.1:1," + follower.URL, leader.URL + "," + follower.URL} {
		if code, out, errs := hone(t, "", "status", "--server", servers); code != exitOK || !strings.Contains(out, "n2 (leader)") || errs != "" {
			t.Errorf("%s: exit %d\n%s%s", servers, code, out, errs)
		}
	}
	t.Setenv("HONE_SERVER", "127.0.0.1:1,"+follower.URL)
	if code, out, _ := hone(t, "", "status"); code != exitOK || !strings.Contains(out, "n2 (leader)") {
		t.Errorf("HONE_SERVER: exit %d\n%s", code, out)
	}
	if code, _, errs := hone(t, "", "status", "--server", "ftp://n1"); code != exitFailure || !strings.Contains(errs, `"ftp://n1" is not a server's URL`) {
		t.Errorf("exit %d: %s", code, errs)
	}
	if code, _, errs := hone(t, "", "work", "--server", "n1,ftp://n2", "--name", "w", "--data", t.TempDir()); code != exitFailure || !strings.Contains(errs, `"ftp://n2" is not a server's URL`) {
		t.Errorf("work: exit %d: %s", code, errs)
	}
}

// --stale asks for an answer of any node, and says that it is one.
func TestStaleFlag(t *testing.T) {
	s := newService(t)
	s.mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("consistency") == "stale" {
			w.Header().Set("Hone-Consistency", "stale")
			w.Header().Set("Hone-Sequence", "41")
		}
		w.Write([]byte(`{"node":"n3","role":"follower"}`))
	})
	code, out, errs := hone(t, "", "status", "--stale", "--server", s.URL)
	if code != exitOK || !strings.Contains(out, "n3 (follower)") || errs != "stale: a node answers from what it knows, up to sequence 41\n" {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if _, _, errs = hone(t, "", "--stale", "status", "--server", s.URL); !strings.HasPrefix(errs, "stale: ") {
		t.Errorf("before the command: %q", errs)
	}
	if _, _, errs = hone(t, "", "status", "--server", s.URL); errs != "" {
		t.Errorf("without the flag: %q", errs)
	}
}
