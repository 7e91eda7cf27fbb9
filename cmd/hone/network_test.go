//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// network is hosts, each a network namespace of its own, on one bridge to which
// this process belongs too. Its links can be cut, each way for itself.
//
// What is sent over a link that is cut goes to a hardware address that nobody
// has: it vanishes, as on a real network, and no error tells the sender.
type network struct {
	t      *testing.T
	prefix string // of the names of everything
	subnet string // "10.A.B."

	mu    sync.Mutex
	hosts map[string]string // their addresses
	cuts  map[[2]string]bool
}

// networks counts those of this process: what is left of one goes by and by.
var networks int64

// nobody's hardware address.
const nobody = "02:00:00:00:de:ad"

// newNetwork makes a network, which goes with the test. Its error is why there
// are no network namespaces here.
func newNetwork(t *testing.T) (*network, error) {
	t.Helper()
	networks++
	n := &network{t: t, prefix: fmt.Sprintf("hx%x%s", os.Getpid()%0xffff, strconv.FormatInt(networks, 36)), hosts: map[string]string{}, cuts: map[[2]string]bool{}}
	n.subnet = fmt.Sprintf("10.%d.%d.", 64+os.Getpid()%128, (int64(os.Getpid())+networks)%256)
	if _, err := exec.LookPath("nsenter"); err != nil {
		return nil, err
	}
	t.Cleanup(n.remove)
	return n, errors.Join(
		ip("link", "add", n.prefix, "type", "bridge", "forward_delay", "0"),
		ip("addr", "add", n.subnet+"254/24", "dev", n.prefix),
		ip("link", "set", n.prefix, "up"),
	)
}

// ip configures the network.
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func (n *network) space(host string) string { return n.prefix + host }

// host adds a host and returns its address.
func (n *network) host(name string) string {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	space, address := n.space(name), fmt.Sprintf("%s%d", n.subnet, len(n.hosts)+1)
	near, far := n.prefix+"-"+name, "eth0"
	err := ip("netns", "add", space)
	n.hosts[name] = address
	for _, args := range [][]string{
		{"link", "add", near, "type", "veth", "peer", "name", far, "netns", space},
		{"link", "set", near, "master", n.prefix, "up"},
		{"-n", space, "addr", "add", address + "/24", "dev", far},
		{"-n", space, "link", "set", "lo", "up"},
		{"-n", space, "link", "set", far, "up"},
	} {
		if err == nil {
			err = ip(args...)
		}
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return address
}

// on has a command run on a host; it keeps its process id.
func (n *network) on(host string, cmd *exec.Cmd) *exec.Cmd {
	moved := exec.Command("nsenter", append([]string{"--net=/run/netns/" + n.space(host), cmd.Path}, cmd.Args[1:]...)...)
	moved.Env, moved.Dir = cmd.Env, cmd.Dir
	return moved
}

// cut has whatever one host sends to the other vanish; join ends it. What comes
// back still arrives.
func (n *network) cut(from, to string) { n.set(from, to, true) }

func (n *network) join(from, to string) { n.set(from, to, false) }

func (n *network) set(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if from == to || n.cuts[[2]string{from, to}] == cut {
		return
	}
	n.cuts[[2]string{from, to}] = cut
	args := []string{"-n", n.space(from), "neigh", "replace", n.hosts[to], "dev", "eth0", "lladdr", nobody, "nud", "permanent"}
	if !cut {
		args = []string{"-n", n.space(from), "neigh", "del", n.hosts[to], "dev", "eth0"}
	}
	if err := ip(args...); err != nil {
		n.t.Error(err)
	}
}

// isolate cuts a host off from some others, both ways.
func (n *network) isolate(host string, others ...string) {
	for _, other := range others {
		n.cut(host, other)
		n.cut(other, host)
	}
}

// heal ends all cuts.
func (n *network) heal() {
	n.mu.Lock()
	var cuts [][2]string
	for link, cut := range n.cuts {
		if cut {
			cuts = append(cuts, link)
		}
	}
	n.mu.Unlock()
	for _, link := range cuts {
		n.join(link[0], link[1])
	}
}

func (n *network) remove() {
	for name := range n.hosts {
		_ = ip("netns", "del", n.space(name)) // with all that is in it
	}
	_ = ip("link", "del", n.prefix)
}

// A link that is cut one way carries nothing that way, and all the other way;
// connections that were open are cut as well, and go on when it is healed.
func TestNetworkCuts(t *testing.T) {
	n, err := newNetwork(t)
	if err != nil {
		t.Skip("no network namespaces here: ", err)
	}
	a, b := n.host("a"), n.host("b")
	reaches := func(from, to string) bool {
		// What comes back takes the other way, so it is one packet, and who gets it that tells.
		listener := n.on(map[string]string{a: "a", b: "b"}[to], exec.Command(os.Args[0]))
		listener.Env = append(os.Environ(), datagramEnv+"="+to+":4000")
		out, err := listener.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := listener.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Wait() }()
		defer func() { _ = listener.Process.Kill() }()
		said := make([]byte, 1)
		if _, err := out.Read(said); err != nil { // it listens
			t.Fatal(err)
		}
		sender := n.on(map[string]string{a: "a", b: "b"}[from], exec.Command(os.Args[0]))
		sender.Env = append(os.Environ(), datagramEnv+"=>"+to+":4000")
		if out, err := sender.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		heard := make(chan bool, 1)
		go func() {
			_, err := out.Read(said)
			heard <- err == nil
		}()
		select {
		case ok := <-heard:
			return ok
		case <-time.After(300 * time.Millisecond):
			return false
		}
	}
	want := func(what string, ab, ba bool) {
		t.Helper()
		if got := reaches(a, b); got != ab {
			t.Errorf("%s: a reaches b: %t", what, got)
		}
		if got := reaches(b, a); got != ba {
			t.Errorf("%s: b reaches a: %t", what, got)
		}
	}
	want("whole", true, true)
	n.cut("a", "b")
	want("cut one way", false, true)
	n.cut("b", "a")
	want("cut both ways", false, false)
	n.heal()
	want("healed", true, true)
}

// datagramEnv makes the test binary send a datagram to an address, or wait for
// one there: "L" on stdout says that it listens, "D" that one came.
const datagramEnv = "HONE_TEST_DATAGRAM"

func init() {
	roles[datagramEnv] = func(what string) int {
		if err := datagram(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
}

func datagram(what string) error {
	if to, sends := strings.CutPrefix(what, ">"); sends {
		conn, err := net.Dial("udp", to)
		if err != nil {
			return err
		}
		for range 3 { // the first may wait for the address to be found
			if _, e := conn.Write([]byte("hello")); !errors.Is(e, syscall.ECONNREFUSED) { // who has heard enough has gone
				err = errors.Join(err, e)
			}
		}
		return errors.Join(err, conn.Close())
	}
	conn, err := net.ListenPacket("udp", what)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Print("L")
	if _, _, err := conn.ReadFrom(make([]byte, 16)); err != nil {
		return err
	}
	fmt.Print("D")
	return nil
}
