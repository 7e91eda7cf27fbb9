// Package shapes is the demo's world and the job that learns in it: what a user
// of Hone would write, in Go.
//
// # What it owns
//
// space.yaml describes what may vary in a 16 x 16 gray picture of a part:
// rotation, background, shape, light and so on. A [Renderer] draws the picture
// of a scenario; [Generator] is that renderer as Hone's workers call it. A
// [Learner] is a small network that names the shape in a picture, and
// [RunTrainer] is a training job: it reads dataset versions, trains, evaluates
// and posts outcomes, through the public HTTP API and nothing else.
//
// # The world is made so that it can be seen to work
//
// In four rare conjunctions of levels (see world.go) the picture shows a decoy
// at full strength and the true shape only as a weak cue: a network that has
// seen few such pictures is misled, one that has seen enough is not. A fifth
// conjunction saturates the sensor, and nobody can learn it. All five are
// axis-aligned and at most of order three, which is the most favourable case
// for a search over conjunctions. That a loop does well here shows that the
// mechanism works where such slices exist; it does not show that real data are
// like this. A null world has none of them, so that there is nothing to find.
//
// # Who knows what
//
// The training job and the learner (trainer.go, learner.go) see pictures,
// labels, importance weights and manifests. They use nothing of the renderer
// or of world.go, and nothing that decides; a test holds that.
//
// # Failures and invariants
//
// A space that names a level which the renderer cannot draw is refused when the
// Renderer is made. A picture depends on the world, the scenario and the seed
// alone (C5), so that equal names give equal bytes on any worker: the generator
// declares itself deterministic (C12). One seed in 200 is spoiled on purpose:
// its picture has one value all over, and a gate should send it back (C4).
package shapes
