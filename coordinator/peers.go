package coordinator

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"hone/coordinator/state"
	"hone/loop"
)

// Peers is how a node and the others of its cluster reach each other.
type Peers struct {
	// Listener takes their connections.
	Listener net.Listener
	// Address, HOST:PORT, is the one that others are told. Default: the Listener's.
	Address string
	// Certificates are shown, and demanded, at both ends; nil for plain TCP.
	Certificates *Certificates
}

// peerTimeout bounds one call of a peer; a snapshot has it per 256 KiB.
const peerTimeout = 5 * time.Second

// transport is what raft calls others by.
type transport interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// ordered is a transport without raft's short cut for heartbeats. They would be
// answered beside the main loop, by a function that is written for the main loop
// alone, and race with it (hashicorp/raft issue 695: logs that diverge). So they
// queue behind what the loop does, and time-outs have room for a slow disk.
type ordered struct{ transport }

func (ordered) SetHeartbeatHandler(func(raft.RPC)) {}

// wire is the node's transport.
func (n *Node) wire(logger hclog.Logger) (transport, error) {
	if n.o.wire != nil {
		return ordered{n.o.wire}, nil
	}
	if n.o.Peers == nil {
		_, alone := raft.NewInmemTransport(raft.ServerAddress(n.o.Name))
		return ordered{alone}, nil
	}
	s, err := newStream(n.o.Peers, n.Cluster())
	if err != nil {
		return nil, fmt.Errorf("listen to peers: %w", err)
	}
	return ordered{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: s, MaxPool: 3, Timeout: peerTimeout, Logger: logger, ServerAddressProvider: registered{n},
	})}, nil
}

// address is the one at which other nodes reach this one; empty if they do not.
func (n *Node) address() string {
	switch {
	case n.o.wire != nil:
		return string(n.o.wire.LocalAddr())
	case n.o.Peers == nil:
		return ""
	case n.o.Peers.Address != "":
		return n.o.Peers.Address
	default:
		return n.o.Peers.Listener.Addr().String()
	}
}

// registered finds nodes at the address that they gave last: raft's own
// configuration keeps the one that they joined with.
type registered struct{ n *Node }

func (r registered) ServerAddr(id raft.ServerID) (address raft.ServerAddress, err error) {
	r.n.View(func(s *state.State) {
		if known, ok := s.Node(string(id)); ok && known.Address != "" {
			address = raft.ServerAddress(known.Address)
		} else {
			err = fmt.Errorf("node %s has not said where it is reached", id)
		}
	})
	return address, err
}

// stream is raft's connections: TCP, under TLS where there are certificates. Who
// dials says first which cluster it means, which raft never does: a node that founded
// another one where a member was, at the same address, would take the leader's entries
// for its own, and vote.
type stream struct {
	net.Listener
	cluster      loop.Digest
	certificates *Certificates
	advertised   net.Addr
}

func newStream(p *Peers, cluster string) (*stream, error) {
	s := &stream{Listener: p.Listener, cluster: greeting(cluster), certificates: p.Certificates, advertised: p.Listener.Addr()}
	if p.Address != "" {
		s.advertised = address(p.Address)
	}
	if p.Certificates == nil {
		return s, nil
	}
	if _, err := p.Certificates.config(); err != nil {
		return nil, err
	}
	s.Listener = tls.NewListener(p.Listener, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return p.Certificates.config() },
	})
	return s, nil
}

// Addr is the advertised address: raft tells it to others as this node's own.
func (s *stream) Addr() net.Addr { return s.advertised }

// greeting is what a cluster's nodes begin every connection with.
func greeting(cluster string) loop.Digest { return sha256.Sum256([]byte("hone/peer/1 " + cluster)) }

// Accept waits for a connection, which is that of another node once it has been read
// from.
func (s *stream) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &greeted{Conn: conn, want: s.cluster}, nil
}

// greeted is a connection of which the greeting is still to come. It is read by who
// reads from the connection, so that nobody else waits for it.
type greeted struct {
	net.Conn
	want loop.Digest
	done bool
}

func (c *greeted) Read(p []byte) (int, error) {
	if !c.done {
		var got loop.Digest
		if _, err := io.ReadFull(c.Conn, got[:]); err != nil {
			return 0, err
		}
		if got != c.want {
			return 0, fmt.Errorf("%s is of another cluster: if this node is meant to be one of that, start it with --join and an empty --data", c.RemoteAddr())
		}
		c.done = true
	}
	return c.Conn.Read(p)
}

// Dial connects to another node of the cluster. The certificate that it shows must
// name the host that was dialled.
func (s *stream) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	conn, err := s.dial(to, timeout)
	if err != nil {
		return nil, err
	}
	err = conn.SetWriteDeadline(time.Now().Add(timeout))
	if err == nil {
		_, err = conn.Write(s.cluster[:])
	}
	if err == nil {
		err = conn.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (s *stream) dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if s.certificates == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", string(to))
	}
	config, err := s.certificates.config()
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", string(to))
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
