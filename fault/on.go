//go:build faults

package fault

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
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
	if Points[place] == "" {
		panic("fault: " + place + " is not among the points")
	}
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
		if Points[place] == "" {
			panic(fmt.Sprintf("fault: HONE_FAULT: there is no place %q", place))
		}
		asked[place] = p
	}
	return asked
})

// Number is a setting that tests of faults make smaller: what HONE_NUMBERS says
// of it, or n.
func Number(name string, n uint64) uint64 {
	if other, ok := numbers()[name]; ok {
		return other
	}
	return n
}

var numbers = sync.OnceValue(func() map[string]uint64 {
	out := map[string]uint64{}
	for _, one := range strings.Split(os.Getenv("HONE_NUMBERS"), ",") {
		name, text, ok := strings.Cut(one, "=")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			panic(fmt.Sprintf("fault: HONE_NUMBERS: %q is not NAME=N", one))
		}
		out[name] = n
	}
	return out
})

// Time is the time that the shell's clock shows: t, off by what the file that
// HONE_CLOCK names says.
func Time(t time.Time) time.Time {
	path := os.Getenv("HONE_CLOCK")
	if path == "" {
		return t
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return t
	}
	off, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return t // it is being written
	}
	return t.Add(off)
}

// Record writes down what passes a place, in a file of this process's own below
// HONE_RECORD: index and length, 8 and 4 bytes big-endian, their and the bytes'
// CRC-32, the bytes. What was written before a kill stays; the last may be torn.
func Record(place string, index uint64, b []byte) {
	dir := os.Getenv("HONE_RECORD")
	if dir == "" {
		return
	}
	recording.Lock()
	defer recording.Unlock()
	file := records[place]
	if file == nil {
		var err error
		name := fmt.Sprintf("%s-%d-%d", place, time.Now().UnixNano(), os.Getpid())
		if file, err = os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
			panic("fault: record: " + err.Error())
		}
		records[place] = file
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, index), uint32(len(b)))
	sum := crc32.Update(crc32.ChecksumIEEE(head), crc32.IEEETable, b)
	if _, err := file.Write(append(binary.BigEndian.AppendUint32(head, sum), b...)); err != nil {
		panic("fault: record: " + err.Error())
	}
}

var (
	recording sync.Mutex
	records   = map[string]*os.File{}
)
