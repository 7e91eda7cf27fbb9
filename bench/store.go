package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// store is the file of campaigns that ended, a JSON line each.
type store struct {
	path string
	done []*campaign
}

func openStore(path string) (*store, error) {
	s := &store{path: path}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		c := &campaign{}
		if err := json.Unmarshal(scanner.Bytes(), c); err != nil || len(c.Points) == 0 {
			return nil, fmt.Errorf("%s: line %d is not a campaign; remove it, and it is run again", path, len(s.done)+1)
		}
		s.done = append(s.done, c)
	}
	return s, scanner.Err()
}

func (s *store) find(wanted settings) *campaign {
	for _, c := range s.done {
		if c.settings == wanted {
			return c
		}
	}
	return nil
}

func (s *store) add(c *campaign) error {
	s.done = append(s.done, c)
	file, err := os.OpenFile(s.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(file).Encode(c), file.Close())
}

// campaigns are the results of the settings, in their order: from the store, and
// those that it lacks are run, o.arms at a time.
func (o *options) campaigns(ctx context.Context, wanted []settings) ([]*campaign, error) {
	s, err := openStore(o.store)
	if err != nil {
		return nil, err
	}
	var missing []settings
	for _, w := range wanted {
		if s.find(w) == nil {
			missing = append(missing, w)
		}
	}
	var lock sync.Mutex
	ended, start := 0, time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(o.arms)
	for _, w := range missing {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c, err := o.campaign(ctx, w)
			if err != nil {
				return fmt.Errorf("world %s, strategy %s, seed %d: %w", w.World, w.Strategy, w.Seed, err)
			}
			lock.Lock()
			defer lock.Unlock()
			ended++
			left := time.Since(start) / time.Duration(ended) * time.Duration(len(missing)-ended)
			fmt.Fprintf(o.log, "campaign %d of %d: %s, worst slice %.3f, mean %.4f, %.0f s; about %s left\n",
				ended, len(missing), w.title(), c.last().worst(), c.last().Mean, c.Seconds, left.Round(time.Second))
			return s.add(c)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := make([]*campaign, len(wanted))
	for i, w := range wanted {
		out[i] = s.find(w)
	}
	return out, nil
}

func (w settings) title() string {
	null := ""
	if w.Null {
		null = " (null)"
	}
	growing := ""
	if w.First > 0 {
		growing = fmt.Sprintf(" from %d", w.First)
	}
	return fmt.Sprintf("%s%s %s%s seed %d", w.World, null, w.Strategy, growing, w.Seed)
}

// campaign runs one.
func (o *options) campaign(ctx context.Context, w settings) (*campaign, error) {
	start := time.Now()
	world, err := newWorld(w.World, w.Null)
	if err != nil {
		return nil, err
	}
	exam, err := world.exam(w.Seed)
	if err != nil {
		return nil, fmt.Errorf("exam: %w", err)
	}
	a := &arm{settings: w, world: world, exam: exam}
	if o.explain {
		a.log = o.log
	}
	c, err := a.run(ctx)
	if err != nil {
		return nil, err
	}
	c.Seconds = time.Since(start).Seconds()
	return c, nil
}
