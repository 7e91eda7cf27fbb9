package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"hone/loop"
)

// Protocol is the version of the protocol that PROTOCOL.md describes.
const Protocol = 1

// Bounds of what a program may say.
const (
	maxLine    = 1 << 20 // bytes of a line
	maxVersion = 128     // bytes of a version
	maxReason  = 1 << 10 // bytes of a verdict's reason; the gate stage keeps fewer
	maxScores  = 64      // of a verdict
)

// What Hone writes.
type (
	describe struct {
		Type     string `json:"type"`
		Protocol int    `json:"protocol"`
	}

	unit struct {
		Type         string   `json:"type"`
		ID           string   `json:"id"`
		Dir          string   `json:"dir"`
		Campaign     string   `json:"campaign"`
		CampaignSeed string   `json:"campaign_seed"`
		Samples      []wanted `json:"samples"`
	}

	wanted struct {
		Index uint64 `json:"index"`
		Seed  string `json:"seed"`
		conditions
	}

	judge struct {
		Type    string     `json:"type"`
		ID      string     `json:"id"`
		Dir     string     `json:"dir"`
		Samples []specimen `json:"samples"`
	}

	specimen struct {
		Index uint64 `json:"index"`
		conditions
		Files map[string]string `json:"files"`
	}

	// conditions are a scenario by names: a level's name for a categorical or
	// ordinal factor, the concrete value of a numeric one, whose bin is in Levels.
	conditions struct {
		Scenario map[string]any    `json:"scenario"`
		Levels   map[string]string `json:"levels"`
		Labels   map[string]string `json:"labels"`
	}
)

// What programs answer. A pointer tells what was left out from what is 0.
type (
	description struct {
		Type          string   `json:"type"`
		Protocol      int      `json:"protocol"`
		Version       string   `json:"version"`
		Outputs       []string `json:"outputs"`       // a generator's
		Deterministic bool     `json:"deterministic"` // a generator's
		Scores        []string `json:"scores"`        // a gate's
	}

	sample struct {
		Type  string            `json:"type"`
		Index *uint64           `json:"index"`
		Files map[string]string `json:"files"`
	}

	verdict struct {
		Type     string             `json:"type"`
		Index    *uint64            `json:"index"`
		Accepted *bool              `json:"accepted"`
		Reason   string             `json:"reason"`
		Scores   map[string]float64 `json:"scores"`
	}

	done struct {
		Type    string `json:"type"`
		Samples *int   `json:"samples"`
	}

	failed struct {
		Type  string `json:"type"`
		Error string `json:"error"`
	}
)

// conditionsOf puts a scenario into names. An absent factor is left out.
func conditionsOf(s *loop.Space, scenario loop.Scenario) (conditions, error) {
	c := conditions{Scenario: map[string]any{}, Levels: map[string]string{}, Labels: map[string]string{}}
	if len(scenario.Codes) != len(s.Factors) || len(scenario.Fractions) != len(s.Factors) {
		return c, fmt.Errorf("a scenario of %d values for a space of %d factors", len(scenario.Codes), len(s.Factors))
	}
	for f := range s.Factors {
		code, name := scenario.Codes[f], s.Factors[f].Name
		if code == loop.Absent {
			continue
		}
		if int(code) >= len(s.Factors[f].Levels) {
			return c, fmt.Errorf("factor %s has no level %d", name, code)
		}
		if value, numeric := s.Value(f, scenario); numeric {
			c.Scenario[name], c.Levels[name] = value, s.Text(f, code)
		} else {
			c.Scenario[name] = s.Text(f, code)
		}
	}
	for i, level := range s.Derive(scenario.Codes) {
		if int(level) < len(s.Derived[i].Levels) {
			c.Labels[s.Derived[i].Name] = s.Derived[i].Levels[level]
		}
	}
	return c, nil
}

func seedText(seed uint64) string { return strconv.FormatUint(seed, 10) }

// line encodes a message, with its line break.
func line(message any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(message); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return b.Bytes(), nil
}

// parse reads a line as one of the messages that are awaited, which are given by
// their types and pointers to decode into; it returns the type. The error is a
// *Breach of RuleMessages.
func parse(line []byte, awaited map[string]any) (kind string, err error) {
	breach := func(got, remedy string) (string, error) {
		return "", &Breach{Rule: RuleMessages, Expected: "a line with " + oneOf(awaited), Got: got, Remedy: remedy}
	}
	if !utf8.Valid(line) {
		return breach("a line that is not UTF-8: "+shown(line), "write text as UTF-8, and bytes into files")
	}
	var envelope struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(line, &envelope); err != nil {
		return breach(shown(line), "standard output is for the protocol alone: one JSON object a line; print everything else to standard error")
	}
	into, ok := awaited[envelope.Type]
	if !ok {
		return breach(fmt.Sprintf("type %s in %s", shown(envelope.Type), shown(line)), "PROTOCOL.md has the order of the messages")
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return breach(shown(line)+", which does not read: "+err.Error(), "`hone schema generator` and `hone schema gate` print what messages look like")
	}
	// Unmarshal has seen that nothing stands behind the object.
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return breach(shown(line), "one object a line")
	}
	return envelope.Type, nil
}

// oneOf names what a program that gets on would answer.
func oneOf(awaited map[string]any) string {
	s := ""
	for _, kind := range []string{"description", "sample", "verdict", "done"} {
		if _, ok := awaited[kind]; ok {
			if s != "" {
				s += " or "
			}
			s += fmt.Sprintf("%q", kind)
		}
	}
	return s
}

// check refuses a description that cannot be worked with.
func (d *description) check() error {
	refuse := func(expected, got, remedy string) error {
		return &Breach{Rule: RuleDescription, Expected: expected, Got: got, Remedy: remedy}
	}
	switch {
	case d.Protocol != Protocol:
		return refuse(fmt.Sprintf("protocol %d", Protocol), fmt.Sprintf("protocol %d", d.Protocol), `answer {"type":"description","protocol":1,...}`)
	case d.Version == "" || len(d.Version) > maxVersion:
		return refuse(fmt.Sprintf("a version of 1 to %d bytes", maxVersion), shown(d.Version), "name the code and whatever it loads, e.g. \"2.1\"")
	case len(d.Outputs) > loop.MaxMembers:
		return refuse(fmt.Sprintf("at most %d outputs", loop.MaxMembers), strconv.Itoa(len(d.Outputs)), "")
	case len(d.Scores) > maxScores:
		return refuse(fmt.Sprintf("at most %d scores", maxScores), strconv.Itoa(len(d.Scores)), "")
	}
	for _, name := range d.Outputs {
		if err := checkMember(name); err != nil {
			return refuse("names of members in outputs", err.Error(), "")
		}
	}
	for _, name := range d.Scores {
		if !loop.ValidName(name) {
			return refuse("names in scores", shown(name), "a letter, then up to 62 letters, digits, '_', '.' or '-'")
		}
	}
	return nil
}

// checkMember refuses what cannot be a member's name.
func checkMember(name string) error {
	_, err := loop.SampleDigest([]loop.Member{{Ext: name}})
	return err
}

// answer checks a verdict on the sample of an index and takes it apart. Scores
// ascend by name.
func (v *verdict) answer() (accepted bool, reason string, scores []loop.Score, err error) {
	refuse := func(expected, got, remedy string) (bool, string, []loop.Score, error) {
		return false, "", nil, &Breach{Rule: RuleMessages, Expected: expected, Got: got, Remedy: remedy}
	}
	switch {
	case v.Accepted == nil:
		return refuse("a verdict with accepted", "none", `"accepted":true or false`)
	case !*v.Accepted && v.Reason == "":
		return refuse("a reason for a sample that is sent back", "none", `"reason":"a phrase that a person can read"`)
	case len(v.Reason) > maxReason:
		return refuse(fmt.Sprintf("a reason of at most %d bytes", maxReason), fmt.Sprintf("%d bytes", len(v.Reason)), "")
	case len(v.Scores) > maxScores:
		return refuse(fmt.Sprintf("at most %d scores", maxScores), strconv.Itoa(len(v.Scores)), "")
	}
	for _, name := range sortedKeys(v.Scores) {
		value := v.Scores[name]
		if !loop.ValidName(name) || math.IsNaN(value) || math.IsInf(value, 0) {
			return refuse("finite scores with names", fmt.Sprintf("%s = %v", shown(name), value), "a letter, then up to 62 letters, digits, '_', '.' or '-'")
		}
		scores = append(scores, loop.Score{Name: name, Value: value})
	}
	return *v.Accepted, v.Reason, scores, nil
}
