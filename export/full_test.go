//go:build linux

package export

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A full disk: no file that is not whole has a final name, the words say where
// and how much, and with more room the export goes on.
func TestExportToAFullDisk(t *testing.T) {
	for format := range formats {
		t.Run(format, func(t *testing.T) {
			disk := t.TempDir()
			if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
				t.Skipf("mounting needs root: %v", err)
			}
			defer func() {
				if err := syscall.Unmount(disk, 0); err != nil {
					t.Error(err)
				}
			}()
			s := newShelf(t, 60, 60, 3000)
			o := Options{Dir: filepath.Join(disk, "out"), Format: format, ShardSamples: 10, ShardBytes: 1 << 20}
			_, err := s.export(t, o)
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left in "+o.Dir+": about ") ||
				!strings.Contains(err.Error(), "are needed, 40 samples are still to come") {
				t.Fatalf("on a full disk: %v", err)
			}
			for name := range files(t, o.Dir) {
				if name != journalFile && name != manifestFile && name != "loop-000000."+formats[format].ext && name != "loop-000001."+formats[format].ext {
					t.Errorf("%s is left over", name)
				}
			}
			if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
				t.Fatal(err)
			}
			s.limit(-1)
			if _, err := s.export(t, o); err != nil || s.sent != 40 {
				t.Errorf("with more room: %v, %d samples fetched", err, s.sent)
			}
			whole := o
			whole.Dir = t.TempDir()
			if _, err := s.export(t, whole); err != nil {
				t.Fatal(err)
			}
			equalFiles(t, "in the end", o.Dir, files(t, whole.Dir))
			// A disk on which not even the journal has room.
			if err := os.WriteFile(filepath.Join(disk, "ballast"), make([]byte, 64<<20), 0o666); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			o.Dir = filepath.Join(disk, "other")
			if _, err := s.export(t, o); err == nil || !strings.Contains(err.Error(), o.Dir) {
				t.Errorf("without any room: %v", err)
			}
		})
	}
}
