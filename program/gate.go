package program

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"hone/loop"
)

// Gate is a program that judges samples.
type Gate struct {
	pool *pool
	next atomic.Int64
	// watched has the files of samples looked at again when they are judged.
	watched bool
}

// Specimen is a sample before a gate.
type Specimen struct {
	Space    *loop.Space
	Index    uint64
	Scenario loop.Scenario
	Members  []loop.Member
}

// OpenGate starts a first process of the program and returns when it has
// described itself, or with the reason why not. It is to be closed.
func OpenGate(ctx context.Context, o Options) (*Gate, error) {
	p, err := openPool(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("gate %s: %w", o.Name, err)
	}
	return &Gate{pool: p}, nil
}

// Close stops every process, and returns when nothing of them is left.
func (g *Gate) Close() error { return g.pool.close() }

// Name is what campaigns call the gate.
func (g *Gate) Name() string { return g.pool.o.Name }

// Version is what the program says of itself.
func (g *Gate) Version() string { return g.pool.described.Version }

// Judge has a process judge one sample. Reason is valid UTF-8; scores are finite
// and ascend by name. An error, which is a *Breach if it is the program's, says
// that nothing is known of the sample; whoever asked knows the gate's name. Judge
// may be called concurrently.
func (g *Gate) Judge(ctx context.Context, s Specimen) (accepted bool, reason string, scores []loop.Score, err error) {
	err = g.pool.use(ctx, func(ctx context.Context, process *process, dir string) error {
		accepted, reason, scores, err = g.converse(ctx, process, dir, &s)
		return err
	})
	if err != nil {
		return false, "", nil, err
	}
	return accepted, reason, scores, nil
}

func (g *Gate) converse(ctx context.Context, process *process, dir string, s *Specimen) (accepted bool, reason string, scores []loop.Score, err error) {
	fail := func(err error) (bool, string, []loop.Score, error) { return false, "", nil, err }
	c, err := conditionsOf(s.Space, s.Scenario)
	if err != nil {
		return fail(err)
	}
	asked := specimen{Index: s.Index, conditions: c, Files: map[string]string{}}
	for _, m := range s.Members {
		if err := checkMember(m.Ext); err != nil {
			return fail(err)
		}
		file := strconv.FormatUint(s.Index, 10) + "." + m.Ext
		if err := os.WriteFile(filepath.Join(dir, file), m.Bytes, 0o640); err != nil {
			return fail(fmt.Errorf("write a sample's file: %w", err))
		}
		asked.Files[m.Ext] = file
	}
	l, err := line(judge{Type: "judge", ID: strconv.FormatInt(g.next.Add(1), 10), Dir: dir, Samples: []specimen{asked}})
	if err != nil {
		return fail(err)
	}
	process.send(l)
	open := map[uint64]bool{s.Index: true}
	for {
		var (
			judged verdict
			end    done
			gave   failed
		)
		kind, err := process.next(ctx, map[string]any{"verdict": &judged, "done": &end, "failed": &gave})
		switch {
		case err != nil:
			return fail(err)
		case kind == "failed":
			return fail(gaveUp(gave))
		case kind == "done":
			if err := complete(end, 1, open); err != nil {
				return fail(err)
			}
			if g.watched {
				if err := unchanged(dir, asked.Files, s.Members); err != nil {
					return fail(err)
				}
			}
			return accepted, reason, scores, nil
		}
		if err := expect(judged.Index, 1, open); err != nil {
			return fail(err)
		}
		if accepted, reason, scores, err = judged.answer(); err != nil {
			return fail(err)
		}
	}
}

// unchanged refuses files that are not as they were.
func unchanged(dir string, files map[string]string, members []loop.Member) error {
	for _, m := range members {
		b, err := os.ReadFile(filepath.Join(dir, files[m.Ext]))
		if err != nil || !bytes.Equal(b, m.Bytes) {
			return &Breach{Rule: RuleFiles, Expected: "the sample's files as they were", Got: "another " + files[m.Ext],
				Remedy: "write elsewhere, for example beside them in dir"}
		}
	}
	return nil
}
