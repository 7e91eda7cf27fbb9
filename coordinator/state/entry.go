package state

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Entry is one entry of the log: commands that a leader proposed together.
type Entry struct {
	// At is the leader's time in microseconds since 1970 UTC. Apply uses the
	// greater of it and the last one (C24).
	At       int64     `cbor:"1,keyasint"`
	Commands []Command `cbor:"2,keyasint"`
}

// Encode writes the entry: a byte with the version that its commands need, then
// CBOR with integer keys.
// Definitions inside keep the names that their JSON has. It fails on a number
// that is not finite.
func (e *Entry) Encode() ([]byte, error) {
	body, err := encoding.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	return append([]byte{byte(e.needs())}, body...), nil
}

// DecodeEntry reads what Encode writes, of any version that this build understands.
func DecodeEntry(b []byte) (Entry, error) { return DecodeEntryUpTo(b, LatestVersion) }

// DecodeEntryUpTo reads what Encode writes, of any version up to one (C25). A later
// version is a *VersionError; what is not of the entry's version is an error too.
func DecodeEntryUpTo(b []byte, version int) (Entry, error) {
	if len(b) == 0 {
		return Entry{}, errors.New("decode entry: it is empty")
	}
	if err := checkVersion("entry", b[0], version); err != nil {
		return Entry{}, fmt.Errorf("decode entry: %w", err)
	}
	var e Entry
	if err := decoding.Unmarshal(b[1:], &e); err != nil {
		return Entry{}, fmt.Errorf("decode entry: %w", err)
	}
	for i := range e.Commands {
		if e.Commands[i].set() != 1 {
			return Entry{}, fmt.Errorf("decode entry: command %d is not one command", i)
		}
	}
	if needs := e.needs(); needs > int(b[0]) {
		return Entry{}, fmt.Errorf("decode entry: it is of version %d, but has what only version %d has", b[0], needs)
	}
	return e, nil
}

// set counts the fields that are set.
func (c *Command) set() int {
	n := 0
	for _, is := range [...]bool{c.PutSpace != nil, c.PutPolicy != nil, c.CreateCampaign != nil,
		c.RegisterGenerator != nil, c.OpenRound != nil, c.Commit != nil, c.Append != nil,
		c.SealModel != nil, c.Publish != nil, c.Revoke != nil, c.RaiseEpoch != nil,
		c.SteerCampaign != nil, c.ExtendCampaign != nil, c.GiveUp != nil, c.Import != nil, c.AdoptPolicy != nil,
		c.ProposeRound != nil, c.RuleProposal != nil, c.RegisterNode != nil, c.ForgetNode != nil, c.RaiseVersion != nil,
		c.Account != nil, c.Compact != nil, c.Checkpoint != nil} {
		if is {
			n++
		}
	}
	return n
}

// encoding is core-deterministic (RFC 8949 §4.2) and refuses what is not a
// number, which JSON could not show and no comparison would find equal.
var encoding = must(func() (cbor.EncMode, error) {
	o := cbor.CoreDetEncOptions()
	o.NaNConvert = cbor.NaNConvertReject
	o.InfConvert = cbor.InfConvertReject
	return o.EncMode()
}())

// decoding refuses what encoding does not write, but for text: a reason that a
// gate gave in broken UTF-8 must not make a committed entry unreadable.
var decoding = must(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	MaxArrayElements:  1 << 26, // beyond the packs of any dataset version
	IndefLength:       cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	UTF8:              cbor.UTF8DecodeInvalid,
	FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	NaN:               cbor.NaNDecodeForbidden,
	Inf:               cbor.InfDecodeForbidden,
}.DecMode())

func must[T any](v T, err error) T {
	if err != nil {
		panic("state: " + err.Error())
	}
	return v
}
