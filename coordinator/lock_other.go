//go:build !unix

package coordinator

import "os"

// lockFile does nothing where there is no flock: here the log's own lock alone
// keeps two nodes of one directory apart.
func lockFile(*os.File) error { return nil }
