package ingest

import (
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds nesting. A row needs two levels.
const maxDepth = 16

// cursor reads JSON (RFC 8259) strictly: no byte that is not UTF-8, no lone
// surrogate, nothing nested deeply. It allocates only for strings with escapes.
// Its methods leave the cursor behind what they read, and skip white space
// before it.
type cursor struct {
	b []byte
	i int
}

func (c *cursor) space() {
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case ' ', '\t', '\r', '\n':
			c.i++
		default:
			return
		}
	}
}

// peek is the next byte, or 0 at the end.
func (c *cursor) peek() byte {
	c.space()
	if c.i == len(c.b) {
		return 0
	}
	return c.b[c.i]
}

// wrong says what was expected at the cursor.
func (c *cursor) wrong(expected string) error {
	got := "the end of the line"
	if c.i < len(c.b) {
		r, _ := utf8.DecodeRune(c.b[c.i:])
		got = strconv.QuoteRune(r)
	}
	if c.i < len(c.b) && (c.b[c.i] == 'N' || c.b[c.i] == 'I') {
		return errors.New("NaN and Infinity are not JSON at byte " + strconv.Itoa(c.i+1) + " (write null where there is no number)")
	}
	return errors.New("not JSON: expected " + expected + " but got " + got + " at byte " + strconv.Itoa(c.i+1))
}

// take reads one byte of punctuation.
func (c *cursor) take(b byte) error {
	if c.peek() != b {
		return c.wrong(strconv.QuoteRune(rune(b)))
	}
	c.i++
	return nil
}

// more reads what stands between the members of an object or array: a comma, or
// the closing byte.
func (c *cursor) more(closing byte) (bool, error) {
	switch c.peek() {
	case ',':
		c.i++
		return true, nil
	case closing:
		c.i++
		return false, nil
	}
	return false, c.wrong("',' or " + strconv.QuoteRune(rune(closing)))
}

// open reads an opening byte and reports whether anything is inside.
func (c *cursor) open(opening, closing byte) (bool, error) {
	if err := c.take(opening); err != nil {
		return false, err
	}
	if c.peek() == closing {
		c.i++
		return false, nil
	}
	return true, nil
}

// str reads a string. The result is valid until the line is gone.
func (c *cursor) str() ([]byte, error) {
	if c.peek() != '"' {
		return nil, c.wrong("a string")
	}
	start := c.i
	c.i++
	escaped, ascii := false, true
	for c.i < len(c.b) {
		switch b := c.b[c.i]; {
		case b == '"':
			c.i++
			raw := c.b[start+1 : c.i-1]
			if !ascii && !utf8.Valid(raw) {
				return nil, errors.New("not valid UTF-8 in the string at byte " + strconv.Itoa(start+1))
			}
			if escaped {
				return unescape(c.b[start:c.i], start)
			}
			return raw, nil
		case b < 0x20:
			return nil, c.wrong("a string without control characters")
		case b == '\\':
			escaped = true
			c.i++ // what is escaped is no end; unescape looks at it
		case b >= utf8.RuneSelf:
			ascii = false
		}
		c.i++
	}
	c.i = len(c.b)
	return nil, c.wrong("the end of a string")
}

// unescape reads a quoted string with escapes.
func unescape(quoted []byte, at int) ([]byte, error) {
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return nil, errors.New("not JSON: a bad escape in the string at byte " + strconv.Itoa(at+1))
	}
	// The library writes U+FFFD for half a surrogate pair; we refuse it, unless
	// the poster wrote that very character.
	for i, r := range s {
		if r == utf8.RuneError && loneSurrogate(quoted) {
			return nil, errors.New("not JSON: half a surrogate pair in the string at byte " + strconv.Itoa(at+1+i))
		}
	}
	return []byte(s), nil
}

// loneSurrogate reports whether a valid quoted string escapes half of a
// surrogate pair.
func loneSurrogate(quoted []byte) bool {
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		i++
		if quoted[i] != 'u' {
			continue
		}
		unit, _ := strconv.ParseUint(string(quoted[i+1:i+5]), 16, 16)
		i += 4
		if unit>>11 != 0xD800>>11 {
			continue
		}
		if unit >= 0xDC00 || i+6 >= len(quoted) || quoted[i+1] != '\\' || quoted[i+2] != 'u' {
			return true
		}
		second, _ := strconv.ParseUint(string(quoted[i+3:i+7]), 16, 16)
		if second>>10 != 0xDC00>>10 {
			return true
		}
		i += 6
	}
	return false
}

// number reads a number; too large ones are infinite.
func (c *cursor) number() (float64, error) {
	c.space()
	start := c.i
	digits := func() bool {
		from := c.i
		for c.i < len(c.b) && c.b[c.i] >= '0' && c.b[c.i] <= '9' {
			c.i++
		}
		return c.i > from
	}
	at := func(options string) bool {
		if c.i == len(c.b) {
			return false
		}
		for _, o := range []byte(options) {
			if c.b[c.i] == o {
				c.i++
				return true
			}
		}
		return false
	}
	at("-")
	if !at("0") && !digits() {
		return 0, c.wrong("a number")
	}
	if at(".") && !digits() {
		return 0, c.wrong("a digit")
	}
	if at("eE") {
		at("+-")
		if !digits() {
			return 0, c.wrong("a digit")
		}
	}
	v, err := strconv.ParseFloat(string(c.b[start:c.i]), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, c.wrong("a number")
	}
	return v, nil
}

// word reads true, false or null.
func (c *cursor) word(w string) error {
	c.space()
	if len(c.b)-c.i < len(w) || string(c.b[c.i:c.i+len(w)]) != w {
		return c.wrong(w)
	}
	c.i += len(w)
	return nil
}

// skip reads any value.
func (c *cursor) skip(depth int) error {
	switch b := c.peek(); b {
	case '"':
		_, err := c.str()
		return err
	case 't':
		return c.word("true")
	case 'f':
		return c.word("false")
	case 'n':
		return c.word("null")
	case '{', '[':
		if depth >= maxDepth {
			return errors.New("nested more than " + strconv.Itoa(maxDepth) + " deep at byte " + strconv.Itoa(c.i+1))
		}
		closing := b + 2 // as '{' to '}' and '[' to ']' in ASCII
		again, err := c.open(b, closing)
		for ; again && err == nil; again, err = c.more(closing) {
			if b == '{' {
				if _, err = c.str(); err == nil {
					err = c.take(':')
				}
			}
			if err == nil {
				err = c.skip(depth + 1)
			}
			if err != nil {
				return err
			}
		}
		return err
	default:
		_, err := c.number()
		return err
	}
}
