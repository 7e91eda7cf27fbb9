package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// writeYAML writes the JSON of value as block YAML with the keys in the same
// order. Strings that any reader of YAML 1.1 or 1.2 could take for something else
// are quoted as JSON quotes them, which is YAML, too; numbers keep their digits.
func writeYAML(w io.Writer, value any) error {
	var b bytes.Buffer
	if err := writeJSON(&b, value); err != nil {
		return err
	}
	decoder := json.NewDecoder(&b)
	decoder.UseNumber()
	y := &yamlWriter{in: decoder}
	if err := y.value(0, ""); err != nil {
		return err
	}
	_, err := w.Write(y.out.Bytes())
	return err
}

// yamlWriter turns JSON's tokens into YAML, so that the order of keys is kept.
type yamlWriter struct {
	in  *json.Decoder
	out bytes.Buffer
}

// value writes the next value. before is what stands on its line already: a
// scalar goes behind it, a collection below it, or, in a list, beside it.
func (y *yamlWriter) value(depth int, before string) error {
	token, err := y.in.Token()
	if err != nil {
		return err
	}
	delimiter, collection := token.(json.Delim)
	if !collection {
		y.line(before, scalar(token))
		return nil
	}
	if !y.in.More() {
		end, err := y.in.Token()
		y.line(before, fmt.Sprint(delimiter)+fmt.Sprint(end))
		return err
	}
	indent := strings.Repeat("  ", depth)
	first := indent
	if strings.HasSuffix(before, "- ") {
		first = before // the first entry stands beside the dash
	} else if before != "" {
		y.line(before, "")
	}
	for ; y.in.More(); first = indent {
		if delimiter == '[' {
			err = y.value(depth+1, first+"- ")
		} else {
			var key json.Token
			if key, err = y.in.Token(); err == nil {
				err = y.value(depth+1, first+scalar(key)+": ")
			}
		}
		if err != nil {
			return err
		}
	}
	_, err = y.in.Token()
	return err
}

func (y *yamlWriter) line(before, text string) {
	y.out.WriteString(strings.TrimRight(before+text, " "))
	y.out.WriteByte('\n')
}

// unquoted are strings that nothing takes for a number, a date, a boolean, null or
// a mark of YAML.
var unquoted = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@%()=∧ -]*$`)

var ambiguous = regexp.MustCompile(`(?i)^(yes|no|on|off|true|false|null|nan|inf)$`)

func scalar(token json.Token) string {
	switch v := token.(type) {
	case nil:
		return "null"
	case json.Number:
		return number(v.String())
	case string:
		if unquoted.MatchString(v) && !ambiguous.MatchString(v) && strings.TrimSpace(v) == v {
			return v
		}
		quoted, _ := json.Marshal(v) // a string always can be
		return string(quoted)
	default:
		return fmt.Sprint(v)
	}
}

// number gives one with an exponent a fraction: YAML 1.1 reads 1e-9 as text.
func number(s string) string {
	mantissa, exponent, ok := strings.Cut(strings.ToLower(s), "e")
	if !ok {
		return s
	}
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	if exponent[0] != '-' && exponent[0] != '+' {
		exponent = "+" + exponent
	}
	return mantissa + "e" + exponent
}
