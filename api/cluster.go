package api

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Node is one node of the cluster, as it says of itself.
type Node struct {
	Name     string `json:"name" example:"n1"`
	Instance string `json:"instance" doc:"Drawn when its directory was made: tells it from another of its name"`
	Cluster  string `json:"cluster,omitempty" doc:"The id of its cluster"`
	URL      string `json:"url,omitempty" doc:"Where clients reach it"`
	Address  string `json:"address,omitempty" doc:"Where other nodes reach it"`
	Role     string `json:"role,omitempty" enum:"starting,leader,follower,stopped"`
	Leader   string `json:"leader,omitempty" doc:"The node that leads, as far as this one knows"`
	Term     uint64 `json:"term,omitempty"`
	LastTerm uint64 `json:"last_term,omitempty" doc:"The term of the last entry of its log"`
	// LastIndex and Applied are places in the log.
	LastIndex     uint64      `json:"last_index,omitempty" doc:"The last entry of its log"`
	Applied       uint64      `json:"applied,omitempty" doc:"The last entry that its state has seen"`
	Sequence      uint64      `json:"sequence" doc:"The last change of its state's catalogue"`
	ContactMillis int64       `json:"contact_millis" doc:"Since it heard of a leader; -1 for never"`
	Version       int         `json:"version" doc:"The greatest encoding version that it understands"`
	Build         string      `json:"build,omitempty"`
	Checkpoint    *Checkpoint `json:"checkpoint,omitempty"`
}

// Checkpoint is the digest of a node's state at one place in the log.
type Checkpoint struct {
	Index    uint64 `json:"index"`
	Sequence uint64 `json:"sequence"`
	Digest   string `json:"digest"`
}

// Cluster is the cluster as its leader, or another node, sees it.
type Cluster struct {
	ID       string   `json:"id"`
	Leader   string   `json:"leader,omitempty"`
	Term     uint64   `json:"term"`
	Sequence uint64   `json:"sequence"`
	Version  int      `json:"version" doc:"The encoding version that is written"`
	Tolerate int      `json:"tolerates" doc:"How many voters may fail now; only the leader knows"`
	Members  []Member `json:"members"`
}

// Member is one node of a cluster.
type Member struct {
	Name    string `json:"name"`
	Role    string `json:"role" enum:"leader,voter,joining,forgotten" doc:"Who is joining receives the log, and votes when it has been stable for 10 s"`
	URL     string `json:"url,omitempty"`
	Address string `json:"address,omitempty"`
	Healthy bool   `json:"healthy"`
	// LastIndex and ContactMillis are as the node said last.
	LastIndex     uint64 `json:"last_index,omitempty"`
	ContactMillis int64  `json:"contact_millis" doc:"Since it heard of the leader; -1 where it is not known"`
	SilentMillis  int64  `json:"silent_millis,omitempty" doc:"Since the leader could ask it last"`
	Version       int    `json:"version,omitempty"`
	Build         string `json:"build,omitempty"`
}

// Join asks to admit a node.
type Join struct {
	Cluster string `json:"cluster" doc:"The id of the cluster that the node means"`
	Node    Node   `json:"node"`
}

// Transfer asks for another leader.
type Transfer struct {
	To string `json:"to,omitempty" doc:"The node that shall lead; empty for the one that has most of the log"`
}

// Verification compares the states of all nodes at one place in the log.
type Verification struct {
	Index    uint64       `json:"index"`
	Sequence uint64       `json:"sequence"`
	Digest   string       `json:"digest" doc:"The leader's"`
	Equal    bool         `json:"equal" doc:"All that answered have it"`
	Nodes    []NodeDigest `json:"nodes"`
}

// NodeDigest is the digest that a node has, or why it is not known.
type NodeDigest struct {
	Name    string `json:"name"`
	Digest  string `json:"digest,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Node asks the very server that the client speaks to, or whoever of several
// answers first, how it is.
func (c *Client) Node(ctx context.Context) (Node, error) { return get[Node](ctx, c, "/v1/node", nil) }

// Cluster asks who belongs to the cluster.
func (c *Client) Cluster(ctx context.Context) (Cluster, error) {
	return get[Cluster](ctx, c, "/v1/cluster", nil)
}

// Join asks to admit a node, which may be a member already.
func (c *Client) Join(ctx context.Context, j Join) (Cluster, error) {
	return postJSON[Cluster](ctx, c, "/v1/cluster/members", j)
}

// Promote lets a node that has joined vote at once.
func (c *Client) Promote(ctx context.Context, name string) (Cluster, error) {
	return postJSON[Cluster](ctx, c, "/v1/cluster/members"+segments(name)+"/vote", struct{}{})
}

// RemoveMember removes a node for good.
func (c *Client) RemoveMember(ctx context.Context, name string) (Cluster, error) {
	var out Cluster
	err := c.call(ctx, request{method: http.MethodDelete, path: "/v1/cluster/members" + segments(name)}, &out)
	return out, err
}

// Transfer hands leadership over.
func (c *Client) Transfer(ctx context.Context, to string) (Cluster, error) {
	return postJSON[Cluster](ctx, c, "/v1/cluster/transfer", Transfer{To: to})
}

// ConfirmClock says that the leader's clock is right, whatever the log says.
func (c *Client) ConfirmClock(ctx context.Context) (Cluster, error) {
	return postJSON[Cluster](ctx, c, "/v1/cluster/clock", struct{}{})
}

// Verify compares the states of all nodes.
func (c *Client) Verify(ctx context.Context) (Verification, error) {
	return postJSON[Verification](ctx, c, "/v1/cluster/verify", struct{}{})
}

// Snapshot opens a snapshot of the leader's state; it ends with its SHA-256.
func (c *Client) Snapshot(ctx context.Context) (io.ReadCloser, error) {
	answer, err := c.send(ctx, request{method: http.MethodGet, path: "/v1/cluster/snapshot"})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Snapshot says what a snapshot of a cluster's state holds.
type Snapshot struct {
	Cluster  string    `json:"cluster"`
	At       time.Time `json:"at" doc:"The time of the last entry"`
	Sequence uint64    `json:"sequence"`
	Digest   string    `json:"digest"`
}
