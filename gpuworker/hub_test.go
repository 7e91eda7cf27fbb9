package gpuworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"hone/loop"
)

// raw is a client without manners.
type raw struct {
	t    *testing.T
	conn *websocket.Conn
}

func dial(t *testing.T, s *server) *raw {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{Subprotocol}}
	conn, response, err := d.Dial("ws://"+s.addr+"/v1/workers", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return &raw{t, conn}
}

func (r *raw) bytes(b []byte) {
	r.t.Helper()
	if err := r.conn.WriteMessage(websocket.BinaryMessage, b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) say(frames ...frame) {
	r.t.Helper()
	for _, f := range frames {
		r.bytes(encode(f))
	}
}

func (r *raw) hear() (frame, error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return frame{}, err
	}
	_, b, err := r.conn.ReadMessage()
	if err != nil {
		return frame{}, err
	}
	return decode(b)
}

// want reads until a frame is of the wanted kind.
func (r *raw) want(what string, is func(frame) bool) frame {
	r.t.Helper()
	for {
		f, err := r.hear()
		if err != nil {
			r.t.Fatalf("waiting for %s: %v", what, err)
		}
		if is(f) {
			return f
		}
	}
}

// wantRefusal reads up to the error frame, which says what, and the end.
func (r *raw) wantRefusal(what string, final bool) {
	r.t.Helper()
	f := r.want("a refusal", func(f frame) bool { return f.Error != nil })
	if !strings.Contains(f.Error.Error(), what) || f.Error.Final != final {
		r.t.Errorf("refused with %q (final %v), want %q (final %v)", f.Error, f.Error.Final, what, final)
	}
	if f, err := r.hear(); err == nil {
		r.t.Errorf("after the refusal came %+v", f)
	}
}

func helloOf(name string, holds ...loop.Unit) frame {
	h := &hello{Name: name, Instance: "instance-of-worker-" + name, Slots: 2, Generators: []generator{{Name: "echo", Version: "1"}}}
	for _, u := range holds {
		h.Holds = append(h.Holds, wireUnit(u))
	}
	return frame{Hello: h}
}

func welcome(f frame) bool { return f.Welcome != nil }

// delivered is a delivery of a unit with rows that are in order.
func delivered(worker string, u loop.Unit) frame {
	var rows []loop.Staged
	for i := range u.Count {
		rows = append(rows, loop.Staged{Index: u.First + uint64(i), Offset: int64(i) * 1024, Length: 1024})
	}
	b, err := encodeRows(rows)
	if err != nil {
		panic(err)
	}
	return frame{Delivery: &delivery{Worker: worker, Unit: wireUnit(u), Generator: generator{Name: "echo", Version: "1"}, Millis: 7, Rows: b}}
}

// Whatever a worker does wrong is told it, ends its connection, and harms no
// other: a good one beside it has its units committed all the same.
func TestBadWorkersAreToldAndCutOff(t *testing.T) {
	u := units(100, 2)
	other := u[50]
	cases := map[string]struct {
		do    func(*raw)
		want  string
		final bool
	}{
		"garbage":         {func(r *raw) { r.bytes([]byte("GET / HTTP/1.1\r\n\r\n")) }, "not a frame", true},
		"nothing":         {func(r *raw) { r.bytes(nil) }, "not a frame", true},
		"another version": {func(r *raw) { r.bytes([]byte{0xa2, 0, 2, 2, 0xa0}) }, "this end speaks version 1", true},
		"two kinds":       {func(r *raw) { r.say(frame{Drain: new(struct{}), Credit: &credit{1}}) }, "2 known kinds", true},
		"no hello":        {func(r *raw) { r.say(frame{Credit: &credit{1}}) }, "the first frame is not a hello", true},
		"oversized hello": {func(r *raw) { r.bytes(make([]byte, maxHello+1)) }, "a frame of more than 1048576 bytes", true},
		"bad name":        {func(r *raw) { r.say(helloOf("../etc")) }, "is not a worker's name", true},
		"bad hold":        {func(r *raw) { r.say(helloOf("bad", loop.Unit{Campaign: "c"})) }, "are not a unit's", true},
		"no slots":        {func(r *raw) { f := helloOf("bad"); f.Hello.Slots = 0; r.say(f) }, "0 slots", true},
		"no generator":    {func(r *raw) { f := helloOf("bad"); f.Hello.Generators = nil; r.say(f) }, "0 generators", true},
		"two hellos":      {func(r *raw) { r.say(helloOf("bad"), helloOf("bad")) }, "a frame that a worker does not send", false},
		"a large bundle": {func(r *raw) {
			f := delivered("bad", u[0])
			f.Delivery.Bundle = make([]byte, 1)
			r.say(helloOf("bad"), f)
		}, "at most 0 come in a delivery", false},
		"a hub's frame":        {func(r *raw) { r.say(helloOf("bad"), frame{Lease: &leases{}}) }, "a frame that a worker does not send", false},
		"garbage later":        {func(r *raw) { r.say(helloOf("bad")); r.bytes([]byte{0xff}) }, "not a frame", false},
		"oversized frame":      {func(r *raw) { r.say(helloOf("bad")); r.bytes(make([]byte, maxFrame+1)) }, "a frame of more than 8388608 bytes", false},
		"endless credit":       {func(r *raw) { r.say(helloOf("bad"), frame{Credit: &credit{1 << 40}}) }, "at most 20 together", false},
		"negative credit":      {func(r *raw) { r.say(helloOf("bad"), frame{Credit: &credit{-1}}) }, "1 or more", false},
		"another's area":       {func(r *raw) { r.say(helloOf("bad"), delivered("good", other)) }, `a delivery of "good" from "bad"`, false},
		"another's lease":      {func(r *raw) { r.say(helloOf("bad"), frame{Failed: &answer{Unit: wireUnit(other)}}) }, "is not with this worker", false},
		"a unit that is none":  {func(r *raw) { f := delivered("bad", other); f.Delivery.Unit.Count = 0; r.say(helloOf("bad"), f) }, "0 samples", false},
		"rows of another unit": {func(r *raw) { f := delivered("bad", other); f.Delivery.Unit.First++; r.say(helloOf("bad"), f) }, "the unit's next index is", false},
		"rows that are none":   {func(r *raw) { f := delivered("bad", other); f.Delivery.Rows = []byte("x"); r.say(helloOf("bad"), f) }, "rows: not readable", false},
		"time that runs back":  {func(r *raw) { f := delivered("bad", other); f.Delivery.Millis = -1; r.say(helloOf("bad"), f) }, "is not a time", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(u...)
			s := serve(t, d, "127.0.0.1:0", nil)
			good := work(t, s.url(), func(o *AgentOptions) { o.Name = "good" })
			r := dial(t, s)
			c.do(r)
			r.wantRefusal(c.want, c.final)
			d.wait(t, "all committed", func() bool { return len(d.committed) == 200 })
			if err := good.stop(); err != nil {
				t.Fatal(err)
			}
			d.wantCommitted(t, u)
			d.wait(t, "both gone", func() bool { return len(d.sessions) == 0 })
		})
	}
	t.Run("text", func(t *testing.T) {
		s := serve(t, newDesk(), "127.0.0.1:0", nil)
		r := dial(t, s)
		if err := r.conn.WriteMessage(websocket.TextMessage, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		r.wantRefusal("a text frame", true)
	})
	t.Run("a frame beyond all measure", func(t *testing.T) {
		s := serve(t, newDesk(), "127.0.0.1:0", nil)
		r := dial(t, s)
		r.say(helloOf("bad"))
		r.want("a welcome", welcome)
		w, err := r.conn.NextWriter(websocket.BinaryMessage)
		for err == nil { // until the hub hangs up
			_, err = w.Write(make([]byte, 1<<20))
		}
	})
}

// I5: whose lease it was is not asked: Apply judges by name.
func TestDeliveryWithoutALease(t *testing.T) {
	u := units(1, 3)[0]
	d := newDesk()
	d.verdict = func(_ context.Context, n int, v loop.Delivery) (loop.Standing, error, bool) {
		if v.Worker != "w" || v.Unit != u || v.Millis != 7 || len(v.Samples) != 3 || v.Samples[2].Offset != 2048 || v.Generator.Name != "echo" {
			return loop.Standing{}, fmt.Errorf("got %+v", v), true
		}
		return loop.Standing{Fresh: 1, Duplicate: n - 1, Rejected: 1}, nil, true
	}
	s := serve(t, d, "127.0.0.1:0", nil)
	r := dial(t, s)
	r.say(helloOf("w"), delivered("w", u))
	r.want("a welcome", welcome)
	r.want("staged", func(f frame) bool { return f.Staged != nil && f.Staged.Unit == wireUnit(u) })
	f := r.want("committed", func(f frame) bool { return f.Committed != nil })
	if *f.Committed.Standing != (standing{Fresh: 1, Rejected: 1}) {
		t.Errorf("standing %+v", f.Committed.Standing)
	}
	r.say(delivered("w", u)) // and again
	f = r.want("committed", func(f frame) bool { return f.Committed != nil })
	if f.Committed.Standing.Duplicate != 1 {
		t.Errorf("standing %+v", f.Committed.Standing)
	}
}

// A session of the same directory is taken over at once, before the old
// connection is known to be dead; another directory's is not.
func TestOneWorkerOfAName(t *testing.T) {
	held := units(1, 3)[0]
	d := newDesk()
	s := serve(t, d, "127.0.0.1:0", nil)
	old := dial(t, s)
	old.say(helloOf("w"))
	old.want("a welcome", welcome)

	impostor := helloOf("w")
	impostor.Hello.Instance = "another-instance"
	r := dial(t, s)
	r.say(impostor)
	r.wantRefusal("another worker of that name is connected", false)

	fresh := dial(t, s)
	fresh.say(helloOf("w", held))
	fresh.want("a welcome", welcome)
	if _, err := old.hear(); err == nil {
		t.Error("the old connection goes on")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.joined != 2 || len(d.left) != 1 || !errors.Is(d.left[0], errReplaced) || len(d.sessions) != 1 {
		t.Errorf("joined %d, left %v", d.joined, d.left)
	}
	if len(d.holds[1]) != 1 || d.holds[1][0] != held {
		t.Errorf("announced %v", d.holds[1])
	}
}

// A worker that does not read is cut off, and nobody waits for it.
func TestSlowReader(t *testing.T) {
	u := units(4, 2)
	d := newDesk(u...)
	d.definition.Space.Description = strings.Repeat("x", 64<<20)
	s := serve(t, d, "127.0.0.1:0", func(o *HubOptions) { o.WriteWithin = 100 * time.Millisecond })
	r := dial(t, s)
	r.say(helloOf("slow"), frame{Credit: &credit{1}})
	d.wait(t, "the end of the slow one", func() bool { return len(d.left) == 1 })
	if len(d.pending) != 4 {
		t.Errorf("%d units are open, want all 4", len(d.pending))
	}
	d.mu.Lock()
	d.definition.Space.Description = strings.Repeat("y", 3<<20) // in pieces, but not too slow
	d.mu.Unlock()
	work(t, s.url(), nil)
	d.wait(t, "all committed", func() bool { return len(d.committed) == 8 })
}

// A peer that has gone silent is noticed, at both ends.
func TestSilence(t *testing.T) {
	d := newDesk()
	s := serve(t, d, "127.0.0.1:0", func(o *HubOptions) { o.PingEvery, o.PongWithin = 50*time.Millisecond, time.Second })
	r := dial(t, s) // it never reads, so it never answers a ping
	r.say(helloOf("dead"))
	d.wait(t, "its end", func() bool { return len(d.left) == 1 })
	if !strings.Contains(d.left[0].Error(), "timeout") {
		t.Errorf("left for %v", d.left[0])
	}
	// One that answers stays, though it says nothing.
	live := work(t, s.url(), nil)
	d.wait(t, "a worker", func() bool { return d.joined == 2 })
	quiet := time.NewTimer(2 * time.Second)
	select {
	case <-quiet.C:
	case <-live.done:
		t.Fatal("the live worker has stopped")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.left) != 1 {
		t.Errorf("a live worker was cut off: %v", d.left[1:])
	}
}

// A drained worker gets no more leases, though it has credits.
func TestDrainFrame(t *testing.T) {
	d := newDesk()
	s := serve(t, d, "127.0.0.1:0", nil)
	r := dial(t, s)
	r.say(helloOf("w"), frame{Credit: &credit{5}}, frame{Drain: new(struct{})})
	r.want("a welcome", welcome)
	// The answer to a delivery comes after the drain has been read.
	r.say(delivered("w", units(1, 1)[0]))
	r.want("an answer", func(f frame) bool { return f.Again != nil })
	d.mu.Lock()
	d.pending = units(3, 1)
	d.changed()
	d.mu.Unlock()
	r.say(delivered("w", units(9, 1)[8]))
	r.want("an answer", func(f frame) bool {
		if f.Lease != nil {
			t.Errorf("leased %v", f.Lease)
		}
		return f.Again != nil
	})
}

// "Take no more" is not "abandon what is done": a stopping hub says bye, lets a
// verdict come, and sends it on.
func TestStoppingHubFinishesVerdicts(t *testing.T) {
	u := units(3, 1)
	d := newDesk()
	began, finish := make(chan struct{}), make(chan struct{})
	d.verdict = func(context.Context, int, loop.Delivery) (loop.Standing, error, bool) {
		close(began)
		<-finish
		return loop.Standing{Fresh: 1}, nil, true
	}
	s := serve(t, d, "127.0.0.1:0", func(o *HubOptions) { o.Grace = time.Minute })
	r := dial(t, s)
	r.say(helloOf("w"), frame{Credit: &credit{2}}, delivered("w", u[0]))
	<-began
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	r.want("bye", func(f frame) bool { return f.Bye != nil })
	r.say(delivered("w", u[1]))
	f := r.want("later", func(f frame) bool { return f.Later != nil })
	if f.Later.Unit != wireUnit(u[1]) {
		t.Errorf("later for %v", f.Later.Unit)
	}
	close(finish)
	r.want("committed", func(f frame) bool { return f.Committed != nil })
	<-stopped
	if !errors.Is(d.left[0], ErrStopping) {
		t.Errorf("left for %v", d.left[0])
	}
}

// A dispatcher that fails ends the connection, which is tried again.
func TestNextFails(t *testing.T) {
	d := newDesk(loop.Unit{Campaign: "c", Round: 2, Count: 1}) // a round that has no definition
	s := serve(t, d, "127.0.0.1:0", nil)
	r := dial(t, s)
	r.say(helloOf("w"), frame{Credit: &credit{1}})
	r.wantRefusal(`campaign "c" has no round 2`, false)
}

func TestHandshake(t *testing.T) {
	d := newDesk()
	s := serve(t, d, "127.0.0.1:0", func(o *HubOptions) { o.MaxWorkers = 1 })
	try := func(header http.Header, protocols ...string) int {
		dialer := websocket.Dialer{Subprotocols: protocols}
		conn, response, err := dialer.Dial("ws://"+s.addr+"/v1/workers", header)
		if response != nil {
			defer response.Body.Close()
		}
		if err == nil {
			_ = conn.Close()
			d.mu.Lock()
			defer d.mu.Unlock()
			return http.StatusSwitchingProtocols
		}
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	for name, c := range map[string]struct {
		header    http.Header
		protocols []string
		want      int
	}{
		"no subprotocol":      {nil, nil, 400},
		"another subprotocol": {nil, []string{"hone.v2"}, 400},
		"foreign page":        {http.Header{"Origin": {"https://evil.example"}}, []string{Subprotocol}, 403},
		"null page":           {http.Header{"Origin": {"null"}}, []string{Subprotocol}, 403},
		"lookalike page":      {http.Header{"Origin": {"http://127.0.0.1.evil.example"}}, []string{Subprotocol}, 403},
	} {
		if got := try(c.header, c.protocols...); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got, err := http.Get(s.url() + "/v1/workers"); err != nil {
		t.Error(err)
	} else {
		defer got.Body.Close()
		if got.StatusCode != http.StatusBadRequest {
			t.Errorf("a plain GET: %s", got.Status)
		}
	}
	r := dial(t, s)
	r.say(helloOf("w"))
	r.want("a welcome", welcome)
	if got := try(nil, Subprotocol); got != http.StatusServiceUnavailable {
		t.Errorf("a worker too many: %d, want 503", got)
	}
	if got := (&http.Request{Host: "hone.example:7070", Header: http.Header{"Origin": {"https://HONE.example:7070"}}}); !ownOrigin(got) {
		t.Error("a page of this very host was refused")
	}
	if got := (&http.Request{Host: "hone.example", Header: http.Header{"Origin": {"http://localhost:3000"}}}); !ownOrigin(got) {
		t.Error("a page of loopback was refused")
	}
	idle := NewHub(HubOptions{Dispatcher: d, Receiver: d})
	s.hub = idle // never run
	stopped := serve(t, d, "127.0.0.1:0", nil)
	stopped.stop()
	if stopped.hub.lets() {
		t.Error("a stopped hub lets workers in")
	}
	if idle.lets() {
		t.Error("a hub that does not run lets workers in")
	}
}
