package build

import (
	"context"
	"regexp"
)

// runtimeImage matches the names under which Dockerfiles find the images of the runtimes, made on this machine: RUNTIME for
// what runs, RUNTIME-build for what builds.
var runtimeImage = regexp.MustCompile(`\bapron\.local/([a-z0-9]+)(-build)?\b`)

// runtimeContexts returns the frontend's options that lead those names of the Dockerfile to the images, and prepares the
// images.
func (b *Builder) runtimeContexts(ctx context.Context, request Request, used *bases, dockerfile []byte) (map[string]string, error) {
	contexts := map[string]string{}
	for _, match := range runtimeImage.FindAllStringSubmatch(string(dockerfile), -1) {
		image, name, isBuild := match[0], match[1], match[2] != ""
		runtime, known := b.runtimes.ByName(name)
		if !known {
			return nil, unknownRuntime("the Dockerfile names "+image, name, b.runtimes.Names())
		}
		images, err := b.base(ctx, runtime, used, request.Log)
		if err != nil {
			return nil, err
		}
		digest := images.Run
		if isBuild {
			digest = images.Build
		}
		contexts["context:"+image] = "oci-layout://" + baseStore + "@" + digest.String()
	}
	return contexts, nil
}
