package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// syncFor is how long the disk is asked how often it can sync.
const syncFor = 2 * time.Second

// syncs appends 4 KiB to a file and syncs it, again and again: no durable cycle on
// this disk is faster than that, one at a time. Disks of virtual machines change
// their mind between minutes, so figures are worth what the readings beside them
// are.
func (o *dispatchOptions) syncs(name string) (_ []measure, err error) {
	file, err := os.CreateTemp(o.dir, "sync-")
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, file.Close(), os.Remove(filepath.Join(o.dir, filepath.Base(file.Name()))))
	}()
	var page [4096]byte
	var taken []time.Duration
	for began := time.Now(); time.Since(began) < syncFor; {
		start := time.Now()
		if _, err := file.Write(page[:]); err != nil {
			return nil, err
		}
		if err := file.Sync(); err != nil {
			return nil, err
		}
		taken = append(taken, time.Since(start))
	}
	return append(quantiles(name, taken), measure{Name: name, Value: float64(len(taken)) / syncFor.Seconds(), Unit: "/s",
		Note: "4 KiB appended and synced, one after another"}), nil
}
