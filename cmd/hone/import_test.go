package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hone/loop"
	"hone/spec"
)

const importSpace = `
name: lab
factors:
  - {name: light, levels: {low: 0.3, high: 0.7}}
  - {name: glove, levels: {"true": 0.5, "false": 0.5}}
  - {name: colour, levels: {red: 0.5, "3": 0.5}, when: {glove: "true"}}
  - {name: distance, kind: numeric, edges: [0, 1, 4]}
`

// surveyed is what an import makes of a layout of files: a line per example, or the
// mistakes. A file "-> TARGET" is a link, "sparse" one of 2 GiB, and a name that ends
// with a slash a folder.
func surveyed(t *testing.T, layout map[string]string, name string, columns importColumns) (lines []string, i *importing, err error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range layout {
		path := filepath.Join(dir, name)
		must := func(err error) {
			if err != nil {
				t.Helper()
				t.Fatal(err)
			}
		}
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		target, link := strings.CutPrefix(content, "-> ")
		switch {
		case link:
			must(os.Symlink(target, path))
		case content == "sparse":
			must(os.WriteFile(path, nil, 0o644))
			must(os.Truncate(path, 2<<30))
		case strings.HasSuffix(name, ".parquet"):
			copyTable(t, content, path)
		case strings.HasSuffix(name, "/"):
			must(os.MkdirAll(path, 0o755))
		default:
			must(os.WriteFile(path, []byte(content), 0o644))
		}
	}
	space, err := spec.ParseSpace([]byte(importSpace))
	if err != nil {
		t.Fatal(err)
	}
	if columns.root != "" {
		columns.root = filepath.Join(dir, columns.root)
	}
	i = &importing{space: &space, stderr: io.Discard}
	if i.source, err = openImport(t.Context(), filepath.Join(dir, name), &space, columns); err != nil {
		return nil, i, err
	}
	defer i.source.close()
	if err := i.survey(t.Context()); err != nil {
		return nil, i, err
	}
	for x, err := range i.source.examples() {
		if err != nil {
			t.Fatal(err)
		}
		members, err := i.source.members(x)
		if err != nil {
			t.Fatal(err)
		}
		line := x.id
		for _, m := range members {
			line += fmt.Sprintf(" %s=%s", m.Ext, m.Bytes)
		}
		scenario := i.scenario(x, false)
		for _, f := range slices.Sorted(maps.Keys(scenario)) {
			line += fmt.Sprintf(" %s:%v", f, scenario[f])
		}
		lines = append(lines, line)
	}
	return lines, i, nil
}

func TestImportLayouts(t *testing.T) {
	for name, x := range map[string]struct {
		layout  map[string]string
		from    string
		columns importColumns
		want    []string
	}{
		"a folder": {map[string]string{"in/a/b.png": "P", "in/a/b.json": `{"light":"low","distance":0.5,"boxes":[1]}`, "in/c.PNG": "Q", "in/.hidden.png": "H",
			"in/.git/x.y": "G", "in/README": "R", "in/d.seg.png": "S", "in/d.png": "T", "in/e.json": `[1,2]`}, "in", importColumns{},
			[]string{`a/b json={"light":"low","distance":0.5,"boxes":[1]} png=P distance:0.5 light:low`, "c png=Q", "d png=T seg.png=S", "e json=[1,2]"}},
		"a folder, some ignored": {map[string]string{"b.png": "P", "b.json": `{"light":"low","glove":true}`}, "", importColumns{ignore: []string{"light"}},
			[]string{`b json={"light":"low","glove":true} png=P glove:true`}},
		"a link within the folder": {map[string]string{"real/x.png": "P", "x.png": "-> real/x.png"}, "", importColumns{}, []string{"real/x png=P", "x png=P"}},
		"CSV": {map[string]string{"labels.csv": "path,light,distance,glove,class,note\nimg/1.png,low,0.25,true,007,\nimg/2.png,dim,9,,cat,x\n", "img/1.png": "P", "img/2.png": "Q"},
			"labels.csv", importColumns{ignore: []string{"note"}},
			[]string{`img/1.png png=P label.json={"class":"007"} distance:0.25 glove:true light:low`, `img/2.png png=Q label.json={"class":"cat"}`}},
		"NDJSON": {map[string]string{"rows.jsonl": `{"file":"1.png","light":null,"colour":3.0,"glove":true,"n":3,"box":[1,2]}` + "\n\n" + `{"file":"./2.png"}`, "1.png": "P", "2.png": "Q"},
			"rows.jsonl", importColumns{}, []string{`1.png png=P label.json={"box":[1,2],"n":3} colour:3 glove:true`, "2.png png=Q"}},
		"Parquet": {map[string]string{"t.parquet": "select 'p/1.png' as image, 'one' as example, 'low' as light, 0.5::float as distance, 'nan'::double as x, 2 as y", "p/1.png": "P"},
			"t.parquet", importColumns{}, []string{`one png=P label.json={"x":null,"y":2} distance:0.5 light:low`}},
		"as Hugging Face has it": {map[string]string{"d/metadata.csv": "file_name,light\na.png,high\n", "d/a.png": "P", "d/other.png": "O"}, "d", importColumns{},
			[]string{"a.png png=P light:high"}},
		"another root, named columns": {map[string]string{"t.csv": "where,who,light\nx/1.png,7,low\n", "data/x/1.png": "P"}, "t.csv",
			importColumns{root: "data", path: "where", id: "who"}, []string{"7 png=P light:low"}},
		"no file":              {map[string]string{"t.csv": "id,light,text\na,low,hello\n"}, "t.csv", importColumns{id: "id"}, []string{`a label.json={"text":"hello"} light:low`}},
		"other tables of text": {map[string]string{"t.tsv": "path\tlight\n\"1.png\"\thigh\n", "1.png": "P"}, "t.tsv", importColumns{}, []string{"1.png png=P light:high"}},
	} {
		t.Run(name, func(t *testing.T) {
			lines, _, err := surveyed(t, x.layout, x.from, x.columns)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(lines, x.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(x.want, "\n"))
			}
		})
	}
}

// What leads out of the folder, is no file, or says what cannot be, is told by name
// before anything is sent.
func TestImportHostile(t *testing.T) {
	one := func(path string) string { return "path,light\n" + path + ",low\n" }
	for name, x := range map[string]struct {
		layout  map[string]string
		from    string
		columns importColumns
		want    []string
	}{
		"a link out of the folder": {map[string]string{"in/x.png": "-> ../secret.png", "secret.png": "S"}, "in", importColumns{}, []string{`in/x: "x.png" leads out of`}},
		"an absolute link":         {map[string]string{"in/x.png": "-> /etc/hostname"}, "in", importColumns{}, []string{`"x.png" leads out of`}},
		"a link to nothing":        {map[string]string{"in/x.png": "-> nowhere"}, "in", importColumns{}, []string{`there is no file "x.png"`}},
		"a link to a folder":       {map[string]string{"in/real/x.png": "P", "in/y.d": "-> real"}, "in", importColumns{}, []string{`"y.d" is not a plain file`}},
		"2 GiB":                    {map[string]string{"in/x.bin": "sparse"}, "in", importColumns{}, []string{`"x.bin" has 2.0 GiB; a sample has at most 64.0 MiB`}},
		"a path with ..":           {map[string]string{"in/t.csv": one("../x.png"), "x.png": "P"}, "in/t.csv", importColumns{}, []string{"row 1, column path", "leads out of", "--root"}},
		"an absolute path":         {map[string]string{"in/t.csv": one("/etc/hostname")}, "in/t.csv", importColumns{}, []string{"leads out of"}},
		"a missing file":           {map[string]string{"t.csv": one("1.png")}, "t.csv", importColumns{}, []string{`t.csv, row 1: there is no file "1.png"`}},
		"a folder as a file":       {map[string]string{"t.csv": one("d.x"), "d.x/": ""}, "t.csv", importColumns{}, []string{`"d.x" is not a plain file`}},
		"no extension":             {map[string]string{"t.csv": one("LICENSE"), "LICENSE": "L"}, "t.csv", importColumns{}, []string{`"LICENSE" has no extension`}},
		"twice":                    {map[string]string{"t.csv": "path\n1.png\n./1.png\n", "1.png": "P"}, "t.csv", importColumns{}, []string{`row 2: there is another example "1.png"`, "--id"}},
		"names of broken UTF-8":    {map[string]string{"in/\xff.png": "P"}, "in", importColumns{}, []string{`"\xff" is no name of an example`}},
		"a contradiction":          {map[string]string{"t.csv": "path,glove,colour\n1.png,false,red\n", "1.png": "P"}, "t.csv", importColumns{}, []string{"row 1, column colour: it is absent where glove=false"}},
		"broken JSON":              {map[string]string{"in/x.json": `{"light":`}, "in", importColumns{}, []string{"in/x: its JSON is broken"}},
		"a row of broken JSON":     {map[string]string{"t.jsonl": `{"path":"1.png"}` + "\n[]\n", "1.png": "P"}, "t.jsonl", importColumns{}, []string{"row 2: it is no JSON object"}},
		"nothing in it":            {map[string]string{"in/": ""}, "in", importColumns{}, []string{"there is no example in it"}},
		"an empty table":           {map[string]string{"t.csv": ""}, "t.csv", importColumns{}, []string{"the file is empty"}},
		"no column of files":       {map[string]string{"t.csv": "light\nlow\n"}, "t.csv", importColumns{}, []string{"--path or --id"}},
		"a column that is not":     {map[string]string{"t.csv": "light\nlow\n"}, "t.csv", importColumns{path: "pth"}, []string{`has no column "pth"`, "it has light"}},
		"no table":                 {map[string]string{"t.pdf": "%PDF"}, "t.pdf", importColumns{}, []string{"its name does not say what it is"}},
		"bytes in a column":        {map[string]string{"t.parquet": "select 'a'::blob as picture, '1' as example"}, "t.parquet", importColumns{}, []string{`column "picture" holds bytes`, "--ignore picture"}},
		"not there":                {map[string]string{}, "none", importColumns{}, []string{"no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			lines, _, err := surveyed(t, x.layout, x.from, x.columns)
			if err == nil {
				t.Fatalf("it was taken: %q", lines)
			}
			for _, want := range x.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q\nlacks %q", err, want)
				}
			}
		})
	}
}

// At most so many mistakes are listed, and the others counted.
func TestImportManyMistakes(t *testing.T) {
	_, _, err := surveyed(t, map[string]string{"t.csv": "path\n" + strings.Repeat("x.png\n", 50)}, "t.csv", importColumns{})
	if err == nil || strings.Count(err.Error(), "there is no file") > maxImportMistakes || !strings.Contains(err.Error(), "and 79 more") {
		t.Error(err) // 50 are missing, and 49 are there twice
	}
}

func TestImportTallies(t *testing.T) {
	_, i, err := surveyed(t, map[string]string{"t.csv": "path,light,distance\n1.x,low,1\n2.x,dim,-1\n3.x,dim,far\n4.x,,2\n",
		"1.x": "", "2.x": "", "3.x": "", "4.x": ""}, "t.csv", importColumns{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(i.tallies)
	want := `[{"name":"light","known":1,"known_rate":0.25,"unlisted":{"dim":2}},{"name":"glove","known":0,"known_rate":0},` +
		`{"name":"colour","known":0,"known_rate":0},{"name":"distance","known":2,"known_rate":0.5,"unlisted":{"-1":1,"far":1}}]`
	if err != nil || string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if text := unlistedText(map[string]int64{"a": 1, "b": 2000, "c": 3, "d": 3}); text != `"b" 2,000×, "c" 3×, "d" 3×, and 1 more` {
		t.Error(text)
	}
}

// What a file becomes between the two looks at it is an error, not a sample.
func TestImportGrows(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.bin")
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	space, err := spec.ParseSpace([]byte(importSpace))
	if err != nil {
		t.Fatal(err)
	}
	source, err := openImport(t.Context(), dir, &space, importColumns{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.close()
	if err := os.Truncate(path, loop.MaxSampleBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := source.read("x.bin"); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := source.read("x.bin"); err == nil || errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
}
