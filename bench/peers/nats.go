package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsServer is the server, as a process of its own.
func natsServer(ctx context.Context, args []string) error {
	var o server.Options
	flags := flag.NewFlagSet("nats-server", flag.ContinueOnError)
	flags.IntVar(&o.Port, "port", 0, "")
	flags.StringVar(&o.StoreDir, "dir", "", "")
	flags.BoolVar(&o.SyncAlways, "sync-always", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.Host, o.JetStream, o.NoSigs, o.NoLog = "127.0.0.1", true, true, true
	o.SyncInterval = 2 * time.Minute // the default of its configuration file
	s, err := server.NewServer(&o)
	if err != nil {
		return err
	}
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// natsQueue is JetStream with a stream of work.
type natsQueue struct {
	process *exec.Cmd
	url     string
	double  bool
	conn    *nats.Conn
	open    []*nats.Conn
	working sync.WaitGroup
}

func natsKind(always, double bool) func(context.Context, *options) (queue, error) {
	return func(ctx context.Context, o *options) (queue, error) {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		q := &natsQueue{url: "nats://127.0.0.1:" + strconv.Itoa(port), double: double}
		args := []string{"nats-server", "--port", strconv.Itoa(port), "--dir", o.dir}
		if always {
			args = append(args, "--sync-always")
		}
		if q.process, err = launch(exec.Command(self, args...)); err != nil {
			return nil, err
		}
		if err := within(ctx, func() (err error) { q.conn, err = nats.Connect(q.url); return err }); err != nil {
			return nil, errors.Join(err, q.stop())
		}
		js, err := jetstream.New(q.conn)
		if err == nil {
			_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs"},
				Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, AllowAtomicPublish: true})
		}
		if err == nil {
			_, err = js.CreateConsumer(ctx, "JOBS", jetstream.ConsumerConfig{Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy,
				MaxAckPending: o.window, AckWait: time.Minute})
		}
		if err != nil {
			return nil, errors.Join(err, q.stop())
		}
		return q, nil
	}
}

// put publishes a batch, which becomes durable as one.
func (q *natsQueue) put(ctx context.Context, jobs [][]byte) error {
	id := rand.Text()
	for i, job := range jobs {
		m := nats.NewMsg("jobs")
		m.Data = job
		if len(jobs) > 1 {
			m.Header.Set("Nats-Batch-Id", id)
			m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		}
		if i < len(jobs)-1 {
			if err := q.conn.PublishMsg(m); err != nil {
				return err
			}
			continue
		}
		if len(jobs) > 1 {
			m.Header.Set("Nats-Batch-Commit", "1")
		}
		js, err := jetstream.New(q.conn)
		if err != nil {
			return err
		}
		ack, err := js.PublishMsg(ctx, m)
		if err != nil {
			return err
		}
		if ack.Stream != "JOBS" {
			return fmt.Errorf("published to %q", ack.Stream)
		}
	}
	return nil
}

func (q *natsQueue) work(ctx context.Context, o *options, started func([]byte), done func()) error {
	each := max(1, min(200, o.window/o.connections))
	for range o.connections {
		conn, err := nats.Connect(q.url)
		if err != nil {
			return err
		}
		q.open = append(q.open, conn)
		js, err := jetstream.New(conn)
		if err != nil {
			return err
		}
		consumer, err := js.Consumer(ctx, "JOBS", "workers")
		if err != nil {
			return err
		}
		out := make(chan struct{}, each)
		consuming, err := consumer.Consume(func(m jetstream.Msg) {
			started(m.Data())
			if !q.double {
				if m.Ack() == nil {
					done()
				}
				return
			}
			// As many acknowledgements are under way as jobs may be out.
			out <- struct{}{}
			q.working.Go(func() {
				defer func() { <-out }()
				if m.DoubleAck(ctx) == nil {
					done()
				}
			})
		}, jetstream.PullMaxMessages(each))
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, consuming.Stop)
	}
	return nil
}

func (q *natsQueue) stop() error {
	q.working.Wait()
	for _, conn := range append(q.open, q.conn) {
		if conn != nil {
			conn.Close()
		}
	}
	return end(q.process)
}

// launch starts a server.
func launch(c *exec.Cmd) (*exec.Cmd, error) {
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return nil, err
	}
	return c, nil
}

// end ends a server.
func end(c *exec.Cmd) error {
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	_ = c.Wait() // it ends as it was told to
	return nil
}

// within tries until it goes well.
func within(ctx context.Context, try func() error) (err error) {
	for range 300 {
		if err = try(); err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
