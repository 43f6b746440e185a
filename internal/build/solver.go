package build

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/recipe"
)

// solver is what BuildKit calls to learn what to build.
type solver = gateway.BuildFunc

// solveOptions say where the result goes: into containerd's store under a name, unpacked, ready to start. secrets are all
// that its steps can ask for.
func (b *Builder) solveOptions(imageName string, secrets session.Attachable) client.SolveOpt {
	return client.SolveOpt{
		Exports: []client.ExportEntry{{
			Type: client.ExporterImage,
			Attrs: map[string]string{
				"name": imageName, "push": "false", "store": "true", "unpack": "true", "oci-mediatypes": "true",
				"compression": "zstd", "compression-level": "1", // it stays on this machine: speed counts
			},
		}},
		Session:  []session.Attachable{secrets, registryAuth{credentials: b.config.Credentials}},
		Internal: true, // no record in the build's history: apron keeps its own
	}
}

func contentStores(recipes *recipe.Cache) map[string]content.Store {
	return map[string]content.Store{baseStore: recipes.Content()}
}

// planSolver solves the image and, beside it, the post-build phase: both must succeed. What they begin with is solved before
// them, because each of them would run a phase again that has failed for the other.
func planSolver(wanted definitions, config ocispec.Image) solver {
	return func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		if wanted.built != nil {
			if _, err := c.Solve(ctx, gateway.SolveRequest{Definition: wanted.built.ToPB(), Evaluate: true}); err != nil {
				return nil, err
			}
		}
		var image *gateway.Result
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() (err error) {
			image, err = c.Solve(ctx, gateway.SolveRequest{Definition: wanted.image.ToPB(), Evaluate: true})
			return err
		})
		if wanted.postBuild != nil {
			group.Go(func() error {
				_, err := c.Solve(ctx, gateway.SolveRequest{Definition: wanted.postBuild.ToPB(), Evaluate: true})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		data, err := json.Marshal(config)
		if err != nil {
			return nil, fmt.Errorf("describe the image: %w", err)
		}
		image.AddMeta(exptypes.ExporterImageConfigKey, data)
		return image, nil
	}
}

// imageConfig is the image's own configuration, so that it also runs outside apron.
func imageConfig(plan Plan, runtime catalogue.Runtime, images recipe.Images) ocispec.Image {
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	set := maps.Clone(runtime.Environment)
	if set == nil {
		set = map[string]string{}
	}
	maps.Copy(set, keptBy(plan))
	config.Config.Env = slices.DeleteFunc(slices.Clone(images.RunEnvironment), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		_, isReplaced := set[name]
		return isReplaced
	})
	for _, name := range slices.Sorted(maps.Keys(set)) {
		config.Config.Env = append(config.Config.Env, name+"="+set[name])
	}
	config.Config.WorkingDir = plan.WorkDir
	config.Config.Cmd = []string{"/bin/sh", "-c", plan.Process.Command}
	config.Config.ExposedPorts = map[string]struct{}{strconv.Itoa(plan.Process.Port) + "/tcp": {}}
	return config
}
