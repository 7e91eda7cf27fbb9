package gpuworker

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Both ends of a connection forget the same rounds: a hub that decides by its
// own memory never leases a round that the worker has forgotten.
func TestBothEndsRememberTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var hub recent[struct{}]
		var agent recent[int]
		var order []roundKey
		for range rapid.IntRange(1, 300).Draw(t, "leases") {
			key := roundKey{rapid.SampledFrom([]string{"c", "d"}).Draw(t, "campaign"), rapid.IntRange(1, 100).Draw(t, "round")}
			if _, ok := hub.get(key); !ok {
				hub.put(key, struct{}{})
				agent.put(key, key.round)
				order = append(order, key)
			}
			if got, ok := agent.get(key); !ok || got != key.round {
				t.Fatalf("the worker does not know %v", key)
			}
			last := order[max(0, len(order)-maxRecent):]
			if len(hub.known) != len(last) || !slices.Equal(hub.order, last) || !slices.Equal(agent.order, last) {
				t.Fatalf("known %v, want %v", hub.order, last)
			}
		}
	})
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backoff{min: time.Second, max: 10 * time.Second}
		for _, bound := range []time.Duration{1, 2, 4, 8, 10, 10} {
			began := time.Now()
			if !b.wait(t.Context()) {
				t.Fatal("ended")
			}
			if d := time.Since(began); d < bound*time.Second/2 || d > bound*time.Second {
				t.Errorf("waited %v, want half to all of %d s", d, bound)
			}
		}
		b.reset()
		began := time.Now()
		b.wait(t.Context())
		if d := time.Since(began); d > time.Second {
			t.Errorf("waited %v after a reset", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if b.wait(ctx) {
			t.Error("waited for nothing")
		}
	})
}
