package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"hone/api"
	"hone/loop"
)

// question is what a client asks of one thing: of a policy, a campaign, or the
// posts under an idempotency key.
type question struct {
	thing, verb string
	document    int // which of several
}

// reply is the answer; unknown, where that says nothing about whether it
// happened: it may at any time later, or never (C10).
type reply struct {
	unknown bool
	code    int
	state   string // of a campaign
	version int    // of a policy; rows of a post
	created bool
}

// thing is what one thing is. Its history is all that the model knows, and no
// line of it is the product's.
type thing struct {
	versions string // the documents of a policy, one letter each
	state    string // of a campaign; "" before it is created
	body     int    // of the post that counts; 0 for none
}

// step says whether a thing that is asked this may answer that, and what it is
// then. Where the answer is not known, it does what it would do.
func (s thing) step(in question, out reply) (bool, thing) {
	fits := func(is reply, next thing) (bool, thing) { return out.unknown || is == out, next }
	switch in.thing[0] {
	case 'p': // a policy
		last := len(s.versions)
		current := last > 0 && s.versions[last-1] == byte('a'+in.document)
		switch {
		case in.verb == "put" && current:
			return fits(reply{code: 200, version: last}, s)
		case in.verb == "put":
			s.versions += string(rune('a' + in.document))
			return fits(reply{code: 200, version: last + 1, created: true}, s)
		case last == 0:
			return fits(reply{code: 404}, s)
		default:
			return fits(reply{code: 200, version: last, state: s.versions[last-1:]}, s)
		}
	case 'c': // a campaign
		if in.verb == "create" {
			is := reply{code: 200, version: 1, created: s.state == ""}
			if is.created {
				s.state = "running"
			}
			return fits(is, s)
		}
		if s.state == "" {
			return fits(reply{code: 404}, s)
		}
		to := map[string]string{"pause": "paused", "resume": "running", "close": "closed"}[in.verb]
		switch {
		case to == "":
			return fits(reply{code: 200, state: s.state}, s)
		case s.state == "closed" && to != "closed":
			return fits(reply{code: 409}, s)
		}
		s.state = to
		return fits(reply{code: 200}, s)
	default: // posts under one key
		switch {
		case in.verb == "rows":
			return fits(reply{code: 200, version: s.body}, s)
		case s.body == 0:
			s.body = in.document
			return fits(reply{code: 200, version: in.document}, s)
		case s.body == in.document:
			return fits(reply{code: 200}, s) // counted once
		default:
			return fits(reply{code: 422}, s)
		}
	}
}

var linear = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		of := map[string]int{}
		for _, o := range history {
			name := o.Input.(question).thing
			if _, ok := of[name]; !ok {
				of[name] = len(parts)
				parts = append(parts, nil)
			}
			parts[of[name]] = append(parts[of[name]], o)
		}
		return parts
	},
	Init: func() any { return thing{} },
	Step: func(s, in, out any) (bool, any) { return s.(thing).step(in.(question), out.(reply)) },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%v -> %v", in, out)
	},
}

// open is a cluster whose nodes have coordinators and the control API, and clients
// that write down what they ask and what they are reply.
type open struct {
	*cluster
	mu      sync.Mutex
	routes  map[string]http.Handler
	history []porcupine.Operation
	now     atomic.Int64
	// hung is the node whose disk hangs, until it is closed.
	hung atomic.Pointer[hanging]
}

type hanging struct {
	name string
	over chan struct{}
}

func opened(c *cluster) *open {
	o := &open{cluster: c, routes: map[string]http.Handler{}}
	store := newStore()
	coords := map[string]*Coordinator{}
	c.lead = func(ctx context.Context, n *Node) error { return coords[n.o.Name].lead(ctx) }
	c.options = func(options *NodeOptions) {
		name := options.Name
		options.HangAfter = time.Minute
		options.writing = func() {
			if h := o.hung.Load(); h != nil && h.name == name {
				<-h.over
			}
		}
	}
	c.began = func(ctx context.Context, n *Node) {
		view := &reading{node: n, store: store}
		coord := New(Options{Node: n, Gates: &court{store: store}, Parts: store, Staging: store, Collection: store, View: view})
		coords[n.o.Name] = coord
		mux := http.NewServeMux()
		Register(NewAPI(mux, "test"), ControlOptions{Coordinator: coord, Objects: store, Queries: view, Version: "test", Started: time.Now()})
		mux.HandleFunc("POST /posts/{key}/{body}", func(w http.ResponseWriter, r *http.Request) { post(w, r, coord, store) })
		o.routes[n.o.Name] = coord.Front(mux)
		go coord.look(ctx)
	}
	return o
}

// post stands in for ingest: a body of n rows under a key, of a model version with
// the key's name.
func post(w http.ResponseWriter, r *http.Request, to *Coordinator, store *store) {
	key := r.PathValue("key")
	body, _ := strconv.Atoi(r.PathValue("body"))
	object, err := store.put("parts", to.Epoch(), int64(body), fmt.Append(nil, key, body))
	if err == nil {
		var receipts []loop.Receipt
		receipts, err = to.Append(r.Context(), []loop.PostRows{{Rows: make([]loop.Outcome, body),
			Post: loop.Post{Space: "lab", ModelLine: "net", Version: key, Key: key, Body: loop.Digest{byte(body)}}}}, object)
		if err == nil && receipts[0].Err == nil {
			_ = json.NewEncoder(w).Encode(map[string]int64{"version": receipts[0].Accepted})
			return
		}
		if err == nil {
			err = receipts[0].Err
		}
	}
	writeProblem(w, api.ProblemFrom(err))
}

// request asks a node, and whom it names instead.
func (o *open) request(ctx context.Context, node, method, path, body string) (answer *httptest.ResponseRecorder, by string) {
	for range 5 {
		answer = httptest.NewRecorder()
		o.mu.Lock()
		front := o.routes[node]
		o.mu.Unlock()
		front.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body)))
		if answer.Code != http.StatusTemporaryRedirect {
			break
		}
		to, err := url.Parse(answer.Header().Get("Location"))
		if err != nil {
			o.t.Error(err)
		}
		node = to.Host
	}
	return answer, node
}

// ask sends a request and notes what came of it.
func (o *open) ask(client int, node string, in question) (by string) {
	ctx, end := context.WithTimeout(o.t.Context(), 3*time.Second)
	defer end()
	method, path, body, read := "POST", "", "", false
	switch in.thing[0] {
	case 'p':
		path, body = "/v1/policies", fmt.Sprintf("name: %s\nstrategy: uniform\nowner: o%d\n", in.thing, in.document)
		if read = in.verb == "show"; read {
			method, path, body = "GET", "/v1/policies/"+in.thing, ""
		}
	case 'c':
		path = "/v1/campaigns/" + in.thing + "/" + in.verb
		if in.verb == "create" {
			path, body = "/v1/campaigns", "name: "+in.thing+"\nspace: lab\npolicy: plain\ngenerator: shapes\nunit_size: 10\nsamples: 1000\nrounds: 1\n"
		}
		if read = in.verb == "show"; read {
			method, path = "GET", "/v1/campaigns/"+in.thing
		}
	default:
		path = fmt.Sprintf("/posts/%s/%d", in.thing, in.document)
		if read = in.verb == "rows"; read {
			method, path = "GET", "/v1/models"
		}
	}
	call := o.now.Add(1)
	answer, by := o.request(ctx, node, method, path, body)
	operation := porcupine.Operation{ClientId: client, Input: in, Call: call, Return: o.now.Add(1)}
	out := reply{code: answer.Code}
	switch {
	case answer.Code >= 500 || answer.Body.Len() == 0: // or the client has gone
		if read {
			return by
		}
		operation.Return, out = math.MaxInt64, reply{unknown: true}
	case answer.Code == 200:
		out = o.understood(in, answer)
	}
	operation.Output = out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.history = append(o.history, operation)
	return by
}

func (o *open) understood(in question, answer *httptest.ResponseRecorder) reply {
	out := reply{code: 200}
	var said struct {
		Version int    `json:"version"`
		Created bool   `json:"created"`
		State   string `json:"state"`
		Owner   string `json:"owner"`
		Models  []api.Model
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &said); err != nil {
		o.t.Errorf("%v: %s: %v", in, answer.Body, err)
	}
	switch in.verb {
	case "put", "create":
		out.version, out.created = said.Version, said.Created
	case "post":
		out.version = said.Version
	case "rows":
		for _, m := range said.Models {
			if m.Version == in.thing {
				out.version = int(m.Rows)
			}
		}
	case "show":
		out.state = said.State
		if in.thing[0] == 'p' {
			out.version, out.state = said.Version, string(rune('a'+said.Owner[1]-'0'))
		}
	}
	return out
}

// live has clients ask for all kinds of things while leaders come and go.
func (o *open) live(seed uint64, seconds int) {
	for i, body := range []string{"/v1/spaces", "/v1/policies"} {
		document := []string{spaceDocument, policyDocument}[i]
		if a, _ := o.request(o.t.Context(), o.leader().name, "POST", body, document); a.Code != 200 {
			o.t.Fatalf("%d %s", a.Code, a.Body)
		}
	}
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	var all sync.WaitGroup
	for client := range 6 {
		dice := rand.New(rand.NewPCG(seed, uint64(client)))
		all.Go(func() {
			node := fmt.Sprintf("n%d", 1+client%3)
			for time.Now().Before(end) {
				// Things change as time goes on, so that no history gets too long.
				era := int(time.Until(end)/time.Second) / 4
				var in question
				switch dice.IntN(3) {
				case 0:
					in = question{fmt.Sprintf("p%d-%d", era, dice.IntN(2)), []string{"put", "show", "show"}[dice.IntN(3)], dice.IntN(3)}
				case 1:
					in = question{fmt.Sprintf("c%d-%d", era, dice.IntN(2)), []string{"create", "create", "pause", "resume", "close", "show", "show", "show"}[dice.IntN(8)], 0}
				default:
					in = question{fmt.Sprintf("k%d-%d", era, dice.IntN(4)), []string{"post", "rows"}[dice.IntN(2)], 1 + dice.IntN(2)}
				}
				if dice.IntN(4) > 0 {
					node = o.ask(client, node, in)
				} else {
					o.ask(client, fmt.Sprintf("n%d", 1+dice.IntN(3)), in) // as one who knows nobody yet
				}
				pass(time.Duration(5+dice.IntN(100)) * time.Millisecond)
			}
		})
	}
	all.Go(func() { o.trouble(rand.New(rand.NewPCG(seed, 99)), end) })
	all.Wait()
}

// trouble makes leaders come and go.
func (o *open) trouble(dice *rand.Rand, end time.Time) {
	for time.Now().Before(end) {
		pass(time.Duration(500+dice.IntN(2000)) * time.Millisecond)
		leader := o.leader()
		if leader == nil {
			continue
		}
		switch dice.IntN(4) {
		case 0:
			_ = leader.Transfer("") // to whom it can; it may find nobody
			continue
		case 1:
			o.network.part(leader.name)
		case 2:
			for _, other := range []string{"n1", "n2", "n3"} {
				if other != leader.name {
					o.network.sever(leader.name, other)
				}
			}
		default:
			// It is cut off and stands still, as a process that was stopped does: it goes
			// on believing that it leads.
			h := &hanging{leader.name, make(chan struct{})}
			o.hung.Store(h)
			pass(200 * time.Millisecond)
			o.network.part(leader.name)
			pass(4 * time.Second)
			o.hung.Store(nil)
			close(h.over)
		}
		pass(time.Duration(1000+dice.IntN(3000)) * time.Millisecond)
		o.network.heal()
	}
	o.network.heal()
}

// What clients are answered by the control API is what one node would have
// answered that does one thing after another (C10, and reads that are
// linearizable), whatever happens to the leaders.
func TestLinearizable(t *testing.T) {
	seeds := 2 // HONE_HISTORIES=N for more
	if n, err := strconv.Atoi(os.Getenv("HONE_HISTORIES")); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			history := lived(t, seed, 40)
			if part, info := offence(history); part != nil {
				page := filepath.Join(t.ArtifactDir(), "history.html")
				t.Errorf("no order of what was done explains what was answered; see %s (go test -artifacts keeps it), %v", page, porcupine.VisualizePath(linear, info, page))
				for _, o := range part {
					t.Logf("%6d %6d  client %d: %v -> %+v", o.Call, o.Return, o.ClientId, o.Input, o.Output)
				}
			}
			unknown := 0
			for _, o := range history {
				if o.Output.(reply).unknown {
					unknown++
				}
			}
			t.Logf("%d operations, %d of them with an unknown outcome", len(history), unknown)
			if len(history) < 1000 || unknown == 0 {
				t.Errorf("%d operations, %d unknown: too few to say anything", len(history), unknown)
			}
		})
	}
}

// offence is the history of the first thing whose answers cannot be explained, nil if
// all can.
func offence(history []porcupine.Operation) (part []porcupine.Operation, info porcupine.LinearizationInfo) {
	for _, part := range linear.Partition(history) {
		if result, info := porcupine.CheckOperationsVerbose(linear, part, time.Minute); result != porcupine.Ok {
			return part, info
		}
	}
	return nil, info
}

func lived(t *testing.T, seed uint64, seconds int) (history []porcupine.Operation) {
	inBubbleOf(t, t.TempDir(), func(t *testing.T, c *cluster) {
		o := opened(c)
		c.grow(3)
		o.live(seed, seconds)
		c.equal()
		history = o.history
	})
	return history
}
