package program

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// errLongLine is a line of more bytes than were allowed.
var errLongLine = errors.New("the line is too long")

// readLine reads a line without its line break, and no more than most bytes of
// it. A last line need not end with one.
func readLine(r *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(bytes.TrimSuffix(line, []byte("\n"))) > most:
			return line[:most], errLongLine
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		default:
			return nil, err
		}
	}
}

// Bounds of what of standard error is kept.
const (
	maxWords      = 2 << 10 // bytes of a line
	lastLines     = 12      // for the error, if the program fails
	linesASecond  = 100     // in the log
	secondOfLines = time.Second
)

// words is what a program writes to standard error: it goes to the log, within
// reason, and its end is kept to explain a failure.
type words struct {
	log *slog.Logger

	mu   sync.Mutex
	last []string
}

// listen reads until the end. However much is written, all of it is read: a
// program must not stand still because it talks.
func (w *words) listen(r io.Reader) {
	in := bufio.NewReader(r)
	var window time.Time
	told, left := 0, 0
	for {
		line, err := readLine(in, maxWords)
		if errors.Is(err, errLongLine) {
			// What follows comes as further lines.
		} else if err != nil {
			break
		}
		text := strings.TrimRight(strings.ToValidUTF8(string(line), "\uFFFD"), "\r")
		w.keep(text)
		if now := time.Now(); now.Sub(window) >= secondOfLines {
			if left > 0 {
				w.log.Info("the program wrote more than is shown", "lines_left_out", left)
			}
			window, told, left = now, 0, 0
		}
		if told++; told > linesASecond {
			left++
			continue
		}
		w.log.Log(context.Background(), slog.LevelInfo, "the program says", "text", text)
	}
	if left > 0 {
		w.log.Info("the program wrote more than is shown", "lines_left_out", left)
	}
}

func (w *words) keep(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.last) == lastLines {
		copy(w.last, w.last[1:])
		w.last = w.last[:lastLines-1]
	}
	w.last = append(w.last, text)
}

// end is the last of it, indented for an error.
func (w *words) end() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.last) == 0 {
		return ""
	}
	return "  " + strings.Join(w.last, "\n  ")
}
