package state

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

func registered(name string, version int) Command {
	return Command{RegisterNode: &RegisterNode{Node{Name: name, Instance: name, Version: version, Build: fmt.Sprint("build of ", version)}}}
}

func raise(to int) Command { return Command{RaiseVersion: &RaiseVersion{To: to}} }

// C25: a version is in force once all nodes have said that they understand it, for
// ever, also after a snapshot; nobody who understands less comes in any more.
func TestRaiseVersion(t *testing.T) {
	s := populated(t)
	old := snapshotOf(t, s)
	for name, version := range map[string]int{"n1": 2, "n2": 1, "n3": 1} {
		c := registered(name, version)
		if name == "n1" {
			c.RegisterNode.Node.Instance = "a"
		}
		answer[NodeRegistered](t, s, c)
	}
	r := refusedAs(t, s, Conflict, raise(2))
	for _, want := range []string{"n2 (build build of 1)", "n3", "hone cluster remove"} {
		if !strings.Contains(r.Error(), want) {
			t.Errorf("%q does not say %q", r.Error(), want)
		}
	}
	answer[NodeRegistered](t, s, registered("n2", 2))
	refusedAs(t, s, Conflict, raise(2))
	if got := s.Behind(2); len(got) != 1 || got[0].Name != "n3" || s.Version() != 1 {
		t.Errorf("%+v is behind version 2; version %d is in force", got, s.Version())
	}
	answer[NodeForgotten](t, s, Command{ForgetNode: &ForgetNode{"n3", "n3"}})
	if got := answer[VersionRaised](t, s, raise(2)); got != (VersionRaised{Version: 2}) {
		t.Errorf("%+v", got)
	}
	for _, again := range []int{2, 1, 0, -1} {
		if got := answer[VersionRaised](t, s, raise(again)); got != (VersionRaised{2, true}) {
			t.Errorf("raised again to %d: %+v", again, got)
		}
	}
	for _, late := range []string{"n2", "n4"} {
		if r := refusedAs(t, s, Conflict, registered(late, 1)); !strings.Contains(r.Error(), late) {
			t.Errorf("%v", r)
		}
	}
	refusedAs(t, s, Conflict, raise(3))
	if got := restored(t, s).Version(); got != 2 {
		t.Errorf("version %d after a restart", got)
	}
	// Who understands version 1 alone reads what was written before, and no more.
	var newer *VersionError
	if _, err := RestoreUpTo(bytes.NewReader(snapshotOf(t, s)), 1); !errors.As(err, &newer) || *newer != (VersionError{"snapshot", 2, 1}) {
		t.Errorf("a snapshot of version 2, read by a node of version 1: %v", err)
	}
	if _, err := RestoreUpTo(bytes.NewReader(old), 1); err != nil {
		t.Errorf("a snapshot of version 1, read by a node of version 1: %v", err)
	}
}

var update = flag.Bool("update", false, "write testdata/versions.txt anew")

// C25: what an older build does not know needs a later version. testdata/versions.txt
// has every field that an entry can hold and the version that it came in; a new
// field is of the latest, and Command.Needs must say so of a command that has it.
func TestNewFieldsNeedTheirVersion(t *testing.T) {
	const path = "testdata/versions.txt"
	since := map[string]int{}
	golden, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		var version int
		var field string
		if _, err := fmt.Sscan(line, &version, &field); err != nil {
			t.Fatal(err)
		}
		since[field] = version
	}
	lines := map[string]bool{}
	eachField(nil, reflect.TypeFor[Command](), func(name string, path []reflect.StructField) {
		version, ok := since[name]
		if !ok {
			if !*update {
				t.Errorf("%s is new: run the test with -update, and let Command.Needs ask for version %d of what has it", name, LatestVersion)
			}
			version = LatestVersion
		}
		lines[fmt.Sprintln(version, name)] = true
		var c Command
		put(reflect.ValueOf(&c).Elem(), path)
		if c.Needs() < version {
			t.Errorf("%s came in version %d, but a command that has it needs only version %d", name, version, c.Needs())
		}
	})
	for name, version := range since {
		if !lines[fmt.Sprintln(version, name)] {
			t.Errorf("%s is gone: entries that have it cannot be read any more", name)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(slices.Sorted(maps.Keys(lines)), "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type textMarshaler interface{ MarshalText() ([]byte, error) }

// eachField visits what is encoded of a type, by the name of its type and its key,
// with the way that leads there.
func eachField(way []reflect.StructField, at reflect.Type, visit func(name string, way []reflect.StructField)) {
	for at.Kind() == reflect.Pointer || at.Kind() == reflect.Slice {
		at = at.Elem()
	}
	if at.Kind() != reflect.Struct || at.Implements(reflect.TypeFor[cbor.Marshaler]()) || at.Implements(reflect.TypeFor[textMarshaler]()) {
		return
	}
	for field := range at.Fields() {
		key, _, _ := strings.Cut(cmp.Or(field.Tag.Get("cbor"), field.Tag.Get("json"), field.Name), ",")
		if !field.IsExported() || key == "-" || slices.ContainsFunc(way, func(f reflect.StructField) bool { return f.Type == field.Type }) {
			continue
		}
		there := append(slices.Clip(way), field)
		visit(at.String()+"."+cmp.Or(key, field.Name), there)
		eachField(there, field.Type, visit)
	}
}

// put makes the field at the end of the way one that is there.
func put(v reflect.Value, way []reflect.StructField) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		put(v.Elem(), way)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		put(v.Index(0), way)
	case reflect.Struct:
		if len(way) > 0 {
			put(v.FieldByIndex(way[0].Index), way[1:])
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Int, reflect.Int64, reflect.Int16, reflect.Int32, reflect.Int8:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	}
}
