package state

import (
	"fmt"

	"pgregory.net/rapid"
)

// twinNodes is who has said what of itself, and what is in force.
type twinNodes struct {
	known     map[string]Node
	forgotten map[string]bool
	version   int
}

func newTwinNodes() twinNodes {
	return twinNodes{known: map[string]Node{}, forgotten: map[string]bool{}, version: 1}
}

// nodes proposes what nodes, operators and leaders do about them.
func (m *machine) nodes(t *rapid.T) {
	name, instance := rapid.SampledFrom([]string{"n1", "n2", "n3"}).Draw(t, "node"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "instance")
	version := rapid.IntRange(1, LatestVersion).Draw(t, "version")
	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0:
		m.propose(Command{ForgetNode: &ForgetNode{Name: name, Instance: name + instance}})
	case 1:
		m.propose(Command{RaiseVersion: &RaiseVersion{To: version}})
	default:
		n := Node{Name: name, Instance: name + instance, Version: version, Address: fmt.Sprint(name, ":1")}
		m.propose(Command{RegisterNode: &RegisterNode{Node: n}})
	}
}

func (w *twinNodes) register(n Node) (Event, bool) {
	there, ok := w.known[n.Name]
	if w.forgotten[n.Instance] || n.Version < w.version || ok && there.Instance != n.Instance {
		return nil, true
	}
	w.known[n.Name] = n
	return NodeRegistered{Node: n, Changed: there != n}, false
}

func (w *twinNodes) forget(c *ForgetNode) Event {
	if there, ok := w.known[c.Name]; !ok || there.Instance != c.Instance {
		return NodeForgotten{Name: c.Name}
	}
	delete(w.known, c.Name)
	w.forgotten[c.Instance] = true
	return NodeForgotten{Name: c.Name, Forgotten: true}
}

// raise: C25.
func (w *twinNodes) raise(to int) (Event, bool) {
	if to <= w.version {
		return VersionRaised{w.version, true}, false
	}
	for _, n := range w.known {
		if n.Version < to {
			return nil, true
		}
	}
	w.version = to
	return VersionRaised{Version: to}, false
}
