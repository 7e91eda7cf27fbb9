package gpuworker

import (
	"context"
	"encoding/json"
	"fmt"

	"hone/loop"
)

// feed leases to the worker when it has room; what it is leased next is another
// goroutine's to wait for.
func (s *session) feed() {
	free, ok := s.room(s.feeding)
	if !ok {
		return
	}
	leased, err := s.hub.o.Dispatcher.Next(s.feeding, s.id, free)
	if err == nil {
		err = s.lease(s.feeding, leased)
	}
	if err == nil {
		s.feeders.Go(s.feed)
	} else if s.feeding.Err() == nil {
		s.socket.post(frame{Error: faultOf(err, false)})
		s.socket.end(fmt.Errorf("next: %w", err))
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
func (s *session) lease(ctx context.Context, leased []loop.Lease) error {
	s.mu.Lock()
	s.free = max(0, s.free-len(leased))
	for _, l := range leased {
		s.lend(l.Unit)
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
		if _, ok := s.told.get(key); !ok {
			// The worker forgets an old definition for a new one, as the hub does: so
			// leases of the old one go first.
			if err := flush(); err != nil {
				return err
			}
			if err := s.define(ctx, key); err != nil {
				return err
			}
			s.told.put(key, struct{}{})
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
