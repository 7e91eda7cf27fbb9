package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hone/coordinator/state"
	"hone/loop"
)

// Commands that are proposed together share entries: far fewer than commands.
func TestGroupCommit(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		n := run(t, dir).leading()
		const commands = 1000
		before := n.raft.LastIndex()
		errs := make(chan error, commands)
		for i := range commands {
			go func() {
				_, err := n.Propose(t.Context(), policy(i))
				errs <- err
			}()
		}
		for range commands {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		if entries := n.raft.LastIndex() - before; entries == 0 || entries > commands/10 {
			t.Errorf("%d commands in %d entries", commands, entries)
		}
		n.stop()
	})
}

// An entry stays small; a command that no entry can hold, or that nobody could
// read back, is refused alone, and its neighbours are not.
func TestPack(t *testing.T) {
	large := func(bytes int) state.Command {
		c := policy(bytes)
		c.PutPolicy.Document = strings.Repeat("#", bytes)
		return c
	}
	propose := func(commands ...state.Command) (group []proposal) {
		for i := range commands {
			group = append(group, proposal{command: commands[i], answer: make(chan answer, 1)})
		}
		return group
	}
	unreadable := policy(1)
	unreadable.PutSpace = &state.PutSpace{} // two kinds in one
	infinite := policy(2)
	infinite.PutPolicy.Policy.Floor = 1 / zero
	for _, c := range []struct {
		name    string
		group   []proposal
		entries []int // commands in each
		refused []int
	}{
		{"small", propose(policy(1), policy(2), policy(3)), []int{3}, nil},
		{"large together", propose(large(300<<10), large(300<<10), policy(1)), []int{1, 2}, nil},
		{"large alone", propose(policy(1), large(2<<20), policy(2)), []int{1, 1, 1}, nil},
		{"too large", propose(policy(1), large(maxCommandBytes+1), policy(2)), []int{1, 1}, []int{1}},
		{"unreadable", propose(policy(1), unreadable, policy(2), policy(3)), []int{1, 2}, []int{1}},
		{"not a number", propose(infinite, policy(2)), []int{1}, []int{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries := pack(c.group, time.UnixMicro(17))
			var sizes []int
			for _, e := range entries {
				decoded, err := state.DecodeEntry(e.encoded)
				if err != nil || len(decoded.Commands) != len(e.group) || decoded.At != 17 {
					t.Errorf("an entry of %d reads as %+v, %v", len(e.group), decoded, err)
				}
				sizes = append(sizes, len(e.group))
			}
			if fmt.Sprint(sizes) != fmt.Sprint(c.entries) {
				t.Errorf("entries of %v commands, want %v", sizes, c.entries)
			}
			for i, p := range c.group {
				refused := false
				for _, r := range c.refused {
					refused = refused || r == i
				}
				select {
				case a := <-p.answer:
					if _, ok := errors.AsType[*loop.Error](a.err); !refused || !ok || errors.Is(a.err, loop.ErrUnavailable) {
						t.Errorf("command %d was answered %+v", i, a)
					}
				default:
					if refused {
						t.Errorf("command %d was not refused", i)
					}
				}
			}
		})
	}
}

var zero float64

// A refusal is an error of its kind; what is not known is unavailable (C10).
func TestProposeErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		n := run(t, dir).leading()
		seal := state.Command{SealModel: &state.SealModel{Line: "net", Version: "1", Rows: 3}}
		missing := state.Command{OpenRound: &state.OpenRound{Round: loop.Round{Campaign: "none", Number: 1}}}
		stale := state.Command{RaiseEpoch: &state.RaiseEpoch{Closes: 7}}
		for _, c := range []struct {
			command state.Command
			kind    error
		}{{seal, loop.ErrConflict}, {missing, loop.ErrNotFound}, {stale, errStale}, {state.Command{PutPolicy: &state.PutPolicy{}}, nil}} {
			_, err := n.Propose(t.Context(), c.command)
			if _, refused := errors.AsType[*loop.Error](err); !refused || c.kind != nil && !errors.Is(err, c.kind) || errors.Is(err, loop.ErrUnavailable) {
				t.Errorf("got %v, want a refusal as %v", err, c.kind)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := n.Propose(ended, policy(1)); err != nil && (!errors.Is(err, loop.ErrUnavailable) || !errors.Is(err, context.Canceled)) {
			t.Errorf("with a context that has ended: %v", err)
		}
		n.stop()
		if _, err := n.Propose(t.Context(), policy(2)); !errors.Is(err, loop.ErrUnavailable) {
			t.Errorf("after the node has stopped: %v", err)
		}
	})
}

// Proposals that are under way when the node stops are answered as what they
// became, or not known; none waits for ever, and what was acknowledged is kept.
func TestStopUnderLoad(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		n := run(t, dir).leading()
		const commands = 2000
		acknowledged := make(chan string, commands)
		answered := make(chan error, commands)
		for i := range commands {
			go func() {
				event, err := n.Propose(t.Context(), policy(i))
				if err == nil {
					acknowledged <- event.(state.PolicyPut).Name
				}
				answered <- err
			}()
		}
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		n.stop()
		for range commands - 1 {
			if err := <-answered; err != nil && !errors.Is(err, loop.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		n = run(t, dir).leading()
		n.View(func(s *state.State) {
			for range len(acknowledged) {
				if name := <-acknowledged; !known(s, name) {
					t.Errorf("%s was acknowledged and is lost (I1)", name)
				}
			}
		})
		n.stop()
	})
}

func known(s *state.State, policy string) bool {
	_, ok := s.Policy(policy, 0)
	return ok
}
