package ingest

import (
	"context"
	"log/slog"
	"time"

	"hone/loop"
)

// Spaces knows the latest version of every space; an unknown name is
// loop.ErrNotFound.
type Spaces interface {
	Space(ctx context.Context, name string) (*loop.Space, error)
}

// Samples knows committed samples: all that were committed before the call, for a
// digest that is not in the answer is one that its poster made up. A view that
// lags must catch up first. Where samples have the same bytes, the one that
// belongs to the eval set answers, and otherwise always the same one.
type Samples interface {
	Resolve(ctx context.Context, space, evalSet string, digests []loop.Digest) (map[loop.Digest]loop.Resolved, error)
	// Examples looks samples of an imported eval set up by their examples; imported
	// is false of any other eval set, whose examples nobody but the poster knows.
	Examples(ctx context.Context, space, evalSet string, examples []string) (known map[string]loop.Resolved, imported bool, err error)
}

// Parts writes outcome rows durably as one part, post after post.
type Parts interface {
	WriteOutcomes(ctx context.Context, space *loop.Space, posts []loop.PostRows) (loop.Object, error)
}

// Log appends posts whose rows the object holds, and answers with one receipt
// per post. An error means that nothing is known. The same posts may come again:
// their keys tell (C22). It may read the rows but not keep them.
type Log interface {
	Append(ctx context.Context, posts []loop.PostRows, object loop.Object) ([]loop.Receipt, error)
}

// Options of an Ingest. The four interfaces are required.
type Options struct {
	Spaces  Spaces
	Samples Samples
	Parts   Parts
	Log     Log
	// Logger is told what went wrong on our side. Default: nobody.
	Logger *slog.Logger

	// MaxBody bounds the bytes of one post. Default 256 MiB.
	MaxBody int64
	// MaxRows bounds the rows of one post: a row may need many times the memory
	// of its line. Default 1,000,000.
	MaxRows int
	// MaxInFlight bounds the bytes of all posts that are being read or committed;
	// beyond it, all but one are told to come again. Default 1 GiB.
	MaxInFlight int64
	// MaxMistakes is how many mistakes an answer lists. Default 20.
	MaxMistakes int

	// Linger is how long a group waits for company before it is written. Default
	// 5 ms. MaxGroup is how many rows it takes at most, but always one post;
	// default 250,000.
	Linger   time.Duration
	MaxGroup int
	// Patience is how long a group's writing is tried, again and again, before its
	// posts are answered that nothing is known. Default 20 s.
	Patience time.Duration
}

// Ingest is the taking in of outcomes. It does nothing before Run.
type Ingest struct {
	Options
	committer committer
	meter     meter
}

// New makes an Ingest; see Run and Register.
func New(o Options) *Ingest {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.MaxBody = or(o.MaxBody, 256<<20)
	o.MaxRows = or(o.MaxRows, 1_000_000)
	o.MaxInFlight = or(o.MaxInFlight, 1<<30)
	o.MaxMistakes = or(o.MaxMistakes, 20)
	o.Linger = or(o.Linger, 5*time.Millisecond)
	o.MaxGroup = or(o.MaxGroup, 250_000)
	o.Patience = or(o.Patience, 20*time.Second)
	in := &Ingest{Options: o, meter: meter{limit: o.MaxInFlight}}
	in.committer = committer{
		parts: o.Parts, log: o.Log, logger: o.Logger,
		linger: o.Linger, patience: o.Patience, maxGroup: o.MaxGroup,
		lanes: map[laneKey]*lane{},
	}
	return in
}

func or[T int | int64 | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

// Run commits what posts bring until ctx is done. Then it takes no more, but
// finishes what it holds, for at most the Patience, and returns nil.
func (in *Ingest) Run(ctx context.Context) error { return in.committer.run(ctx) }
