//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hone/api"
	"hone/cmd/hone/powerloss"
)

// rack is a cluster as it stands in a room: three nodes, each with a disk and a
// clock of its own, a lake that they share, and those who work for them, on a
// network. Any of it can be disturbed.
type rack struct {
	*crew
	nodes []*node
	lake  *disk
	// net is nil where there are no network namespaces: all are on this host then,
	// and no link can be cut.
	net *network
	// without says what cannot be disturbed here, and why.
	without []string
}

// node is a coordinator: hone serve, by whatever name it has in the crew.
type node struct {
	name    string
	host    string // where it listens
	disk    *disk
	clock   string // a file
	founder bool
	client  *api.Client // of this very node

	mu    sync.Mutex
	fault string // HONE_FAULT of its next life
}

// disk is where a node or the lake lies. power is nil where no power can be cut.
type disk struct {
	power *powerloss.Disk
	at    string
	store string
}

const (
	httpPort, peerPort = "7070", "7071"
	// diskBytes is the size of a node's disk.
	diskBytes = 512 << 20
	// numbers make everything happen often: snapshots, new segments of the log,
	// followers that are so far behind that they need a snapshot.
	numbers = "snapshot-threshold=200,snapshot-seconds=3,trailing-logs=60,segment-bytes=131072"
)

// programEnv makes the test binary the program itself, with the same arguments.
const programEnv = "HONE_TEST_PROGRAM"

func init() {
	roles[programEnv] = func(string) int {
		main() // exits
		return 1
	}
}

// newRack has three nodes, and nobody is started yet.
func newRack(t *testing.T, ctx context.Context) *rack {
	t.Helper()
	r := &rack{}
	var err error
	if r.net, err = newNetwork(t); err != nil {
		r.without = append(r.without, fmt.Sprintf("the network, which takes network namespaces: %v", err))
		r.net = nil
	}
	power := powerloss.Supported()
	if power != nil {
		r.without = append(r.without, power.Error())
	}
	var servers []string
	for i := range 3 {
		n := &node{name: fmt.Sprintf("n%d", i+1), founder: i == 0, host: fmt.Sprintf("127.0.0.%d", i+11)}
		if r.net != nil {
			n.host = r.net.host(n.name)
		}
		n.client = api.New("http://" + n.host + ":" + httpPort)
		n.client.Patience = 0
		servers = append(servers, n.client.Servers.String())
		r.nodes = append(r.nodes, n)
	}
	r.crew = crewOf(t, ctx, strings.Join(servers, ","))
	r.client.Patience = time.Minute
	for _, n := range r.nodes {
		n.clock = r.data(n.name + ".clock")
		r.records(n.name)
		n.disk = r.disk(n.name, power == nil, diskBytes)
		r.commands[n.name] = func() *exec.Cmd { return r.serve(n) }
	}
	r.lake = r.disk("lake", power == nil, 0)
	return r
}

// disk makes a disk of some size, or as large as there is room, and mounts it.
func (r *rack) disk(name string, power bool, size int64) *disk {
	r.t.Helper()
	d := &disk{at: r.data(filepath.Join("disks", name, "mounted")), store: r.data(filepath.Join("disks", name, "store"))}
	if !power {
		if err := os.MkdirAll(d.at, 0o755); err != nil {
			r.t.Fatal(err)
		}
		return d
	}
	err := os.MkdirAll(d.store, 0o755)
	if err == nil && size > 0 {
		err = syscall.Mount("tmpfs", d.store, "tmpfs", 0, fmt.Sprintf("size=%d", size))
		r.t.Cleanup(func() { _ = syscall.Unmount(d.store, syscall.MNT_DETACH) })
	}
	if err == nil {
		d.power, err = powerloss.New(filepath.Join(d.store, "inodes"))
	}
	if err == nil {
		err = d.power.Mount(d.at)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := d.power.Unmount(); err != nil {
			r.t.Error(err)
		}
	})
	return d
}

// records is where a process writes down what the checker wants to know.
func (r *rack) records(name string) string {
	dir := r.data(filepath.Join("records", name))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	return dir
}

// program is this program, as one of the rack: on a host, with its records.
func (r *rack) program(name, host string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), programEnv+"=1", "HONE_RECORD="+r.records(name), "GOMAXPROCS=2")
	return r.on(host, cmd)
}

func (r *rack) on(host string, cmd *exec.Cmd) *exec.Cmd {
	if r.net == nil {
		return cmd
	}
	return r.net.on(host, cmd)
}

// serve is a node's next life.
func (r *rack) serve(n *node) *exec.Cmd {
	args := []string{"serve", "--node", n.name, "--data", n.disk.at, "--lake", r.lake.at, "--verbose", "--insecure-listen",
		"--listen", n.host + ":" + httpPort, "--peer-listen", n.host + ":" + peerPort}
	if !n.founder {
		for _, other := range r.nodes {
			if other != n {
				args = append(args, "--join", other.host+":"+httpPort)
			}
		}
	}
	cmd := r.program(n.name, n.name, args...)
	n.mu.Lock()
	defer n.mu.Unlock()
	cmd.Env = append(cmd.Env, "HONE_NUMBERS="+numbers, "HONE_CLOCK="+n.clock, "HONE_FAULT="+n.fault)
	n.fault = ""
	return cmd
}

// worker adds a worker on a host, which is not started yet.
func (r *rack) worker(name, host string, slots int) {
	r.commands[name] = func() *exec.Cmd {
		return r.program(name, host, "work", "--server", r.server, "--name", name, "--slots", fmt.Sprint(slots), "--data", r.data(name), "--verbose")
	}
}

// found starts the nodes, one after another, until all of them vote.
func (r *rack) found() {
	r.t.Helper()
	for _, n := range r.nodes {
		r.start(n.name)
		r.await(n.name+" to join", func() bool {
			cluster, err := r.nodes[0].client.Cluster(r.ctx)
			return err == nil && slices.ContainsFunc(cluster.Members, func(m api.Member) bool { return m.Name == n.name && m.Role != "forgotten" })
		})
		if n.founder {
			n.founder = false // from now on it finds itself among the others
			continue
		}
		r.await(n.name+" to vote", func() bool { return r.votes(n) })
	}
}

// votes lets a node vote, if it has joined, and reports whether it does.
func (r *rack) votes(n *node) bool {
	for _, other := range r.nodes {
		if cluster, err := other.client.Promote(r.ctx, n.name); err == nil {
			return slices.ContainsFunc(cluster.Members, func(m api.Member) bool { return m.Name == n.name && (m.Role == "voter" || m.Role == "leader") })
		}
	}
	return false
}

// leader is the node that leads now, or that was last heard to; ok is false if
// none is known.
func (r *rack) leader() (n *node, ok bool) {
	term := uint64(0)
	for _, one := range r.nodes {
		if about, err := one.about(r.ctx); err == nil && about.Role == "leader" && about.Term > term {
			n, term = one, about.Term
		}
	}
	return n, n != nil
}

// about is what a node says of itself. A client would look for others if it said
// nothing.
func (n *node) about(ctx context.Context) (about api.Node, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.host+":"+httpPort+"/v1/node", nil)
	if err != nil {
		return about, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return about, err
	}
	defer response.Body.Close()
	return about, json.NewDecoder(response.Body).Decode(&about)
}

// follower is a node that does not lead, drawn by chance.
func (r *rack) follower(random *rand.Rand) *node {
	leader, _ := r.leader()
	for {
		if n := r.nodes[random.IntN(len(r.nodes))]; n != leader {
			return n
		}
	}
}

func nodeNames(nodes []*node) (names []string) {
	for _, n := range nodes {
		names = append(names, n.name)
	}
	return names
}

// lose cuts the power of disks whose users are dead, and switches it on again.
func (r *rack) lose(random *rand.Rand, disks ...*disk) (lost powerloss.Loss) {
	for _, d := range disks {
		err := d.power.Unmount()
		if err == nil {
			var loss powerloss.Loss
			loss, err = d.power.Lose(random)
			lost.Files += loss.Files
			lost.Names += loss.Names
			lost.Bytes += loss.Bytes
		}
		if err == nil {
			err = d.power.Mount(d.at)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return lost
}

// show is a disk's tree for the checker: the disk itself where it is plain. This
// process must not map files of its own disks, so it sees links to their contents.
func (r *rack) show(d *disk, name string) string {
	if d.power == nil {
		return d.at
	}
	at := r.data(filepath.Join("shown", name))
	if err := d.power.Show(at); err != nil {
		r.t.Fatal(err)
	}
	return at
}

// dump has every node write down what it is at, and end.
func (r *rack) dump() {
	for _, n := range r.nodes {
		r.crew.mu.Lock()
		p := r.up[n.name]
		r.mourned[n.name] = true
		r.crew.mu.Unlock()
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // or it has ended already
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
		}
	}
}
