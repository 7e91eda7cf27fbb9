package coordinator

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"hone/coordinator/state"
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
	s, err := newStream(n.o.Peers)
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

// stream is raft's connections: TCP, under TLS where there are certificates.
type stream struct {
	net.Listener
	certificates *Certificates
	advertised   net.Addr
}

func newStream(p *Peers) (*stream, error) {
	s := &stream{Listener: p.Listener, certificates: p.Certificates, advertised: p.Listener.Addr()}
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

// Dial connects to another node. The certificate that it shows must name the host
// that was dialled.
func (s *stream) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
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
