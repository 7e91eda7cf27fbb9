package loop

import (
	"fmt"
	"strconv"
	"strings"
)

// Domain says what samples are for; it is fixed in the round (C7). Components
// are numbered within their domain.
type Domain uint8

// The domains. Probe and evaluation samples never enter a training version.
const (
	Train Domain = iota
	Probe
	Evaluation
)

var domainNames = [...]string{"train", "probe", "evaluation"}

func (d Domain) String() string {
	if int(d) < len(domainNames) {
		return domainNames[d]
	}
	return "domain(" + strconv.Itoa(int(d)) + ")"
}

// ParseDomain is the inverse of String.
func ParseDomain(s string) (Domain, bool) {
	for d, name := range domainNames {
		if name == s {
			return Domain(d), true
		}
	}
	return 0, false
}

// MarshalText and UnmarshalText make a domain read "train" in JSON.
func (d Domain) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText accepts the names that String gives.
func (d *Domain) UnmarshalText(text []byte) error {
	parsed, ok := ParseDomain(string(text))
	if !ok {
		return refuse("domain", "%q is not a domain", text).remedy("train, probe or evaluation")
	}
	*d = parsed
	return nil
}

// Name is the name of one attempt at one sample within its campaign. It is
// fixed before the sample is made and decides everything about it.
type Name struct {
	Domain    Domain `json:"domain"`
	Round     int    `json:"round"`
	Component int    `json:"component"`
	Index     uint64 `json:"index"`
	Attempt   int    `json:"attempt"`
}

// Key is the name as a WebDataset key, e.g. "r3-t2-i17-a0".
func (n Name) Key() string {
	return fmt.Sprintf("r%d-%c%d-i%d-a%d", n.Round, n.Domain.String()[0], n.Component, n.Index, n.Attempt)
}

// Unit is a run of open indices of one component, all with the same attempt:
// what a worker makes in one go.
type Unit struct {
	Campaign  string `json:"campaign"`
	Domain    Domain `json:"domain"`
	Round     int    `json:"round"`
	Component int    `json:"component"`
	Attempt   int    `json:"attempt"`
	First     uint64 `json:"first"`
	Count     int    `json:"count"`
}

// MaxUnit is the largest number of samples in a unit, and in a pack.
const MaxUnit = 512

// ID names the unit within the cluster: campaign.round-component-attempt-first-count,
// where the component carries the letter of its domain (C16). It is a valid
// single path element.
func (u Unit) ID() string {
	return fmt.Sprintf("%s.%d-%c%d-%d-%d-%d", u.Campaign, u.Round, u.Domain.String()[0], u.Component, u.Attempt, u.First, u.Count)
}

// Name names the i-th sample of the unit.
func (u Unit) Name(i int) Name {
	return Name{Domain: u.Domain, Round: u.Round, Component: u.Component, Index: u.First + uint64(i), Attempt: u.Attempt}
}

// ParseUnit is the inverse of ID; it refuses anything that ID would not write.
func ParseUnit(id string) (Unit, error) {
	bad := func() (Unit, error) {
		return Unit{}, refuse("unit", "%q is not a unit", id).remedy("campaign.round-component-attempt-first-count")
	}
	dot := strings.LastIndexByte(id, '.')
	if dot < 0 {
		return bad()
	}
	u := Unit{Campaign: id[:dot]}
	parts := strings.Split(id[dot+1:], "-")
	if len(parts) != 5 || len(parts[1]) < 2 {
		return bad()
	}
	switch parts[1][0] {
	case 't':
		u.Domain = Train
	case 'p':
		u.Domain = Probe
	case 'e':
		u.Domain = Evaluation
	default:
		return bad()
	}
	var err [5]error
	u.Round, err[0] = strconv.Atoi(parts[0])
	u.Component, err[1] = strconv.Atoi(parts[1][1:])
	u.Attempt, err[2] = strconv.Atoi(parts[2])
	u.First, err[3] = strconv.ParseUint(parts[3], 10, 64)
	u.Count, err[4] = strconv.Atoi(parts[4])
	for _, e := range err {
		if e != nil {
			return bad()
		}
	}
	if u.ID() != id || u.Validate() != nil {
		return bad()
	}
	return u, nil
}

// Validate refuses a unit that could not have been leased.
func (u Unit) Validate() error {
	switch {
	case !ValidName(u.Campaign):
		return refuse("unit.campaign", "%q is not a name", u.Campaign)
	case int(u.Domain) >= len(domainNames):
		return refuse("unit.domain", "%d is not a domain", u.Domain)
	case u.Round < 1 || u.Component < 0 || u.Attempt < 0 || u.Attempt > MaxAttempt:
		return refuse("unit", "round %d, component %d, attempt %d are not a unit's", u.Round, u.Component, u.Attempt)
	case u.Count < 1 || u.Count > MaxUnit:
		return refuse("unit.count", "%d samples; 1 to %d are allowed", u.Count, MaxUnit)
	case u.First > MaxQuota-uint64(u.Count):
		return refuse("unit.first", "index %d is beyond any quota", u.First)
	}
	return nil
}

// Bounds of a name. An index has 32 bits because a low-discrepancy sequence and
// a roaring bitmap both count to 2^32.
const (
	MaxQuota   uint64 = 1 << 32
	MaxAttempt        = 1 << 16
)
