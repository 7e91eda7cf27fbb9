package loop

import "testing"

// I4, golden: the scenarios of rounds over targets that are no products, a given
// table and a mixture, are integers, identical on any machine and for ever; so are
// the tables, and the densities to the bit.
func TestTreeVectors(t *testing.T) {
	type vector struct {
		Component int      `json:"component"`
		Index     uint64   `json:"index"`
		Codes     []Code   `json:"codes"`
		Fractions []uint32 `json:"fractions"`
		// Density and Target are q(x) and π(x).
		Density float64 `json:"density"`
		Target  float64 `json:"target"`
	}
	type world struct {
		Space   *Space   `json:"space"`
		Round   *Round   `json:"round"`
		Vectors []vector `json:"vectors"`
	}
	given, mixture := dependent(), dependent()
	given.Name, mixture.Name = "given", "mixture"
	given.Classes = nil
	for _, f := range []int{2, 5} { // given factors alone
		for l, share := range given.Factors[f].Given.Rows[0] {
			given.Factors[f].Levels[l].Target = share
		}
		given.Factors[f].Given = nil
	}
	var worlds []world
	for _, s := range []*Space{given, mixture} {
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		worlds = append(worlds, world{Space: s, Round: vectorRound(s, .2,
			Component{Share: whole / 2},
			Component{Share: whole / 4, Slice: s.slice(t, "light", "glare")},
			Component{Share: whole / 4, Slice: s.slice(t, "stripe", "on", "tool", "tongs")},
		)})
	}
	for w := range worlds {
		sampler, err := NewSampler(worlds[w].Space, worlds[w].Round)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range worlds[w].Round.Components {
			for _, index := range []uint64{0, 1, 2, 3, 5, 8, 13, 999, 1<<31 + 7} {
				x, err := sampler.Scenario(c.Domain, c.Number, index)
				if err != nil {
					t.Fatal(err)
				}
				worlds[w].Vectors = append(worlds[w].Vectors, vector{c.Number, index, x.Codes, x.Fractions, sampler.Density(x.Codes), sampler.Target(x.Codes)})
			}
		}
	}
	golden(t, "trees.json", worlds)
}
