package coordinator

import (
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

// raftLog passes raft's lines on. What raft warns of is a part of its ordinary
// life (an election at every start, say); what it calls an error is worth a
// warning. Of a node that is down it complains several times a second: once a minute
// is enough.
type raftLog struct {
	log *slog.Logger

	mu   sync.Mutex
	told map[string]time.Time
}

const (
	tellAgain = time.Minute
	maxTold   = 1000
)

func newRaftLog(log *slog.Logger) *raftLog { return &raftLog{log: log, told: map[string]time.Time{}} }

// changing is what differs between two lines that say the same.
var changing = regexp.MustCompile(`[0-9]+(\.[0-9]+)?(ns|µs|ms|s)\b|(term|index|next|last-index|tally)=[0-9]+`)

func (w *raftLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if !w.news(changing.ReplaceAllString(text, "")) {
		return len(line), nil
	}
	if message, ok := strings.CutPrefix(text, "[ERROR]"); ok {
		w.log.Warn(strings.TrimSpace(message))
	} else {
		w.log.Info(strings.TrimSpace(strings.TrimPrefix(text, "[WARN]")))
	}
	return len(line), nil
}

// news reports whether a line was not told within the last minute.
func (w *raftLog) news(line string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if last, ok := w.told[line]; ok && now.Sub(last) < tellAgain {
		return false
	}
	if len(w.told) >= maxTold {
		clear(w.told)
	}
	w.told[line] = now
	return true
}
