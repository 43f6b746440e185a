package build

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/apron-run/apron/internal/platform"
)

// standardFrontend matches the names of the Dockerfile frontend that buildkitd has built in, of any version.
var standardFrontend = regexp.MustCompile(`^(docker\.io/)?docker/dockerfile(-upstream)?(:[\w.-]+)?(@\S+)?$`)

// dockerfile is a Dockerfile as it was read before the build, so that what cannot work is told at once, with its line.
type dockerfile struct {
	name      string
	stages    []instructions.Stage
	arguments []instructions.ArgCommand
}

// readDockerfile parses a Dockerfile. Another frontend would be a program of a registry that reads the repository as it
// likes, and what it makes of the file is not what this one does: it is refused.
func readDockerfile(name string, data []byte) (dockerfile, error) {
	if frontend, _, at, found := parser.DetectSyntax(data); found && !standardFrontend.MatchString(frontend) {
		return dockerfile{}, platform.Explain(nil, "line %d of %s asks for the frontend %s, but apron builds with its own Dockerfile frontend only",
			lineOf(at), name, frontend).Try("write the Dockerfile for docker/dockerfile, or build an image elsewhere and deploy that")
	}
	tree, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return dockerfile{}, explainSyntax(err, name)
	}
	stages, arguments, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		return dockerfile{}, explainSyntax(err, name)
	}
	if len(stages) == 0 {
		return dockerfile{}, platform.Explain(nil, "%s has no FROM, so there is nothing to build on", name).
			Try("begin it with FROM, such as FROM apron.local/nodejs22")
	}
	return dockerfile{name: name, stages: stages, arguments: arguments}, nil
}

// explainSyntax says which line the parser did not understand.
func explainSyntax(err error, name string) error {
	where, cause := name, err
	var located *parser.LocationError
	if errors.As(err, &located) && len(located.Locations) > 0 {
		where = fmt.Sprintf("line %d of %s", lineOf(located.Locations[0]), name)
		cause = located.Unwrap()
	}
	return platform.Explain(err, "%s cannot be read: %v", where, cause).Try("correct it, and deploy again")
}

func lineOf(ranges []parser.Range) int {
	if len(ranges) == 0 {
		return 1
	}
	return max(ranges[0].Start.Line, 1)
}

// check refuses what would fail later or reach out of the build, and returns what will not have the effect that its
// author may expect.
func (d dockerfile) check(tags map[string]string) (notices []string, err error) {
	if target := tags[platform.TagTarget]; target != "" {
		if _, found := instructions.HasStage(d.stages, target); !found {
			return nil, platform.Explain(nil, "the tag %s is %q, but %s has no stage of that name", platform.TagTarget, target, d.name).
				Try("%s", d.stageNames())
		}
	}
	secrets, arguments := tagsBelow(tags, platform.TagBuildSecret), tagsBelow(tags, platform.TagBuildArg)
	unused := map[string]string{}
	for id := range secrets {
		unused[platform.TagBuildSecret+id] = "no RUN --mount=type=secret,id=" + id
	}
	for name := range arguments {
		unused[platform.TagBuildArg+name] = "no ARG " + name
	}
	for _, argument := range d.arguments {
		dropArguments(unused, argument)
	}
	for _, stage := range d.stages {
		for _, command := range stage.Commands {
			switch command := command.(type) {
			case *instructions.RunCommand:
				missing, err := d.checkRun(command, secrets, unused)
				if err != nil {
					return nil, err
				}
				notices = append(notices, missing...)
			case *instructions.ArgCommand:
				dropArguments(unused, *command)
			case *instructions.HealthCheckCommand:
				notices = append(notices, d.at(command)+"HEALTHCHECK is ignored: the service's HealthCheckConfiguration says how the app is asked")
			case *instructions.VolumeCommand:
				notices = append(notices, d.at(command)+"VOLUME is ignored: each instance has files of its own, which end with it")
			}
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(unused)) {
		notices = append(notices, fmt.Sprintf("the tag %s has no effect: %s has %s", tag, d.name, unused[tag]))
	}
	return notices, nil
}

// checkRun looks at the flags of one RUN and strikes the secrets that it mounts off unused.
func (d dockerfile) checkRun(run *instructions.RunCommand, secrets, unused map[string]string) (notices []string, err error) {
	refuse := func(flag, why, remedy string) error {
		return platform.Explain(nil, "%sRUN %s is not possible here: %s", d.at(run), flag, why).Try("%s", remedy)
	}
	if instructions.GetNetwork(run) == instructions.NetworkHost {
		return nil, refuse("--network=host", "a build does not get the network of the machine",
			"leave the flag out: the step reaches the outside by the build's own network")
	}
	if instructions.GetSecurity(run) == instructions.SecurityInsecure {
		return nil, refuse("--security=insecure", "a build gets no powers over the machine", "leave the flag out")
	}
	if len(instructions.GetDevices(run)) > 0 {
		return nil, refuse("--device", "a build gets no devices of the machine", "leave the flag out")
	}
	// The flags are read in full only here. One that a variable makes whole means nothing yet, and is BuildKit's to judge.
	if err := run.Expand(func(word string) (string, error) { return word, nil }); err != nil {
		return nil, nil
	}
	for _, mount := range instructions.GetMounts(run) {
		switch mount.Type {
		case instructions.MountTypeSSH:
			return nil, refuse("--mount=type=ssh", "a build has no SSH agent",
				"use --mount=type=secret with a deploy key, and tag the service "+platform.TagBuildSecret+"ID=SECRET")
		case instructions.MountTypeSecret:
			id := secretID(mount)
			delete(unused, platform.TagBuildSecret+id)
			if _, given := secrets[id]; given {
				continue
			}
			if mount.Required {
				return nil, platform.Explain(nil, "%sRUN needs the secret %s, and the service names none for it", d.at(run), id).
					Try("tag the service %s%s=SECRET, by the name of the secret that holds its value", platform.TagBuildSecret, id)
			}
			notices = append(notices, fmt.Sprintf("%sthe secret %s is not there: no tag %s%s names one", d.at(run), id, platform.TagBuildSecret, id))
		}
	}
	return notices, nil
}

// secretID follows the frontend: the id, else the last part of where the secret is mounted.
func secretID(mount *instructions.Mount) string {
	switch {
	case mount.Source != "":
		return mount.Source
	case mount.CacheID != "":
		return mount.CacheID
	}
	return mount.Target[strings.LastIndex(mount.Target, "/")+1:]
}

func (d dockerfile) at(command instructions.Command) string {
	return fmt.Sprintf("line %d of %s: ", lineOf(command.Location()), d.name)
}

func (d dockerfile) stageNames() string {
	var names []string
	for _, stage := range d.stages {
		if stage.Name != "" {
			names = append(names, stage.Name)
		}
	}
	if len(names) == 0 {
		return "name a stage there with FROM … AS NAME, or remove the tag"
	}
	return "use one of " + strings.Join(names, ", ") + ", or remove the tag"
}

func dropArguments(unused map[string]string, command instructions.ArgCommand) {
	for _, argument := range command.Args {
		delete(unused, platform.TagBuildArg+argument.Key)
	}
}

// tagsBelow returns the tags whose keys begin with prefix, by what follows it.
func tagsBelow(tags map[string]string, prefix string) map[string]string {
	below := map[string]string{}
	for key, value := range tags {
		if name, found := strings.CutPrefix(key, prefix); found {
			below[name] = value
		}
	}
	return below
}
