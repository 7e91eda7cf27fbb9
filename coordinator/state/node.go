package state

import (
	"maps"
	"slices"

	"hone/loop"
)

// Node is a member of the cluster, as it said of itself.
type Node struct {
	Name string `cbor:"1,keyasint"`
	// Instance is drawn when a node's directory is made: it tells a node that comes
	// back from another one that claims its name.
	Instance string `cbor:"2,keyasint"`
	// URL is where its HTTP API is reached, without a slash at the end; Address,
	// HOST:PORT, where other nodes reach it. A cluster of one may have no Address.
	URL     string `cbor:"3,keyasint,omitempty"`
	Address string `cbor:"4,keyasint,omitempty"`
	// Version is the greatest encoding version that it understands (C25), Build the
	// version of the program.
	Version int    `cbor:"5,keyasint,omitempty"`
	Build   string `cbor:"6,keyasint,omitempty"`
}

const (
	// maxNodeText bounds each text that a node says of itself, in bytes.
	maxNodeText = 1024
	// maxForgotten is how many nodes that were removed are remembered.
	maxForgotten = 256
)

func (n *Node) check() *Refused {
	switch {
	case !loop.ValidName(n.Name):
		return refused(Invalid, "node", "%q is not a node's name", n.Name).
			remedy("a letter, then up to 62 letters, digits, '_', '.' or '-'")
	case n.Instance == "":
		return refused(Invalid, "instance", "node %s does not say which instance it is", n.Name)
	case n.Version < 1:
		return refused(Invalid, "version", "node %s understands encoding version %d; there is none below 1", n.Name, n.Version)
	case max(len(n.Instance), len(n.URL), len(n.Address), len(n.Build)) > maxNodeText:
		return refused(Invalid, "node", "what node %s says of itself has more than %d bytes", n.Name, maxNodeText)
	}
	return nil
}

// registerNode notes what a node says of itself. A name belongs to the instance
// that took it first, until that is forgotten.
func (s *State) registerNode(c *RegisterNode) Event {
	n := c.Node
	if r := n.check(); r != nil {
		return *r
	}
	if slices.Contains(s.forgotten, n.Instance) {
		return *refused(Conflict, "node", "node %s was removed from the cluster", n.Name).
			remedy("start it with an empty --data, and it joins as a new one")
	}
	if n.Version < s.version {
		return *refused(Conflict, "version", "node %s understands encoding version %d, but the cluster has version %d (C25)", n.Name, n.Version, s.version).
			remedy("start it with a build as new as the others'")
	}
	known, ok := s.nodes[n.Name]
	if ok && known.Instance != n.Instance {
		return *refused(Conflict, "node", "another node is called %s, at %s", n.Name, known.Address).
			remedy("choose another --node; if that node lost its disk or is gone for good, first: hone cluster remove " + n.Name)
	}
	for _, other := range s.Nodes() {
		if other.Name != n.Name && n.Address != "" && other.Address == n.Address {
			return *refused(Conflict, "address", "node %s is reached at %s already", other.Name, n.Address).
				remedy("give each node a --peer-listen of its own")
		}
	}
	s.nodes[n.Name] = n
	return NodeRegistered{Node: n, Changed: known != n}
}

// forgetNode forgets a node, whose instance never comes back; where there is another instance, or none, it does
// nothing.
func (s *State) forgetNode(c *ForgetNode) Event {
	known, ok := s.nodes[c.Name]
	if !ok || known.Instance != c.Instance {
		return NodeForgotten{Name: c.Name}
	}
	delete(s.nodes, c.Name)
	// It may run on, cut off, and come back when it has fallen far behind.
	s.forgotten = append(s.forgotten[max(0, len(s.forgotten)+1-maxForgotten):len(s.forgotten):len(s.forgotten)], c.Instance)
	return NodeForgotten{Name: c.Name, Forgotten: true}
}

// Nodes are the members of the cluster that have said what they are, by name.
func (s *State) Nodes() []Node {
	nodes := make([]Node, 0, len(s.nodes))
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		nodes = append(nodes, s.nodes[name])
	}
	return nodes
}

// Node returns what a node has said of itself.
func (s *State) Node(name string) (Node, bool) {
	n, ok := s.nodes[name]
	return n, ok
}
