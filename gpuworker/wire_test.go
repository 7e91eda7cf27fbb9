package gpuworker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"hone/loop"
)

// wire is a connection of somebody who writes bytes, not frames.
type wire struct {
	net.Conn
	in *bufio.Reader
}

const handshake = "GET /v1/workers HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: " + Subprotocol + "\r\n\r\n"

func shake(conn net.Conn) (*wire, error) {
	w := &wire{conn, bufio.NewReader(conn)}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, handshake); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(answer.Status)
	}
	return w, nil
}

// piece is a frame of RFC 6455 as somebody may write it.
type piece struct {
	more, bare bool // not the last one of a message; not masked
	reserved   byte
	opcode     byte
	payload    []byte
	length     uint64 // as it is claimed; 0: as it is
}

func (p piece) bytes() []byte {
	first := p.opcode | p.reserved<<4
	if !p.more {
		first |= 0x80
	}
	b := []byte{first}
	mask := byte(0x80)
	if p.bare {
		mask = 0
	}
	switch n := max(uint64(len(p.payload)), p.length); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), n)
	}
	if p.bare {
		return append(b, p.payload...)
	}
	key := [4]byte{1, 2, 3, 4}
	b = append(b, key[:]...)
	for i, c := range p.payload {
		b = append(b, c^key[i%4])
	}
	return b
}

func binaryOf(f frame) []byte {
	return piece{opcode: websocket.BinaryMessage, payload: encode(f)}.bytes()
}

// pieces splits a frame into messages' fragments of so many bytes.
func pieces(f frame, size int) (out []byte) {
	b := encode(f)
	opcode := byte(websocket.BinaryMessage)
	for len(b) > size {
		out = append(out, piece{more: true, opcode: opcode, payload: b[:size]}.bytes()...)
		b, opcode = b[size:], 0
	}
	return append(out, piece{opcode: opcode, payload: b}.bytes()...)
}

// Whatever bytes come over a worker's connection end that connection and harm no
// other: a good worker beside it has its units committed, over one connection.
func TestBadBytes(t *testing.T) {
	ping := func(n int) []byte { return piece{opcode: websocket.PingMessage, payload: make([]byte, n)}.bytes() }
	closing := func(b ...byte) []byte { return piece{opcode: websocket.CloseMessage, payload: b}.bytes() }
	for name, b := range map[string][]byte{
		"unmasked":                  piece{bare: true, opcode: websocket.BinaryMessage, payload: encode(frame{Credit: &credit{1}})}.bytes(),
		"reserved bits":             piece{reserved: 4, opcode: websocket.BinaryMessage, payload: []byte("x")}.bytes(),
		"unknown opcode":            piece{opcode: 3, payload: []byte("x")}.bytes(),
		"unknown control":           piece{opcode: 11}.bytes(),
		"fragmented ping":           piece{more: true, opcode: websocket.PingMessage}.bytes(),
		"oversized ping":            ping(126),
		"continues nothing":         piece{opcode: 0, payload: []byte("x")}.bytes(),
		"begins within a message":   append(pieces(frame{Credit: &credit{1}}, 2)[:8], binaryOf(frame{Credit: &credit{1}})...),
		"negative length":           piece{opcode: websocket.BinaryMessage, length: 1 << 63}.bytes(),
		"claims 2^40 bytes":         piece{opcode: websocket.BinaryMessage, length: 1 << 40}.bytes(),
		"fragments that add up":     bytes.Repeat(piece{more: true, opcode: 0, payload: make([]byte, 1<<20)}.bytes(), 17),
		"close with half a code":    closing(3),
		"close with a wrong code":   closing(3, 237), // 1005
		"close with no text":        closing(3, 232, 0xff),
		"text":                      piece{opcode: websocket.TextMessage, payload: []byte("{}")}.bytes(),
		"no CBOR":                   piece{opcode: websocket.BinaryMessage, payload: []byte{0xff}}.bytes(),
		"a lease from a worker":     binaryOf(frame{Lease: &leases{[]lease{{wireUnit(units(1, 2)[0]), "echo"}}}}),
		"committed from a worker":   binaryOf(frame{Committed: &answer{Unit: wireUnit(units(1, 2)[0])}}),
		"staged from a worker":      binaryOf(frame{Staged: &answer{Unit: wireUnit(units(1, 2)[0])}}),
		"fails another's lease":     binaryOf(frame{Failed: &answer{Unit: wireUnit(units(60, 2)[50])}}),
		"another's staging area":    binaryOf(delivered("good", units(60, 2)[50])),
		"hangs up within a frame":   binaryOf(frame{Credit: &credit{1}})[:4],
		"hangs up within a message": pieces(frame{Credit: &credit{1}}, 2)[:8],
		"HTTP again":                []byte(handshake),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := units(60, 2)
			d := newDesk(u...)
			s := serve(t, d, "127.0.0.1:0", nil)
			good := work(t, s.url(), func(o *AgentOptions) { o.Name = "good" })
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			w, err := shake(conn)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "fragments") {
				b = append(piece{more: true, opcode: websocket.BinaryMessage}.bytes(), b...)
			}
			// What comes too late to be read is cut off already.
			_, _ = conn.Write(append(binaryOf(helloOf("bad")), b...))
			if strings.HasPrefix(name, "hangs up") {
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.Copy(io.Discard, w.in); err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the connection was not ended: %v", err)
			}
			d.wait(t, "all committed", func() bool { return len(d.committed) == 120 })
			if err := good.stop(); err != nil {
				t.Fatal(err)
			}
			d.wait(t, "both gone", func() bool { return len(d.sessions) == 0 })
			d.wantCommitted(t, u)
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.joined > 2 || len(d.failed) > 0 {
				t.Errorf("%d connections, failed %v", d.joined, d.failed)
			}
		})
	}
}

// Fragments, a byte each, with pings between them, are a message like any other;
// and ten thousand pings are answered by as few pongs as the worker leaves time for.
func TestFragments(t *testing.T) {
	u := units(1, 2)
	d := newDesk(u...)
	s := serve(t, d, "127.0.0.1:0", nil)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w, err := shake(conn)
	if err != nil {
		t.Fatal(err)
	}
	ping := piece{opcode: websocket.PingMessage, payload: []byte("?")}.bytes()
	b := pieces(helloOf("w"), 1)
	b = append(b, bytes.Repeat(ping, 10_000)...)
	for fragment := range slices.Chunk(pieces(frame{Credit: &credit{1}}, 1), 2+4+1) {
		b = append(append(b, fragment...), ping...)
	}
	go func() { _, _ = conn.Write(b) }()
	for leased, pongs := false, 0; !leased || pongs == 0; {
		head, err := w.in.Peek(2)
		if err != nil {
			t.Fatal(err)
		}
		n, skip := int(head[1]), 2
		if n == 126 {
			long, err := w.in.Peek(4)
			if err != nil {
				t.Fatal(err)
			}
			n, skip = int(binary.BigEndian.Uint16(long[2:])), 4
		}
		message := make([]byte, skip+n)
		if _, err := io.ReadFull(w.in, message); err != nil {
			t.Fatal(err)
		}
		switch message[0] & 15 {
		case websocket.PongMessage:
			pongs++
		case websocket.BinaryMessage:
			f, err := decode(message[skip:])
			if err != nil || f.Error != nil {
				t.Fatalf("%+v, %v", f.Error, err)
			}
			leased = leased || f.Lease != nil
		}
	}
}

// A frame that is never finished is given up like any silence.
func TestHalfAFrame(t *testing.T) {
	d := newDesk()
	s := serve(t, d, "127.0.0.1:0", func(o *HubOptions) { o.PingEvery, o.PongWithin = time.Hour, 20*time.Millisecond })
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err = shake(conn); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append(binaryOf(helloOf("w")), binaryOf(frame{Credit: &credit{1}})[:5]...)); err != nil {
		t.Fatal(err)
	}
	d.wait(t, "its end", func() bool { return len(d.left) == 1 })
}

// Every frame that is cut off anywhere is refused, and none of it is believed.
func TestTruncatedFrames(t *testing.T) {
	for _, f := range everyFrame() {
		whole := encode(f)
		for n := range whole {
			_, err := decode(whole[:n])
			if _, ok := errors.AsType[*loop.Error](err); !ok {
				t.Fatalf("%d of %d bytes of %+v: %v", n, len(whole), f, err)
			}
		}
	}
}

// script is a hub that says what it likes.
func script(t *testing.T, play func(say func(...frame), hear func() frame)) (url string) {
	var once sync.Once
	upgrader := websocket.Upgrader{Subprotocols: []string{Subprotocol}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk()
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/staging/{worker}/{unit}/{name}", d.put)
	mux.HandleFunc("GET /v1/workers", func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		again := true
		once.Do(func() {
			again = false
			play(func(frames ...frame) {
				for _, f := range frames {
					if err := conn.WriteMessage(websocket.BinaryMessage, encode(f)); err != nil {
						t.Error(err)
					}
				}
			}, func() frame {
				_, b, err := conn.ReadMessage()
				if err != nil {
					t.Error(err)
					return frame{}
				}
				f, err := decode(b)
				if err != nil {
					t.Error(err)
				}
				return f
			})
		})
		if again {
			t.Error("the worker has connected again")
		}
		for err == nil { // until the worker has had enough
			_, _, err = conn.ReadMessage()
		}
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}

// Acknowledgements that are said twice, that are of units which were never
// delivered, and leases that come twice change nothing: the worker makes each
// unit once, delivers it once, and goes on.
func TestReplayedAnswers(t *testing.T) {
	u := units(3, 2)
	of := func(i int) *answer { return &answer{Unit: wireUnit(u[i])} }
	all := func(i int) []frame {
		return []frame{{Staged: of(i)}, {Committed: of(i)}, {Again: of(i)}, {Refused: of(i)}, {Later: of(i)}}
	}
	done := make(chan struct{})
	made := make(chan loop.Unit, 99)
	url := script(t, func(say func(...frame), hear func() frame) {
		defer close(done)
		await := func(what string, is func(frame) bool) (f frame) {
			for range 99 {
				if f = hear(); is(f) {
					return f
				}
			}
			t.Errorf("never came: %s", what)
			return f
		}
		delivery := func(i int) {
			await("a delivery", func(f frame) bool { return f.Delivery != nil && f.Delivery.Unit == wireUnit(u[i]) })
		}
		await("a hello", func(f frame) bool { return f.Hello != nil })
		say(all(0)...) // before it is even welcome
		say(frame{Welcome: new(greeting)}, frame{Welcome: new(greeting)})
		say(all(2)...)
		definition := definitionFrame(t)
		lease := func(i int) frame { return frame{Lease: &leases{[]lease{{wireUnit(u[i]), "echo"}}}} }
		say(definition, lease(0), lease(0), definition)
		delivery(0)
		say(frame{Staged: of(0)}, frame{Staged: of(0)}, frame{Committed: of(0)}, frame{Committed: of(0)})
		say(all(0)...)
		say(lease(1))
		delivery(1)
		say(frame{Committed: of(1)})
		say(all(1)...)
		say(lease(2)) // of which was said, before it was leased, that it is committed
		delivery(2)
		say(frame{Committed: of(2)})
	})
	w := work(t, url, func(o *AgentOptions) {
		o.Generators = []Generator{echo{before: func(_ context.Context, w Work, _ func(uint64, []loop.Member) error) error {
			made <- w.Unit
			return nil
		}}}
	})
	<-done
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if len(made) != 3 {
		t.Errorf("%d units were made, want 3", len(made))
	}
}

func definitionFrame(t *testing.T) frame {
	t.Helper()
	d := newDesk().definition
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return frame{Definition: &definition{Campaign: d.Campaign, Round: d.Round.Number, JSON: b, Last: true}}
}

// C10, I5: a unit that another worker has leased is judged by its name, from
// whoever delivers it; the other one's delivery is a duplicate, and its own leases
// stay its own.
func TestAnothersUnit(t *testing.T) {
	u := units(2, 2)
	d := newDesk(u...)
	d.verdict = func(_ context.Context, n int, v loop.Delivery) (loop.Standing, error, bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		st := loop.Standing{}
		for i, s := range v.Samples {
			if _, twice := d.committed[v.Unit.Name(i)]; twice {
				st.Duplicate++
			} else {
				d.committed[v.Unit.Name(i)] = s.Digest
				st.Fresh++
			}
		}
		return st, nil, true
	}
	s := serve(t, d, "127.0.0.1:0", nil)
	owner := dial(t, s)
	owner.say(helloOf("owner"), frame{Credit: &credit{2}})
	for leased := 0; leased < 2; {
		leased += len(owner.want("a lease", func(f frame) bool { return f.Lease != nil }).Lease.Leases)
	}
	thief := dial(t, s)
	thief.say(helloOf("thief"), delivered("thief", u[0]))
	if f := thief.want("committed", func(f frame) bool { return f.Committed != nil }); f.Committed.Standing.Fresh != 2 {
		t.Errorf("%+v", f.Committed.Standing)
	}
	thief.say(frame{Failed: &answer{Unit: wireUnit(u[0])}})
	thief.wantRefusal("is not with this worker", false)
	owner.say(delivered("owner", u[0]), delivered("owner", u[1]))
	stood := map[unit]standing{} // they are judged side by side
	for range 2 {
		f := owner.want("committed", func(f frame) bool { return f.Committed != nil })
		stood[f.Committed.Unit] = *f.Committed.Standing
	}
	if stood[wireUnit(u[0])] != (standing{Duplicate: 2}) || stood[wireUnit(u[1])] != (standing{Fresh: 2}) {
		t.Errorf("they stood %+v", stood)
	}
	// What has had its answer is nobody's to give back any more.
	owner.say(frame{Failed: &answer{Unit: wireUnit(u[1])}})
	owner.wantRefusal("is not with this worker", false)
}

// No bytes whatever take the hub down, or anything with them but their own
// connection.
func FuzzWire(f *testing.F) {
	f.Add(binaryOf(frame{Credit: &credit{1}}))
	for _, one := range everyFrame() {
		f.Add(append(binaryOf(helloOf("bad")), binaryOf(one)...))
		f.Add(append(pieces(helloOf("bad"), 7), pieces(one, 5)...))
	}
	f.Add(append(binaryOf(helloOf("bad")), piece{opcode: websocket.PingMessage, payload: []byte("?")}.bytes()...))
	d := newDesk(units(1000, 1)...)
	hub := NewHub(HubOptions{Dispatcher: d, Receiver: d, PongWithin: time.Hour}) // the good one answers no ping
	calls := make(chan net.Conn)
	ctx, stop := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("GET /v1/workers", hub)
	server := &http.Server{Handler: mux}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(caller{calls, ctx}) })
	wg.Go(func() { _ = hub.Run(ctx) })
	f.Cleanup(func() {
		stop()
		_ = server.Close()
		wg.Wait()
	})
	awaitRunning(hub)
	open := func() (*wire, error) {
		here, there := net.Pipe()
		calls <- there
		return shake(here)
	}
	good, err := open()
	if err != nil {
		f.Fatal(err)
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(io.Discard, good.in)
	}()
	if err := errors.Join(good.SetDeadline(time.Time{}), writeAll(good, binaryOf(helloOf("good")))); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		bad, err := open()
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = io.Copy(io.Discard, bad.in)
		}()
		_ = writeAll(bad, b) // it may be cut off before the end
		_ = bad.Close()
		<-gone
		select {
		case <-heard:
			t.Fatal("the good one was cut off")
		default:
		}
	})
}

func writeAll(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}
