//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"hone/api"
	"hone/fault"
)

// tormentor disturbs a rack, in one way after another.
type tormentor struct {
	*rack
	random *rand.Rand
	points []string // where nobody was killed yet
	counts map[string]int
	// reached counts at which points somebody was killed.
	reached map[string]int
	// news is what the last torment did, in words.
	news string
}

// torment is one way to disturb; what it breaks is whole again when it returns.
type torment struct {
	name string
	// net and power say what it takes.
	net, power bool
	do         func(*tormentor)
}

func torments() []torment {
	return []torment{
		{name: "kill -9 the leader", do: func(m *tormentor) { m.killNodes(m.theLeader()) }},
		{name: "kill -9 a follower", do: func(m *tormentor) { m.killNodes(m.follower(m.random)) }},
		{name: "kill -9 all nodes", do: func(m *tormentor) { m.killNodes(m.nodes...) }},
		{name: "kill -9 a node at a point", do: (*tormentor).killAtPoint},
		{name: "stop the leader for a while", do: func(m *tormentor) { m.stop(m.theLeader().name) }},
		{name: "stop a follower for a while", do: func(m *tormentor) { m.stop(m.follower(m.random).name) }},
		{name: "kill -9 workers", do: (*tormentor).killWorkers},
		{name: "stop a worker for a while", do: func(m *tormentor) { m.stop(m.worker()) }},
		{name: "kill -9 the training jobs", do: (*tormentor).killTrainers},
		{name: "transfer leadership", do: (*tormentor).transfer},
		{name: "remove a node, add it again empty", power: true, do: (*tormentor).replace},
		{name: "collect the lake's garbage", do: (*tormentor).collect},
		{name: "a leader's clock jumps", do: (*tormentor).jump},
		{name: "cut the leader off from the nodes", net: true, do: func(m *tormentor) {
			m.partition(func(l *node, others []string) { m.net.isolate(l.name, others...) })
		}},
		{name: "cut the leader off from everybody", net: true, do: func(m *tormentor) {
			m.partition(func(l *node, others []string) { m.net.isolate(l.name, append(others, workHosts...)...) })
		}},
		{name: "nobody hears the leader", net: true, do: func(m *tormentor) {
			m.partition(func(l *node, others []string) {
				for _, other := range others {
					m.net.cut(l.name, other)
				}
			})
		}},
		{name: "the leader hears nobody", net: true, do: func(m *tormentor) {
			m.partition(func(l *node, others []string) {
				for _, other := range others {
					m.net.cut(other, l.name)
				}
			})
		}},
		{name: "the leader and a follower see each other over the third only", net: true, do: func(m *tormentor) {
			m.partition(func(l *node, others []string) { m.net.isolate(l.name, others[m.random.IntN(len(others))]) })
		}},
		{name: "cut workers off from the leader", net: true, do: func(m *tormentor) {
			m.partition(func(l *node, _ []string) { m.net.isolate(l.name, workHosts[m.random.IntN(2)]) })
		}},
		{name: "a node's links flap", net: true, do: (*tormentor).flap},
		{name: "a node's power fails", power: true, do: func(m *tormentor) { m.powerLoss(m.nodes[m.random.IntN(len(m.nodes))]) }},
		{name: "the power of all nodes and the lake fails", power: true, do: func(m *tormentor) { m.powerLoss(m.nodes...) }},
		{name: "a node's disk is full", power: true, do: (*tormentor).fill},
		{name: "a node's disk hangs", power: true, do: (*tormentor).hang},
	}
}

// possible are the torments that can be done here.
func (m *tormentor) possible() (out []torment) {
	for _, one := range torments() {
		if (!one.net || m.net != nil) && (!one.power || m.lake.power != nil) {
			out = append(out, one)
		}
	}
	return out
}

// pause waits for a time that is a part of the torment.
func (m *tormentor) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-m.ctx.Done():
	}
}

// between draws a time; short ones are likelier than long ones.
func (m *tormentor) between(low, high time.Duration) time.Duration {
	u := m.random.Float64()
	return low + time.Duration(u*u*float64(high-low))
}

func (m *tormentor) say(format string, args ...any) { m.news = fmt.Sprintf(format, args...) }

// theLeader waits until there is one.
func (m *tormentor) theLeader() (leader *node) {
	m.await("a leader", func() bool {
		var ok bool
		leader, ok = m.leader()
		return ok
	})
	return leader
}

// excuse lets a node end by itself, until it is started again.
func (m *tormentor) excuse(n *node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mourned[n.name] = true
}

// revive starts a node again if it has ended, and else lets it end no more.
func (m *tormentor) revive(n *node) {
	m.mu.Lock()
	dead := !m.up[n.name].alive()
	m.mourned[n.name] = false
	m.mu.Unlock()
	if dead {
		m.start(n.name)
	}
}

func (m *tormentor) killNodes(nodes ...*node) {
	names := nodeNames(nodes)
	m.say("%v", names)
	m.kill(names...)
	for _, name := range names {
		m.pause(m.between(0, 4*time.Second))
		m.start(name)
	}
}

// killAtPoint starts a node that will kill itself at one of the points, has it
// lead, and starts it again.
func (m *tormentor) killAtPoint() {
	if len(m.points) == 0 {
		m.points = slices.Collect(maps.Keys(fault.Points))
		slices.Sort(m.points)
		m.random.Shuffle(len(m.points), func(i, j int) { m.points[i], m.points[j] = m.points[j], m.points[i] })
	}
	point := m.points[0]
	n := m.follower(m.random)
	m.kill(n.name)
	n.mu.Lock()
	n.fault = fmt.Sprintf("%s=kill@%d", point, 1+m.random.IntN(8))
	m.say("%s, %s", n.name, n.fault)
	n.mu.Unlock()
	m.start(n.name)
	m.excuse(n)
	m.mu.Lock()
	armed := m.up[n.name]
	m.mu.Unlock()
	limit := time.Now().Add(15 * time.Second)
	for asked := false; armed.alive() && time.Now().Before(limit) && m.ctx.Err() == nil; {
		if !asked {
			ctx, cancel := context.WithTimeout(m.ctx, 2*time.Second)
			_, err := m.client.Transfer(ctx, n.name)
			cancel()
			asked = err == nil
		}
		m.pause(100 * time.Millisecond)
	}
	if !armed.alive() {
		m.points = m.points[1:]
		m.reached[point]++
	} else {
		m.points = append(m.points[1:], point)
		m.news += ": it did not come there"
		m.kill(n.name)
	}
	m.revive(n)
}

// stop is SIGSTOP, and SIGCONT after 1 to 30 seconds.
func (m *tormentor) stop(name string) {
	d := m.between(time.Second, 30*time.Second)
	m.say("%s for %v", name, d.Round(time.Millisecond))
	m.mu.Lock()
	p := m.up[name]
	m.mu.Unlock()
	_ = p.cmd.Process.Signal(syscall.SIGSTOP) // or it has ended already
	m.pause(d)
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
}

func (m *tormentor) worker() string { return m.named("w")[m.random.IntN(workers)] }

// named are those of the crew whose names begin so, and who have been started.
func (c *crew) named(prefix string) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.up {
		if len(name) > len(prefix) && name[:len(prefix)] == prefix {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (m *tormentor) killWorkers() {
	names := m.named("w")
	m.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:1+m.random.IntN(len(names))]
	m.say("%v", names)
	m.kill(names...)
	m.pause(m.between(0, 3*time.Second))
	m.start(names...)
}

func (m *tormentor) killTrainers() {
	var names []string
	for _, name := range m.named("trainer-") {
		m.mu.Lock()
		if m.up[name].alive() {
			names = append(names, name)
		}
		m.mu.Unlock()
	}
	m.say("%v", names)
	for _, name := range names {
		m.kill(name)
		m.mu.Lock()
		done := m.up[name].code == 0 // it came to its end just before
		m.mu.Unlock()
		if !done {
			m.start(name)
		}
	}
}

func (m *tormentor) transfer() {
	to := m.follower(m.random).name
	_, err := m.client.Transfer(m.ctx, to)
	m.say("to %s: %v", to, err)
}

// replace removes a follower, and adds it again with an empty disk.
func (m *tormentor) replace() {
	n := m.follower(m.random)
	m.excuse(n) // it stops when it hears of it
	var err error
	for range 50 {
		if _, err = m.client.RemoveMember(m.ctx, n.name); err == nil {
			break
		}
		m.pause(200 * time.Millisecond) // it is refused while another node is not well
	}
	m.say("%s: %v", n.name, err)
	if err != nil {
		m.revive(n)
		return
	}
	m.kill(n.name)
	err = n.disk.power.Unmount()
	if err == nil {
		err = n.disk.power.Wipe()
	}
	if err == nil {
		err = n.disk.power.Mount(n.disk.at)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.start(n.name)
	m.await(n.name+" to vote again", func() bool { return m.votes(n) })
}

func (m *tormentor) collect() {
	collected, err := m.client.CollectLake(m.ctx, api.Collect{})
	m.say("%+v: %v", collected, err)
}

// jump moves the leader's clock by up to two hours, and back.
func (m *tormentor) jump() {
	n := m.theLeader()
	off := time.Duration(m.random.Int64N(int64(4*time.Hour))) - 2*time.Hour
	if m.random.IntN(2) == 0 {
		off /= 30 // what C24 allows
	}
	m.say("%s by %v", n.name, off.Round(time.Second))
	if err := os.WriteFile(n.clock, []byte(off.String()), 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.pause(m.between(time.Second, 10*time.Second))
	if err := os.Remove(n.clock); err != nil {
		m.t.Fatal(err)
	}
}

// workHosts are the hosts of workers; labHost, that of training jobs.
var workHosts = []string{"g1", "g2"}

const labHost = "lab"

// partition cuts links of the leader for a while.
func (m *tormentor) partition(cut func(leader *node, others []string)) {
	leader := m.theLeader()
	var others []string
	for _, n := range m.nodes {
		if n != leader {
			others = append(others, n.name)
		}
	}
	d := m.between(time.Second, 15*time.Second)
	m.say("%s for %v", leader.name, d.Round(time.Millisecond))
	cut(leader, others)
	m.pause(d)
	m.net.heal()
}

func (m *tormentor) flap() {
	n := m.nodes[m.random.IntN(len(m.nodes))]
	var others []string
	for _, other := range m.nodes {
		if other != n {
			others = append(others, other.name)
		}
	}
	times := 3 + m.random.IntN(10)
	m.say("%s, %d times", n.name, times)
	for range times {
		m.net.isolate(n.name, others...)
		m.pause(m.between(50*time.Millisecond, 1500*time.Millisecond))
		m.net.heal()
		m.pause(m.between(50*time.Millisecond, 1500*time.Millisecond))
	}
}

// powerLoss cuts the power of nodes; of the lake as well if it is all of them.
func (m *tormentor) powerLoss(nodes ...*node) {
	m.kill(nodeNames(nodes)...)
	var disks []*disk
	for _, n := range nodes {
		disks = append(disks, n.disk)
	}
	if len(nodes) == len(m.nodes) {
		disks = append(disks, m.lake)
	}
	var torn *rand.Rand
	if m.random.IntN(2) == 0 {
		torn = m.random
	}
	lost := m.lose(torn, disks...)
	m.say("%v, some of it written: %t; lost %+v", nodeNames(nodes), torn != nil, lost)
	for _, n := range nodes {
		m.pause(m.between(0, 2*time.Second))
		m.start(n.name)
	}
}

// grace is how long a node whose disk was bad may take to end by itself.
const grace = 3 * time.Second

// fill fills a node's disk up, and makes room again. The node may end.
func (m *tormentor) fill() {
	n := m.nodes[m.random.IntN(len(m.nodes))]
	m.excuse(n)
	ballast := filepath.Join(n.disk.store, "ballast")
	file, err := os.Create(ballast)
	if err != nil {
		m.t.Fatal(err)
	}
	// All of it, or all but a little; the node takes of it meanwhile.
	spared := int64(m.random.IntN(2) * m.random.IntN(1<<20))
	for err = syscall.ENOSPC; err == syscall.ENOSPC; spared += 1 << 16 {
		var s syscall.Statfs_t
		if err = syscall.Statfs(n.disk.store, &s); err == nil {
			err = syscall.Fallocate(int(file.Fd()), 0, 0, max(1, int64(s.Bavail)*s.Bsize-spared))
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		m.t.Fatal(err)
	}
	d := m.between(2*time.Second, 12*time.Second)
	m.pause(d)
	if err := os.Remove(ballast); err != nil {
		m.t.Fatal(err)
	}
	m.pause(grace)
	m.mu.Lock()
	ended := !m.up[n.name].alive()
	m.mu.Unlock()
	m.say("%s for %v; it ended: %t", n.name, d.Round(time.Millisecond), ended)
	m.revive(n)
}

// hang lets no sync of a node's disk come back for a while. The node may end.
func (m *tormentor) hang() {
	n := m.nodes[m.random.IntN(len(m.nodes))]
	m.excuse(n)
	d := m.between(time.Second, 20*time.Second)
	n.disk.power.Stall(true)
	m.pause(d)
	n.disk.power.Stall(false)
	m.pause(grace)
	m.mu.Lock()
	ended := !m.up[n.name].alive()
	m.mu.Unlock()
	m.say("%s for %v; it ended: %t", n.name, d.Round(time.Millisecond), ended)
	m.revive(n)
}
