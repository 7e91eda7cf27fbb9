package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// asynqQueue is asynq on a Redis of its own.
type asynqQueue struct {
	process *exec.Cmd
	redis   asynq.RedisClientOpt
	client  *asynq.Client
	servers []*asynq.Server
	watch   *redis.Client
}

func asynqKind(sync string) func(context.Context, *options) (queue, error) {
	return func(ctx context.Context, o *options) (queue, error) {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		address := "127.0.0.1:" + strconv.Itoa(port)
		q := &asynqQueue{redis: asynq.RedisClientOpt{Addr: address, PoolSize: 32}, watch: redis.NewClient(&redis.Options{Addr: address})}
		q.process, err = launch(exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", o.dir,
			"--appendonly", "yes", "--appendfsync", sync, "--save", "", "--maxclients", "4000", "--logfile", filepath.Join(o.dir, "log")))
		if err != nil {
			return nil, err
		}
		q.client = asynq.NewClient(q.redis)
		if err := within(ctx, q.client.Ping); err != nil {
			return nil, errors.Join(err, q.stop())
		}
		return q, nil
	}
}

// put enqueues one by one: asynq has no other way.
func (q *asynqQueue) put(ctx context.Context, jobs [][]byte) error {
	for _, job := range jobs {
		if _, err := q.client.EnqueueContext(ctx, asynq.NewTask("job", job), asynq.MaxRetry(3), asynq.Timeout(time.Minute)); err != nil {
			return err
		}
	}
	return nil
}

// maxServers bounds asynq's servers: each of them has a pool of connections and a
// dozen loops of its own. More connections are more workers of each.
const maxServers = 32

func (q *asynqQueue) work(ctx context.Context, o *options, started func([]byte), done func()) error {
	servers := min(o.connections, maxServers)
	for range servers {
		s := asynq.NewServer(q.redis, asynq.Config{Concurrency: max(1, o.window/servers), TaskCheckInterval: 5 * time.Millisecond,
			LogLevel: asynq.FatalLevel, ShutdownTimeout: time.Second})
		q.servers = append(q.servers, s)
		// The library says of no task that its end has reached Redis. What Redis has
		// done is asked below.
		if err := s.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
			started(t.Payload())
			return nil
		})); err != nil {
			return err
		}
	}
	go q.count(ctx, done)
	return nil
}

// count calls done for each job that Redis says is processed.
func (q *asynqQueue) count(ctx context.Context, done func()) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	key := fmt.Sprintf("asynq:{%s}:processed", "default")
	for counted := 0; ; {
		n, err := q.watch.Get(ctx, key+":"+time.Now().UTC().Format("2006-01-02")).Int()
		for ; err == nil && counted < n; counted++ {
			done()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (q *asynqQueue) stop() error {
	for _, s := range q.servers {
		s.Shutdown()
	}
	err := errors.Join(q.client.Close(), q.watch.Close())
	return errors.Join(err, end(q.process))
}
