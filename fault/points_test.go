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

// Every place that code marks is among the Points, and every Point is a place.
func TestPointsAreMarked(t *testing.T) {
	marked := map[string]bool{}
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
			if !ok || f.Sel.Name != "Point" {
				return true
			}
			if from, ok := f.X.(*ast.Ident); ok && from.Name == "fault" {
				if place, ok := call.Args[0].(*ast.BasicLit); ok {
					text, _ := strconv.Unquote(place.Value)
					marked[text] = true
				} else {
					t.Errorf("%s: a point is named by a literal", name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, want := slices.Sorted(maps.Keys(marked)), slices.Sorted(maps.Keys(fault.Points))
	if !slices.Equal(got, want) {
		t.Errorf("marked are %v, the points are %v", got, want)
	}
}
