package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hone/api"
)

// cycle says what becomes of a delivery.
type cycle string

const (
	product cycle = "product"
	core    cycle = "core"
)

// cluster is three nodes, each a process of its own.
type cluster struct {
	cycle  cycle
	client *api.Client
	nodes  []*node
}

// node is one of them.
type node struct {
	name, url string
	command   []string
	log       *os.File
	process   *exec.Cmd
	// gone is closed when the process has ended.
	gone chan struct{}
}

// startWithin is how long a node may take to start, or to follow.
const startWithin = time.Minute

// start starts three nodes with nothing in them and waits until all vote.
func (o *dispatchOptions) start(ctx context.Context, of cycle) (_ *cluster, err error) {
	dir, err := os.MkdirTemp(o.dir, string(of)+"-")
	if err != nil {
		return nil, err
	}
	var urls []string
	c := &cluster{cycle: of}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	for i := range 3 {
		http, peer, err := freePorts()
		if err != nil {
			return nil, err
		}
		n := &node{name: fmt.Sprintf("n%d", i+1), url: "http://" + http}
		n.command = []string{o.hone, "serve"}
		if of == core {
			self, err := os.Executable()
			if err != nil {
				return nil, err
			}
			if n.command = []string{self, "core-node"}; o.profile != "" {
				n.command = append(n.command, "--profile", o.profile)
			}
		}
		n.command = append(n.command, "--node", n.name, "--data", filepath.Join(dir, n.name), "--lake", filepath.Join(dir, "lake"),
			"--listen", http, "--peer-listen", peer)
		if i > 0 {
			n.command = append(n.command, "--join", strings.TrimPrefix(urls[0], "http://"))
		}
		if n.log, err = os.Create(filepath.Join(dir, n.name+".log")); err != nil {
			return nil, err
		}
		c.nodes, urls = append(c.nodes, n), append(urls, n.url)
		if err := n.start(ctx); err != nil {
			return nil, err
		}
	}
	c.client = api.New(strings.Join(urls, ","))
	return c, c.settled(ctx)
}

// freePorts are two addresses at which nobody listens.
func freePorts() (http, peer string, err error) {
	one, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer one.Close()
	two, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer two.Close()
	return one.Addr().String(), two.Addr().String(), nil
}

// start starts the process, anew or again, and waits until it answers.
func (n *node) start(ctx context.Context) error {
	n.process = exec.Command(n.command[0], n.command[1:]...)
	n.process.Stdout, n.process.Stderr = n.log, n.log
	n.gone = make(chan struct{})
	if err := n.process.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	go func(process *exec.Cmd, gone chan struct{}) {
		_ = process.Wait() // the log says why
		close(gone)
	}(n.process, n.gone)
	client := api.New(n.url)
	client.Patience = 0
	return until(ctx, startWithin, n.name+" answers", func() bool {
		about, err := client.Node(ctx)
		return err == nil && (about.Role == "leader" || about.Role == "follower")
	})
}

// kill is kill -9; it returns when the process is gone.
func (n *node) kill() {
	_ = n.process.Process.Kill() // or it has ended already
	<-n.gone
}

// settled waits until all nodes vote and are healthy.
func (c *cluster) settled(ctx context.Context) error {
	return until(ctx, startWithin, "three nodes vote", func() bool {
		cluster, err := c.client.Cluster(ctx)
		if err != nil {
			return false
		}
		voting := 0
		for _, m := range cluster.Members {
			switch {
			case m.Role == "joining":
				_, _ = c.client.Promote(ctx, m.Name) // or it votes a little later
			case m.Healthy:
				voting++
			}
		}
		return voting == len(c.nodes)
	})
}

// leader is the node that leads.
func (c *cluster) leader(ctx context.Context) (*node, error) {
	about, err := c.client.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range c.nodes {
		if n.name == about.Leader {
			return n, nil
		}
	}
	return nil, fmt.Errorf("node %q leads, which is none of ours", about.Leader)
}

// stop stops all nodes, as an operator does, and removes nothing.
func (c *cluster) stop() error {
	for _, n := range c.nodes {
		if n.process != nil && n.process.Process != nil {
			_ = n.process.Process.Signal(syscall.SIGINT) // or it has ended already
		}
	}
	for _, n := range c.nodes {
		if n.gone == nil {
			continue
		}
		select {
		case <-n.gone:
		case <-time.After(20 * time.Second):
			n.kill()
		}
		n.log.Close()
	}
	return nil
}

// usage is what a process has used: time of processors, and memory now.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes
}

// used reads it from /proc.
func (n *node) used() (usage, error) {
	var u usage
	proc := "/proc/" + strconv.Itoa(n.process.Process.Pid)
	text, err := os.ReadFile(proc + "/stat")
	if errors.Is(err, fs.ErrNotExist) {
		return u, fmt.Errorf("%s has ended, or there is no /proc on this machine: its log is %s", n.name, n.log.Name())
	}
	if err != nil {
		return u, err
	}
	// The name of the program, in parentheses, may hold spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const user, system, pages = 11, 12, 21
	for _, at := range []int{user, system} {
		ticks, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return u, err
		}
		u.cpu += time.Duration(ticks) * (time.Second / 100)
	}
	resident, err := strconv.ParseInt(fields[pages], 10, 64)
	u.resident = resident * int64(os.Getpagesize())
	return u, err
}

// until asks again and again whether something is so.
func until(ctx context.Context, within time.Duration, what string, so func() bool) error {
	ctx, done := context.WithTimeout(ctx, within)
	defer done()
	for !so() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %v", what, within)
		}
	}
	return nil
}

func goCommand(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "go", args...)
}

// node asks one node about itself.
func (c *cluster) node(ctx context.Context, n *node) (api.Node, error) {
	client := api.New(n.url)
	client.Patience = 0
	return client.Node(ctx)
}
