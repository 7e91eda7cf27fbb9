package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/coordinator"
)

// peerOptions say how a server is one node of a cluster.
type peerOptions struct {
	// node is its name. join are addresses of nodes that it asks to be admitted.
	node string
	join []string
	// clustered: other nodes may join it. listen is where they reach it; default: the
	// port after that of HTTP.
	clustered bool
	listen    string
	// advertise is the host by which others reach the node, where it listens on all
	// addresses.
	advertise    string
	certificates *coordinator.Certificates
	deadAfter    time.Duration
}

func peerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "node", Value: "n1", Usage: "the node's `NAME` in its cluster, stable over restarts"},
		&cli.StringSliceFlag{Name: "join", Usage: "join the cluster of the node at `HOST:PORT` (its HTTP address), repeatable"},
		&cli.StringFlag{Name: "peer-listen", Usage: "let other nodes reach this one at `HOST:PORT`", DefaultText: "with --node or --join: the port after --listen's"},
		&cli.StringFlag{Name: "advertise", Usage: "the `HOST` by which clients and nodes reach this one", DefaultText: "that of --listen"},
		&cli.StringFlag{Name: "peer-ca", Usage: "accept nodes whose certificate this authority signed: PEM `FILE`, read again when it changes"},
		&cli.StringFlag{Name: "peer-cert", Usage: "show other nodes the certificate in PEM `FILE`"},
		&cli.StringFlag{Name: "peer-key", Usage: "its key, in PEM `FILE`"},
		&cli.DurationFlag{Name: "dead-after", Value: 24 * time.Hour, Usage: "remove a node that was not reached for `TIME`, as long as three remain; 0 never"},
	}
}

// peersOf reads the flags.
func peersOf(c *cli.Context) (peerOptions, error) {
	o := peerOptions{node: c.String("node"), join: c.StringSlice("join"), listen: c.String("peer-listen"),
		advertise: c.String("advertise"), deadAfter: c.Duration("dead-after")}
	o.clustered = c.IsSet("node") || len(o.join) > 0 || o.listen != ""
	if o.deadAfter < 0 {
		return o, usage("--dead-after is a time from 0, not %v", o.deadAfter)
	}
	authority, certificate, key := c.String("peer-ca"), c.String("peer-cert"), c.String("peer-key")
	if authority != "" || certificate != "" || key != "" {
		if authority == "" || certificate == "" || key == "" {
			return o, usage("--peer-ca, --peer-cert and --peer-key go together: nodes know each other by certificates of one authority")
		}
		o.clustered = true
		o.certificates = &coordinator.Certificates{Authority: authority, Certificate: certificate, Key: key}
	}
	return o, nil
}

// open listens to other nodes; nil where there are none. http is where this node
// serves clients.
func (o *peerOptions) open(ctx context.Context, http net.Addr, insecure bool) (*coordinator.Peers, error) {
	if !o.clustered {
		return nil, nil
	}
	host, port, err := net.SplitHostPort(http.String())
	if err != nil {
		return nil, err
	}
	if o.listen == "" {
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		o.listen = net.JoinHostPort(host, strconv.Itoa(n+1))
	}
	// With certificates nobody gets in who has none.
	listener, err := listenAt(ctx, "--peer-listen", o.listen, insecure || o.certificates != nil)
	if err != nil {
		return nil, err
	}
	return &coordinator.Peers{Listener: listener, Address: o.reached(listener.Addr()), Certificates: o.certificates}, nil
}

// reached is how others reach an address at which this process listens.
func (o *peerOptions) reached(at net.Addr) string {
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return at.String()
	}
	if ip := net.ParseIP(host); o.advertise == "" && ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	if o.advertise != "" {
		host = o.advertise
	}
	return net.JoinHostPort(host, port)
}

// raftDir is where a server keeps its node.
func raftDir(data string) string { return filepath.Join(data, "raft") }

// joinPatience is how long a new node waits for one that it can join.
const joinPatience = 30 * time.Second

// clusterToJoin asks which cluster a new node joins; one that belongs to a cluster
// already does not ask.
func (o *peerOptions) clusterToJoin(ctx context.Context, data string) (id string, err error) {
	if len(o.join) == 0 {
		return "", nil
	}
	if _, err := os.Stat(filepath.Join(raftDir(data), "cluster")); !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	client := api.New(strings.Join(o.join, ","))
	client.Patience = joinPatience
	node, err := client.Node(ctx)
	if err != nil {
		return "", fmt.Errorf("--join: %w", err)
	}
	return node.Cluster, nil
}

// urls are the addresses as URLs.
func urls(addresses []string) []string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		if out[i] = strings.TrimRight(a, "/"); !strings.Contains(a, "://") {
			out[i] = "http://" + out[i]
		}
	}
	return out
}
