package coordinator

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

// Raft's complaints are told once a minute each, errors as warnings.
func TestRaftLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := newRaftLog(slog.New(slog.NewTextHandler(&out, nil)))
		say := func(line string) (told string) {
			out.Reset()
			if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			return out.String()
		}
		failed := "[ERROR] raft: failed to heartbeat to: peer=127.0.0.1:7011 backoff time=500ms error=refused\n"
		if told := say(failed); !strings.Contains(told, "level=WARN") || !strings.Contains(told, "raft: failed to heartbeat") {
			t.Errorf("told %q", told)
		}
		if told := say(strings.Replace(failed, "500ms", "1.5s", 1)); told != "" {
			t.Errorf("told again: %q", told)
		}
		if told := say(strings.Replace(failed, "7011", "7021", 1)); told == "" {
			t.Error("another node's trouble was not told")
		}
		if told := say("[WARN]  raft: heartbeat timeout reached\n"); !strings.Contains(told, "level=INFO") {
			t.Errorf("told %q", told)
		}
		pass(tellAgain)
		if say(failed) == "" {
			t.Error("not told after a minute")
		}
	})
}
