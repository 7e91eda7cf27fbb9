package state

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"hone/loop"
)

// putSpace keeps a space as its next version, unless its content is that of the
// latest. Schemas are named after spaces and SQL does not tell upper from lower
// case, so two names may not differ by case alone.
func (s *State) putSpace(c *PutSpace) Event {
	space := c.Space
	if !loop.ValidName(space.Name) {
		return *refused(Invalid, "name", "%q is not a name", space.Name)
	}
	space.Version = 0
	content, err := encoding.Marshal(&space)
	if err != nil {
		return *refused(Invalid, "", "the space cannot be encoded: %v", err)
	}
	versions := s.spaces[space.Name]
	if n := len(versions); n > 0 {
		last := *versions[n-1].Space
		last.Version = 0
		if bytes.Equal(must(encoding.Marshal(&last)), content) {
			return SpacePut{Name: space.Name, Version: n}
		}
	} else {
		for _, name := range slices.Sorted(maps.Keys(s.spaces)) {
			if strings.EqualFold(name, space.Name) {
				return *refused(Conflict, "name", "there is a space %q, and upper and lower case are not told apart", name).
					remedy("choose another name")
			}
		}
	}
	space.Version = len(versions) + 1
	if c.Next != 0 && c.Next != space.Version {
		return *refused(Stale, "version", "the next version of space %q is %d, not %d", space.Name, space.Version, c.Next)
	}
	s.spaces[space.Name] = append(versions, SpaceVersion{Space: &space, Document: c.Document, At: s.last})
	s.add(loop.Change{Space: &space})
	return SpacePut{Name: space.Name, Version: space.Version, Created: true}
}

func (s *State) putPolicy(c *PutPolicy) Event {
	policy := c.Policy
	if !loop.ValidName(policy.Name) {
		return *refused(Invalid, "name", "%q is not a name", policy.Name)
	}
	if r := checkWhy(c.Author, c.Reason); r != nil {
		return *r
	}
	policy.Version = 0
	content, err := encoding.Marshal(&policy)
	if err != nil {
		return *refused(Invalid, "", "the policy cannot be encoded: %v", err)
	}
	versions := s.policies[policy.Name]
	if n := len(versions); n > 0 {
		last := *versions[n-1].Policy
		last.Version = 0
		if c.Canary == versions[n-1].Canary && bytes.Equal(must(encoding.Marshal(&last)), content) {
			return PolicyPut{Name: policy.Name, Version: n}
		}
	}
	policy.Version = len(versions) + 1
	if r := checkCanary(c.Canary, policy.Version); r != nil {
		return *r
	}
	if c.Next != 0 && c.Next != policy.Version {
		return *refused(Stale, "version", "the next version of policy %q is %d, not %d", policy.Name, policy.Version, c.Next)
	}
	s.policies[policy.Name] = append(versions, PolicyVersion{Policy: &policy, Document: c.Document, At: s.last, Author: c.Author, Reason: c.Reason, Canary: c.Canary})
	return PolicyPut{Name: policy.Name, Version: policy.Version, Created: true}
}

// checkCanary refuses a share that no canary has, and one with nothing beside it.
func checkCanary(share uint32, version int) *Refused {
	if share == 0 {
		return nil
	}
	if err := loop.ValidateCanary(share); err != nil {
		return refused(Invalid, "canary", "%d/1,000,000 is not the share of a canary", share)
	}
	if version == 1 {
		return refused(Conflict, "canary", "the policy has no version yet that a canary could be tried beside").remedy("put it without a canary first")
	}
	return nil
}

// Canary is the version of a policy that is tried beside those that campaigns
// follow: the latest, if it was put as a canary.
func (s *State) Canary(policy string) (PolicyVersion, bool) {
	if v, ok := pick(s.policies[policy], 0); ok && v.Canary > 0 {
		return v, true
	}
	return PolicyVersion{}, false
}

// canary is the version that a campaign tries beside the one that it follows; 0
// where there is none.
func (s *State) canary(c *campaign) int {
	if v, ok := s.Canary(c.loop.Policy); ok && v.Policy.Version != c.policyVersion && c.loop.TriesCanaries() {
		return v.Policy.Version
	}
	return 0
}

// registerGenerator keeps a generator's versions in the order in which they were
// first seen.
func (s *State) registerGenerator(c *RegisterGenerator) Event {
	g := c.Generator
	if !loop.ValidName(g.Name) {
		return *refused(Invalid, "generator.name", "%q is not a name", g.Name)
	}
	if g.Version == "" || len(g.Version) > maxVersionLength {
		return *refused(Invalid, "generator.version", "%d bytes; 1 to %d are allowed", len(g.Version), maxVersionLength)
	}
	for _, known := range s.generators[g.Name] {
		if known.Version != g.Version {
			continue
		}
		if known != g {
			return *refused(Conflict, "generator.deterministic", "%s@%s is registered with deterministic=%v", g.Name, g.Version, known.Deterministic).
				remedy("give what behaves otherwise another version")
		}
		return GeneratorRegistered{Generator: g}
	}
	s.generators[g.Name] = append(s.generators[g.Name], g)
	return GeneratorRegistered{Generator: g, Created: true}
}

// maxVersionLength bounds the version of a generator or model, in bytes.
const maxVersionLength = 128

// Space returns a version of a space; version 0 is the latest.
func (s *State) Space(name string, version int) (SpaceVersion, bool) {
	return pick(s.spaces[name], version)
}

// Spaces returns the latest version of every space, by name.
func (s *State) Spaces() []SpaceVersion { return latest(s.spaces) }

// Policy returns a version of a policy; version 0 is the stable one: the latest
// that is no canary.
func (s *State) Policy(name string, version int) (PolicyVersion, bool) {
	if version == 0 {
		return stable(s.policies[name])
	}
	return pick(s.policies[name], version)
}

// stable is the latest version that is no canary. The first is none.
func stable(versions []PolicyVersion) (PolicyVersion, bool) {
	for _, v := range slices.Backward(versions) {
		if v.Canary == 0 {
			return v, true
		}
	}
	return PolicyVersion{}, false
}

// PolicyVersions returns every version of a policy, from the first; they are
// shared and must not be changed.
func (s *State) PolicyVersions(name string) []PolicyVersion { return slices.Clone(s.policies[name]) }

// Policies returns the stable version of every policy, by name.
func (s *State) Policies() []PolicyVersion {
	all := make([]PolicyVersion, 0, len(s.policies))
	for _, name := range slices.Sorted(maps.Keys(s.policies)) {
		v, _ := stable(s.policies[name])
		all = append(all, v)
	}
	return all
}

// Generators returns every known version of every generator, by name, then in
// the order of registration.
func (s *State) Generators() []loop.Generator {
	var all []loop.Generator
	for _, name := range slices.Sorted(maps.Keys(s.generators)) {
		all = append(all, s.generators[name]...)
	}
	return all
}

func pick[T any](versions []T, version int) (T, bool) {
	if version == 0 {
		version = len(versions)
	}
	if version < 1 || version > len(versions) {
		var none T
		return none, false
	}
	return versions[version-1], true
}

func latest[T any](named map[string][]T) []T {
	all := make([]T, 0, len(named))
	for _, name := range slices.Sorted(maps.Keys(named)) {
		versions := named[name]
		all = append(all, versions[len(versions)-1])
	}
	return all
}
