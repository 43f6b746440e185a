package main

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/internal/build/detect"
	"github.com/apron-run/apron/internal/platform"
)

// wish is what the user wants to run, before it meets what runs.
type wish struct {
	dir string
	// image is the reference to deploy; "" for a folder.
	image string
	// hasFile says that apprunner.yaml says how the folder is built.
	hasFile bool
	// dockerfile is the path to build with; "" where no Dockerfile counts.
	dockerfile string
	// isAuto says that nothing in the folder says how it is built, so that apron finds out by its files; kind is what they are.
	isAuto bool
	kind   string
	// target, arguments and buildSecrets are for the Dockerfile.
	target                  string
	arguments, buildSecrets map[string]string
	runtime, build, start   string
	// runtimeTag is a runtime of apron's that the API has no name for.
	runtimeTag string
	port       int
	// secrets are references to secrets, by the variables that get their values.
	environment, secrets map[string]string
	cpu, memory          string
}

// readWish looks at the flags and at the folder. What contradicts each other is a usageError.
func readWish(dir string, flags deployFlags) (wish, error) {
	w := wish{
		dir: dir, image: flags.image, build: flags.build, start: flags.start, port: flags.port, target: flags.target,
	}
	if flags.port < 0 || flags.port > 65535 {
		return w, &usageError{fmt.Errorf("--port %d: want 1 to 65535", flags.port), ""}
	}
	var err error
	if w.cpu, err = readSize("cpu", flags.cpu, " vCPU", cpuSizes); err != nil {
		return w, err
	}
	if w.memory, err = readSize("memory", flags.memory, " GB", memorySizes); err != nil {
		return w, err
	}
	if w.environment, err = readVariables("env", flags.environment); err != nil {
		return w, err
	}
	if w.secrets, err = readVariables("secret", flags.secrets); err != nil {
		return w, err
	}
	if w.arguments, err = readVariables("build-arg", flags.arguments); err != nil {
		return w, err
	}
	if w.buildSecrets, err = readVariables("build-secret", flags.buildSecrets); err != nil {
		return w, err
	}
	if err := w.readHow(flags); err != nil {
		return w, err
	}
	if w.dockerfile == "" && !w.isAuto && (w.target != "" || len(w.arguments)+len(w.buildSecrets) > 0) {
		return w, &usageError{fmt.Errorf("--target, --build-arg and --build-secret are for a Dockerfile"), "Name it with --dockerfile."}
	}
	return w, nil
}

// readHow finds out how what is wished is built.
func (w *wish) readHow(flags deployFlags) error {
	if flags.image != "" {
		if flags.build != "" {
			return &usageError{fmt.Errorf("--build is for folders; an image is built already"), ""}
		}
		return nil
	}
	if flags.runtime != "" {
		w.runtime = runtimeName(flags.runtime)
		if !slices.Contains(types.Runtime("").Values(), types.Runtime(w.runtime)) {
			w.runtime, w.runtimeTag = string(types.RuntimePython311), strings.ToLower(flags.runtime) // the API wants one of its own
		}
		if flags.start == "" {
			return &usageError{fmt.Errorf("--runtime needs the command that starts the app"), "Give it with --start."}
		}
		return nil
	}
	return w.readFolder(flags)
}

// readFolder finds out how the folder says that it is built.
func (w *wish) readFolder(flags deployFlags) error {
	switch {
	case flags.dockerfile != "":
		w.dockerfile = path.Clean(filepath.ToSlash(flags.dockerfile))
		if !exists(w.dir, w.dockerfile) {
			return &usageError{fmt.Errorf("there is no %s in %s", w.dockerfile, w.dir), "Name it from the folder's root."}
		}
	case exists(w.dir, "apprunner.yaml"):
		w.hasFile = true
	case exists(w.dir, "Dockerfile"):
		w.dockerfile = "Dockerfile"
	default:
		w.isAuto = true
		var err error
		if w.kind, err = kindOf(w.dir, flags.start); err != nil {
			return err
		}
	}
	if flags.build != "" && !w.isAuto || flags.start != "" && w.hasFile {
		return &usageError{fmt.Errorf("--build and --start are not for a folder that says itself how it is built"),
			"Say so in its apprunner.yaml or Dockerfile; or leave those out with --runtime."}
	}
	if w.hasFile && (len(w.environment)+len(w.secrets) > 0 || w.port != 0) {
		return &usageError{fmt.Errorf("apprunner.yaml decides the port and the variables of this folder"),
			"Write them there, under run.network.port, run.env and run.secrets; or leave the file out with --runtime."}
	}
	return nil
}

// kindOf says what a folder's files are, before anything of it is sent.
func kindOf(dir, start string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	kind, err := detect.Kind(root.FS(), start)
	if explained := platform.AsExplained(err); explained != nil {
		return "", advise("It can help to "+explained.Remedy+".", "%s has neither an apprunner.yaml nor a Dockerfile: %s", dir, explained.Cause)
	}
	return kind, err
}

func exists(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
	return err == nil && info.Mode().IsRegular()
}

var variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

func readVariables(flag string, given []string) (map[string]string, error) {
	variables := map[string]string{}
	for _, each := range given {
		name, value, found := strings.Cut(each, "=")
		if !found || !variablePattern.MatchString(name) {
			// The value may be a secret; only the name is repeated.
			return nil, &usageError{fmt.Errorf("--%s %s…: want KEY=VALUE", flag, name), ""}
		}
		variables[name] = value
	}
	return variables, nil
}

// runtimeName turns a name of apprunner.yaml into the API's: python311 into PYTHON_311.
func runtimeName(name string) string {
	upper := strings.ToUpper(name)
	if strings.Contains(upper, "_") {
		return upper
	}
	split := strings.IndexFunc(upper, func(r rune) bool { return r >= '0' && r <= '9' })
	if split <= 0 {
		return upper
	}
	return upper[:split] + "_" + upper[split:]
}

var (
	cpuSizes    = []string{"0.25", "0.5", "1", "2", "4"}
	memorySizes = []string{"0.5", "1", "2", "3", "4", "6", "8", "10", "12"}
)

// readSize adds the unit to a size, which the API takes only with it. 1024 of the API's own units are one of ours.
func readSize(flag, given, unit string, sizes []string) (string, error) {
	if given == "" {
		return "", nil
	}
	number := strings.TrimSpace(strings.TrimSuffix(given, strings.TrimSpace(unit)))
	for _, size := range sizes {
		if number == size || given == plainSize(size+unit) {
			return size + unit, nil
		}
	}
	last := len(sizes) - 1
	return "", &usageError{fmt.Errorf("--%s %s: want %s or %s", flag, given, strings.Join(sizes[:last], ", "), sizes[last]), ""}
}

// repositoryName is where apron's own Git server keeps the folder.
func repositoryURL(endpoint, name string) string { return endpoint + "/git/" + name + ".git" }

// branch is the one that deploy sends folders to.
const branch = "main"

// source is the SourceConfiguration of the wish. before is the service's own, or nil: variables are added to those it
// has, and what the wish leaves open stays.
func (w wish) source(endpoint, name string, before *types.SourceConfiguration) *types.SourceConfiguration {
	if w.image != "" {
		return w.imageSource(before)
	}
	code := &types.CodeRepository{
		RepositoryUrl:     aws.String(repositoryURL(endpoint, name)),
		SourceCodeVersion: &types.SourceCodeVersion{Type: types.SourceCodeVersionTypeBranch, Value: aws.String(branch)},
		CodeConfiguration: &types.CodeConfiguration{ConfigurationSource: types.ConfigurationSourceRepository},
	}
	var values *types.CodeConfigurationValues
	if before != nil && before.CodeRepository != nil {
		code.RepositoryUrl, code.SourceDirectory = before.CodeRepository.RepositoryUrl, before.CodeRepository.SourceDirectory
		if configuration := before.CodeRepository.CodeConfiguration; configuration != nil {
			values = configuration.CodeConfigurationValues
		}
	}
	if w.needsValues(values) {
		code.CodeConfiguration = &types.CodeConfiguration{
			ConfigurationSource: types.ConfigurationSourceApi, CodeConfigurationValues: w.values(values),
		}
	}
	return &types.SourceConfiguration{CodeRepository: code, AutoDeploymentsEnabled: aws.Bool(true)}
}

// needsValues says whether the API, and not the folder, must carry how the code is built and started.
func (w wish) needsValues(before *types.CodeConfigurationValues) bool {
	isOpen := w.dockerfile != "" || w.isAuto
	return w.runtime != "" || isOpen && (w.port != 0 || len(w.environment)+len(w.secrets) > 0 || w.build+w.start != "" || before != nil)
}

func (w wish) values(before *types.CodeConfigurationValues) *types.CodeConfigurationValues {
	values := types.CodeConfigurationValues{}
	if before != nil {
		values = *before
	}
	values.Runtime = types.Runtime(w.runtime)
	if w.runtime == "" {
		values.Runtime = types.RuntimePython311 // the API wants one; nothing uses it where the folder decides
	}
	if w.build != "" || w.runtime != "" {
		values.BuildCommand = optional(w.build)
	}
	if w.start != "" {
		values.StartCommand = &w.start
	}
	if w.port != 0 {
		values.Port = aws.String(strconv.Itoa(w.port))
	}
	values.RuntimeEnvironmentVariables = merged(values.RuntimeEnvironmentVariables, w.environment)
	values.RuntimeEnvironmentSecrets = merged(values.RuntimeEnvironmentSecrets, w.secrets)
	return &values
}

func (w wish) imageSource(before *types.SourceConfiguration) *types.SourceConfiguration {
	repository := types.ImageRepository{}
	source := &types.SourceConfiguration{ImageRepository: &repository}
	configuration := types.ImageConfiguration{}
	if before != nil && before.ImageRepository != nil {
		repository = *before.ImageRepository
		source.AuthenticationConfiguration, source.AutoDeploymentsEnabled = before.AuthenticationConfiguration, before.AutoDeploymentsEnabled
		if repository.ImageConfiguration != nil {
			configuration = *repository.ImageConfiguration
		}
	}
	repository.ImageIdentifier, repository.ImageRepositoryType = &w.image, types.ImageRepositoryTypeEcrPublic
	if strings.Contains(w.image, ".dkr.ecr.") {
		repository.ImageRepositoryType = types.ImageRepositoryTypeEcr
	}
	if w.port != 0 {
		configuration.Port = aws.String(strconv.Itoa(w.port))
	}
	if w.start != "" {
		configuration.StartCommand = &w.start
	}
	configuration.RuntimeEnvironmentVariables = merged(configuration.RuntimeEnvironmentVariables, w.environment)
	configuration.RuntimeEnvironmentSecrets = merged(configuration.RuntimeEnvironmentSecrets, w.secrets)
	repository.ImageConfiguration = &configuration
	return source
}

// instance is the InstanceConfiguration of the wish, or nil when it leaves the size open.
func (w wish) instance() *types.InstanceConfiguration {
	if w.cpu == "" && w.memory == "" {
		return nil
	}
	return &types.InstanceConfiguration{Cpu: optional(w.cpu), Memory: optional(w.memory)}
}

func merged(before, added map[string]string) map[string]string {
	if len(added) == 0 {
		return before
	}
	all := maps.Clone(before)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, added)
	return all
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
