package build

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/apron-run/apron/internal/platform"
)

// keyVersion is raised when builds of the same commit give something else than before.
const keyVersion = 1

// Key names all that a build of the managed runtime depends on besides the commit: two builds of one commit that have the same
// key give the same image and process. It is empty where nobody can say that: without a runtime, as a Dockerfile begins with
// images that change, or when the runtime's own images cannot be had. Dir and ImageName of the request are not looked at.
func (b *Builder) Key(ctx context.Context, request Request, runtime string) string {
	known, ok := b.runtimes.ByName(runtime)
	if !ok {
		return ""
	}
	images, err := b.recipes.Images(ctx, b.runtimes, known, request.Log)
	if err != nil {
		return "" // the build will meet that too, and say so
	}
	defer images.Release()
	code, tags := request.Code, maps.Clone(request.Tags)
	code.Branch = "" // the commit says more
	maps.DeleteFunc(tags, func(name, _ string) bool { return !strings.HasPrefix(name, platform.TagPrefix) })
	data, err := json.Marshal([]any{keyVersion, runtime, known.Environment, known.BuildEnvironment, images.Build, images.Run, code, tags})
	if err != nil {
		return ""
	}
	return digest.FromBytes(data).String()
}
