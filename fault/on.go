//go:build faults

package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Enabled reports whether this build can be broken at all.
const Enabled = true

var planted atomic.Pointer[string]

func init() {
	name := os.Getenv("HONE_PLANT")
	planted.Store(&name)
	if name != "" && Plants[name] == "" {
		panic(fmt.Sprintf("fault: HONE_PLANT=%q is no bug that can be planted", name))
	}
}

// Planted reports whether a bug is planted.
func Planted(name string) bool { return *planted.Load() == name }

// Plant plants a bug in this process, in place of another; "" plants none.
func Plant(name string) { planted.Store(&name) }

// Point marks a place of interest, where what HONE_FAULT asks for happens.
func Point(place string) {
	p := places()[place]
	if p == nil || p.passed.Add(1) != p.at {
		return
	}
	fmt.Fprintf(os.Stderr, "fault: %s at %s\n", p.what, place)
	switch p.what {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // there is no afterwards
		select {}
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // goes on when continued
	case "panic":
		panic("fault: asked for at " + place)
	}
}

type point struct {
	what   string
	at     int64
	passed atomic.Int64
}

var places = sync.OnceValue(func() map[string]*point {
	asked := map[string]*point{}
	for _, one := range strings.Split(os.Getenv("HONE_FAULT"), ",") {
		place, what, ok := strings.Cut(one, "=")
		if !ok {
			continue
		}
		p := &point{at: 1}
		var at string
		if p.what, at, ok = strings.Cut(what, "@"); ok {
			n, err := strconv.ParseInt(at, 10, 64)
			if err != nil || n < 1 {
				panic(fmt.Sprintf("fault: HONE_FAULT: %q is not PLACE=WHAT@N", one))
			}
			p.at = n
		}
		switch p.what {
		case "kill", "stop", "panic":
		default:
			panic(fmt.Sprintf("fault: HONE_FAULT: %q is neither kill, stop nor panic", p.what))
		}
		asked[place] = p
	}
	return asked
})
