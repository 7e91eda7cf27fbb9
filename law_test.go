package hone_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// law says of each folder which folders of this module and which other modules
// its packages may import, tests included. A folder without an entry may not be:
// a new one is a decision, and is written down here and in .golangci.yml.
var law = map[string]struct {
	hone []string // below hone/; nil: none, "*": any
	// modules are prefixes of import paths outside; "*" is any module but DuckDB.
	modules []string
	// pure packages decide: no clock, no global randomness, no I/O, no goroutine.
	pure bool
	// cgo packages may reach DuckDB.
	cgo bool
}{
	"":                       {},
	"fault":                  {},
	"loop":                   {modules: []string{"gonum.org/v1/gonum/"}, pure: true},
	"spec":                   {hone: []string{"loop"}, modules: []string{"github.com/goccy/go-yaml", "github.com/santhosh-tekuri/jsonschema/v6"}},
	"api":                    {hone: []string{"loop"}, modules: []string{"*"}},
	"coordinator/state":      {hone: []string{"loop", "fault"}, modules: []string{"github.com/RoaringBitmap/roaring/v2", "github.com/fxamacker/cbor/v2"}, pure: true},
	"coordinator/schedule":   {hone: []string{"loop", "fault"}, modules: []string{"gonum.org/v1/gonum/"}, pure: true},
	"coordinator/simulation": {hone: []string{"loop", "fault", "coordinator/state", "coordinator/schedule"}, pure: true},
	"coordinator":            {hone: []string{"loop", "spec", "api", "fault", "coordinator/state", "coordinator/schedule"}, modules: []string{"*"}},
	"gpuworker":              {hone: []string{"loop", "spec", "api", "fault"}, modules: []string{"*"}},
	"gate":                   {hone: []string{"loop", "spec", "api", "fault"}, modules: []string{"*"}},
	"program":                {hone: []string{"loop"}, modules: []string{"*"}},
	"lake":                   {hone: []string{"loop", "spec", "api", "fault"}, modules: []string{"*"}},
	"ingest":                 {hone: []string{"loop", "spec", "api", "fault"}, modules: []string{"*"}},
	"analytics":              {hone: []string{"loop", "spec", "api", "fault"}, modules: []string{"*", duckdb}, cgo: true},
	"export":                 {hone: []string{"loop", "api"}, modules: []string{"*"}},
	"report":                 {hone: []string{"loop", "spec", "api", "report/reporttest"}, modules: []string{"*"}},
	"report/reporttest":      {modules: []string{"golang.org/x/net/html"}},
	"examples/shapes":        {hone: []string{"loop", "spec", "api", "gpuworker"}, modules: []string{"*"}},
	"bench":                  {hone: []string{"*"}, modules: []string{"*"}, cgo: true},
	"cmd/hone/powerloss":     {modules: []string{"github.com/hanwen/go-fuse/v2", "github.com/hashicorp/raft"}},
	"cmd/hone":               {hone: []string{"*"}, modules: []string{"*", duckdb}, cgo: true},
}

const (
	module = "hone"
	duckdb = "github.com/duckdb/"
)

// forTests are modules that any test may import.
var forTests = []string{"pgregory.net/rapid", "github.com/anishathalye/porcupine"}

// worldly are the parts of the standard library through which a package would
// learn of the world or touch it.
var worldly = []string{"os", "net", "log", "io/ioutil", "syscall", "plugin", "database/sql", "math/rand", "crypto/rand"}

// vague names say nothing of what a package owns.
var vague = []string{"util", "utils", "common", "helper", "helpers", "manager", "handler", "processor", "engine", "misc", "base"}

type source struct {
	path string // slashes, from the root of the module
	test bool
	file *ast.File
}

func (s source) imports() []string {
	out := make([]string, len(s.file.Imports))
	for i, spec := range s.file.Imports {
		out[i], _ = strconv.Unquote(spec.Path.Value)
	}
	return out
}

// sources parses every Go file of the module, whatever its build tags, by folder.
func sources(t *testing.T) (*token.FileSet, map[string][]source) {
	t.Helper()
	set, found := token.NewFileSet(), make(map[string][]source)
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			base := entry.Name()
			// As the go command: these are no packages of the module. A folder with
			// a go.mod of its own (bench/peers) is another module.
			hidden := name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) || base == "testdata" || base == "python"
			if nested, _ := filepath.Glob(filepath.Join(name, "go.mod")); hidden || name != "." && len(nested) > 0 {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		folder := path.Dir(name)
		if folder == "." {
			folder = ""
		}
		found[folder] = append(found[folder], source{path: name, test: strings.HasSuffix(name, "_test.go"), file: file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found["loop"]) == 0 {
		t.Fatal("package loop was not found: the test looks in the wrong place")
	}
	return set, found
}

// own reports whether an import is of this module, and its folder.
func own(imported string) (folder string, ok bool) {
	if imported == module {
		return "", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && first != module
}

func TestImportLaw(t *testing.T) {
	_, all := sources(t)
	for _, folder := range slices.Sorted(maps.Keys(all)) {
		rule, known := law[folder]
		if !known {
			t.Errorf("%s: the import law knows no such folder; say in law_test.go and .golangci.yml what it may import", folder)
			continue
		}
		if slices.Contains(vague, path.Base(folder)) {
			t.Errorf("%s: the name does not say what the package owns", folder)
		}
		for _, s := range all[folder] {
			for _, imported := range s.imports() {
				if other, ok := own(imported); ok {
					if other != folder && !slices.Contains(rule.hone, other) && !slices.Contains(rule.hone, "*") {
						t.Errorf("%s imports %s: siblings never import each other; declare the interface that is needed and let cmd/hone pass it in", s.path, imported)
					}
					continue
				}
				switch {
				case imported == "C":
					t.Errorf("%s uses cgo itself", s.path)
				case standard(imported):
					if rule.pure && !s.test && outside(imported) {
						t.Errorf("%s imports %s: the package is pure", s.path, imported)
					}
				case !allowed(rule.modules, imported) && !(s.test && allowed(forTests, imported)):
					t.Errorf("%s imports %s, which its folder does not take", s.path, imported)
				}
			}
		}
	}
}

func outside(imported string) bool {
	return slices.ContainsFunc(worldly, func(w string) bool { return imported == w || strings.HasPrefix(imported, w+"/") }) &&
		imported != "math/rand/v2" // its seeded sources are values; its global functions are held below
}

func allowed(prefixes []string, imported string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool {
		return p == "*" && !strings.HasPrefix(imported, duckdb) || strings.HasPrefix(imported, p)
	})
}

// Nothing but analytics, cmd/hone and bench may so much as reach DuckDB, or the
// rest could not be built and tested without cgo.
func TestOnlyAnalyticsNeedsCgo(t *testing.T) {
	_, all := sources(t)
	var reaches func(folder string, seen map[string]bool) bool
	reaches = func(folder string, seen map[string]bool) bool {
		if seen[folder] {
			return false
		}
		seen[folder] = true
		for _, s := range all[folder] {
			for _, imported := range s.imports() {
				if strings.HasPrefix(imported, duckdb) {
					return true
				}
				if other, ok := own(imported); ok && reaches(other, seen) {
					return true
				}
			}
		}
		return false
	}
	for folder := range all {
		if reaches(folder, make(map[string]bool)) && !law[folder].cgo {
			t.Errorf("%s reaches DuckDB, and with it cgo", folder)
		}
	}
}

// clocks are the functions of package time that read a clock or wait for one.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// sources of randomness that are values, in math/rand/v2; all else is global.
var seeded = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}

func TestPurePackagesTakeTheWorldAsValues(t *testing.T) {
	set, all := sources(t)
	for folder, rule := range law {
		if !rule.pure {
			continue
		}
		for _, s := range all[folder] {
			if s.test {
				continue
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%s: a goroutine in a pure package", set.Position(n.Pos()))
				case *ast.SelectorExpr:
					if from, ok := n.X.(*ast.Ident); ok {
						switch {
						case from.Name == "time" && slices.Contains(clocks, n.Sel.Name):
							t.Errorf("%s: time.%s in a pure package; time comes in as a value", set.Position(n.Pos()), n.Sel.Name)
						case from.Name == "rand" && !slices.Contains(seeded, n.Sel.Name) && imports(s, "math/rand/v2"):
							t.Errorf("%s: rand.%s in a pure package; draw from a seeded source", set.Position(n.Pos()), n.Sel.Name)
						}
					}
				}
				return true
			})
		}
	}
}

// A test that sleeps is slow where it need not wait and fails where it should
// wait longer. Within testing/synctest a sleep costs nothing and means something.
func TestNoTestSleeps(t *testing.T) {
	set, all := sources(t)
	for _, files := range all {
		for _, s := range files {
			if !s.test || imports(s, "testing/synctest") {
				continue
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
					if from, ok := sel.X.(*ast.Ident); ok && from.Name == "time" {
						t.Errorf("%s: time.Sleep in a test; wait for a signal, or use testing/synctest", set.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}

func imports(s source, imported string) bool { return slices.Contains(s.imports(), imported) }
