package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/gorilla/websocket"

	"hone/loop"
)

// worker is one connection that answers each lease with a delivery at once.
type worker struct {
	name  string
	crowd *crowd
	conn  *websocket.Conn
	wire  *lazyConn
	// small is the most bytes of a bundle that goes with its delivery.
	small int

	mu sync.Mutex
	// asked are the times of the credits that no lease has used, the oldest first.
	asked []time.Time
	// owed are credits that go out with the next write.
	owed int
	// delivered are the units that wait for their verdict.
	delivered map[wireUnit]time.Time
}

// lazyConn gathers what is written until the connection is about to wait for
// something to read: one system call for all answers to what came together.
type lazyConn struct {
	net.Conn
	// idle is called before waiting.
	idle func()

	mu  sync.Mutex
	buf []byte
}

func (c *lazyConn) Read(b []byte) (int, error) {
	if c.idle != nil {
		c.idle()
	}
	return c.Conn.Read(b)
}

func (c *lazyConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = append(c.buf, b...)
	return len(b), nil
}

func (c *lazyConn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.buf) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

// connect opens the socket and says hello; it returns when the worker is welcome.
func (w *worker) connect(ctx context.Context, server string, slots int) error {
	dialer := websocket.Dialer{Subprotocols: []string{subprotocol}, HandshakeTimeout: startWithin, ReadBufferSize: 4 << 10, WriteBufferSize: 1 << 10,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			w.wire = &lazyConn{Conn: conn}
			w.wire.idle = func() { _ = w.wire.flush() } // reading fails as well, then
			return w.wire, nil
		}}
	conn, answer, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(server, "http")+"/v1/workers", nil)
	if answer != nil {
		defer answer.Body.Close()
	}
	if err != nil {
		if answer != nil {
			err = fmt.Errorf("%w: %s", err, answer.Status)
		}
		return fmt.Errorf("%s: %w", w.name, err)
	}
	w.conn = conn
	hello := &wireHello{Name: w.name, Instance: strings.Repeat("0", 16) + w.name, Slots: slots, Type: "bench", Generators: []wireGenerator{{maker.Name, maker.Version}}}
	if err := w.send(wireFrame{Hello: hello}); err != nil {
		return err
	}
	f, err := w.read()
	if err == nil && f.Welcome == nil {
		err = errors.New("it is not welcome")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	w.small, w.wire.idle = f.Welcome.Small, w.flush
	return nil
}

func (w *worker) send(f wireFrame) error {
	return w.conn.WriteMessage(websocket.BinaryMessage, encodeFrame(f))
}

func (w *worker) read() (f wireFrame, err error) {
	_, r, err := w.conn.NextReader()
	if err != nil {
		return f, err
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return f, err
	}
	if err := cbor.Unmarshal(b, &f); err != nil {
		return f, err
	}
	if f.Error != nil {
		return f, errors.New(f.Error.Problem)
	}
	return f, nil
}

// ask asks for units, at once.
func (w *worker) ask(units int) {
	w.mu.Lock()
	w.owed += units
	w.mu.Unlock()
	w.flush()
}

// flush writes what waits. That it cannot is told by who reads.
func (w *worker) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.owed > 0 {
		now := time.Now()
		for range w.owed {
			w.asked = append(w.asked, now)
		}
		_ = w.send(wireFrame{Credit: &wireCredit{w.owed}})
		w.owed = 0
	}
	_ = w.wire.flush()
}

// work reads until the connection ends.
func (w *worker) work(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { w.conn.Close() })()
	for {
		f, err := w.read()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", w.name, err)
		case f.Lease != nil:
			w.leased(ctx, f.Lease.Leases)
		case f.Committed != nil:
			w.answered(f.Committed, &w.crowd.tally.committed)
		case f.Again != nil:
			w.answered(f.Again, &w.crowd.tally.lost)
		case f.Refused != nil:
			return fmt.Errorf("%s: refused: %s", w.name, f.Refused.Problem)
		case f.Later != nil:
			// An agent would deliver it again; here it counts as a failure.
			w.answered(f.Later, &w.crowd.tally.later)
		}
	}
}

// leased delivers what has been leased.
func (w *worker) leased(ctx context.Context, leases []wireLease) {
	now := time.Now()
	w.mu.Lock()
	for range leases {
		w.crowd.tally.started(now, now.Sub(w.asked[0]))
		w.asked = w.asked[1:]
	}
	w.mu.Unlock()
	for _, l := range leases {
		u := l.Unit
		samples, bundle := w.crowd.make(u.loop())
		if len(bundle) <= w.small {
			w.deliver(u, samples, bundle)
			continue
		}
		w.crowd.running.Go(func() {
			if err := w.crowd.put(ctx, w.name, u.loop(), bundle); err != nil {
				if ctx.Err() == nil {
					w.crowd.fail(err)
				}
				return
			}
			w.deliver(u, samples, nil)
			_ = w.wire.flush()
		})
	}
}

// deliver delivers a unit, with its bundle where that is not staged.
func (w *worker) deliver(u wireUnit, samples []loop.Staged, bundle []byte) {
	f := wireFrame{Delivery: &wireDelivery{Worker: w.name, Unit: u, Generator: wireGenerator{maker.Name, maker.Version}, Millis: 1,
		Rows: w.crowd.rows.of(samples), Bundle: bundle}}
	b := encodeFrame(f)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delivered[u] = time.Now()
	_ = w.conn.WriteMessage(websocket.BinaryMessage, b) // who reads hears that it fails
}

// answered counts an answer and, in a closed loop, asks for the next unit.
func (w *worker) answered(a *wireAnswer, count *uint64) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.delivered[a.Unit]
	if !ok {
		return
	}
	delete(w.delivered, a.Unit)
	w.crowd.tally.ended(count, now, now.Sub(at))
	if w.crowd.closed {
		w.owed++
	}
}

// make makes the samples of a unit: their rows and, where bytes are moved, the
// bundle that holds them.
func (c *crowd) make(u loop.Unit) (samples []loop.Staged, bundle []byte) {
	content := make([]byte, c.payload)
	for i := range u.Count {
		s := loop.Staged{Index: u.First + uint64(i), Offset: int64(len(bundle))}
		binary.BigEndian.PutUint64(s.Digest[:], s.Index)
		if c.bytes {
			copy(content, u.Name(i).Key())
			var err error
			if bundle, s.Digest, err = loop.AppendSample(bundle, u.Name(i).Key(), []loop.Member{{Ext: "bin", Bytes: content}}); err != nil {
				panic(err) // the key and the member are as they must be
			}
			s.Length = int64(len(bundle)) - s.Offset
		} else {
			s.Offset, s.Length = int64(i*c.payload), int64(c.payload)
		}
		samples = append(samples, s)
	}
	if c.bytes {
		bundle = loop.AppendEnd(bundle)
	}
	return samples, bundle
}

// put stages a bundle.
func (c *crowd) put(ctx context.Context, worker string, u loop.Unit, bundle []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, c.server+"/v1/staging/"+worker+"/"+u.ID()+"/"+loop.Bundle, bytes.NewReader(bundle))
	if err != nil {
		return err
	}
	answer, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("stage: %s: %s", answer.Status, text)
	}
	return err
}
