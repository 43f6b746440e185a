package build

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/opencontainers/go-digest"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
	"github.com/apron-run/apron/internal/platform"
)

const (
	// localDir is where pip, npm -g and go install put what they install. What the build puts there reaches the run image.
	localDir = "/usr/local"
	// sourceMount and baseStore are the names under which the session serves the repository and the base images.
	sourceMount = "source"
	baseStore   = "runtimes"
)

// maxVertexName bounds what is shown of a phase's commands in one line.
const maxVertexName = 200

// runCommands is the one shell script of ours. It runs each argument as the user's command in the same shell, so that
// cd, export, source and set last, and stops at the first line that fails (bash's -e): a command may have several, and
// real repositories rely on both. The arguments are data, never part of the script.
//
// sudo, which no image has, is a function that runs the rest: commands are root's already.
const runCommands = `command -v sudo >/dev/null || sudo() {
while :; do case ${1-} in -u | -g | -h | -p | -C | -D | -R | -T | -U | -r | -t) shift 2 ;; --) shift; break ;; -*) shift ;; *) break ;; esac; done
env "$@"
}
[ -z "${BASH_VERSION-}" ] || export -f sudo 2>/dev/null || true
for apron_command in "$@"; do printf '+ %s\n' "$apron_command"; eval "$apron_command"; done`

// tracing are the variables that BuildKit gives to every step, so that its programs report to BuildKit what they do.
// A user's programs would, too.
var tracing = []string{
	"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "TRACEPARENT", "TRACESTATE",
}

// assembly turns a Plan into LLB.
type assembly struct {
	plan    Plan
	early   early
	runtime catalogue.Runtime
	images  recipe.Images
	host    host.Settings
	service platform.ServiceID
	// memory is what each step may use, in bytes; 0 is no limit.
	memory int64
}

// stack is the file system a phase runs on, in three parts: what a build adds to each can be laid over the run image
// without copying it, and a layer that did not change is not made again.
type stack struct{ root, local, app llb.State }

// definitions are what BuildKit is asked to solve: the image's file system and, where there is one, the last vertex of
// the post-build phase. What both begin with is built, which is only there beside postBuild.
type definitions struct{ image, built, postBuild *llb.Definition }

func (a assembly) marshal(ctx context.Context) (definitions, error) {
	base := a.base(a.images.Build, "build image").Hostname(hostname(a.service))
	prepared := llb.Scratch().File(llb.Copy(base, localDir, localDir, &llb.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true}),
		llb.WithCustomName("prepare "+localDir))
	built := a.addSource(stack{root: base, local: prepared})
	built = a.run(built, PhasePreBuild)
	built = a.run(built, PhaseBuild)

	local := built.local
	if a.runtime.IsImage() { // its language may lie there itself, and what runs has its own
		local = llb.Diff(prepared, built.local, llb.WithCustomName("find what the build has put into "+localDir))
	}
	final := llb.Merge([]llb.State{a.base(a.images.Run, "run image"), local, built.app}, llb.WithCustomName("put the image together"))
	if commands := a.plan.Commands[PhasePreRun]; len(commands) > 0 {
		final = final.Hostname(hostname(a.service)).Run(a.runOptions(PhasePreRun, commands)...).Root()
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
	both, err := built.root.Marshal(ctx, llb.LinuxAmd64)
	if err != nil {
		return definitions{}, fmt.Errorf("describe the build: %w", err)
	}
	return definitions{image: image, built: both, postBuild: postBuild}, nil
}

// base is one of the runtime's images, read from the cache folder through the session.
func (a assembly) base(image digest.Digest, name string) llb.State {
	return llb.OCILayout("apron.local/runtime/"+a.plan.Runtime+"@"+image.String(), llb.OCIStore("", baseStore),
		llb.WithCustomName(a.plan.Runtime+" "+name))
}

// addSource puts the repository below /app, and before it, with the files that they read, the commands that may run
// early. What those commands made of their files stays as it is.
func (a assembly) addSource(s stack) stack {
	if len(a.early.Commands) == 0 {
		s.app = llb.Scratch().File(a.copySource(nil), llb.WithCustomName("copy the source"))
		return s
	}
	manifests := llb.Mkdir(a.plan.WorkDir, 0o755, llb.WithParents(true))
	for _, folder := range a.early.Folders {
		manifests = manifests.Mkdir(path.Join(appDir, folder), 0o755, llb.WithParents(true))
	}
	if len(a.early.Files) > 0 {
		manifests = manifests.Copy(a.repository(), "/", appDir, a.copyInfo(a.early.Files, nil))
	}
	s.app = llb.Scratch().File(manifests, llb.WithCustomName("copy what names the dependencies"))
	for _, phase := range []Phase{PhasePreBuild, PhaseBuild} {
		if commands := a.early.Commands[phase]; len(commands) > 0 {
			s = a.exec(s, phase, commands)
		}
	}
	s.app = s.app.File(a.copySource(a.early.Files), llb.WithCustomName("copy the source"))
	return s
}

func (a assembly) copySource(except []string) *llb.FileAction {
	return llb.Copy(a.repository(), "/", appDir, a.copyInfo(nil, except))
}

func (a assembly) repository() llb.State {
	return llb.Local(sourceMount, llb.SharedKeyHint("apron/"+string(a.service)), llb.WithCustomName("read the source"))
}

// copyInfo copies as root, whoever owns the checkout.
func (a assembly) copyInfo(only, except []string) *llb.CopyInfo {
	return &llb.CopyInfo{
		CopyDirContentsOnly: true, CreateDestPath: true, IncludePatterns: escape(only), ExcludePatterns: escape(except),
		ChownOpt: &llb.ChownOpt{User: &llb.UserOpt{}, Group: &llb.UserOpt{}},
	}
}

// escape makes patterns that match the paths themselves.
func escape(paths []string) []string {
	special := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`)
	patterns := make([]string, len(paths))
	for i, name := range paths {
		patterns[i] = special.Replace(name)
	}
	return patterns
}

// run adds a phase, without the commands that ran early.
func (a assembly) run(s stack, phase Phase) stack {
	commands := a.plan.Commands[phase]
	if len(a.early.Commands[phase]) > 0 {
		commands = a.early.Rest[phase]
	}
	if len(commands) == 0 {
		return s
	}
	return a.exec(s, phase, commands)
}

// exec adds one vertex. The parts of the stack are mounted one by one, so that each keeps only its own changes.
func (a assembly) exec(s stack, phase Phase, commands []string) stack {
	exec := s.root.Run(a.runOptions(phase, commands)...)
	return stack{
		local: exec.AddMount(localDir, s.local, llb.SourcePath(localDir)),
		app:   exec.AddMount(appDir, s.app, llb.SourcePath(appDir)),
		root:  exec.Root(),
	}
}

func (a assembly) runOptions(phase Phase, commands []string) []llb.RunOption {
	options := []llb.RunOption{
		llb.Args(slices.Concat(a.shell(), []string{a.script(phase), "apron"}, commands)),
		llb.Dir(a.plan.WorkDir),
		llb.WithCustomName(phaseVertexName(phase, commands)),
	}
	if a.memory > 0 { // no part of what a step is known by: another limit uses the same cache
		options = append(options, llb.WithLinuxResources(llb.LinuxResources{Memory: a.memory, MemorySwap: a.memory}))
	}
	for _, variable := range a.environment(phase) {
		options = append(options, llb.AddEnv(variable[0], variable[1]))
	}
	for _, cache := range a.runtime.Caches {
		id := path.Join("apron", string(a.service), cache)
		options = append(options, llb.AddMount(cache, llb.Scratch(), llb.AsPersistentCacheDir(id, llb.CacheMountShared)))
	}
	return append(options, hostOptions(a.host)...)
}

// shell runs a script. Images that were pulled may have no bash.
func (a assembly) shell() []string {
	if a.runtime.IsImage() {
		return []string{"/bin/sh", "-c", `[ -x /bin/bash ] && exec /bin/bash -e -c "$@"; exec /bin/sh -e -c "$@"`, "sh"}
	}
	return []string{"/bin/bash", "-e", "-c"}
}

// script is runCommands without BuildKit's variables, except those that the user has set.
func (a assembly) script(phase Phase) string {
	foreign := slices.DeleteFunc(slices.Clone(tracing), func(name string) bool {
		return slices.ContainsFunc(a.environment(phase), func(variable [2]string) bool { return variable[0] == name })
	})
	return "unset " + strings.Join(foreign, " ") + "\n" + runCommands
}

// environment is what a phase sees, in an order that does not change from build to build: what the image that it runs in
// sets, the runtime's, and the user's own last.
func (a assembly) environment(phase Phase) [][2]string {
	image := a.images.BuildEnvironment
	if phase == PhasePreRun {
		image = a.images.RunEnvironment
	}
	var variables [][2]string
	for _, variable := range image {
		name, value, _ := strings.Cut(variable, "=")
		variables = append(variables, [2]string{name, value})
	}
	variables = append(variables, [2]string{"HOME", "/root"}, [2]string{"CI", "true"})
	for _, set := range []map[string]string{a.runtime.Environment, a.runtime.BuildEnvironment, keptBy(a.plan)} {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			variables = append(variables, [2]string{name, set[name]})
		}
	}
	for _, variable := range a.plan.Environment {
		variables = append(variables, [2]string{variable.Name, variable.Value})
	}
	return variables
}

// phaseVertexName marks a vertex as part of a phase, so that its output finds its prefix.
func phaseVertexName(phase Phase, commands []string) string {
	text := strings.Join(strings.Fields(strings.Join(commands, "; ")), " ")
	if runes := []rune(text); len(runes) > maxVertexName {
		text = string(runes[:maxVertexName]) + "…"
	}
	return phasePrefix(phase) + " " + text
}

// phasePrefix is what the lines of a phase begin with in the log.
func phasePrefix(phase Phase) string { return "[" + string(phase) + "]" }
