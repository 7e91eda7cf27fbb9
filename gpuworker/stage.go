package gpuworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"hone/api"
	"hone/loop"
)

// stageOverHTTP stages through the coordinator, which is always possible (C19).
func stageOverHTTP(client *api.Client, worker string) Stage {
	return func(ctx context.Context, unit loop.Unit, bundle io.ReadSeeker, size int64) error {
		// A connection that hangs is given up: 64 KB/s is slower than any that works.
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second+time.Duration(size/(64<<10))*time.Second)
		defer cancel()
		err := client.Stage(ctx, worker, unit, loop.Bundle, bundle)
		if p, ok := errors.AsType[*api.Problem](err); ok {
			switch p.Status {
			case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
				return &loop.Error{Field: "bundle", Problem: fmt.Sprintf("the server answered %d: %v", p.Status, p)}
			}
		}
		return err
	}
}
