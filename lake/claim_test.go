package lake

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"hone/loop"
)

// A lake is one cluster's: of several that found it at once one gets it, and keeps it.
func TestClaim(t *testing.T) {
	l := openLake(t)
	var claims sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		claims.Go(func() { errs[i] = l.Claim(fmt.Sprint("cluster-", i%4)) })
	}
	claims.Wait()
	owners := 0
	for i, err := range errs {
		if err == nil {
			owners++
			for _, again := range []string{fmt.Sprint("cluster-", i%4)} {
				if err := l.Claim(again); err != nil {
					t.Error(err)
				}
			}
		} else if !errors.Is(err, loop.ErrConflict) {
			t.Error(err)
		}
	}
	if owners != 2 {
		t.Errorf("%d claims were granted, of the two of one cluster", owners)
	}
	if names := drafts(t, l); len(names) != 0 {
		t.Errorf("drafts are left: %v", names)
	}
}
