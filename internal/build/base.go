package build

import (
	"context"
	"fmt"
	"io"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/recipe"
	"github.com/apron-run/apron/internal/platform"
)

// bases are the runtimes' images that one build uses. They are held in the cache until release.
type bases struct {
	versions map[string]string
	held     []recipe.Images
}

func (u *bases) add(name string, images recipe.Images) {
	if u.versions == nil {
		u.versions = map[string]string{}
	}
	u.versions[name] = images.Version.String()
	u.held = append(u.held, images)
}

func (u *bases) release() {
	for _, images := range u.held {
		images.Release()
	}
}

// base returns a runtime's images, made or pulled first where this machine does not have them.
func (b *Builder) base(ctx context.Context, runtime catalogue.Runtime, used *bases, log io.Writer) (recipe.Images, error) {
	images, err := b.recipes.Images(ctx, b.runtimes, runtime, log)
	b.preparations.note(runtime.Name, err)
	if err != nil {
		return recipe.Images{}, explainBase(ctx, runtime, err)
	}
	used.add(runtime.Name, images)
	return images, nil
}

// explainBase says which runtime could not be prepared, and how to try that alone.
func explainBase(ctx context.Context, runtime catalogue.Runtime, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("prepare the runtime %s: %w", runtime.Name, context.Cause(ctx))
	}
	why, remedy := platform.AsExplained(err), "`apron runtimes build "+runtime.Name+"` tries it alone"
	if runtime.IsImage() {
		remedy = "`apron runtimes pull " + runtime.Name + "` tries it alone; mirrors and credentials of registries are in " +
			"registries.yaml and registries.json in the data directory"
	}
	if why == nil {
		return platform.Explain(err, "the runtime %s could not be prepared: %v", runtime.Name, err).Try("%s", remedy)
	}
	explained := *why
	explained.Cause, explained.Err = "the runtime "+runtime.Name+" could not be prepared: "+why.Cause, err
	return explained.Try("%s; %s", why.Remedy, remedy)
}
