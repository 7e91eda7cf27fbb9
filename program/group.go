package program

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// command is what /bin/sh is to run. A simple command takes the shell's place: it
// gets the signals and its end is not rephrased, and when it closes its output
// nobody else holds it open. What only a shell can run, as cd a && b, stays as it
// is.
func command(typed string) string {
	switch {
	case strings.ContainsAny(typed, ";&|(){}\n"):
		return typed
	case assignment.MatchString(typed): // which exec would take for the program
		return "exec env " + typed
	default:
		return "exec " + typed
	}
}

var assignment = regexp.MustCompile(`^\s*[A-Za-z_][A-Za-z0-9_]*=`)

// groupLives reports whether a process of the group is left. The dead that nobody
// has buried yet do not count, and some init processes take their time: where
// there is /proc it is asked.
func groupLives(group int) bool {
	if syscall.Kill(-group, 0) != nil {
		return false
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	if len(stats) == 0 {
		return true
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // gone meanwhile
		}
		// pid (name) state parent group, where the name may hold anything.
		fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(fields) > 2 && string(fields[2]) == strconv.Itoa(group) && fields[0][0] != 'Z' && fields[0][0] != 'X' {
			return true
		}
	}
	return false
}
