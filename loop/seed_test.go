package loop

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"testing"
)

// C5, golden: what a seed is may never change.
func TestSeedVectors(t *testing.T) {
	type vector struct {
		CampaignSeed uint64 `json:"campaign_seed"`
		Name         Name   `json:"name"`
		Seed         uint64 `json:"seed"`
	}
	var vectors []vector
	for _, campaign := range []uint64{0, 1, 42, 1<<64 - 1} {
		for _, name := range []Name{
			{Train, 1, 0, 0, 0},
			{Train, 1, 0, 1, 0},
			{Train, 1, 0, 0, 1},
			{Train, 1, 1, 0, 0},
			{Train, 2, 0, 0, 0},
			{Probe, 1, 0, 0, 0},
			{Evaluation, 1, 0, 0, 0},
			{Evaluation, 12, 7, MaxQuota - 1, 2},
		} {
			vectors = append(vectors, vector{campaign, name, SampleSeed(campaign, name)})
		}
	}
	golden(t, "seeds.json", vectors)
}

// C5, from its words alone: the first 8 bytes, big-endian, of SHA-256 over the
// tag, then as 8-byte big-endian integers campaign seed, domain (0 train, 1
// probe, 2 evaluation), round, component, index, attempt.
func TestSeedIsTheRuleOfTheContract(t *testing.T) {
	for i := range uint64(2000) {
		campaign := mix(i)
		name := Name{Domain: Domain(i % 3), Round: int(1 + i%97), Component: int(i % 13), Index: mix(i) % MaxQuota, Attempt: int(i % 4)}
		message := []byte("hone/seed/1")
		for _, v := range []*big.Int{
			new(big.Int).SetUint64(campaign),
			big.NewInt(map[string]int64{"train": 0, "probe": 1, "evaluation": 2}[name.Domain.String()]),
			big.NewInt(int64(name.Round)), big.NewInt(int64(name.Component)),
			new(big.Int).SetUint64(name.Index), big.NewInt(int64(name.Attempt)),
		} {
			message = append(message, v.FillBytes(make([]byte, 8))...)
		}
		sum := sha256.Sum256(message)
		if got, want := SampleSeed(campaign, name), binary.BigEndian.Uint64(sum[:8]); got != want {
			t.Fatalf("SampleSeed(%d, %+v) = %d, want %d", campaign, name, got, want)
		}
	}
}
