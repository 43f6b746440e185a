package build

import (
	"fmt"
	"path"
	"regexp"
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
	// Warnings say what is understood otherwise than it is written, or will likely go wrong.
	Warnings []appfile.Remark
}

// planFromFile plans a build that apprunner.yaml describes. tag is the runtime that the service's tag names, or empty.
func planFromFile(runtimes *catalogue.Catalogue, directory string, file appfile.File, tag string) (Plan, error) {
	warnings := slices.Clone(file.Warnings)
	var runtime catalogue.Runtime
	var remarks []appfile.Remark
	var err error
	if tag != "" {
		runtime, remarks, err = runtimeOfTag(runtimes, tag, file)
	} else {
		runtime, remarks, err = resolveRuntime(runtimes, file)
	}
	if err != nil {
		return Plan{}, err
	}
	warnings = append(warnings, remarks...)
	warnings = append(warnings, stageRemarks(runtime, file)...)
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

// stageRemarks say where the stages of a build differ from those that App Runner's builds have.
func stageRemarks(runtime catalogue.Runtime, file appfile.File) []appfile.Remark {
	var remarks []appfile.Remark
	if runtime.IsOriginal && len(file.PreRun) > 0 {
		remarks = append(remarks, appfile.Remark{Text: fmt.Sprintf(
			"App Runner has no run.pre-run for %s; here its commands run in the image of the app, as for newer runtimes", runtime.Name)})
	}
	if !runtime.IsOriginal && len(file.PreRun) == 0 && slices.ContainsFunc(slices.Concat(file.PreBuild, file.Build), installsBeside) {
		remarks = append(remarks, appfile.Remark{At: file.BuildAt, Text: "what the build installs below " + localDir + " is kept for the app; on " +
			"App Runner it would have to be installed by run.pre-run"})
	}
	return remarks
}

var (
	installs   = regexp.MustCompile(`\b(?:pip3?|gem)\s+install\s|\bnpm\s+(?:install|i)\s+(?:\S+\s+)*(?:-g|--global)\b`)
	intoFolder = regexp.MustCompile(`\s-t\s|--target|--prefix|venv|/bin/pip`)
)

// installsBeside says whether a command installs beside the app and not into its folder.
func installsBeside(command string) bool {
	return installs.MatchString(command) && !intoFolder.MatchString(command)
}

// planFromValues plans a build that CodeConfigurationValues describe. tag is the runtime that the service's tag names, or empty.
func planFromValues(runtimes *catalogue.Catalogue, directory string, values *platform.CodeValues, tag string) (Plan, error) {
	if values == nil {
		return Plan{}, platform.Explain(nil, "the service's ConfigurationSource is API, but it has no CodeConfigurationValues").
			Try("give them, or use REPOSITORY with an %s", appfile.Name)
	}
	runtime, ok := runtimes.ByAPI(values.Runtime)
	var warnings []appfile.Remark
	switch {
	case tag != "":
		var err error
		if runtime, _, err = runtimeOfTag(runtimes, tag, appfile.File{}); err != nil {
			return Plan{}, err
		}
		if runtime.API != values.Runtime {
			warnings = append(warnings, tagRemark(appfile.Position{}, tag, "Runtime "+values.Runtime+" of CodeConfigurationValues"))
		}
	case !ok:
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
		Warnings: warnings,
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
