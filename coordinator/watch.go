package coordinator

import (
	"sync"

	"hone/coordinator/state"
)

// watch gathers which campaigns applied entries have touched, so that who
// follows them looks at these alone. One reader takes what has gathered
// whenever wake has a token.
type watch struct {
	wake chan struct{}

	mu      sync.Mutex
	touched touched
}

// touched is what entries have changed since it was taken last.
type touched struct {
	// campaigns were created, steered or extended, follow another policy, got a round or a proposal, a reservation or a
	// delivery, or were published; the value says whether samples of it were revoked.
	campaigns map[string]bool
	// all: what any campaign may wait for; a model version was sealed, or a policy put,
	// which may begin or end a canary.
	all bool
}

func newWatch() *watch { return &watch{wake: make(chan struct{}, 1)} }

// take returns what has gathered.
func (w *watch) take() touched {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.touched
	w.touched = touched{}
	return t
}

func (w *watch) note(e *state.Entry, events []state.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range e.Commands {
		w.touched.note(&e.Commands[i], events[i])
	}
	if w.touched.all || len(w.touched.campaigns) > 0 {
		poke(w.wake)
	}
}

func (t *touched) note(c *state.Command, event state.Event) {
	switch e := event.(type) {
	case state.CampaignCreated:
		t.campaign(e.Name, false)
	case state.CampaignSteered:
		t.campaign(e.Name, false)
	case state.CampaignExtended:
		t.campaign(e.Name, false)
	case state.PolicyAdopted: // what is proposed is by the policy before
		t.campaign(e.Name, false)
	case state.GivenUp:
		t.campaign(e.Name, false)
	case state.RoundOpened:
		t.campaign(e.Campaign, false)
	case state.RoundProposed:
		t.campaign(e.Campaign, false)
	case state.ProposalRuled:
		t.campaign(e.Campaign, false)
	case state.Committed:
		for i := range c.Commit.Deliveries {
			t.campaign(c.Commit.Deliveries[i].Unit.Campaign, false)
		}
		for i := range c.Commit.Extensions {
			t.campaign(c.Commit.Extensions[i].Campaign, false)
		}
	case state.Accounted:
		for i := range c.Account.Meters {
			t.campaign(c.Account.Meters[i].Campaign, false)
		}
	case state.Published:
		if c.Publish != nil { // an import is no campaign's
			t.campaign(c.Publish.Campaign, false)
		}
	case state.Revoked:
		for i := range e.Reopened {
			t.campaign(e.Reopened[i].Campaign, true)
		}
	case state.ModelSealed:
		t.all = true
	case state.PolicyPut:
		t.all = t.all || e.Created
	default: // nothing that a campaign waits for
	}
}

func (t *touched) campaign(name string, revoked bool) {
	if t.campaigns == nil {
		t.campaigns = make(map[string]bool)
	}
	t.campaigns[name] = t.campaigns[name] || revoked
}

// poke leaves a token in a channel that has room for one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has one already
	}
}
