//go:build linux

package powerloss

import (
	"errors"
	"fmt"
	"os"
)

// Supported is why a disk cannot be mounted here; nil if it can.
func Supported() error {
	dir, err := os.MkdirTemp("", "powerloss-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := New(dir + "/store")
	if err == nil {
		err = d.Mount(dir + "/disk")
	}
	if err != nil {
		return fmt.Errorf("no loss of power here, which takes /dev/fuse and the right to mount: %w", err)
	}
	return errors.Join(d.Unmount())
}
