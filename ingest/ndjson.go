package ingest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line of NDJSON, in bytes. A row of 256 factors needs some
// tens of thousands.
const maxLine = 1 << 20

// decodeNDJSON reads one row per line. Empty lines are allowed and counted, so
// that a mistake names the line that an editor shows. It returns the reader's
// error, errTooManyRows, or a *malformed.
func decodeNDJSON(r io.Reader, b *builder) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	var long []byte
	for line := 1; ; line++ {
		text, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long[:0], text...)
			for errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxLine {
				text, err = lines.ReadSlice('\n')
				long = append(long, text...)
			}
			text = long
			if len(text) > maxLine {
				return malformedf(place(line, ""), "the line has more than %d bytes", maxLine)
			}
		}
		if err != nil && err != io.EOF {
			return err
		}
		c := cursor{b: text}
		if c.peek() != 0 || c.i < len(c.b) {
			if err := b.begin(line); err != nil {
				return err
			}
			isRow, err := readRow(&c, b)
			if err != nil {
				return malformedf(place(line, ""), "%s", err)
			}
			if isRow {
				b.end()
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// The bits of the members that a row has shown.
const (
	sawExample = 1 << iota
	sawGroup
	sawSample
	sawScenario
	sawCorrect
	sawLoss
	sawOrigin
	sawURI
)

var members = map[string]uint{
	exampleColumn: sawExample, groupColumn: sawGroup, sampleColumn: sawSample, scenarioColumn: sawScenario,
	correctColumn: sawCorrect, lossColumn: sawLoss, originColumn: sawOrigin, uriColumn: sawURI,
}

var memberNames = []string{exampleColumn, groupColumn, sampleColumn, scenarioColumn, correctColumn, lossColumn, originColumn, uriColumn}

// readRow reads a line's object into the draft. What is not JSON is an error;
// what is JSON and no row is a mistake.
func readRow(c *cursor, b *builder) (isRow bool, err error) {
	if c.peek() != '{' {
		if err := c.skip(0); err != nil {
			return false, err
		}
		b.mistake("", nil, "a row is an object")
		return false, c.ended()
	}
	saw := uint(0)
	again, err := c.open('{', '}')
	for ; again && err == nil; again, err = c.more('}') {
		key, err := c.str()
		if err != nil {
			return false, err
		}
		member := members[string(key)]
		if member&saw != 0 {
			return false, fmt.Errorf("the member %s stands twice", quote(string(key)))
		}
		saw |= member
		if place, ok := b.scale.places[string(key)]; ok && member == 0 {
			if b.measured[place] == b.rows {
				return false, fmt.Errorf("the metric %q stands twice", b.scale.all[place].Name)
			}
			b.measured[place] = b.rows
			if err := c.take(':'); err != nil {
				return false, err
			}
			if err := readMetric(c, b, place); err != nil {
				return false, err
			}
			continue
		}
		if member == 0 {
			name := string(key)
			if _, ok := b.factors[name]; ok {
				b.mistake(name, nil, "factors stand in \"scenario\", as in {\"scenario\":{%q:...}}", name)
			} else {
				b.mistake(shortName(name), nil, "%s", b.unknownColumn(name, memberNames, "a member of a row"))
			}
		}
		if err := c.take(':'); err != nil {
			return false, err
		}
		if err := readMember(c, b, member); err != nil {
			return false, err
		}
	}
	if err != nil {
		return false, err
	}
	return true, c.ended()
}

// ended refuses anything behind the row.
func (c *cursor) ended() error {
	if c.peek(); c.i < len(c.b) {
		return c.wrong("the end of the line")
	}
	return nil
}

func shortName(name string) string {
	if len(name) > 80 {
		return name[:80]
	}
	return name
}

func readMember(c *cursor, b *builder, member uint) (err error) {
	d := &b.draft
	if member != 0 && c.peek() == 'n' { // null is as good as leaving it out
		return c.word("null")
	}
	switch member {
	case sawExample:
		d.example, err = readText(c, b, exampleColumn)
	case sawGroup:
		var name string
		name, err = readText(c, b, groupColumn)
		b.group(name)
	case sawSample:
		d.sample, err = readText(c, b, sampleColumn)
	case sawOrigin:
		d.origin, err = readText(c, b, originColumn)
	case sawURI:
		d.uri, err = readText(c, b, uriColumn)
	case sawCorrect:
		switch c.peek() {
		case 't':
			d.correct, d.hasCorrect = true, true
			return c.word("true")
		case 'f':
			d.correct, d.hasCorrect = false, true
			return c.word("false")
		}
		d.hasCorrect = true // one mistake is enough
		return b.not(c, correctColumn, "true or false")
	case sawLoss:
		if !c.atNumber() {
			return b.not(c, lossColumn, "a number")
		}
		d.hasLoss = true
		d.loss, err = c.number()
	case sawScenario:
		return readScenario(c, b)
	default:
		return c.skip(0)
	}
	return err
}

func readMetric(c *cursor, b *builder, place int) error {
	if c.peek() == 'n' {
		return c.word("null")
	}
	if !c.atNumber() {
		b.draft.judged = true // one mistake is enough
		return b.not(c, b.scale.all[place].Name, "a number")
	}
	v, err := c.number()
	if err == nil {
		b.metric(place, v)
	}
	return err
}

// atNumber reports whether what comes can only be meant as a number: not a
// string, a word, an object or an array.
func (c *cursor) atNumber() bool {
	switch c.peek() {
	case '"', '{', '[', 't', 'f', 'n':
		return false
	}
	return true
}

// not skips a value and says that it is not what the column needs.
func (b *builder) not(c *cursor, column, wanted string) error {
	start := c.i
	if err := c.skip(0); err != nil {
		return err
	}
	b.mistake(column, string(c.b[start:c.i]), "%s is not %s", shortName(string(c.b[start:c.i])), wanted)
	return nil
}

func readText(c *cursor, b *builder, column string) (string, error) {
	if c.peek() != '"' {
		return "", b.not(c, column, "a string")
	}
	text, err := c.str()
	if err != nil {
		return "", err
	}
	if len(text) == 0 {
		b.mistake(column, "", "empty (leave it out where there is none)")
	}
	return string(text), nil
}

// readScenario reads the values of factors: a level's name, a number, "absent",
// or null for unknown.
func readScenario(c *cursor, b *builder) error {
	if c.peek() != '{' {
		return b.not(c, scenarioColumn, `an object such as {"light":"low"}`)
	}
	again, err := c.open('{', '}')
	for ; again && err == nil; again, err = c.more('}') {
		key, err := c.str()
		if err != nil {
			return err
		}
		f, ok := b.factors[string(key)]
		if !ok {
			name := string(key)
			b.mistake(shortName(name), nil, "%s is not a factor of space %q%s", quote(name), b.space.Name, suggest(name, b.names))
		}
		if err := c.take(':'); err != nil {
			return err
		}
		if !ok {
			if err := c.skip(1); err != nil {
				return err
			}
			continue
		}
		if b.seen[f] == b.rows {
			return fmt.Errorf("the factor %q stands twice", b.names[f])
		}
		b.seen[f] = b.rows
		if err := readValue(c, b, f); err != nil {
			return err
		}
	}
	return err
}

func readValue(c *cursor, b *builder, f int) error {
	switch c.peek() {
	case 'n':
		return c.word("null")
	case '"':
		name, err := c.str()
		if err != nil {
			return err
		}
		if code, ok := b.levels[f][string(name)]; ok { // does not allocate
			b.draft.codes[f] = code
			return nil
		}
		b.text(f, string(name))
		return nil
	}
	if c.atNumber() {
		v, err := c.number()
		if err == nil {
			b.number(f, v)
		}
		return err
	}
	return b.not(c, b.names[f], `a level's name, a number, "absent" or null`)
}
