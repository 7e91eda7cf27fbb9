package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"hone/loop"
)

// object is one of a kind and epoch, told apart by name.
func object(kind string, epoch int, name string, rows int) loop.Object {
	digest := loop.Digest(sha256.Sum256([]byte(name)))
	hex := hex.EncodeToString(digest[:])
	return loop.Object{Key: fmt.Sprintf("%s/%d/%s/%s.bin", kind, epoch, hex[:2], hex), Digest: digest, Bytes: 100, Rows: int64(rows)}
}

func objectAt(kind string, epoch int, name string, rows int) *loop.Object {
	o := object(kind, epoch, name, rows)
	return &o
}

func testSpace(name string) loop.Space {
	return loop.Space{Name: name, Factors: []loop.Factor{{Name: "light", Kind: loop.Categorical,
		Levels: []loop.Level{{Name: "low", Target: .25}, {Name: "high", Target: .75}}}}}
}

func testCampaign(name string, samples uint64, rounds int) loop.Campaign {
	return loop.Campaign{Name: name, Space: "lab", Policy: "plain", Generator: "shapes", Seed: 7, Samples: samples, Rounds: rounds,
		LearnFrom: []loop.LearnFrom{{ModelLine: "net"}}, UnitSize: 4, MaxAttempts: 3, Advance: loop.AdvanceSealed, Decide: loop.DecideAuto}
}

// testRound has one train component per quota.
func testRound(campaign string, number int, quotas ...uint64) loop.Round {
	r := loop.Round{Campaign: campaign, Number: number, Seed: 7, SpaceVersion: 1, PolicyVersion: 1, Strategy: loop.StrategyUniform}
	for i, q := range quotas {
		r.Components = append(r.Components, loop.Component{Number: i, Over: loop.OverBase, Quota: q})
	}
	return r
}

func openRound(r loop.Round, cuts, reserve []uint64) Command {
	return Command{OpenRound: &OpenRound{Round: r, Previous: r.Number - 1, CampaignVersion: 1, SpaceVersion: 1, PolicyVersion: 1,
		Cuts: cuts, FirstReserve: reserve}}
}

// prepared is a state with space "lab", policy "plain" and campaign "c".
func prepared(t testing.TB, samples uint64, rounds, maxAttempts int) *State {
	t.Helper()
	s := newSized("cluster", 4)
	campaign := testCampaign("c", samples, rounds)
	campaign.MaxAttempts = maxAttempts
	for _, c := range preparation(campaign) {
		if r, ok := apply(t, s, c).(Refused); ok {
			t.Fatal(r)
		}
	}
	return s
}

func preparation(campaigns ...loop.Campaign) []Command {
	commands := []Command{{PutSpace: &PutSpace{Space: testSpace("lab"), Document: "name: lab"}},
		{PutPolicy: &PutPolicy{Policy: loop.Policy{Name: "plain", Strategy: loop.StrategyUniform}, Document: "name: plain"}}}
	for _, c := range campaigns {
		commands = append(commands, Command{CreateCampaign: &CreateCampaign{Campaign: c, SpaceVersion: 1, PolicyVersion: 1, Document: "name: " + c.Name}})
	}
	return commands
}

// apply sends a command the way of the log, through its encoding.
func apply(t testing.TB, s *State, commands ...Command) Event {
	t.Helper()
	e := Entry{At: s.Time() + 1, Commands: commands}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := DecodeEntry(b)
	if err != nil {
		t.Fatal(err)
	}
	events := s.Apply(decoded)
	return events[len(events)-1]
}

// answer applies a command and demands its kind of answer.
func answer[T Event](t testing.TB, s *State, c ...Command) T {
	t.Helper()
	event := apply(t, s, c...)
	got, ok := event.(T)
	if !ok {
		t.Fatalf("answer %T %+v, want %T", event, event, got)
	}
	return got
}

// refusedAs applies a command and demands a refusal that changes nothing but the
// time (C10).
func refusedAs(t testing.TB, s *State, want Reason, c Command) Refused {
	t.Helper()
	before := digestBut(t, s)
	r := answer[Refused](t, s, c)
	if r.Reason != want {
		t.Fatalf("refused as %s: %v; want %s", r.Reason, r, want)
	}
	if after := digestBut(t, s); after != before {
		t.Fatalf("a refused command had an effect (C10): %v", r)
	}
	var refusal *loop.Error
	if !errors.As(r, &refusal) || refusal.Problem == "" {
		t.Fatalf("a refusal says no problem: %+v", r)
	}
	return r
}

// digestBut is the digest but for the time of the last entry.
func digestBut(t testing.TB, s *State) loop.Digest {
	t.Helper()
	last := s.last
	s.last = 0
	defer func() { s.last = last }()
	return s.Digest()
}

// failer is a test, or a check of rapid's.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// restored is the state after a snapshot and back (C23).
func restored(t failer, s *State) *State {
	t.Helper()
	var b bytes.Buffer
	if err := s.Snapshot().Encode(&b); err != nil {
		t.Fatal(err)
	}
	r, err := Restore(&b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Digest() != s.Digest() {
		t.Fatal("restoring a snapshot changes the digest (C23, I6)")
	}
	return r
}

func unit(campaign string, round, component, attempt, first, count int) loop.Unit {
	return loop.Unit{Campaign: campaign, Round: round, Component: component, Attempt: attempt, First: uint64(first), Count: count}
}

var parts int

// delivered is a commit of whole units that passed every gate.
func delivered(units ...loop.Unit) Command {
	parts++
	c := &Commit{}
	rows := 0
	for _, u := range units {
		c.Deliveries = append(c.Deliveries, Delivered{Worker: "w", Unit: u, Accepted: FirstOffsets(u.Count), FirstRow: uint32(rows)})
		rows += u.Count
	}
	c.Samples = objectAt("parts", 1, fmt.Sprint("samples", parts), rows)
	c.Packs = []loop.Object{object("packs", 1, fmt.Sprint("pack", parts), rows)}
	return Command{Commit: c}
}

// spoiled is a commit of a unit of which every sample was sent back.
func spoiled(u loop.Unit) Command {
	parts++
	d := Delivered{Worker: "w", Unit: u}
	for i := range u.Count {
		d.Rejected = append(d.Rejected, Rejected{Offset: uint16(i), Gate: "blank", Reason: "one colour"})
	}
	return Command{Commit: &Commit{Deliveries: []Delivered{d}, Verdicts: objectAt("parts", 1, fmt.Sprint("verdicts", parts), u.Count)}}
}

func extension(round int, reserved uint64) Command {
	return Command{Commit: &Commit{Extensions: []Extension{{Campaign: "c", Round: round, Reserved: reserved}}}}
}

func post(key, body string, rows int) Command {
	parts++
	return Command{Append: &Append{
		Posts: []Posted{{Post: loop.Post{Space: "lab", ModelLine: "net", Version: "1", Key: key, Body: loop.Digest(sha256.Sum256([]byte(body)))}, Rows: uint32(rows)}},
		Part:  object("parts", 1, fmt.Sprint("outcomes", parts), rows),
	}}
}

func published(s *State, name string, version int, sequence uint64) Command {
	selection := s.Select("c", loop.Train, 1, 100)
	rows := uint64(0)
	for _, x := range selection {
		rows += x.Indices.Count()
	}
	content := fmt.Sprint(name, version, sequence)
	return Command{Publish: &Publish{Name: name, ExpectedLatest: version - 1, Version: version, Campaign: "c", Sequence: sequence, Selection: selection,
		Manifest: object("manifests", 1, content, int(rows)), Addresses: object("manifests", 1, content+"a", int(rows)),
		Packs: []string{object("packs", 1, "p", 1).Key}}}
}

func revoked(reference uint64, row uint32, name loop.Name) Command {
	return Command{Revoke: &Revoke{Samples: []RevokedSample{{Campaign: "c", Name: name, Reference: reference, Row: row}}}}
}

func sampleName(round, component, index, attempt int) loop.Name {
	return loop.Name{Round: round, Component: component, Index: uint64(index), Attempt: attempt}
}

func counts(t testing.TB, s *State) Counts {
	t.Helper()
	c, ok := s.Campaign("c")
	if !ok {
		t.Fatal("no campaign")
	}
	return c.Total
}

// visible are the rows of a kind that a view of the catalogue would show.
func visible(s *State, kind loop.PartKind) int {
	n := 0
	voids := map[uint64]map[uint32]bool{}
	rows := map[uint64]int64{}
	for _, c := range s.Changes(0, 1<<30) {
		var void []uint32
		reference := c.Sequence
		switch {
		case partOf(&c) != nil && partOf(&c).Kind == kind: // what it replaces is not in the catalogue any more
			rows[reference], void, voids[reference] = partOf(&c).Object.Rows, partOf(&c).Void, map[uint32]bool{}
		case c.Void != nil && voids[c.Void.Reference] != nil:
			reference, void = c.Void.Reference, c.Void.Rows
		}
		for _, row := range void {
			voids[reference][row] = true
		}
	}
	for reference := range rows {
		n += int(rows[reference]) - len(voids[reference])
	}
	return n
}
