package build

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/moby/buildkit/client/llb"
	"github.com/opencontainers/go-digest"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
	"github.com/apron-run/apron/internal/platform"
)

const (
	// searchPath is PATH in every image of a managed runtime.
	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// localDir is where pip, npm -g and go install put what they install. What the build puts there reaches the run image.
	localDir = "/usr/local"
	// sourceMount and baseStore are the names under which the session serves the repository and the base images.
	sourceMount = "source"
	baseStore   = "runtimes"
)

// runCommands is the one shell script of ours. It runs each argument as the user's command in the same shell, so that
// cd, export, source and set last, and stops at the first that fails. The arguments are data, never part of the script.
const runCommands = `for apron_command in "$@"; do printf '+ %s\n' "$apron_command"; eval "$apron_command"; done`

// assembly turns a Plan into LLB.
type assembly struct {
	plan    Plan
	runtime catalogue.Runtime
	images  recipe.Images
	host    host.Settings
	service platform.ServiceID
}

// stack is the file system a phase runs on, in three parts: what a build adds to each can be laid over the run image
// without copying it, and a layer that did not change is not made again.
type stack struct{ root, local, app llb.State }

// definitions are what BuildKit is asked to solve: the image's file system and, where there is one, the last vertex of
// the post-build phase.
type definitions struct{ image, postBuild *llb.Definition }

func (a assembly) marshal(ctx context.Context) (definitions, error) {
	base := a.base(a.images.Build, "build image")
	built := stack{
		root: base,
		local: llb.Scratch().File(llb.Copy(base, localDir, localDir, &llb.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true}),
			llb.WithCustomName("prepare "+localDir)),
		app: a.source(),
	}
	built = a.run(built, PhasePreBuild)
	built = a.run(built, PhaseBuild)

	final := llb.Merge([]llb.State{a.base(a.images.Run, "run image"), built.local, built.app}, llb.WithCustomName("put the image together"))
	if commands := a.plan.Commands[PhasePreRun]; len(commands) > 0 {
		final = final.Run(a.runOptions(PhasePreRun, commands)...).Root()
	}
	image, err := final.Marshal(ctx, llb.LinuxAmd64)
	if err != nil {
		return definitions{}, fmt.Errorf("describe the build: %w", err)
	}
	if len(a.plan.Commands[PhasePostBuild]) == 0 {
		return definitions{image: image}, nil
	}
	postBuild, err := a.run(built, PhasePostBuild).root.Marshal(ctx, llb.LinuxAmd64)
	if err != nil {
		return definitions{}, fmt.Errorf("describe the build: %w", err)
	}
	return definitions{image: image, postBuild: postBuild}, nil
}

// base is one of the runtime's images, read from the cache folder through the session.
func (a assembly) base(image digest.Digest, name string) llb.State {
	return llb.OCILayout("apron.local/runtime/"+a.plan.Runtime+"@"+image.String(), llb.OCIStore("", baseStore),
		llb.WithCustomName(a.plan.Runtime+" "+name))
}

// source is the repository below /app.
func (a assembly) source() llb.State {
	local := llb.Local(sourceMount, llb.SharedKeyHint("apron/"+string(a.service)), llb.WithCustomName("read the source"))
	return llb.Scratch().File(llb.Copy(local, "/", appDir, &llb.CopyInfo{
		CopyDirContentsOnly: true, CreateDestPath: true, ChownOpt: &llb.ChownOpt{User: &llb.UserOpt{}, Group: &llb.UserOpt{}},
	}), llb.WithCustomName("copy the source"))
}

// run adds a phase. The parts of the stack are mounted one by one, so that each keeps only its own changes.
func (a assembly) run(s stack, phase Phase) stack {
	commands := a.plan.Commands[phase]
	if len(commands) == 0 {
		return s
	}
	exec := s.root.Run(a.runOptions(phase, commands)...)
	return stack{
		local: exec.AddMount(localDir, s.local, llb.SourcePath(localDir)),
		app:   exec.AddMount(appDir, s.app, llb.SourcePath(appDir)),
		root:  exec.Root(),
	}
}

func (a assembly) runOptions(phase Phase, commands []string) []llb.RunOption {
	options := []llb.RunOption{
		llb.Args(slices.Concat([]string{"/bin/bash", "-e", "-c", runCommands, "apron"}, commands)),
		llb.Dir(a.plan.WorkDir),
		llb.WithCustomName(phaseVertexName(phase)),
	}
	for _, variable := range a.environment() {
		options = append(options, llb.AddEnv(variable[0], variable[1]))
	}
	for _, cache := range a.runtime.Caches {
		id := path.Join("apron", string(a.service), cache)
		options = append(options, llb.AddMount(cache, llb.Scratch(), llb.AsPersistentCacheDir(id, llb.CacheMountShared)))
	}
	return append(options, hostOptions(a.host)...)
}

// environment is what a phase sees, in an order that does not change from build to build. The user's own comes last.
func (a assembly) environment() [][2]string {
	variables := [][2]string{{"PATH", searchPath}, {"HOME", "/root"}, {"CI", "true"}}
	for _, set := range []map[string]string{a.runtime.Environment, a.runtime.BuildEnvironment} {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			variables = append(variables, [2]string{name, set[name]})
		}
	}
	for _, variable := range a.plan.Environment {
		variables = append(variables, [2]string{variable.Name, variable.Value})
	}
	return variables
}

// phaseVertexName marks a vertex as a phase, so that its output finds its prefix.
func phaseVertexName(phase Phase) string { return "[" + string(phase) + "]" }
