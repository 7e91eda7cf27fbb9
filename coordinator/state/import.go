package state

import (
	"slices"
	"strconv"

	"hone/loop"
)

// importDataset makes a dataset version of samples from elsewhere. They have names
// like any others (version for round, component 0), under the dataset's name in a
// campaign's place: none of the two may bear the other's (I2).
func (s *State) importDataset(c *Import) Event {
	versions := s.datasets[c.Name]
	if r := s.checkOwner(c.Name, ""); r != nil {
		return *r
	}
	latest := 0
	for i, v := range versions {
		latest = v.Version
		// Sent again it may meet later versions; else only the latest is what there is.
		if v.Import.Content == c.Content && (i == len(versions)-1 || v.Version == c.ExpectedLatest+1) {
			return Published{Name: c.Name, Version: v.Version, Samples: v.Samples, Sequence: v.Sequence, Duplicate: true}
		}
	}
	if c.ExpectedLatest != latest {
		return *refused(Stale, "expected_latest", "version %d is not the latest, %d is", c.ExpectedLatest, latest)
	}
	if r := s.checkImport(c, versions); r != nil {
		return *r
	}
	for _, part := range c.Samples {
		s.add(loop.Change{Part: newPart(loop.SampleParts, c.Space, part, nil)})
	}
	packs := slices.Clone(c.Packs)
	slices.Sort(packs)
	version := &DatasetVersion{
		Name: c.Name, Version: latest + 1, Samples: uint64(c.Manifest.Rows), Split: c.Domain.String(),
		Manifest: c.Manifest, Addresses: c.Addresses, Packs: slices.Compact(packs), Sequence: s.Sequence(), At: s.last,
		Selection: []Selected{{Round: latest + 1, Domain: c.Domain, Indices: allBelow(uint64(c.Manifest.Rows))}},
		Import:    &Imported{Space: c.Space, Origin: c.Origin, Content: c.Content},
	}
	s.datasets[c.Name] = append(versions, version)
	s.referenceDataset(version)
	return Published{Name: c.Name, Version: version.Version, Samples: version.Samples, Sequence: version.Sequence}
}

func allBelow(n uint64) (s Indices) {
	s.set.addRange(0, n)
	return s
}

func (s *State) checkImport(c *Import, versions []*DatasetVersion) *Refused {
	switch {
	case !loop.ValidName(c.Name):
		return refused(Invalid, "name", "%q is not a name", c.Name)
	case len(versions) > 0 && versions[0].Import.Space != c.Space:
		return refused(Conflict, "space", "dataset %q is of space %q", c.Name, versions[0].Import.Space).remedy("choose another name")
	case c.Domain != loop.Train && c.Domain != loop.Evaluation:
		return refused(Invalid, "split", "%q; train and evaluation are allowed", c.Domain)
	case c.Origin != loop.Real && c.Origin != loop.Synthetic:
		return refused(Invalid, "origin", "%q; real and synthetic are allowed", c.Origin)
	case c.Content.IsZero():
		return refused(Invalid, "content", "there is no digest")
	}
	if _, ok := s.Space(c.Space, 0); !ok {
		return refused(NotFound, "space", "there is no space %q", c.Space)
	}
	if r := s.admit("manifest", &c.Manifest); r != nil {
		return r
	}
	if r := s.admit("addresses", &c.Addresses); r != nil {
		return r
	}
	for i, key := range c.Packs {
		if r := s.admitKey("packs["+strconv.Itoa(i)+"]", key); r != nil {
			return r
		}
	}
	rows := int64(0)
	for i := range c.Samples {
		field := "samples[" + strconv.Itoa(i) + "]"
		if r := s.admit(field, &c.Samples[i]); r != nil {
			return r
		}
		if c.Samples[i].Rows == 0 {
			return refused(Invalid, field, "a part without rows")
		}
		rows += c.Samples[i].Rows
	}
	if rows == 0 || rows != c.Manifest.Rows {
		return refused(Invalid, "manifest", "%d rows for %d samples", c.Manifest.Rows, rows)
	}
	return nil
}
