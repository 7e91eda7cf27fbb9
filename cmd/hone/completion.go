package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// completions are the scripts that teach a shell to ask `hone completion words`
// what may come next. Where hone has no answer, the shell offers files.
var completions = map[string]string{
	"bash": `_hone() {
    COMPREPLY=()
    local IFS=$'\n'
    COMPREPLY=($(compgen -W "$(hone completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _hone hone
`,
	"zsh": `#compdef hone
_hone() {
    local -a answers
    answers=("${(@f)$(hone completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${answers[*]}" ]]; then compadd -a answers; else _files; fi
}
if [[ $funcstack[1] == _hone ]]; then _hone "$@"; else compdef _hone hone; fi
`,
	"fish": `function __hone_words
    set -l words (commandline -opc) (commandline -ct)
    hone completion words -- $words[2..-1] 2>/dev/null
end
complete -c hone -a '(__hone_words)'
`,
}

func completionCommand() *cli.Command {
	script := func(shell, install string) *cli.Command {
		return &cli.Command{
			Name:        shell,
			Usage:       "print the script for " + shell,
			Description: "Example:\n   " + install,
			Action: func(c *cli.Context) error {
				if _, err := arguments(c); err != nil {
					return err
				}
				_, err := io.WriteString(c.App.Writer, completions[shell])
				return err
			},
		}
	}
	return &cli.Command{
		Name:  "completion",
		Usage: "have the shell complete hone's commands and flags: bash, zsh or fish",
		Subcommands: []*cli.Command{
			script("bash", "hone completion bash > ~/.local/share/bash-completion/completions/hone"),
			script("zsh", "hone completion zsh > ~/.zfunc/_hone      # with fpath+=~/.zfunc before compinit in ~/.zshrc"),
			script("fish", "hone completion fish > ~/.config/fish/completions/hone.fish"),
			{
				Name:        "words",
				Usage:       "print what may stand in the last place of a command line",
				ArgsUsage:   "-- WORD...",
				Hidden:      true,
				Description: "Example:\n   hone completion words -- campaign sh",
				Action: func(c *cli.Context) error {
					for _, word := range complete(c.App.Commands, c.Args().Slice()) {
						fmt.Fprintln(c.App.Writer, word)
					}
					return nil
				},
			},
		},
	}
}

// complete lists what may stand in place of the last of words, the others being
// what stands before it: commands, flags, or the values that a flag takes.
// Nothing means that a file may.
func complete(level []*cli.Command, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	var flags []cli.Flag
	wanting := "" // the flag whose value comes next
	for _, word := range words[:len(words)-1] {
		switch {
		case wanting != "":
			wanting = ""
		case strings.HasPrefix(word, "-"):
			name, _, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
			if takes, _ := declared(append(common(), flags...), name); takes && !given {
				wanting = name
			}
		default:
			if command := find(level, word); command != nil {
				level, flags = command.Subcommands, command.Flags
			}
		}
	}
	var offers []string
	switch {
	case wanting == "output" || wanting == "o":
		offers = []string{outputTable, outputJSON, outputYAML}
	case wanting != "":
		return nil
	case strings.HasPrefix(last, "-"):
		for _, flag := range flags {
			offers = append(offers, "--"+flag.Names()[0])
		}
	default:
		offers = names(level)
	}
	offers = slices.DeleteFunc(offers, func(word string) bool { return !strings.HasPrefix(word, last) })
	slices.Sort(offers)
	return offers
}
