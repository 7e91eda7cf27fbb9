package state

import "testing"

// A name belongs to the instance that took it first, and an address to one node;
// what a node says of itself may change; a late ForgetNode of another instance
// forgets nobody. All of it survives a snapshot.
func TestNodes(t *testing.T) {
	s := New("cluster")
	n1 := Node{Name: "n1", Instance: "a", URL: "http://one", Address: "one:1", Version: 1}
	register := func(n Node) Command { return Command{RegisterNode: &RegisterNode{n}} }
	if got := answer[NodeRegistered](t, s, register(n1)); !got.Changed || got.Node != n1 {
		t.Errorf("%+v", got)
	}
	if got := answer[NodeRegistered](t, s, register(n1)); got.Changed {
		t.Error("the same again changed something")
	}
	n1.Address = "one:2"
	if got := answer[NodeRegistered](t, s, register(n1)); !got.Changed {
		t.Error("another address is no change")
	}
	refusedAs(t, s, Conflict, register(Node{Name: "n1", Instance: "b", Address: "two:1", Version: 1}))
	refusedAs(t, s, Conflict, register(Node{Name: "n2", Instance: "b", Address: "one:2", Version: 1}))
	for _, bad := range []Node{{}, {Name: "a b", Instance: "x", Version: 1}, {Name: "n2", Version: 1}, {Name: "n2", Instance: "x"}} {
		refusedAs(t, s, Invalid, register(bad))
	}
	n2 := Node{Name: "n2", Instance: "b", Address: "two:1", Version: 2}
	answer[NodeRegistered](t, s, register(n2))
	if got := answer[NodeForgotten](t, s, Command{ForgetNode: &ForgetNode{"n2", "other"}}); got.Forgotten {
		t.Error("another instance was forgotten")
	}
	restored(t, s)
	if got := s.Nodes(); len(got) != 2 || got[0] != n1 || got[1] != n2 {
		t.Errorf("%+v", got)
	}
	if got := answer[NodeForgotten](t, s, Command{ForgetNode: &ForgetNode{"n2", "b"}}); !got.Forgotten {
		t.Error("n2 was not forgotten")
	}
	if _, ok := s.Node("n2"); ok {
		t.Error("n2 is known still")
	}
	refusedAs(t, s, Conflict, register(n2))
	restored(t, s)
	n2.Instance = "c"
	answer[NodeRegistered](t, s, register(n2))
}
