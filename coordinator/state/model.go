package state

import (
	"maps"
	"slices"

	"hone/loop"
)

// modelLine is a model line's versions in the order in which they were first
// heard of.
type modelLine struct {
	generation uint64
	versions   []ModelVersion
	// sealed are positions in versions, in the order of sealing.
	sealed []int
	// at finds a version; it is derived, append-only, and shared by generations.
	at map[string]int
}

// ownLine is the line to change, made where there is none.
func (s *State) ownLine(name string) *modelLine {
	l := s.models[name]
	switch {
	case l == nil:
		l = &modelLine{generation: s.generation, at: map[string]int{}}
	case l.generation != s.generation:
		l = &modelLine{generation: s.generation, versions: slices.Clone(l.versions), sealed: slices.Clone(l.sealed), at: l.at}
	default:
		return l
	}
	s.models[name] = l
	return l
}

// ownVersion is the model version to change, made where there is none.
func (s *State) ownVersion(line, version string) *ModelVersion {
	l := s.ownLine(line)
	i, ok := l.at[version]
	if !ok {
		i = len(l.versions)
		l.versions = append(l.versions, ModelVersion{Version: version})
		l.at[version] = i
	}
	return &l.versions[i]
}

// sealModel closes a model version, if as many rows were counted as the sealer
// believes. The order of sealing is the order of age (C8).
func (s *State) sealModel(c *SealModel) Event {
	if !loop.ValidName(c.Line) {
		return *refused(Invalid, "model", "%q is not a name", c.Line)
	}
	if c.Version == "" || len(c.Version) > maxVersionLength {
		return *refused(Invalid, "version", "%d bytes; 1 to %d are allowed", len(c.Version), maxVersionLength)
	}
	v, _ := s.Model(c.Line, c.Version) // one that nobody posted for has no rows
	if v.Rows != c.Rows {
		problem := "%d rows, but %d were posted for %s@%s"
		if v.Sealed {
			problem = "%d rows, but %d were posted for %s@%s before it was sealed"
		}
		return *refused(Conflict, "rows", problem, c.Rows, v.Rows, c.Line, c.Version).
			remedy("post what is missing, or seal with the number that was accepted")
	}
	if v.Sealed {
		return ModelSealed{Line: c.Line, Version: c.Version, Rows: v.Rows, Sequence: v.Sequence, Duplicate: true}
	}
	owned := s.ownVersion(c.Line, c.Version)
	owned.Sealed, owned.At, owned.Sequence = true, s.last, s.Sequence()
	line := s.models[c.Line]
	line.sealed = append(line.sealed, line.at[c.Version])
	return ModelSealed{Line: c.Line, Version: c.Version, Rows: owned.Rows, Sequence: owned.Sequence}
}

// Model returns a version of a model line.
func (s *State) Model(line, version string) (ModelVersion, bool) {
	l := s.models[line]
	if l == nil {
		return ModelVersion{}, false
	}
	i, ok := l.at[version]
	if !ok {
		return ModelVersion{}, false
	}
	return l.versions[i], true
}

// ModelLine returns a model line with its versions.
func (s *State) ModelLine(name string) (ModelLine, bool) {
	l := s.models[name]
	if l == nil {
		return ModelLine{}, false
	}
	view := ModelLine{Line: name}
	for _, i := range l.sealed {
		view.Sealed = append(view.Sealed, l.versions[i])
	}
	for _, v := range l.versions {
		if !v.Sealed {
			view.Open = append(view.Open, v)
		}
	}
	return view, true
}

// ModelLines returns all model lines, by name.
func (s *State) ModelLines() []ModelLine {
	all := make([]ModelLine, 0, len(s.models))
	for _, name := range slices.Sorted(maps.Keys(s.models)) {
		view, _ := s.ModelLine(name)
		all = append(all, view)
	}
	return all
}
