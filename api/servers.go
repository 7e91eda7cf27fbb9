package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"hone/loop"
)

const (
	// maxHops bounds the redirects that one request follows.
	maxHops = 5
	// maxLearnt bounds the servers that are known beside those that were given.
	maxLearnt = 8
)

// Servers are the nodes of a cluster as a client knows them: those that it was
// given, and the leaders to which they sent it. All but the first two methods are
// what a client needs to find its way; all are safe for concurrent use.
type Servers struct {
	given []string

	mu sync.Mutex
	// known are the given ones and behind them the learnt ones, the oldest first.
	known []string
	// first is the index of the one to ask first: who answered last.
	first int
}

// NewServers reads a list of URLs with commas between them, e.g.
// "http://n1:7070,http://n2:7070". A missing scheme is http, and "" is
// DefaultServer. A *loop.Error says what is no server's URL.
func NewServers(list string) (*Servers, error) {
	s := &Servers{}
	for given := range strings.SplitSeq(list, ",") {
		if given = strings.TrimSpace(given); given == "" {
			continue
		}
		server := given
		if !strings.Contains(server, "://") {
			server = "http://" + server
		}
		u, err := url.Parse(server)
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery+u.Fragment != "" || u.User != nil {
			return nil, &loop.Error{Field: "server", Problem: fmt.Sprintf("%q is not a server's URL", given),
				Remedy: "e.g. " + DefaultServer + ", or several with commas between them"}
		}
		if server = strings.TrimRight(u.String(), "/"); !slices.Contains(s.given, server) {
			s.given = append(s.given, server)
		}
	}
	if len(s.given) == 0 {
		s.given = []string{DefaultServer}
	}
	s.known = slices.Clone(s.given)
	return s, nil
}

// String is the list as it was given.
func (s *Servers) String() string { return strings.Join(s.given, ",") }

// Turn is in which order the servers are asked: who answered last, and then the
// others.
func (s *Servers) Turn() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.known[s.first:], s.known[:s.first])
}

// Answered says that a server, which need not be a known one, has answered as
// one that leads does, or is said to lead: it is asked first from now on.
func (s *Servers) Answered(server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.known, server); i >= 0 {
		s.first = i
		return
	}
	if len(s.known) == len(s.given)+maxLearnt {
		s.known = slices.Delete(s.known, len(s.given), len(s.given)+1)
	}
	s.known = append(s.known, server)
	s.first = len(s.known) - 1
}

// Failed says that a server has not answered, or not as one that leads does. The
// next in turn is asked first from now on; what was learnt is forgotten.
func (s *Servers) Failed(server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.known, server)
	if i < 0 {
		return
	}
	if i >= len(s.given) {
		s.known = slices.Delete(s.known, i, i+1)
		if i < s.first {
			s.first--
		}
		s.first %= len(s.known)
	} else if i == s.first {
		s.first = (i + 1) % len(s.known)
	}
}

// Redirected is to which server an answer sends a request on, "" for an answer
// that does not. The request went to a server's URL followed by target, its path
// and query. A node sends the same request to the leader; whatever else an answer
// asks for is not followed, and is an error.
func Redirected(answer *http.Response, server, target string) (to string, err error) {
	if answer.StatusCode != http.StatusTemporaryRedirect && answer.StatusCode != http.StatusPermanentRedirect {
		return "", nil
	}
	location := answer.Header.Get("Location")
	from, err := url.Parse(server + target)
	if err != nil {
		return "", fmt.Errorf("redirect from %s: %w", server, err)
	}
	u, err := from.Parse(location)
	if err != nil || location == "" || u.Hostname() == "" || u.User != nil {
		return "", fmt.Errorf("it sends the request on to %q, which is no URL", location)
	}
	if u.Scheme != from.Scheme {
		return "", fmt.Errorf("it sends the request on to %s, by %s rather than %s: name that server if you mean it", location, u.Scheme, from.Scheme)
	}
	to, same := strings.CutSuffix(u.String(), target)
	if !same {
		return "", fmt.Errorf("it sends the request on to %s, which is another request", location)
	}
	return to, nil
}
