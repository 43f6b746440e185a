package build

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/platform"
)

// appDir is where the repository lies in every image, as in App Runner.
const appDir = "/app"

// Phase is one part of a build, by the name it has in the log.
type Phase string

const (
	PhasePreBuild  Phase = "PreBuild"
	PhaseBuild     Phase = "Build"
	PhasePreRun    Phase = "PreRun"
	PhasePostBuild Phase = "PostBuild"
)

// key returns the phase's name in apprunner.yaml.
func (p Phase) key() string {
	return map[Phase]string{PhasePreBuild: "pre-build", PhaseBuild: "build", PhasePreRun: "pre-run", PhasePostBuild: "post-build"}[p]
}

// Plan is a build of a managed runtime as data.
type Plan struct {
	// Runtime is the runtime's name in the catalogue.
	Runtime string
	// WorkDir is where phases and the app start: /app/SOURCE_DIRECTORY.
	WorkDir string
	// Commands holds each phase's commands as the user wrote them.
	Commands map[Phase][]string
	// Environment is set in the phases, not in the app.
	Environment []appfile.Variable
	Process     platform.Process
	Warnings    []string
}

// planFromFile plans a build that apprunner.yaml describes.
func planFromFile(runtimes *catalogue.Catalogue, directory string, file appfile.File) (Plan, error) {
	runtime, ok := runtimes.ByName(file.Runtime)
	if !ok {
		return Plan{}, unknownRuntime(file.RuntimeAt.String(), file.Runtime, runtimes.Names())
	}
	warnings := slices.Clone(file.Warnings)
	note, err := checkVersion(runtime, file.RuntimeVersion)
	if err != nil {
		return Plan{}, platform.Explain(nil, "%s: %v", file.RuntimeVersionAt, err).
			Try("write the version that is here, or leave run.runtime-version out")
	}
	if note != "" {
		warnings = append(warnings, fmt.Sprintf("%s: %s", file.RuntimeVersionAt, note))
	}
	if runtime.IsOriginal && len(file.PreRun) > 0 {
		warnings = append(warnings, fmt.Sprintf("App Runner has no run.pre-run for %s; here its commands run all the same", runtime.Name))
	}
	return Plan{
		Runtime: runtime.Name,
		WorkDir: path.Join(appDir, directory),
		Commands: phases(map[Phase][]string{
			PhasePreBuild: file.PreBuild, PhaseBuild: file.Build, PhasePreRun: file.PreRun, PhasePostBuild: file.PostBuild,
		}),
		Environment: file.BuildEnvironment,
		Process: platform.Process{
			Command: file.Command, Port: file.Port, PortVariable: file.PortVariable,
			Environment: asMap(file.Environment), Secrets: asMap(file.Secrets),
		},
		Warnings: warnings,
	}, nil
}

// planFromValues plans a build that CodeConfigurationValues describe.
func planFromValues(runtimes *catalogue.Catalogue, directory string, values *platform.CodeValues) (Plan, error) {
	if values == nil {
		return Plan{}, platform.Explain(nil, "the service's ConfigurationSource is API, but it has no CodeConfigurationValues").
			Try("give them, or use REPOSITORY with an %s", appfile.Name)
	}
	runtime, ok := runtimes.ByAPI(values.Runtime)
	if !ok {
		return Plan{}, unknownRuntime("CodeConfigurationValues", values.Runtime, runtimes.APINames())
	}
	if strings.TrimSpace(values.StartCommand) == "" {
		return Plan{}, platform.Explain(nil, "CodeConfigurationValues has no StartCommand").Try("set it to the command that starts the app")
	}
	port, err := portOf(values.Port)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{
		Runtime:  runtime.Name,
		WorkDir:  path.Join(appDir, directory),
		Commands: map[Phase][]string{},
		Process: platform.Process{
			Command: strings.TrimSpace(values.StartCommand), Port: port,
			Environment: values.Environment, Secrets: values.Secrets,
		},
	}
	if strings.TrimSpace(values.BuildCommand) != "" {
		plan.Commands[PhaseBuild] = []string{values.BuildCommand}
	}
	return plan, nil
}

// portOf reads CodeConfigurationValues.Port; empty is App Runner's default.
func portOf(text string) (int, error) {
	if text == "" {
		return appfile.DefaultPort, nil
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return 0, platform.Explain(nil, "CodeConfigurationValues.Port must be a number from 1 to 65535, not %q", text).
			Try("set it to the port that the app listens on")
	}
	return port, nil
}

// checkVersion compares a version lock with what the runtime has. Another major or minor version is an error; another
// patch is a remark, because a distribution has one.
func checkVersion(runtime catalogue.Runtime, lock string) (string, error) {
	lock = strings.TrimSpace(lock)
	if lock == "" || lock == "latest" {
		return "", nil
	}
	have, want := strings.Split(runtime.Version, "."), strings.Split(lock, ".")
	significant := 2
	if strings.HasPrefix(runtime.Name, "nodejs") {
		significant = 1 // minor versions of Node.js only add
	}
	for i := range min(significant, len(want), len(have)) {
		if have[i] != want[i] {
			return "", fmt.Errorf("run.runtime-version is %q, but %s is version %s", lock, runtime.Name, runtime.Version)
		}
	}
	if strings.HasPrefix(runtime.Version+".", lock+".") {
		return "", nil
	}
	return fmt.Sprintf("run.runtime-version %s is not here exactly; %s of version %s is used", lock, runtime.Name, runtime.Version), nil
}

// phases drops phases without commands.
func phases(commands map[Phase][]string) map[Phase][]string {
	for phase, list := range commands {
		if len(list) == 0 {
			delete(commands, phase)
		}
	}
	return commands
}

func asMap(variables []appfile.Variable) map[string]string {
	if len(variables) == 0 {
		return nil
	}
	values := make(map[string]string, len(variables))
	for _, variable := range variables {
		values[variable.Name] = variable.Value
	}
	return values
}
