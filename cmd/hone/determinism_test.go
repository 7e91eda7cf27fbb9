package main

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"hone/api"
	"hone/examples/shapes"
)

// The campaigns of the tests with processes. Few rows make evidence here, so
// that a round has boosts after a few hundred.
const eagerPolicy = `name: eager
strategy: hone
minimum_rows: 200
`

// The campaign of three rounds learns from what the scripted training job posts.
const threeRoundsDocument = `name: three
space: shapes
policy: eager
generator: shapes
seed: %d
samples: 1500
rounds: 3
evaluation: {target: 300, mixture: 300}
learn_from: [{model_line: three, eval_set: three.eval}]
gates: [format, blank]
unit_size: 50
`

const (
	rounds   = 3
	perRound = 1100 // samples of it, for training and evaluation
)

// course is what became of a campaign: what must not depend on who worked on it.
type course struct {
	canonical [][]byte
	manifests map[string]string // by NAME@VERSION
}

// courseOf waits for the end of a campaign and asks what became of it.
func (c *crew) courseOf(campaign string, rounds int) course {
	c.t.Helper()
	out := course{manifests: map[string]string{}}
	for n := 1; n <= rounds; n++ {
		c.await(fmt.Sprintf("round %d of %s", n, campaign), func() bool {
			round, err := c.client.Round(c.ctx, campaign, n, 2*time.Second)
			return err == nil && round.State == api.RoundPublished
		})
		canonical, err := c.client.CanonicalRound(c.ctx, campaign, n)
		if err != nil {
			c.t.Fatal(err)
		}
		out.canonical = append(out.canonical, canonical)
	}
	for _, set := range []string{campaign, campaign + ".eval"} {
		versions, err := c.client.DatasetVersions(c.ctx, set)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, d := range versions {
			out.manifests[fmt.Sprintf("%s@%d", d.Name, d.Version)] = d.Manifest.String()
		}
	}
	return out
}

// differs says where two courses differ; nothing if they do not.
func (c course) differs(from course) (where []string) {
	for i := range max(len(c.canonical), len(from.canonical)) {
		if i >= len(c.canonical) || i >= len(from.canonical) || !bytes.Equal(c.canonical[i], from.canonical[i]) {
			where = append(where, fmt.Sprintf("round %d", i+1))
		}
	}
	for version, digest := range c.manifests {
		if from.manifests[version] != digest {
			where = append(where, version)
		}
	}
	if len(c.manifests) != len(from.manifests) {
		where = append(where, "the number of versions")
	}
	return where
}

// undisturbed runs the campaign of three rounds from scratch, with that many
// workers.
func undisturbed(t *testing.T, seed, workers, slots int) course {
	t.Helper()
	c := newCrew(t, patient(t, 4*time.Minute))
	names := []string{"trainer"}
	c.trainer("trainer", "three", rounds, false)
	for i := range workers {
		name := fmt.Sprintf("w%d", i+1)
		c.worker(name, slots)
		names = append(names, name)
	}
	c.start("server")
	c.put(shapes.SpaceDocument, []string{eagerPolicy}, []string{fmt.Sprintf(threeRoundsDocument, seed)})
	c.start(names...)
	out := c.courseOf("three", rounds)
	c.replays("three", rounds)
	c.kill(append(names, "server")...)
	return out
}

// courseSeed is the seed of the campaign of three rounds, and reference what
// becomes of it with one worker whom nobody disturbs.
const courseSeed = 4711

var reference struct {
	once   sync.Once
	course course
}

func referenceCourse(t *testing.T) course {
	t.Helper()
	reference.once.Do(func() { reference.course = undisturbed(t, courseSeed, 1, 1) })
	if len(reference.course.canonical) != rounds {
		t.Fatal("the campaign did not come to its end when nobody disturbed it")
	}
	return reference.course
}

// I4, C26: what is made, and what is published, follows from the seed and from
// nothing else: not from who works, how many they are, or what they cost.
func TestTheSeedDecidesEverything(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers and workers")
	}
	one := referenceCourse(t)
	if len(one.manifests) != 2*rounds {
		t.Fatalf("%d versions: %v", len(one.manifests), one.manifests)
	}
	// Else there would be little to compare.
	if !bytes.Contains(one.canonical[rounds-1], []byte(`"reason"`)) {
		t.Errorf("nothing was boosted: %s", one.canonical[rounds-1])
	}
	if where := undisturbed(t, courseSeed, 3, 2).differs(one); len(where) > 0 {
		t.Errorf("one worker or three with two slots: not the same in %v", where)
	}
	// Round 1 and all that is made differ with the seed.
	if where := undisturbed(t, courseSeed+1, 2, 1).differs(one); len(where) != 3*rounds {
		t.Errorf("another seed: not the same in %v only", where)
	}
}
