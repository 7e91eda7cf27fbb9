package gpuworker

import (
	"context"
	"encoding/json"
	"fmt"

	"hone/loop"
)

// feed streams leases for as long as the worker has room for them.
func (s *session) feed(ctx context.Context) {
	var told recent[struct{}]
	for {
		free, ok := s.room(ctx)
		if !ok {
			return
		}
		leased, err := s.hub.o.Dispatcher.Next(ctx, s.id, free)
		if err == nil {
			err = s.lease(ctx, &told, leased)
		}
		if err != nil {
			if ctx.Err() == nil {
				s.socket.post(frame{Error: faultOf(err, false)})
				s.socket.end(fmt.Errorf("next: %w", err))
			}
			return
		}
	}
}

// room waits until the worker has room and says for how many units.
func (s *session) room(ctx context.Context) (int, bool) {
	for {
		s.mu.Lock()
		free := s.free
		s.mu.Unlock()
		if free > 0 {
			return free, ctx.Err() == nil
		}
		select {
		case <-s.more:
		case <-ctx.Done():
			return 0, false
		}
	}
}

// lease hands leases on, each round's definition before its first lease.
func (s *session) lease(ctx context.Context, told *recent[struct{}], leased []loop.Lease) error {
	s.mu.Lock()
	s.free = max(0, s.free-len(leased))
	for _, l := range leased {
		s.mine[l.Unit]++
	}
	s.mu.Unlock()
	var batch []lease
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		f := frame{Lease: &leases{batch}}
		batch = nil
		return s.socket.send(ctx, f)
	}
	for _, l := range leased {
		key := roundKey{l.Unit.Campaign, l.Unit.Round}
		if _, ok := told.get(key); !ok {
			// The worker forgets an old definition for a new one, as told does: so
			// leases of the old one go first.
			if err := flush(); err != nil {
				return err
			}
			if err := s.define(ctx, key); err != nil {
				return err
			}
			told.put(key, struct{}{})
		}
		batch = append(batch, lease{wireUnit(l.Unit), l.Generator})
	}
	return flush()
}

// define sends a round's definition, in pieces, so that a large one does not
// keep answers and pings waiting.
func (s *session) define(ctx context.Context, key roundKey) error {
	d, err := s.hub.o.Dispatcher.Definition(ctx, key.campaign, key.round)
	if err != nil {
		return fmt.Errorf("definition of %s round %d: %w", key.campaign, key.round, err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("definition of %s round %d: %w", key.campaign, key.round, err)
	}
	for {
		piece := b[:min(len(b), maxChunk)]
		b = b[len(piece):]
		f := frame{Definition: &definition{Campaign: key.campaign, Round: key.round, JSON: piece, Last: len(b) == 0}}
		if err := s.socket.send(ctx, f); err != nil {
			return err
		}
		if len(b) == 0 {
			return nil
		}
	}
}
