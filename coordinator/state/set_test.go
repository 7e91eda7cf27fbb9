package state

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A set against a map, through shares of it that must not change (C23).
func TestSet(t *testing.T) {
	type pair struct {
		set  set
		twin map[uint64]bool
	}
	check := func(t *rapid.T, name string, p *pair) {
		want := slices.Sorted(maps.Keys(p.twin))
		if got := slices.Collect(p.set.all()); !slices.Equal(got, want) || p.set.count != uint64(len(want)) {
			t.Fatalf("%s: %v of %d, want %v", name, got, p.set.count, want)
		}
		end := uint64(0)
		if len(want) > 0 {
			end = want[len(want)-1] + 1
		}
		if p.set.end() != end {
			t.Fatalf("%s: it ends at %d, want %d", name, p.set.end(), end)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		index := rapid.Custom(func(t *rapid.T) uint64 {
			leaf := rapid.SampledFrom([]uint64{0, 0, 1, 7}).Draw(t, "leaf")
			return leaf*leafBits + rapid.SampledFrom([]uint64{0, 1, 63, 64, leafBits - 1}).Draw(t, "bit")
		})
		now := &pair{twin: map[uint64]bool{}}
		frozen := []pair{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				i := index.Draw(t, "index")
				if now.set.add(i) == now.twin[i] {
					t.Fatalf("add(%d) is wrong about what was there", i)
				}
				now.twin[i] = true
			},
			"remove": func(t *rapid.T) {
				i := index.Draw(t, "index")
				if now.set.remove(i) != now.twin[i] {
					t.Fatalf("remove(%d) is wrong about what was there", i)
				}
				delete(now.twin, i)
			},
			"range": func(t *rapid.T) {
				from := index.Draw(t, "from")
				to := from + rapid.SampledFrom([]uint64{0, 1, 64, 65, 500, leafBits, leafBits + 1}).Draw(t, "length")
				now.set.addRange(from, to)
				for ; from < to; from++ {
					now.twin[from] = true
				}
			},
			"share": func(t *rapid.T) {
				frozen = append(frozen, pair{now.set, maps.Clone(now.twin)})
				now.set = now.set.share(now.set.generation + 1)
			},
			"clone": func(*rapid.T) {
				frozen = append(frozen, pair{now.set.clone(), maps.Clone(now.twin)})
			},
			"decode": func(t *rapid.T) {
				read, err := readBitmap(must(now.set.bitmap().ToBytes()))
				if err != nil {
					t.Fatal(err)
				}
				check(t, "decoded", &pair{setOf(read), now.twin})
			},
			"combine": func(t *rapid.T) {
				if len(frozen) == 0 {
					return
				}
				other := frozen[rapid.IntRange(0, len(frozen)-1).Draw(t, "other")]
				both := maps.Clone(other.twin)
				maps.DeleteFunc(both, func(i uint64, _ bool) bool { return !now.twin[i] })
				if n := now.set.common(&other.set); n != uint64(len(both)) {
					t.Fatalf("%d in common, want %d", n, len(both))
				}
				if now.set.equal(&other.set) != maps.Equal(now.twin, other.twin) {
					t.Fatal("equal is wrong")
				}
				if rapid.Bool().Draw(t, "merge") {
					now.set.merge(&other.set)
					maps.Copy(now.twin, other.twin)
				} else {
					now.set.subtract(&other.set)
					maps.DeleteFunc(now.twin, func(i uint64, _ bool) bool { return other.twin[i] })
				}
			},
			"": func(t *rapid.T) {
				frozen = frozen[max(0, len(frozen)-3):]
				check(t, "it", now)
				for i := range frozen {
					check(t, "a frozen one", &frozen[i])
				}
				i := index.Draw(t, "index")
				next, ok := now.set.next(i)
				want := slices.Sorted(maps.Keys(now.twin))
				at, _ := slices.BinarySearch(want, i)
				if ok != (at < len(want)) || ok && next != want[at] || now.set.contains(i) != now.twin[i] {
					t.Fatalf("after %d comes %d, %t", i, next, ok)
				}
			},
		})
	})
}

// A list that goes on does not show in one that was frozen.
func TestList(t *testing.T) {
	var l list[int]
	var frozen []list[int]
	for n := range 3*chunkLength + 5 {
		if n%500 == 0 || n%chunkLength < 2 {
			frozen = append(frozen, l)
		}
		l.append(n)
	}
	for _, l := range append(frozen, l) {
		for _, from := range []int{0, 1, chunkLength - 1, chunkLength, l.len() - 1, l.len()} {
			n := max(from, 0)
			for piece := range l.pieces(n) {
				for _, x := range piece {
					if x != n || *l.at(n) != n {
						t.Fatalf("%d at %d of %d", x, n, l.len())
					}
					n++
				}
			}
			if n != max(l.len(), from) {
				t.Fatalf("%d of %d from %d on", n, l.len(), from)
			}
		}
	}
}
