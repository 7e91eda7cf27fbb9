package export

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Whatever a journal holds, reading it ends in a refusal or in shards that come
// in order, and what is written behind them is read again.
func FuzzJournal(f *testing.F) {
	head := Head{Hone: headFormat, Dataset: "d@1", Format: "webdataset", ShardSamples: 1, ShardBytes: 1 << 20}
	line, _ := json.Marshal(head)
	shard, _ := json.Marshal(Shard{File: "d-000000.tar", Bytes: 3, Samples: 1})
	f.Add(append(append(line, '\n'), append(shard, '\n')...))
	f.Add(append(append(line, '\n'), shard...))
	f.Add([]byte("{}\n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, journal []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalFile), journal, 0o666); err != nil {
			t.Fatal(err)
		}
		target, err := openTarget(dir, head)
		if err != nil {
			return
		}
		before := len(target.shards)
		if err := target.add(Shard{File: target.shardName(before), Samples: 5}); err != nil {
			t.Fatal(err)
		}
		target.close()
		again, err := openTarget(dir, head)
		if err != nil || len(again.shards) != before+1 {
			t.Fatalf("read again: %v, %d shards of %d", err, len(again.shards), before+1)
		}
		again.close()
	})
}
