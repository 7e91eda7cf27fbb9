//go:build unix

package coordinator

import (
	"os"
	"syscall"
)

// lockFile locks a file for this node until it is closed, or refuses at once.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
