package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"strings"

	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/detect"
	"github.com/apron-run/apron/internal/platform"
)

// buildAuto builds by apprunner.yaml or a Dockerfile where there is one, else by the file that the repository would have
// needed, which it shows in the log.
func (b *Builder) buildAuto(ctx context.Context, request Request, repository *repository, used *bases) (Result, error) {
	values := request.Code.Values
	if request.Code.UsesConfigurationFile {
		values = nil // they are kept, and do not count
	}
	file, err := repository.configuration()
	isDetected := errors.Is(err, fs.ErrNotExist)
	if isDetected {
		if request.Tags[platform.TagDockerfile] != "" {
			return b.buildDockerfile(ctx, request, repository, used)
		}
		found, err := recognise(repository, b.runtimes, values)
		if err != nil {
			return Result{}, err
		}
		show(request.Log, found)
		if found.IsDockerfile {
			return b.buildDockerfile(ctx, request, repository, used)
		}
		if file, err = appfile.Read([]byte(found.Text)); err != nil {
			return Result{}, fmt.Errorf("read what was detected: %w", err)
		}
	} else if err != nil {
		return Result{}, err
	}
	plan, err := planFromFile(b.runtimes, repository.directory, file, request.Tags[platform.TagRuntime])
	if err != nil {
		return Result{}, err
	}
	if values != nil {
		if !isDetected {
			plan.Warnings = append(plan.Warnings, appfile.Remark{
				Text: fmt.Sprintf("CodeConfigurationValues are ignored: %s says how the app is built and run", appfile.Name),
			})
		} else if err := plan.override(values); err != nil {
			return Result{}, err
		}
	}
	return b.run(ctx, request, repository, plan, used)
}

// recognise detects the app of a source directory.
func recognise(repository *repository, runtimes *catalogue.Catalogue, values *platform.CodeValues) (detect.Detection, error) {
	files, err := fs.Sub(repository.root.FS(), repository.directory)
	if err != nil {
		return detect.Detection{}, fmt.Errorf("open the source directory: %w", err)
	}
	var options detect.Options
	for _, name := range runtimes.Names() {
		runtime, _ := runtimes.ByName(name)
		options.Runtimes = append(options.Runtimes, detect.Runtime{Name: name, Version: runtime.Version})
	}
	if values != nil {
		options.Start = values.StartCommand
	}
	return detect.Detect(files, options)
}

// show tells in the log what was detected.
func show(log io.Writer, found detect.Detection) {
	fmt.Fprintf(log, "There is no %s. This is %s.\n", appfile.Name, found.Kind)
	for _, notice := range found.Notices {
		fmt.Fprintln(log, "warning:", notice)
	}
	if found.IsDockerfile {
		return
	}
	fmt.Fprintf(log, "It is built as with this %s; to change something, save it, change it and commit it:\n\n", appfile.Name)
	for line := range strings.Lines(found.Text) {
		fmt.Fprint(log, "    ", line)
	}
	fmt.Fprintln(log)
}

// override lets what the service says win over what was detected. Its port is the detected one where it says none.
func (p *Plan) override(values *platform.CodeValues) error {
	port, err := portOf(values.Port)
	if err != nil {
		return err
	}
	p.Process.Port, p.Process.Secrets = port, values.Secrets
	if start := strings.TrimSpace(values.StartCommand); start != "" {
		p.Process.Command = start
	}
	if strings.TrimSpace(values.BuildCommand) != "" {
		p.Commands = map[Phase][]string{PhaseBuild: {values.BuildCommand}}
	}
	environment := maps.Clone(p.Process.Environment)
	if environment == nil {
		environment = map[string]string{}
	}
	maps.Copy(environment, values.Environment)
	p.Process.Environment = environment
	return nil
}
