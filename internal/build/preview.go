package build

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/build/catalogue"
)

// PreviewRequest says which folder to look at.
type PreviewRequest struct {
	// Dir is the repository's root, SourceDirectory the folder in it that is built; "" is the root.
	Dir, SourceDirectory string
	// Catalogue is a file that replaces the embedded catalogue of runtimes, or empty.
	Catalogue string
	// Runtime is what the service's tag names, or empty.
	Runtime string
}

// Preview is what a build of a repository would do, by its apprunner.yaml or by what its files are. Of variables it has the names alone.
type Preview struct {
	Runtime, Version string
	// Folder is where phases and the app start.
	Folder string
	Stages []Stage
	// BuildVariables are set in the stages; Variables and Secrets in the app.
	BuildVariables, Variables, Secrets []string
	Command                            string
	Port                               int
	// PortVariables carry the port.
	PortVariables []string
	Warnings      []appfile.Remark
	// Detected is set when there is no apprunner.yaml: the rest is what a build by the repository's files would do.
	Detected *Detected `json:",omitempty"`
}

// Detected is what a repository's files say of it.
type Detected struct {
	// Kind says in words what was recognised.
	Kind string
	// Text is the apprunner.yaml that it would have needed; empty where there is a Dockerfile, which says everything.
	Text string `json:",omitempty"`
}

// Stage is one phase of a build.
type Stage struct {
	// Name is the phase's name in apprunner.yaml.
	Name     string
	Commands []string
	// RunsOn says which image the commands run on.
	RunsOn string
	// Early are the commands, or parts of them, that run before the source is there, so that they run again only when one of
	// EarlyFiles has changed.
	Early      []string `json:",omitempty"`
	EarlyFiles []string `json:",omitempty"`
}

// PreviewBuild reads a repository and plans its build, without a daemon and without changing anything.
func PreviewBuild(request PreviewRequest) (Preview, error) {
	runtimes, err := catalogue.Default()
	if request.Catalogue != "" {
		runtimes, err = catalogue.Load(request.Catalogue)
	}
	if err != nil {
		return Preview{}, err
	}
	repository, err := openRepository(request.Dir, request.SourceDirectory)
	if err != nil {
		return Preview{}, err
	}
	preview, err := repository.preview(runtimes, request.Runtime)
	return preview, errors.Join(err, repository.close())
}

func (r *repository) preview(runtimes *catalogue.Catalogue, tag string) (Preview, error) {
	file, detected, err := r.configurationOrDetected(runtimes)
	if err != nil {
		return Preview{}, err
	}
	if detected != nil && detected.Text == "" {
		return Preview{Detected: detected, Warnings: file.Warnings}, nil
	}
	plan, err := planFromFile(runtimes, r.directory, file, tag)
	if err != nil {
		return Preview{}, err
	}
	runtime, _ := runtimes.ByName(plan.Runtime)
	preview := Preview{
		Runtime: runtime.Name, Version: runtime.Version, Folder: plan.WorkDir,
		BuildVariables: namesOf(file.BuildEnvironment), Variables: namesOf(file.Environment), Secrets: namesOf(file.Secrets),
		Command: plan.Process.Command, Port: plan.Process.Port, PortVariables: []string{"PORT"}, Warnings: plan.Warnings,
		Detected: detected,
	}
	if name := plan.Process.PortVariable; name != "" && name != "PORT" {
		preview.PortVariables = append(preview.PortVariables, name)
	}
	early := findEarly(plan, folder{files: r.root.FS(), directory: r.directory})
	for _, phase := range []Phase{PhasePreBuild, PhaseBuild, PhasePreRun, PhasePostBuild} {
		if len(plan.Commands[phase]) == 0 {
			continue
		}
		stage := Stage{Name: phase.key(), Commands: plan.Commands[phase], RunsOn: runsOn[phase]}
		if commands := early.Commands[phase]; len(commands) > 0 {
			stage.Early, stage.EarlyFiles = commands, early.Files
		}
		preview.Stages = append(preview.Stages, stage)
	}
	return preview, nil
}

// configurationOrDetected reads apprunner.yaml, or what stands for it where there is none, not even one of nearly that name.
func (r *repository) configurationOrDetected(runtimes *catalogue.Catalogue) (appfile.File, *Detected, error) {
	file, err := r.configuration()
	if !errors.Is(err, fs.ErrNotExist) || r.nearName() != "" {
		return file, nil, err
	}
	found, err := recognise(r, runtimes, nil)
	if err != nil {
		return appfile.File{}, nil, err
	}
	if !found.IsDockerfile {
		if file, err = appfile.Read([]byte(found.Text)); err != nil {
			return appfile.File{}, nil, fmt.Errorf("read what was detected: %w", err)
		}
	}
	for _, notice := range found.Notices {
		file.Warnings = append(file.Warnings, appfile.Remark{Text: notice})
	}
	return file, &Detected{Kind: found.Kind, Text: found.Text}, nil
}

// runsOn says in words where a phase runs, and what becomes of what it changes.
var runsOn = map[Phase]string{
	PhasePreBuild:  "the build image",
	PhaseBuild:     "the build image; what it leaves in " + appDir + " and " + localDir + " goes into the app's image",
	PhasePreRun:    "the app's image",
	PhasePostBuild: "the build image; what it changes is thrown away",
}

func namesOf(variables []appfile.Variable) []string {
	var names []string
	for _, variable := range variables {
		if !slices.Contains(names, variable.Name) {
			names = append(names, variable.Name)
		}
	}
	return names
}
