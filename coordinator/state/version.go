package state

import (
	"fmt"
	"slices"
	"strings"
)

// The versions of the encoding of entries and snapshots (C25). Version 1 is what a
// cluster begins with; version 2 has the account of money, compaction and folding.
// A field or command that an older build does not know belongs to a version of its
// own, and [Command.Needs] says so.
const (
	FirstVersion  = 1
	LatestVersion = 2
)

// VersionError says that something was encoded by a build that this one does not
// understand. A node that meets one must stop (C25).
type VersionError struct {
	// What is "entry", "snapshot" or "cluster".
	What string
	// Got is the version met, Known the latest that this node understands.
	Got, Known int
}

func (e *VersionError) Error() string {
	if e.Got < FirstVersion {
		return fmt.Sprintf("%s of encoding version %d, which never was", e.What, e.Got)
	}
	return fmt.Sprintf("%s of encoding version %d, but this node understands only up to %d: start it with a newer build", e.What, e.Got, e.Known)
}

// checkVersion refuses what a node that understands versions up to known does not.
func checkVersion(what string, version byte, known int) error {
	if got := int(version); got < FirstVersion || got > min(known, LatestVersion) {
		return &VersionError{what, got, min(known, LatestVersion)}
	}
	return nil
}

// Needs is the version of the encoding that the command is written in. A leader
// proposes it only when that version is in force.
func (c *Command) Needs() int {
	switch {
	case c.Account != nil, c.Compact != nil, c.Commit != nil && len(c.Commit.Meters) > 0, c.GiveUp != nil && (c.GiveUp.Reason != "" || c.GiveUp.Version != 0):
		return 2
	}
	return FirstVersion
}

// needs is the version that the entry is written in: the oldest that has all its
// commands, so that those who know only that can read it.
func (e *Entry) needs() int {
	version := FirstVersion
	for i := range e.Commands {
		version = max(version, e.Commands[i].Needs())
	}
	return version
}

// Version is the encoding version in force (C25).
func (s *State) Version() int { return s.version }

// raiseVersion puts a version in force. From then on a node that does not
// understand it must stop, so that all nodes have said that they do.
func (s *State) raiseVersion(c *RaiseVersion) Event {
	if c.To <= s.version {
		return VersionRaised{Version: s.version, Duplicate: true}
	}
	if c.To > 255 {
		return *refused(Invalid, "to", "version %d does not fit into the byte that says it", c.To)
	}
	if behind := s.Behind(c.To); len(behind) > 0 {
		return *refused(Conflict, "to", "%s not encoding version %d", understand(behind), c.To).
			remedy("upgrade them first, or remove them: hone cluster remove NODE")
	}
	s.version = c.To
	return VersionRaised{Version: s.version}
}

// Behind are the nodes that do not understand a version, by name.
func (s *State) Behind(version int) []Node {
	return slices.DeleteFunc(s.Nodes(), func(n Node) bool { return n.Version >= version })
}

// CheckVersion refuses a command that needs a later version than the one in force:
// where nodes are still to be upgraded, by a Conflict that names them; where all
// were, and only the raise is not applied yet, as Stale.
func (s *State) CheckVersion(c *Command) *Refused {
	needs := c.Needs()
	if needs <= s.version {
		return nil
	}
	if behind := s.Behind(needs); len(behind) > 0 {
		return refused(Conflict, "", "this needs encoding version %d of the cluster, which has version %d: %s no later one", needs, s.version, understand(behind)).
			remedy("upgrade these nodes; what all understand is put in force by itself")
	}
	return refused(Stale, "", "this needs encoding version %d of the cluster, which has version %d until the leader raises it", needs, s.version).
		remedy("try again in a moment")
}

func understand(nodes []Node) string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.Name
		if n.Build != "" {
			names[i] += " (build " + n.Build + ")"
		}
	}
	if len(names) == 1 {
		return "node " + names[0] + " understands"
	}
	return "nodes " + strings.Join(names, ", ") + " understand"
}
