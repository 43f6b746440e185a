package build

import (
	"github.com/apron-run/apron/internal/platform"
)

// ListRuntimes returns every runtime of the catalogue with what this machine has of it, by name.
func (b *Builder) ListRuntimes() ([]platform.Runtime, error) {
	var all []platform.Runtime
	for _, name := range b.runtimes.Names() {
		runtime, err := b.RuntimeNamed(name)
		if err != nil {
			return nil, err
		}
		all = append(all, runtime)
	}
	return all, nil
}

// RuntimeNamed returns one of them. platform.ErrNoRuntime.
func (b *Builder) RuntimeNamed(name string) (platform.Runtime, error) {
	known, found := b.runtimes.ByName(name)
	if !found {
		return platform.Runtime{}, platform.ErrNoRuntime
	}
	status, err := b.recipes.Status(b.runtimes, known)
	if err != nil {
		return platform.Runtime{}, err
	}
	runtime := platform.Runtime{
		Name: known.Name, API: known.API, Version: known.Version, IsImage: known.IsImage(), State: platform.RuntimeNotMade,
		SizeBytes: status.SizeBytes, Digest: status.Version.String(), MadeAt: status.MadeAt, CheckedAt: status.CheckedAt,
		BuildImage: known.BuildImage, RunImage: known.RunImage, Failure: b.preparations.failure(name),
	}
	if status.BuildImage != "" {
		runtime.BuildImage, runtime.RunImage = status.BuildImage, status.RunImage
	}
	switch {
	case status.IsBeingMade:
		runtime.State = platform.RuntimeBeingMade
	case status.IsReady:
		runtime.State = platform.RuntimeReady
	case runtime.Failure != "":
		runtime.State = platform.RuntimeFailed
	}
	return runtime, nil
}
