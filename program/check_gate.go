package program

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hone/loop"
)

// CheckGate tries a program out on samples and reports how it keeps to
// PROTOCOL.md. The error is that of ctx.
func CheckGate(ctx context.Context, o Options, samples []Specimen) ([]Finding, error) {
	x := newExam(ctx)
	x.names[RuleOutputs], x.names[RuleFiles] = "has the scores it describes", "leaves the samples' files alone"
	t, ok := x.open(func() (tried, error) { return OpenGate(ctx, o) })
	if !ok {
		return x.findings, ctx.Err()
	}
	g := t.(*Gate)
	g.watched = true
	x.strayed = g.pool.strayed
	x.passed(checkDescribes, "a description with a version", fmt.Sprintf("version %s, scores %v", g.Version(), g.pool.described.Scores))
	if x.judges(g, o, samples) {
		x.ends(g.pool)
	}
	return x.findings, errors.Join(ctx.Err(), g.Close())
}

// judged is an answer of a gate, made comparable.
type judged struct {
	accepted       bool
	reason, scores string
}

// judge has a gate judge samples, in their order.
func (x *exam) judge(g *Gate, samples []Specimen) (map[uint64]judged, bool) {
	out := map[uint64]judged{}
	for _, s := range samples {
		accepted, reason, scores, err := g.Judge(x.ctx, s)
		if x.fails(err) {
			return nil, false
		}
		for _, score := range scores {
			if declared := g.pool.described.Scores; !slices.Contains(declared, score.Name) {
				return nil, !x.fails(&Breach{Rule: RuleOutputs, Expected: fmt.Sprintf("scores of the description, %v", declared), Got: score.Name,
					Remedy: "name every score in the description's scores"})
			}
		}
		out[s.Index] = judged{accepted, reason, fmt.Sprint(scores)}
	}
	return out, true
}

// judges tries a gate on samples, and reports whether it judges them.
func (x *exam) judges(g *Gate, o Options, samples []Specimen) bool {
	if len(samples) > 0 {
		x.space = samples[0].Space.Name
	}
	began := time.Now()
	first, ok := x.judge(g, samples)
	took := time.Since(began)
	others := map[string]map[uint64]judged{}
	if ok {
		others["in the same process"], ok = x.judge(g, samples)
	}
	if ok {
		backward := slices.Clone(samples)
		slices.Reverse(backward)
		others["in another order"], ok = x.judge(g, backward)
	}
	if ok {
		if another, err := OpenGate(x.ctx, o); !x.fails(err) {
			others["in a fresh process"], ok = x.judge(another, samples)
			ok = !x.fails(another.Close()) && ok
		} else {
			ok = false
		}
	}
	x.rules(slices.Concat(talking, []Rule{RuleOutputs, RuleFiles}), 3*len(samples))
	if !ok {
		return false
	}
	x.same(samples, first, others)
	accepted, reason := 0, ""
	for _, s := range samples {
		if first[s.Index].accepted {
			accepted++
		} else if reason == "" {
			reason = first[s.Index].reason
		}
	}
	f := Finding{Check: "accepts what is good", OK: true, Expected: "for information", Got: fmt.Sprintf("%d of %d samples accepted", accepted, len(samples))}
	if accepted == 0 {
		f.Warning, f.Expected = true, "that some samples pass"
		f.Got += "; the first for: " + reason
		f.Remedy = "try it on samples that it is meant for: --generator-cmd and --space"
	}
	x.add(f)
	x.passed(checkSpeed, "for information", fmt.Sprintf("%s samples/s in one process", perSecond(len(samples), took)))
	return true
}

func (x *exam) same(samples []Specimen, first map[uint64]judged, others map[string]map[uint64]judged) {
	const check, expected = "same sample, same verdict", "the same verdict and scores whenever a sample is judged again"
	for _, where := range sortedKeys(others) {
		for _, s := range samples {
			if a, b := first[s.Index], others[where][s.Index]; a != b {
				x.add(Finding{Check: check, Expected: expected, Got: fmt.Sprintf("sample %d: %+v, and %+v %s", s.Index, a, b, where),
					Remedy: "judge every sample by itself, without chance and without what was judged before"})
				return
			}
		}
	}
	x.passed(check, expected, "the same in the same process, in a fresh one, and in another order")
}

// Specimens has a generator make samples to try gates on.
func Specimens(ctx context.Context, m Maker, space *loop.Space) ([]Specimen, error) {
	u, _, err := checkUnit(space)
	if err != nil {
		return nil, err
	}
	members := map[uint64][]loop.Member{}
	err = counted{m}.Make(ctx, u, func(index uint64, made []loop.Member) error {
		for _, m := range made { // which are ours until we return
			members[index] = append(members[index], loop.Member{Ext: m.Ext, Bytes: slices.Clone(m.Bytes)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var samples []Specimen
	for i := range u.Samples {
		s := &u.Samples[i]
		samples = append(samples, Specimen{Space: space, Index: s.Index, Scenario: s.Scenario, Members: members[s.Index]})
	}
	return samples, nil
}
