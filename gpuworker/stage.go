package gpuworker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"hone/loop"
)

// stageOverHTTP stages through the coordinator, which is always possible (C19).
func stageOverHTTP(server, worker string) Stage {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	client := &http.Client{Transport: transport}
	return func(ctx context.Context, unit loop.Unit, bundle io.ReadSeeker, size int64) error {
		// A connection that hangs is given up: 64 KB/s is slower than any that works.
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second+time.Duration(size/(64<<10))*time.Second)
		defer cancel()
		url := server + "/v1/staging/" + worker + "/" + unit.ID() + "/" + loop.Bundle
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, url, io.NopCloser(bundle))
		if err != nil {
			return fmt.Errorf("put %s: %w", url, err)
		}
		request.ContentLength = size
		request.Header.Set("Content-Type", "application/x-tar")
		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("put %s: %w", url, err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxText))
		if response.StatusCode < 300 {
			return nil
		}
		// The problem as RFC 9457 says it, or whatever there is.
		var problem struct{ Title, Detail string }
		text := string(body)
		if json.Unmarshal(body, &problem) == nil && problem.Title+problem.Detail != "" {
			text = problem.Title + ": " + problem.Detail
		}
		switch response.StatusCode {
		case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			return &loop.Error{Field: "bundle", Problem: fmt.Sprintf("the server answered %s: %s", response.Status, text)}
		default:
			return fmt.Errorf("put %s: %s: %s", url, response.Status, text)
		}
	}
}
