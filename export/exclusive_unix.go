//go:build unix

package export

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks a file for this process until it is closed, or refuses at once.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// isFull reports that a disk, or one's share of it, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
