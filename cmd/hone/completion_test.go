package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	app := newApp(strings.NewReader(""), nil, nil)
	for _, c := range []struct {
		line string
		want []string
	}{
		{"campai", []string{"campaign"}},
		{"campaign cr", []string{"create"}},
		{"space put examples/sp", nil},
		{"campaign show loop --outp", []string{"--output"}},
		{"campaign show loop --output ", []string{"json", "table", "yaml"}},
		{"campaign show loop -o y", []string{"yaml"}},
		{"--output json campaign cr", []string{"create"}},
		{"--output=json campaign cr", []string{"create"}},
		{"work --sl", []string{"--slots"}},
		{"work --data ", nil},
		{"nonsense ", nil},
	} {
		got := complete(app.Commands, strings.Split(c.line, " "))
		if c.line == "nonsense " {
			continue // it must not panic; what it offers is no matter
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
	}
	if got := complete(app.Commands, nil); !slices.Contains(got, "demo") || slices.Contains(got, "words") {
		t.Errorf("the commands are %q", got)
	}
}

// The scripts are run by the shells that they are for, where those are installed.
func TestCompletionScripts(t *testing.T) {
	dir := t.TempDir()
	// The shell calls hone by that name: a script that hands over to this binary.
	fake := filepath.Join(dir, "hone")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\n[ \"$1 $2\" = \"completion words\" ] && printf 'show\\nshut\\n'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ask := map[string]string{
		"bash": "COMP_WORDS=(hone campaign sh); COMP_CWORD=2; _hone; printf '%s\\n' \"${COMPREPLY[@]}\"",
		"fish": "complete -C 'hone campaign sh'",
		"zsh":  "print defined: $+functions[_hone]",
	}
	want := map[string]string{"bash": "show\nshut\n", "fish": "show\nshut\n", "zsh": "defined: 1\n"}
	for shell, question := range ask {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("%s is not installed", shell)
			}
			code, script, _ := hone(t, "", "completion", shell)
			if code != exitOK {
				t.Fatalf("exit code %d", code)
			}
			if shell == "zsh" {
				script = "compdef() {}\n" + script
			}
			command := exec.CommandContext(t.Context(), path, "-c", script+"\n"+question)
			command.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
			out, err := command.CombinedOutput()
			if err != nil || string(out) != want[shell] {
				t.Fatalf("%v: %q, want %q", err, out, want[shell])
			}
		})
	}
}
