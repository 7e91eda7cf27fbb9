package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// meter shows how far something of known size is: a bar on a terminal, a line
// now and then elsewhere. It is for stderr. Until it is closed, what else is to
// be seen there is written through it.
type meter struct {
	mu    sync.Mutex
	out   io.Writer
	file  io.Writer // what out is without a bar
	bars  *mpb.Progress
	bar   *mpb.Bar
	what  string // "samples made"
	total int64
	now   int64
	told  time.Time
}

func newMeter(stderr io.Writer, what string, total int64) *meter {
	m := &meter{out: stderr, file: stderr, what: what, total: total, told: time.Now()}
	if !isTerminal(stderr) {
		return m
	}
	m.bars = mpb.New(mpb.WithOutput(stderr), mpb.WithWidth(48), mpb.WithAutoRefresh())
	m.out = m.bars
	m.bar = m.bars.AddBar(total,
		mpb.AppendDecorators(decor.CountersNoUnit("%d of %d "+what), decor.Any(func(s decor.Statistics) string {
			if s.Current == 0 || s.Completed {
				return ""
			}
			return ", "
		}), decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), "")))
	return m
}

// at shows that so much is done.
func (m *meter) at(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = n
	if m.bar != nil {
		m.bar.SetCurrent(n)
		return
	}
	if time.Since(m.told) >= plainEvery {
		m.told = time.Now()
		fmt.Fprintf(m.out, "%s of %s %s\n", thousands(m.now), thousands(m.total), m.what)
	}
}

// note writes a line above the bar.
func (m *meter) note(format string, args ...any) {
	fmt.Fprintf(m.out, format+"\n", args...)
}

// close ends the bar; what is written later stands below it.
func (m *meter) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bars == nil {
		return
	}
	m.bar.Abort(false)
	m.bars.Wait()
	m.bars, m.bar, m.out = nil, nil, m.file
}
