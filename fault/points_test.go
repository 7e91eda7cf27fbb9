package fault_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hone/fault"
)

// Every place that code marks is among the Points, and every Point is a place; and so
// it is with the bugs that can be planted.
func TestPointsAreMarked(t *testing.T) {
	marked := map[string]map[string]bool{"Point": {}, "Planted": {}}
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || marked[f.Sel.Name] == nil {
				return true
			}
			if from, ok := f.X.(*ast.Ident); ok && from.Name == "fault" {
				if place, ok := call.Args[0].(*ast.BasicLit); ok {
					text, _ := strconv.Unquote(place.Value)
					marked[f.Sel.Name][text] = true
				} else {
					t.Errorf("%s: a point or bug is named by a literal", name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, known := range map[string]map[string]string{"Point": fault.Points, "Planted": fault.Plants} {
		got, want := slices.Sorted(maps.Keys(marked[kind])), slices.Sorted(maps.Keys(known))
		if !slices.Equal(got, want) {
			t.Errorf("%s is asked for %q, and knows %q", kind, got, want)
		}
	}
}
