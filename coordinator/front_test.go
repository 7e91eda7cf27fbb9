package coordinator

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fronts puts a coordinator on every node of a cluster, and before each its front;
// behind it, routes that say which node answered, one of which waits.
func fronts(c *cluster) func(node, method, target string) *httptest.ResponseRecorder {
	coords := map[string]*Coordinator{}
	c.lead = func(ctx context.Context, n *Node) error { return coords[n.o.Name].lead(ctx) }
	c.began = func(ctx context.Context, n *Node) {
		coords[n.o.Name] = New(Options{Node: n})
		go coords[n.o.Name].look(ctx)
	}
	return func(node, method, target string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		coords[node].Front(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				<-r.Context().Done()
			}
			w.Write([]byte(node))
		})).ServeHTTP(answer, httptest.NewRequestWithContext(c.t.Context(), method, target, nil))
		return answer
	}
}

// A leader answers; others send clients to it, path and query kept; each answers what
// is about itself, and labels what may be stale.
func TestFront(t *testing.T) {
	dir := t.TempDir()
	inBubbleOf(t, dir, func(t *testing.T, c *cluster) {
		ask := fronts(c)
		c.grow(3)
		leader, follower := c.leader().name, c.follower().name
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			if a := ask(leader, method, "/v1/spaces"); a.Code != 200 || a.Body.String() != leader || a.Header().Get("Hone-Consistency") != "" {
				t.Errorf("%s at the leader: %d %q", method, a.Code, a.Body)
			}
			a := ask(follower, method, "/v1/spaces?a=b&c=%20")
			if want := "http://" + leader + "/v1/spaces?a=b&c=%20"; a.Code != 307 || a.Header().Get("Location") != want {
				t.Errorf("%s at a follower: %d, to %q", method, a.Code, a.Header().Get("Location"))
			}
		}
		for _, x := range []struct {
			method, target string
			code           int
			stale          bool
		}{
			{"GET", "/v1/spaces?consistency=stale", 200, true},
			{"POST", "/v1/sql?consistency=stale", 200, true},
			{"POST", "/v1/spaces?consistency=stale", 307, false}, // it changes something
			{"GET", "/v1/node", 200, false},
			{"GET", "/docs", 200, false},
			{"GET", "/docsomething", 307, false},
		} {
			a := ask(follower, x.method, x.target)
			if labelled := a.Header().Get("Hone-Consistency") == "stale"; a.Code != x.code || labelled != x.stale || labelled && a.Header().Get("Hone-Sequence") != "0" {
				t.Errorf("%s %s: %d %v", x.method, x.target, a.Code, a.Header())
			}
		}

		waiting := make(chan string, 1)
		go func() { waiting <- ask(leader, "GET", "/wait").Body.String() }()
		pass(time.Second) // it has begun to wait

		// Cut off, it knows of nobody who could answer, and says so in time; what may be
		// stale it answers on.
		c.network.part(leader)
		if a := ask(leader, "GET", "/v1/spaces"); a.Code != 503 || a.Header().Get("Retry-After") == "" {
			t.Errorf("a leader without followers: %d %s", a.Code, a.Body)
		}
		if a := ask(leader, "GET", "/v1/spaces?consistency=stale"); a.Code != 200 {
			t.Errorf("%d", a.Code)
		}
		next := c.awaitLeader(leader).name
		if <-waiting != leader { // or the bubble is deadlocked
			t.Error("a read that waited has not ended with the term")
		}
		c.network.heal()
		c.await("the old leader to know the new one", func() bool {
			a := ask(leader, "GET", "/v1/spaces")
			return a.Code == 307 && strings.HasPrefix(a.Header().Get("Location"), "http://"+next)
		})
	})
}
