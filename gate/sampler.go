package gate

import (
	"sync"

	"hone/loop"
)

// samplers keeps the samplers of the rounds that deliveries come from: making
// one computes the acceptance of every component. A round never changes but for
// its quotas, which a sampler does not look at, so its name is enough.
type samplers struct {
	mu    sync.Mutex
	known map[samplerKey]*loop.Sampler
}

type samplerKey struct {
	campaign string
	round    int
	seed     uint64
	space    int
}

// maxSamplers is far above the number of rounds that are open at a time.
const maxSamplers = 64

func (s *samplers) get(d *loop.Definition) (*loop.Sampler, error) {
	key := samplerKey{d.Campaign, d.Round.Number, d.Round.Seed, d.Round.SpaceVersion}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sampler := s.known[key]; sampler != nil {
		return sampler, nil
	}
	sampler, err := loop.NewSampler(&d.Space, &d.Round)
	if err != nil {
		return nil, err
	}
	if s.known == nil || len(s.known) == maxSamplers {
		s.known = map[samplerKey]*loop.Sampler{}
	}
	s.known[key] = sampler
	return sampler, nil
}
