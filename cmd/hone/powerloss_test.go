//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"hone/cmd/hone/powerloss"
	"hone/fault"
	"hone/lake"
	"hone/loop"
)

// I1, C17: an object that the lake has put is there, whole, after any loss of
// power; and if the lake forgot to sync, as a planted bug has it do, one is not.
func TestObjectsOutliveLossOfPower(t *testing.T) {
	if err := powerloss.Supported(); err != nil {
		t.Skip(err)
	}
	for _, plant := range []string{"", "forget a sync"} {
		t.Run("planted: "+plant, func(t *testing.T) {
			if plant != "" && !fault.Enabled {
				t.Skip("takes a build that can be broken: go test -tags duckdb_arrow,faults")
			}
			fault.Plant(plant)
			defer fault.Plant("")
			lost := 0
			for seed := range uint64(4) {
				lost += objectsLost(t, rand.New(rand.NewPCG(seed, 0)))
			}
			if (lost > 0) != (plant != "") {
				t.Errorf("%d objects lost", lost)
			}
		})
	}
}

// objectsLost puts objects until the power fails, and counts those that are not
// there, whole, afterwards.
func objectsLost(t *testing.T, random *rand.Rand) (lost int) {
	dir := t.TempDir()
	disk, err := powerloss.New(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "disk")
	defer func() {
		if err := disk.Unmount(); err != nil {
			t.Error(err)
		}
	}()
	with := func(do func(ctx context.Context, l *lake.Lake)) {
		if err := disk.Mount(at); err != nil {
			t.Fatal(err)
		}
		l, err := lake.Open(lake.Options{Dir: at})
		if err != nil {
			t.Fatal(err)
		}
		do(t.Context(), l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := disk.Unmount(); err != nil {
			t.Fatal(err)
		}
	}
	var put []loop.Object
	with(func(ctx context.Context, l *lake.Lake) {
		for i := range 20 {
			object, err := l.Put(ctx, lake.Pack, 1, 1, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%0*d", 1+random.IntN(20000), i)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			put = append(put, object)
		}
	})
	torn := random
	if random.IntN(2) == 0 {
		torn = nil
	}
	if _, err := disk.Lose(torn); err != nil {
		t.Fatal(err)
	}
	with(func(ctx context.Context, l *lake.Lake) {
		for _, object := range put {
			if l.Verify(ctx, object.Key) != nil {
				lost++
			}
		}
	})
	return lost
}
