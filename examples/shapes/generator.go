package shapes

import (
	"context"

	"hone/gpuworker"
	"hone/loop"
)

// GeneratorName is what campaigns call the generator.
const GeneratorName = "shapes"

// Generator makes samples of the shapes world: a picture (image.png) and its
// label (label.json). One value serves any number of goroutines.
type Generator struct {
	World World
}

var _ gpuworker.Generator = Generator{}

// Describe names the generator. The null world is another version of it: the
// same scenarios look different there.
func (g Generator) Describe() loop.Generator {
	version := "1"
	if g.World.Null {
		version = "1-null"
	}
	return loop.Generator{Name: GeneratorName, Version: version, Deterministic: true}
}

// Make renders every sample of the work, in order.
func (g Generator) Make(ctx context.Context, work gpuworker.Work, emit func(index uint64, members []loop.Member) error) error {
	renderer, err := NewRenderer(work.Space, g.World)
	if err != nil {
		return err
	}
	for _, s := range work.Samples {
		if err := ctx.Err(); err != nil {
			return err
		}
		members, err := renderer.Members(s.Scenario.Codes, s.Seed)
		if err != nil {
			return err
		}
		if err := emit(s.Name.Index, members); err != nil {
			return err
		}
	}
	return nil
}

// Members renders one sample and encodes it.
func (r *Renderer) Members(codes []loop.Code, seed uint64) ([]loop.Member, error) {
	picture, class, err := r.Render(codes, seed)
	if err != nil {
		return nil, err
	}
	image, err := picture.PNG()
	if err != nil {
		return nil, err
	}
	label, err := writeLabel(class)
	if err != nil {
		return nil, err
	}
	return []loop.Member{{Ext: ImageMember, Bytes: image}, {Ext: LabelMember, Bytes: label}}, nil
}
