package program

import "fmt"

// Rule names one of the things that PROTOCOL.md asks of a program.
type Rule string

// The rules that a conversation may break.
const (
	RuleDescription Rule = "description" // it describes itself
	RuleMessages    Rule = "messages"    // every line is a message, at its place
	RuleIndices     Rule = "indices"     // the samples that were asked for, each once
	RuleOutputs     Rule = "outputs"     // every sample has the members of the description
	RuleFiles       Rule = "files"       // plain files in the unit's directory, not too large
	RuleAlive       Rule = "alive"       // it lives for as long as its input is open
	RuleTime        Rule = "time"        // it answers in time
	RuleMade        Rule = "made"        // it does not answer "failed"
)

// Breach is what a program did against the protocol. All but RuleMade end the
// process: what it says afterwards cannot be trusted to be about what is asked.
type Breach struct {
	Rule     Rule
	Expected string
	Got      string
	// Remedy says what its author can do about it.
	Remedy string
	// Last is what the program wrote last to standard error; it may be empty.
	Last string
}

func (b *Breach) Error() string {
	s := fmt.Sprintf("expected %s, got %s", b.Expected, b.Got)
	if b.Rule == RuleMade {
		s = b.Got
	}
	if b.Remedy != "" {
		s += " (" + b.Remedy + ")"
	}
	if b.Last != "" {
		s += "; the program's last words:\n" + b.Last
	}
	return s
}

// shown is a line or a name as an error may quote it.
func shown[T string | []byte](s T) string {
	const most = 120
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
