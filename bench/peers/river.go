package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverQueue is River on a PostgreSQL of its own, as Debian configures it.
type riverQueue struct {
	process *exec.Cmd
	pool    *pgxpool.Pool
	client  *river.Client[pgx.Tx]
	workers []*river.Client[pgx.Tx]
}

type job struct {
	Payload []byte `json:"payload"`
}

func (job) Kind() string { return "job" }

type jobWorker struct {
	river.WorkerDefaults[job]
	started func([]byte)
}

func (w *jobWorker) Work(_ context.Context, j *river.Job[job]) error {
	w.started(j.Args.Payload)
	return nil
}

// pooled is how many connections to PostgreSQL there are: each is a process there.
const pooled = 48

func startRiver(ctx context.Context, o *options) (queue, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(o.dir, "postgres")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	as, err := notRoot(dir)
	if err != nil {
		return nil, err
	}
	initdb := exec.Command("initdb", "--pgdata", dir, "--username", "bench", "--auth", "trust", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = as, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	q := &riverQueue{}
	postgres := exec.Command("postgres", "-D", dir, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "logging_collector=off", "-c", "log_min_messages=fatal", "-c", "log_min_error_statement=panic")
	postgres.SysProcAttr, postgres.Dir = as, dir
	if q.process, err = launch(postgres); err != nil {
		return nil, err
	}
	url := fmt.Sprintf("postgres://bench@127.0.0.1:%d/postgres?sslmode=disable&pool_max_conns=%d", port, pooled)
	if q.pool, err = pgxpool.New(ctx, url); err == nil {
		err = within(ctx, func() error { return q.pool.Ping(ctx) })
	}
	if err == nil {
		var migrator *rivermigrate.Migrator[pgx.Tx]
		if migrator, err = rivermigrate.New(riverpgxv5.New(q.pool), nil); err == nil {
			_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		}
	}
	if err == nil {
		q.client, err = river.NewClient(riverpgxv5.New(q.pool), &river.Config{Logger: silent()})
	}
	if err != nil {
		return nil, errors.Join(err, q.stop())
	}
	return q, nil
}

func silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// notRoot gives the directory to the user postgres where we are root, whom
// PostgreSQL refuses.
func notRoot(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(dir, uid, gid)
}

func (q *riverQueue) put(ctx context.Context, jobs [][]byte) error {
	many := make([]river.InsertManyParams, len(jobs))
	for i := range jobs {
		many[i].Args = job{jobs[i]}
	}
	_, err := q.client.InsertManyFast(ctx, many)
	return err
}

// maxClients bounds River's clients, which share the pool. More connections are
// more workers of each.
const maxClients = 16

func (q *riverQueue) work(ctx context.Context, o *options, started func([]byte), done func()) error {
	clients := min(o.connections, maxClients)
	for range clients {
		workers := river.NewWorkers()
		river.AddWorker(workers, &jobWorker{started: started})
		client, err := river.NewClient(riverpgxv5.New(q.pool), &river.Config{Logger: silent(), Workers: workers,
			FetchCooldown: time.Millisecond, FetchPollInterval: 100 * time.Millisecond,
			Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: max(1, min(200, o.window/clients))}}})
		if err != nil {
			return err
		}
		// An event comes when the end of the job is committed.
		events, cancel := client.SubscribeConfig(&river.SubscribeConfig{ChanSize: 1 << 16, Kinds: []river.EventKind{river.EventKindJobCompleted}})
		go func() {
			defer cancel()
			for {
				select {
				case e, ok := <-events:
					if !ok || e == nil {
						return
					}
					done()
				case <-ctx.Done():
					return
				}
			}
		}()
		if err := client.Start(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		q.workers = append(q.workers, client)
	}
	return nil
}

func (q *riverQueue) stop() error {
	stopping, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, w := range q.workers {
		_ = w.StopAndCancel(stopping) // the server ends anyway
	}
	if q.pool != nil {
		q.pool.Close()
	}
	return end(q.process)
}
