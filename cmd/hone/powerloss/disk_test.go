//go:build linux

package powerloss

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// mounted is a disk at a directory, for as long as the test runs.
func mounted(t *testing.T) (d *Disk, at string) {
	t.Helper()
	if err := Supported(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	d, at = mount(t, dir)
	t.Cleanup(func() { must(t, d.Unmount()) })
	return d, at
}

func mount(t fataler, dir string) (d *Disk, at string) {
	d, err := New(filepath.Join(dir, "store"))
	must(t, err)
	at = filepath.Join(dir, "disk")
	must(t, d.Mount(at))
	return d, at
}

type fataler interface{ Fatal(...any) }

func must(t fataler, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// cut cuts the power and switches it on again.
func cut(t fataler, d *Disk, random *rand.Rand) Loss {
	at := d.at
	must(t, d.Unmount())
	loss, err := d.Lose(random)
	must(t, err)
	must(t, d.Mount(at))
	return loss
}

// syncs fsyncs a file or a directory.
func syncs(t fataler, name string) {
	f, err := os.Open(name)
	must(t, err)
	must(t, errors.Join(f.Sync(), f.Close()))
}

// tree is what lies below a directory: contents by path, "/" for a directory.
func tree(t fataler, dir string) map[string]string {
	out := map[string]string{}
	must(t, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name)
		switch {
		case err != nil || rel == ".":
			return err
		case entry.IsDir():
			out[rel] = "/"
			return nil
		}
		b, err := os.ReadFile(name)
		out[rel] = string(b)
		return err
	}))
	return out
}

func TestWhatIsSyncedIsKept(t *testing.T) {
	old := strings.Repeat("old bytes\n", 1000)
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, dir string) // "there", synced with these old bytes, lies in it
		want map[string]string
	}{
		{"bytes without name", func(t *testing.T, dir string) {
			write(t, dir+"/a", "abc")
			syncs(t, dir+"/a")
		}, map[string]string{"there": old}},
		{"name without bytes", func(t *testing.T, dir string) {
			write(t, dir+"/a", "abc")
			syncs(t, dir)
		}, map[string]string{"there": old, "a": ""}},
		{"bytes and name", func(t *testing.T, dir string) {
			write(t, dir+"/a", "abc")
			syncs(t, dir+"/a")
			syncs(t, dir)
		}, map[string]string{"there": old, "a": "abc"}},
		{"overwritten", func(t *testing.T, dir string) {
			writeAt(t, dir+"/there", strings.Repeat("x", 5000), 3000)
		}, map[string]string{"there": old}},
		{"overwritten, synced, overwritten", func(t *testing.T, dir string) {
			writeAt(t, dir+"/there", "x", 4095)
			syncs(t, dir+"/there")
			writeAt(t, dir+"/there", "y", 4095)
		}, map[string]string{"there": old[:4095] + "x" + old[4096:]}},
		{"longer", func(t *testing.T, dir string) {
			writeAt(t, dir+"/there", "far away", 1<<20)
		}, map[string]string{"there": old}},
		{"cut off", func(t *testing.T, dir string) {
			must(t, os.Truncate(dir+"/there", 10))
		}, map[string]string{"there": old}},
		{"cut off and longer again", func(t *testing.T, dir string) {
			must(t, os.Truncate(dir+"/there", 10))
			must(t, os.Truncate(dir+"/there", 20000))
		}, map[string]string{"there": old}},
		{"emptied as it is opened", func(t *testing.T, dir string) {
			write(t, dir+"/there", "new")
		}, map[string]string{"there": old}},
		{"preallocated", func(t *testing.T, dir string) {
			f, err := os.OpenFile(dir+"/there", os.O_RDWR, 0)
			must(t, err)
			must(t, syscall.Fallocate(int(f.Fd()), 0, 0, 1<<20))
			must(t, f.Close())
		}, map[string]string{"there": old}},
		{"removed", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/there"))
		}, map[string]string{"there": old}},
		{"removed for good", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/there"))
			syncs(t, dir)
		}, map[string]string{}},
		{"renamed", func(t *testing.T, dir string) {
			must(t, os.Rename(dir+"/there", dir+"/b"))
		}, map[string]string{"there": old}},
		{"renamed for good", func(t *testing.T, dir string) {
			must(t, os.Rename(dir+"/there", dir+"/b"))
			syncs(t, dir)
		}, map[string]string{"b": old}},
		{"replaced by what is not synced", func(t *testing.T, dir string) {
			write(t, dir+"/a", "abc")
			must(t, os.Rename(dir+"/a", dir+"/there"))
			syncs(t, dir)
		}, map[string]string{"there": ""}},
		{"a directory", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/d", 0o755))
			write(t, dir+"/d/a", "abc")
			syncs(t, dir+"/d/a")
			syncs(t, dir+"/d")
		}, map[string]string{"there": old}},
		{"a directory for good", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/d", 0o755))
			write(t, dir+"/d/a", "abc")
			syncs(t, dir+"/d/a")
			syncs(t, dir+"/d")
			syncs(t, dir)
		}, map[string]string{"there": old, "d": "/", "d/a": "abc"}},
		{"moved, its target synced", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/d", 0o755))
			syncs(t, dir)
			must(t, os.Rename(dir+"/there", dir+"/d/b"))
			syncs(t, dir+"/d")
		}, map[string]string{"there": old, "d": "/", "d/b": old}},
		{"moved, its source synced", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/d", 0o755))
			syncs(t, dir)
			must(t, os.Rename(dir+"/there", dir+"/d/b"))
			syncs(t, dir)
		}, map[string]string{"d": "/"}},
		{"linked", func(t *testing.T, dir string) {
			must(t, os.Link(dir+"/there", dir+"/b"))
		}, map[string]string{"there": old}},
		{"linked for good, the first name removed", func(t *testing.T, dir string) {
			must(t, os.Link(dir+"/there", dir+"/b"))
			must(t, os.Remove(dir+"/there"))
			syncs(t, dir)
			writeAt(t, dir+"/b", "x", 0)
		}, map[string]string{"b": old}},
		{"written after it was removed", func(t *testing.T, dir string) {
			f, err := os.OpenFile(dir+"/there", os.O_RDWR, 0)
			must(t, err)
			must(t, os.Remove(dir+"/there"))
			_, err = f.WriteString("gone")
			must(t, errors.Join(err, f.Close()))
		}, map[string]string{"there": old}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, at := mounted(t)
			write(t, at+"/there", old)
			syncs(t, at+"/there")
			syncs(t, at)
			tc.do(t, at)
			cut(t, d, nil)
			if got := tree(t, at); !maps.Equal(got, tc.want) {
				t.Errorf("there is %q, want %q", got, tc.want)
			}
			// What is there now is as durable as it was.
			if loss := cut(t, d, nil); loss != (Loss{}) {
				t.Errorf("cut again, %+v is lost", loss)
			}
		})
	}
}

func write(t fataler, name, text string) { must(t, os.WriteFile(name, []byte(text), 0o644)) }

func writeAt(t fataler, name, text string, at int64) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte(text), at)
	must(t, errors.Join(err, f.Close()))
}

// Each sector of a write may have reached the disk or not: both happen, and
// nothing else does. What was synced before it, and around it, is untouched.
func TestTornWrite(t *testing.T) {
	d, at := mounted(t)
	old, fresh := bytes.Repeat([]byte("o"), 64*sector), bytes.Repeat([]byte("n"), 32*sector)
	kept, gone, short, long := 0, 0, 0, 0
	for seed := range uint64(20) {
		must(t, os.WriteFile(at+"/f", old, 0o644))
		syncs(t, at+"/f")
		syncs(t, at)
		writeAt(t, at+"/f", string(fresh), 16*sector)
		writeAt(t, at+"/f", string(fresh), 64*sector)
		loss := cut(t, d, rand.New(rand.NewPCG(seed, 0)))
		got, err := os.ReadFile(at + "/f")
		must(t, err)
		switch len(got) {
		case 64 * sector:
			short++
		case 96 * sector:
			long++
		default:
			t.Fatalf("the file has %d bytes", len(got))
		}
		for i := 0; i < len(got); i += sector {
			s := got[i : i+sector]
			changed := i >= 16*sector && i < 48*sector || i >= 64*sector
			before := byte('o')
			if i >= 64*sector {
				before = 0
			}
			switch {
			case changed && bytes.Count(s, []byte("n")) == sector:
				kept++
			case bytes.Count(s, []byte{before}) == sector:
				if changed {
					gone++
				}
			default:
				t.Fatalf("sector %d is neither old nor new: %q", i/sector, s)
			}
		}
		if loss.Bytes == 0 {
			t.Error("nothing was lost")
		}
	}
	if kept < 100 || gone < 100 || short == 0 || long == 0 {
		t.Errorf("%d sectors kept, %d gone, %d sizes old, %d new: too much of the same", kept, gone, short, long)
	}
}

// Of a directory's changes those up to some point are kept, never a later one
// without an earlier, nor half a rename.
func TestTornNames(t *testing.T) {
	d, at := mounted(t)
	seen := map[string]bool{}
	for seed := range uint64(40) {
		must(t, d.Unmount())
		must(t, d.Wipe())
		must(t, d.Mount(at))
		write(t, at+"/a", "")
		must(t, os.Rename(at+"/a", at+"/b"))
		write(t, at+"/c", "")
		must(t, os.Remove(at+"/b"))
		cut(t, d, rand.New(rand.NewPCG(seed, 0)))
		seen[fmt.Sprint(slices.Sorted(maps.Keys(tree(t, at))))] = true
	}
	want := []string{"[]", "[a]", "[b c]", "[b]", "[c]"}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("seen %v, want %v", got, want)
	}
}

// twin is the disk, told naively: whoever syncs makes a copy of all that it keeps.
type twin struct {
	now  map[string]*node
	kept map[string]*node
}

type node struct {
	twin        // of a directory
	dir         bool
	bytes, safe string
}

func (n *node) at(name string) (in *node, base string) {
	in = n
	parts := strings.Split(name, "/")
	for _, part := range parts[:len(parts)-1] {
		if in = in.now[part]; in == nil || !in.dir {
			return nil, ""
		}
	}
	return in, parts[len(parts)-1]
}

func (n *node) lose() {
	n.bytes = n.safe
	n.now = maps.Clone(n.kept)
	for _, child := range n.now {
		child.lose()
	}
}

func (n *node) tree(prefix string, out map[string]string) map[string]string {
	for name, child := range n.now {
		if child.dir {
			out[prefix+name] = "/"
			child.tree(prefix+name+"/", out)
		} else {
			out[prefix+name] = child.bytes
		}
	}
	return out
}

func newDirectory() *node {
	return &node{dir: true, twin: twin{now: map[string]*node{}, kept: map[string]*node{}}}
}

// Whatever is done to it through the kernel, the disk is what its naive twin is.
func TestTwin(t *testing.T) {
	if err := Supported(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		d, at := mount(t, fmt.Sprintf("%s/%d", dir, runs))
		defer func() { must(t, d.Unmount()) }()
		root := newDirectory()
		names := rapid.SampledFrom([]string{"a", "b", "c", "d/a", "d/b", "d/e/a", "d", "e", "d/e"})
		// find finds a file or directory; ok is false if there is none.
		find := func(name string) (*node, bool) {
			in, base := root.at(name)
			if in == nil || in.now[base] == nil {
				return nil, false
			}
			return in.now[base], true
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if got, want := tree(t, at), root.tree("", map[string]string{}); !maps.Equal(got, want) {
					t.Fatalf("there is %q, want %q", got, want)
				}
			},
			"write": func(t *rapid.T) {
				name := names.Draw(t, "name")
				offset, text := rapid.IntRange(0, 9000).Draw(t, "offset"), strings.Repeat(rapid.StringMatching(`[a-z]`).Draw(t, "text"), rapid.IntRange(1, 9000).Draw(t, "times"))
				in, base := root.at(name)
				f, err := os.OpenFile(path.Join(at, name), os.O_RDWR|os.O_CREATE, 0o644)
				if in == nil || in.now[base] != nil && in.now[base].dir {
					if err == nil {
						t.Fatal("opened what cannot be")
					}
					return
				}
				must(t, err)
				_, err = f.WriteAt([]byte(text), int64(offset))
				must(t, errors.Join(err, f.Close()))
				child := in.now[base]
				if child == nil {
					child = &node{}
					in.now[base] = child
				}
				long := []byte(child.bytes + strings.Repeat("\x00", max(0, offset+len(text)-len(child.bytes))))
				copy(long[offset:], text)
				child.bytes = string(long)
			},
			"truncate": func(t *rapid.T) {
				name, size := names.Draw(t, "name"), rapid.IntRange(0, 12000).Draw(t, "size")
				child, ok := find(name)
				if !ok || child.dir {
					return
				}
				must(t, os.Truncate(path.Join(at, name), int64(size)))
				child.bytes = (child.bytes + strings.Repeat("\x00", max(0, size-len(child.bytes))))[:size]
			},
			"mkdir": func(t *rapid.T) {
				name := names.Draw(t, "name")
				in, base := root.at(name)
				err := os.Mkdir(path.Join(at, name), 0o755)
				if allowed := in != nil && in.now[base] == nil; allowed != (err == nil) {
					t.Fatalf("mkdir %s: %v", name, err)
				} else if allowed {
					in.now[base] = newDirectory()
				}
			},
			"remove": func(t *rapid.T) {
				name := names.Draw(t, "name")
				in, base := root.at(name)
				err := os.Remove(path.Join(at, name))
				if allowed := in != nil && in.now[base] != nil && len(in.now[base].now) == 0; allowed != (err == nil) {
					t.Fatalf("remove %s: %v", name, err)
				} else if allowed {
					delete(in.now, base)
				}
			},
			"rename": func(t *rapid.T) {
				from, to := names.Draw(t, "from"), names.Draw(t, "to")
				if from == to || strings.HasPrefix(to, from+"/") || strings.HasPrefix(from, to+"/") {
					return
				}
				source, old := root.at(from)
				target, fresh := root.at(to)
				err := os.Rename(path.Join(at, from), path.Join(at, to))
				child, ok := find(from)
				there, _ := find(to)
				// A directory replaces none, as os.Rename has it on its own account.
				if allowed := ok && target != nil && (there == nil || !there.dir && !child.dir); !allowed {
					if err == nil && !(there != nil && there.dir && child.dir && len(there.now) == 0) {
						t.Fatalf("renamed %s to %s", from, to)
					} else if err != nil {
						return
					}
				} else {
					must(t, err)
				}
				target.now[fresh] = child
				delete(source.now, old)
			},
			"sync": func(t *rapid.T) {
				name := names.Draw(t, "name")
				if child, ok := find(name); ok {
					syncs(t, path.Join(at, name))
					child.safe, child.kept = child.bytes, maps.Clone(child.now)
				}
			},
			"sync root": func(t *rapid.T) {
				syncs(t, at)
				root.kept = maps.Clone(root.now)
			},
			"cut": func(t *rapid.T) {
				cut(t, d, nil)
				root.lose()
			},
		})
		must(t, d.Unmount())
		for id := range d.inodes {
			if d.inodes[id].refs <= 0 {
				t.Fatalf("inode %d is needed by nobody", id)
			}
		}
		must(t, d.Wipe())
		if left, err := os.ReadDir(d.store); err != nil || len(left) > 0 || len(d.inodes) != 1 {
			t.Fatalf("after all is removed, %d files and %d inodes are left, %v", len(left), len(d.inodes), err)
		}
	})
}

// A disk that hangs answers no sync, but reads and writes; killed or unmounted,
// those who wait are free.
func TestStall(t *testing.T) {
	d, at := mounted(t)
	f, err := os.Create(at + "/f")
	must(t, err)
	d.Stall(true)
	done := make(chan error, 1)
	go func() { done <- f.Sync() }()
	_, err = f.WriteString("it still writes")
	must(t, err)
	select {
	case err := <-done:
		t.Fatalf("the sync returned %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	d.Stall(false)
	must(t, <-done)
	must(t, f.Close())
}

// A full disk says so; what was on it stays.
func TestFull(t *testing.T) {
	if err := Supported(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"))
	defer func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) }()
	d, at := mount(t, dir)
	defer func() { must(t, d.Unmount()) }()
	write(t, at+"/before", "it was there")
	if err := os.WriteFile(at+"/large", make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("1 MiB on 256 KiB: %v", err)
	}
	if b, err := os.ReadFile(at + "/before"); string(b) != "it was there" {
		t.Errorf("what was there is %q, %v", b, err)
	}
	must(t, os.Remove(at+"/large"))
	syncs(t, at)
	write(t, at+"/small", "there is room again")
}

// Nobody but this process holds the disk: it ends with us.
func TestChildrenHoldNoDisk(t *testing.T) {
	mounted(t)
	out, err := exec.Command("sh", "-c", "ls -l /proc/self/fd").Output()
	must(t, err)
	if bytes.Contains(out, []byte("/dev/fuse")) {
		t.Errorf("a child has\n%s", out)
	}
}

// What is shown is what is there, also after a loss.
func TestShow(t *testing.T) {
	d, at := mounted(t)
	must(t, os.Mkdir(at+"/d", 0o755))
	write(t, at+"/d/a", "abc")
	must(t, d.Unmount())
	for i, want := range []map[string]string{{"d": "/", "d/a": "abc"}, {}} {
		shown := fmt.Sprintf("%s/%d", t.TempDir(), i)
		must(t, d.Show(shown))
		if got := tree(t, shown); !maps.Equal(got, want) {
			t.Errorf("shown is %q, want %q", got, want)
		}
		_, err := d.Lose(nil)
		must(t, err)
	}
}
