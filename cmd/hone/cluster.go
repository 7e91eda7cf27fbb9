package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/google/renameio/v2"
	"github.com/urfave/cli/v2"

	"hone/api"
	"hone/coordinator"
)

func clusterCommand() *cli.Command {
	return &cli.Command{
		Name:  "cluster",
		Usage: "the nodes that decide together, and who leads them",
		Description: `Three nodes keep all that was acknowledged when any one of them is lost; five, any
two. Each is started by hone serve --node NAME, and all but the first with --join.`,
		Subcommands: []*cli.Command{
			{
				Name:        "status",
				Usage:       "list the nodes: who leads, who votes, how far each is",
				Description: "Example:\n   hone cluster status",
				Action: func(c *cli.Context) error {
					if _, err := arguments(c); err != nil {
						return err
					}
					cluster, err := client(c).Cluster(c.Context)
					return showCluster(c, cluster, err)
				},
			},
			{
				Name:      "add",
				Usage:     "let a node that has joined vote at once",
				ArgsUsage: "NODE",
				Description: `A node that is started with --join asks to be admitted by itself, and votes when
it has been stable for 10 seconds; this does not wait.

Example:
   hone cluster add n3`,
				Action: func(c *cli.Context) error {
					args, err := arguments(c, "NODE")
					if err != nil {
						return err
					}
					cluster, err := client(c).Promote(c.Context, args[0])
					return showCluster(c, cluster, err)
				},
			},
			{
				Name:      "remove",
				Usage:     "remove a node for good",
				ArgsUsage: "NODE",
				Description: `The node stops. To join again it needs an empty --data. It is refused where too few
of the others could decide anything.

Example:
   hone cluster remove n3`,
				Action: func(c *cli.Context) error {
					args, err := arguments(c, "NODE")
					if err != nil {
						return err
					}
					patient := client(c)
					patient.Patience = 15 * time.Second // a leader first hands its leadership over
					cluster, err := patient.RemoveMember(c.Context, args[0])
					return showCluster(c, cluster, err)
				},
			},
			{
				Name:        "transfer",
				Usage:       "hand leadership to another node, before the one that leads is stopped, say",
				ArgsUsage:   "[NODE]",
				Description: "Without a name it goes to whichever node has most of the log.\n\nExample:\n   hone cluster transfer n2",
				Action: func(c *cli.Context) error {
					to := ""
					if c.NArg() > 0 {
						args, err := arguments(c, "NODE")
						if err != nil {
							return err
						}
						to = args[0]
					}
					if _, err := client(c).Transfer(c.Context, to); err != nil {
						return err
					}
					cluster, err := client(c).Cluster(c.Context)
					return showCluster(c, cluster, err)
				},
			},
			{
				Name:  "verify",
				Usage: "compare the states of all nodes at one place in the log",
				Description: `Fails where two differ, which no fault of a machine may bring about: stop the node
that differs, and report it.

Example:
   hone cluster verify`,
				Action: func(c *cli.Context) error {
					if _, err := arguments(c); err != nil {
						return err
					}
					v, err := client(c).Verify(c.Context)
					if err != nil {
						return err
					}
					if err := show(c, v, func(w io.Writer) { writeVerification(w, &v) }); err != nil {
						return err
					}
					if !v.Equal {
						return fmt.Errorf("the states differ at entry %d", v.Index)
					}
					return nil
				},
			},
			{
				Name:  "confirm-clock",
				Usage: "say that the leader's clock is right, when it decides nothing because it doubts that",
				Description: `A leader whose clock is more than five minutes off what the log says, and what has
passed since, decides nothing until somebody has looked.

Example:
   hone cluster confirm-clock`,
				Action: func(c *cli.Context) error {
					if _, err := arguments(c); err != nil {
						return err
					}
					cluster, err := client(c).ConfirmClock(c.Context)
					return showCluster(c, cluster, err)
				},
			},
			clusterSnapshotCommand(),
			clusterRestoreCommand(),
		},
	}
}

func clusterSnapshotCommand() *cli.Command {
	return &cli.Command{
		Name:  "snapshot",
		Usage: "save the state of the cluster in a file",
		Description: `The file holds all that the nodes know; the lake is not in it, and is to be kept as
long as the file. hone cluster restore makes a cluster of it.

Example:
   hone cluster snapshot --to monday.snapshot`,
		Flags: []cli.Flag{&cli.StringFlag{Name: "to", Usage: "write to `FILE`"}},
		Action: func(c *cli.Context) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			if err := required(c, "to"); err != nil {
				return err
			}
			snapshot, err := client(c).Snapshot(c.Context)
			if err != nil {
				return err
			}
			defer snapshot.Close()
			// It appears whole and checked, or not at all.
			file, err := renameio.NewPendingFile(c.String("to"), renameio.WithPermissions(0o600))
			if err != nil {
				return err
			}
			defer file.Cleanup()
			if _, err := io.Copy(file, snapshot); err != nil {
				return fmt.Errorf("snapshot: %w", err)
			}
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				return err
			}
			about, err := coordinator.InspectSnapshot(file)
			if err != nil {
				return fmt.Errorf("snapshot: what came is not whole: %w", err)
			}
			if err := file.CloseAtomicallyReplace(); err != nil {
				return err
			}
			return showSnapshot(c, about, "wrote "+c.String("to"))
		},
	}
}

func clusterRestoreCommand() *cli.Command {
	return &cli.Command{
		Name:      "restore",
		Usage:     "make a new first node of a snapshot, when all nodes are lost",
		ArgsUsage: "FILE",
		Description: `It makes a directory from which hone serve goes on as a cluster of one, with the
lake that the snapshot is of; other nodes join it with empty directories. What the
cluster acknowledged after the snapshot was taken is not in it, so where more than
half of the nodes live there is nothing to restore: start new ones with --join.

Example:
   hone cluster restore monday.snapshot --data ./n1 --node n1
   hone serve --node n1 --data ./n1 --lake ./lake`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data", Value: "./hone-data", Usage: "make the node in `DIR`, in which there is none"},
			&cli.StringFlag{Name: "node", Value: "n1", Usage: "call it `NAME`"},
		},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "FILE")
			if err != nil {
				return err
			}
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			unlock, err := lockDir(c.String("data"))
			if err != nil {
				return err
			}
			defer unlock()
			about, err := coordinator.RestoreSnapshot(raftDir(c.String("data")), c.String("node"), file)
			if err != nil {
				return err
			}
			return showSnapshot(c, about, "made node "+c.String("node")+" in "+c.String("data"))
		},
	}
}

func showSnapshot(c *cli.Context, about api.Snapshot, what string) error {
	return show(c, about, func(w io.Writer) {
		fmt.Fprintf(w, "%s: cluster %s, %s, sequence %d\n", what, about.Cluster, about.At.Format(time.RFC3339), about.Sequence)
	})
}

func showCluster(c *cli.Context, cluster api.Cluster, err error) error {
	if err != nil {
		return err
	}
	return show(c, cluster, func(w io.Writer) { writeCluster(w, &cluster) })
}

func writeCluster(w io.Writer, c *api.Cluster) {
	facts(w,
		"cluster", c.ID,
		"leader", c.Leader,
		"sequence", digits(c.Sequence),
		"encoding", strconv.Itoa(c.Version),
		"may fail now", strconv.Itoa(c.Tolerate),
	)
	fmt.Fprintln(w)
	rows := make([][]string, len(c.Members))
	for i, m := range c.Members {
		health := "healthy"
		switch {
		case !m.Healthy && m.SilentMillis > 2000:
			health = "silent for " + (time.Duration(m.SilentMillis) * time.Millisecond).Round(time.Second).String()
		case !m.Healthy:
			health = "not healthy"
		}
		rows[i] = []string{m.Name, m.Role, health, digits(m.LastIndex), m.URL, m.Address, m.Build}
	}
	grid(w, []string{"NODE", "ROLE", "HEALTH", "LOG", "URL", "PEERS", "BUILD"}, rows)
}

func writeVerification(w io.Writer, v *api.Verification) {
	facts(w, "entry", digits(v.Index), "sequence", digits(v.Sequence), "digest", v.Digest)
	fmt.Fprintln(w)
	rows := make([][]string, len(v.Nodes))
	for i, n := range v.Nodes {
		verdict := "equal"
		switch {
		case n.Digest == "":
			verdict = "not known: " + n.Problem
		case n.Digest != v.Digest:
			verdict = "DIFFERS: " + n.Digest
		}
		rows[i] = []string{n.Name, verdict}
	}
	grid(w, []string{"NODE", "STATE"}, rows)
}
