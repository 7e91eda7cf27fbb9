package state

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"hone/fault"
	"hone/loop"
)

// mixed is the split of a version with samples of several domains.
const mixed = "mixed"

// publish makes a dataset version (C26). The sequence guards against what
// bitmaps without attempts cannot see: an index that was revoked and committed
// again since the selection was evaluated.
func (s *State) publish(c *Publish) Event {
	versions := s.datasets[c.Name]
	latest := 0
	for _, v := range versions {
		if v.Version != c.Version {
			latest = v.Version
			continue
		}
		if v.Manifest.Digest == c.Manifest.Digest && v.Campaign == c.Campaign {
			return Published{Name: c.Name, Version: v.Version, Samples: v.Samples, Sequence: v.Sequence, Duplicate: true}
		}
		return *refused(Conflict, "version", "%s@%d is published with other content", c.Name, c.Version)
	}
	if r := s.checkPublish(c, latest); r != nil {
		return *r
	}
	packs := slices.Clone(c.Packs)
	slices.Sort(packs)
	version := &DatasetVersion{
		Name: c.Name, Version: c.Version, Campaign: c.Campaign, Samples: uint64(c.Manifest.Rows),
		Manifest: c.Manifest, Addresses: c.Addresses, Packs: slices.Compact(packs),
		Sequence: c.Sequence, At: s.last, Selection: c.Selection, Split: splitOf(c.Selection),
	}
	s.datasets[c.Name] = append(versions, version)
	s.referenceDataset(version)
	return Published{Name: c.Name, Version: c.Version, Samples: version.Samples, Sequence: version.Sequence}
}

// referenceDataset makes manifest, address object and packs of a version
// referenced, so that they are never collected (C18, C26).
func (s *State) referenceDataset(v *DatasetVersion) {
	s.reference(v.Manifest.Key)
	s.reference(v.Addresses.Key)
	for i, key := range v.Packs {
		// Versions of a campaign share most of their packs: one string for all.
		v.Packs[i] = s.reference(key)
	}
}

func splitOf(selection []Selected) string {
	if len(selection) == 0 {
		return ""
	}
	for _, x := range selection {
		if x.Domain != selection[0].Domain {
			return mixed
		}
	}
	return selection[0].Domain.String()
}

func (s *State) checkPublish(c *Publish, latest int) *Refused {
	if !loop.ValidName(c.Name) {
		return refused(Invalid, "name", "%q is not a name", c.Name)
	}
	campaign := s.campaigns[c.Campaign]
	if campaign == nil {
		return refused(NotFound, "campaign", "there is no campaign %q", c.Campaign)
	}
	if r := s.checkOwner(c.Name, c.Campaign); r != nil {
		return r
	}
	switch {
	case c.Version <= c.ExpectedLatest || c.ExpectedLatest < 0:
		return refused(Invalid, "version", "version %d does not follow version %d", c.Version, c.ExpectedLatest)
	case c.ExpectedLatest != latest:
		return refused(Stale, "expected_latest", "version %d is not the latest, %d is", c.ExpectedLatest, latest)
	case c.Sequence > s.Sequence():
		return refused(Invalid, "sequence", "%d is beyond the catalogue, which ends at %d", c.Sequence, s.Sequence())
	case c.Sequence < campaign.lastRevoke && !fault.Planted("publish revoked samples"):
		return refused(Stale, "sequence", "%d is older than the campaign's last revoke, %d", c.Sequence, campaign.lastRevoke)
	}
	if r := s.admit("manifest", &c.Manifest); r != nil {
		return r
	}
	if r := s.admit("addresses", &c.Addresses); r != nil {
		return r
	}
	// Packs of a closed epoch are no matter: the rows of what is selected name them,
	// those are in the catalogue, and were ever since the sequence of the selection,
	// or this were refused. So they are referenced there, if not by state itself (C18).
	for i, key := range c.Packs {
		if _, r := s.finalKey("packs["+strconv.Itoa(i)+"]", key); r != nil {
			return r
		}
	}
	return s.checkSelection(c)
}

// checkOwner refuses a dataset that is another campaign's, or would be; no campaign
// owns what is imported.
func (s *State) checkOwner(name, campaign string) *Refused {
	if versions := s.datasets[name]; len(versions) > 0 && versions[0].Campaign != campaign {
		if versions[0].Import != nil {
			return refused(Conflict, "name", "dataset %q was imported", name).remedy("choose another name")
		}
		return refused(Conflict, "name", "dataset %q is of campaign %q", name, versions[0].Campaign).remedy("choose another name")
	}
	for _, owner := range [...]string{name, loop.EvaluatedCampaign(name)} {
		if owner != campaign && s.campaigns[owner] != nil {
			return refused(Conflict, "name", "the name is kept for the datasets of campaign %q", owner).remedy("choose another name")
		}
	}
	return nil
}

// checkSelection refuses a selection of anything but committed samples, or one
// that is not what the manifest holds (I2, I7).
func (s *State) checkSelection(c *Publish) *Refused {
	var samples uint64
	for i, x := range c.Selection {
		field := "selection[" + strconv.Itoa(i) + "]"
		if i > 0 && compareSelected(c.Selection[i-1], x) >= 0 {
			return refused(Invalid, field, "components are ascending by round, domain and number")
		}
		k := s.component(c.Campaign, x.Round, x.Domain, x.Component)
		if k == nil {
			return refused(NotFound, field, "round %d has no %s component %d", x.Round, x.Domain, x.Component)
		}
		n := x.Indices.Count()
		if n == 0 {
			return refused(Invalid, field, "no index of the component is selected")
		}
		if x.Indices.set.common(&k.committed) != n {
			return refused(Stale, field, "it holds indices that are not committed")
		}
		samples += n
	}
	if samples != uint64(c.Manifest.Rows) {
		return refused(Invalid, "manifest", "%d rows for %d selected samples", c.Manifest.Rows, samples)
	}
	return nil
}

func compareSelected(a, b Selected) int {
	return cmp.Or(cmp.Compare(a.Round, b.Round), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Component, b.Component))
}

// advise notes on every version that holds a sample that it was revoked since;
// its bytes stay (I8, C13). A version that held an earlier attempt has the
// advisory already, from when that was revoked.
func (s *State) advise(campaign string, name loop.Name, advised map[DatasetName]bool) {
	for _, dataset := range slices.Sorted(maps.Keys(s.datasets)) {
		versions := s.datasets[dataset]
		if versions[0].Campaign != campaign {
			continue
		}
		for i, v := range versions {
			if !holds(v.Selection, name) {
				continue
			}
			advised[DatasetName{v.Name, v.Version}] = true
			if holds(v.Advisory, name) {
				continue
			}
			// The version may be shared with a snapshot or a reader, so another
			// takes its place, in a slice of its own.
			own := *v
			own.Advisory = withSelected(v.Advisory, name)
			versions = slices.Clone(versions)
			versions[i] = &own
			s.datasets[dataset] = versions
		}
	}
}

func compareDatasets(a, b DatasetName) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}

func holds(selection []Selected, name loop.Name) bool {
	i, ok := findSelected(selection, name)
	return ok && selection[i].Indices.Contains(name.Index)
}

func findSelected(selection []Selected, name loop.Name) (int, bool) {
	at := Selected{Round: name.Round, Domain: name.Domain, Component: name.Component}
	return slices.BinarySearchFunc(selection, at, compareSelected)
}

// withSelected is a selection with one more sample; the given one stays as it is.
func withSelected(selection []Selected, name loop.Name) []Selected {
	selection = slices.Clone(selection)
	i, ok := findSelected(selection, name)
	if !ok {
		selection = slices.Insert(selection, i, Selected{Round: name.Round, Domain: name.Domain, Component: name.Component})
	}
	indices := selection[i].Indices.set.clone()
	indices.add(name.Index)
	selection[i].Indices.set = indices
	return selection
}

// Dataset returns a version of a dataset; version 0 is the latest.
func (s *State) Dataset(name string, version int) (DatasetVersion, bool) {
	versions := s.datasets[name]
	for i := len(versions) - 1; i >= 0; i-- {
		if version == 0 || versions[i].Version == version {
			return *versions[i], true
		}
	}
	return DatasetVersion{}, false
}

// DatasetVersions returns all versions of a dataset, in order.
func (s *State) DatasetVersions(name string) []DatasetVersion {
	var all []DatasetVersion
	for _, v := range s.datasets[name] {
		all = append(all, *v)
	}
	return all
}

// Datasets returns the names of all datasets, in order.
func (s *State) Datasets() []string { return slices.Sorted(maps.Keys(s.datasets)) }

// Select returns the committed samples of a campaign's rounds first..last in one
// domain, as Publish wants them. It copies them; that of what is frozen does not.
func (s *State) Select(campaign string, domain loop.Domain, first, last int) []Selected {
	selection := s.selected(campaign, domain, first, last)
	for i := range selection {
		selection[i].Indices.set = selection[i].Indices.set.clone()
	}
	return selection
}

// selected shares the sets with the state.
func (s *State) selected(campaign string, domain loop.Domain, first, last int) []Selected {
	c := s.campaigns[campaign]
	if c == nil {
		return nil
	}
	var selection []Selected
	for n := max(first, 1); n <= min(last, len(c.rounds)); n++ {
		for _, k := range c.rounds[n-1].components {
			if k.domain == domain && k.committed.count > 0 {
				selection = append(selection, Selected{Round: n, Domain: domain, Component: k.number, Indices: Indices{k.committed}})
			}
		}
	}
	return selection
}
