package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"

	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/platform"
)

const (
	// defaultDockerfile is the path from the source directory when no tag names another.
	defaultDockerfile = "Dockerfile"
	maxDockerfile     = 1 << 20
	// The frontend's names for its two inputs.
	contextMount    = "context"
	dockerfileMount = "dockerfile"
	// buildArgument begins the frontend's options that are build arguments, some of which are for itself.
	buildArgument  = "build-arg:"
	cacheNamespace = buildArgument + "BUILDKIT_CACHE_MOUNT_NS"
)

// buildDockerfile builds with the repository's Dockerfile; the context is the source directory.
func (b *Builder) buildDockerfile(ctx context.Context, request Request, repository *repository, used *bases) (Result, error) {
	name := request.Tags[platform.TagDockerfile]
	if name == "" {
		name = defaultDockerfile
	}
	dir, err := repository.path()
	if err != nil {
		return Result{}, err
	}
	inputs, err := os.MkdirTemp("", "apron-dockerfile-")
	if err != nil {
		return Result{}, fmt.Errorf("prepare the Dockerfile: %w", err)
	}
	result, err := b.runDockerfile(ctx, request, repository, used, name, dir, inputs)
	return result, errors.Join(err, os.RemoveAll(inputs))
}

func (b *Builder) runDockerfile(ctx context.Context, request Request, repository *repository, used *bases, name, dir, inputs string) (Result, error) {
	data, err := copyDockerfile(repository, name, inputs)
	if err != nil {
		return Result{}, err
	}
	read, err := readDockerfile(name, data)
	if err != nil {
		return Result{}, err
	}
	notices, err := read.check(request.Tags)
	if err != nil {
		return Result{}, err
	}
	for _, notice := range notices {
		fmt.Fprintln(request.Log, "warning:", notice)
	}
	secrets, err := readBuildSecrets(ctx, request)
	if err != nil {
		return Result{}, err
	}
	contextFS, err := fsutil.NewFS(dir)
	if err != nil {
		return Result{}, fmt.Errorf("open the repository: %w", err)
	}
	dockerfileFS, err := fsutil.NewFS(inputs)
	if err != nil {
		return Result{}, fmt.Errorf("open the Dockerfile: %w", err)
	}
	options := b.solveOptions(request.ImageName, secretsprovider.FromMap(secrets))
	options.LocalMounts = map[string]fsutil.FS{contextMount: contextFS, dockerfileMount: dockerfileFS}
	options.SharedKey = "apron/" + string(request.ServiceID)
	options.OCIStores = contentStores(b.recipes)
	frontend := b.dockerfileOptions(request)
	contexts, err := b.runtimeContexts(ctx, request, used, data)
	if err != nil {
		return Result{}, err
	}
	maps.Copy(frontend, contexts)
	added, err := openGuard(b.config.IsClosed)
	if err != nil {
		return Result{}, err
	}
	defer added.close()
	options.SourcePolicy = sourcePolicy(added, b.config.Registries)
	progress := b.newProgress(ctx, request.Log, dockerfilePrefix)
	defer progress.close()
	ofHost := b.host().Secrets()
	progress.showsSteps, progress.hide = true, hiding(slices.Concat(ofHost, secrets.lines()))
	var config ocispec.Image
	digest, err := b.solve(ctx, options, dockerfileSolver(frontend, hiding(ofHost), &config), progress)
	if err != nil {
		return Result{}, added.explain(progress.explain(ctx, err, "building with the Dockerfile "+name))
	}
	process, err := dockerfileProcess(request.Code, config)
	return Result{ImageDigest: digest, Process: process}, err
}

// copyDockerfile copies the Dockerfile and its ignore file out of the repository, because the tag may name a file
// anywhere inside it.
func copyDockerfile(repository *repository, name, inputs string) ([]byte, error) {
	if hasParent(name) || path.IsAbs(name) {
		return nil, platform.Explain(nil, "the tag %s is %q, which is no path inside the source directory", platform.TagDockerfile, name).
			Try("write the path from there, such as docker/Dockerfile")
	}
	data, err := repository.read(path.Join(repository.directory, name), maxDockerfile+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, platform.Explain(err, "there is no %s in the source directory", name).
			Try("add one, or name it with the tag %s", platform.TagDockerfile)
	}
	if err != nil {
		return nil, explainPath(err, "the Dockerfile", name)
	}
	if len(data) > maxDockerfile {
		return nil, platform.Explain(nil, "the Dockerfile %s has more than %d bytes", name, maxDockerfile).
			Try("move what it contains into files that it copies")
	}
	if err := os.WriteFile(filepath.Join(inputs, defaultDockerfile), data, 0o600); err != nil {
		return nil, err
	}
	ignore, err := repository.read(path.Join(repository.directory, name+".dockerignore"), maxDockerfile)
	if errors.Is(err, fs.ErrNotExist) {
		return data, nil // the context's own .dockerignore counts
	}
	if err != nil {
		return nil, explainPath(err, "the ignore file", name+".dockerignore")
	}
	return data, os.WriteFile(filepath.Join(inputs, defaultDockerfile+".dockerignore"), ignore, 0o600)
}

// dockerfileOptions are the frontend's own; the proxy's are build arguments that it keeps out of the image.
func (b *Builder) dockerfileOptions(request Request) map[string]string {
	options := map[string]string{
		"filename": defaultDockerfile, "platform": "linux/amd64", "target": request.Tags[platform.TagTarget],
		// BuildKit shares cache mounts by their ids among all builds, and does not look at the ids when it compares steps. So the
		// service is in the name of the mounts, and in that of the machine, by which a step is known too.
		cacheNamespace: string(request.ServiceID), "hostname": hostname(request.ServiceID),
		// With it the frontend follows no syntax line: one that leads here would be pulled from a registry before every build.
		"cmdline": "docker/dockerfile",
	}
	if limit := b.config.MemoryBytes; limit > 0 {
		options["memory"], options["memswap"] = strconv.FormatInt(limit, 10), strconv.FormatInt(limit, 10)
	}
	for name, value := range map[string]string{
		"HTTP_PROXY": b.host().Proxy.HTTP, "HTTPS_PROXY": b.host().Proxy.HTTPS, "NO_PROXY": b.host().Proxy.No, "ALL_PROXY": b.host().Proxy.All,
	} {
		if value != "" {
			options[buildArgument+name] = value
		}
	}
	for name, value := range tagsBelow(request.Tags, platform.TagBuildArg) {
		if !strings.HasPrefix(strings.ToUpper(name), "BUILDKIT_") {
			options[buildArgument+name] = value
		}
	}
	return options
}

// dockerfileSolver runs the built-in frontend and keeps the image's configuration. A Dockerfile that declares a proxy as its
// argument has the frontend write it into the image's history, from where it is taken.
func dockerfileSolver(options map[string]string, hide *strings.Replacer, config *ocispec.Image) solver {
	return func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		result, err := c.Solve(ctx, gateway.SolveRequest{Frontend: "dockerfile.v0", FrontendOpt: options, Evaluate: true})
		if err != nil {
			return nil, err
		}
		described := []byte(hide.Replace(string(result.Metadata[exptypes.ExporterImageConfigKey])))
		result.AddMeta(exptypes.ExporterImageConfigKey, described)
		if err := json.NewDecoder(bytes.NewReader(described)).Decode(config); err != nil {
			return nil, fmt.Errorf("read the image's configuration: %w", err)
		}
		return result, nil
	}
}

// dockerfileProcess takes the start command, port and variables of CodeConfigurationValues, and for what they leave out
// the image's own.
func dockerfileProcess(code platform.CodeSource, config ocispec.Image) (platform.Process, error) {
	process := platform.Process{Port: exposedPort(config)}
	if process.Port == 0 {
		process.Port = appfile.DefaultPort
	}
	if values := code.Values; values != nil {
		process.Command, process.Environment, process.Secrets = strings.TrimSpace(values.StartCommand), values.Environment, values.Secrets
		if values.Port != "" {
			port, err := portOf(values.Port)
			if err != nil {
				return platform.Process{}, err
			}
			process.Port = port
		}
	}
	if process.Command == "" && len(config.Config.Entrypoint) == 0 && len(config.Config.Cmd) == 0 {
		return platform.Process{}, platform.Explain(nil, "the Dockerfile has neither CMD nor ENTRYPOINT, and the service has no "+
			"StartCommand, so nothing says how to start the app").Try("add CMD to the Dockerfile, or set StartCommand")
	}
	return process, nil
}

// exposedPort returns the lowest TCP port of EXPOSE, or 0.
func exposedPort(config ocispec.Image) int {
	var ports []int
	for exposed := range config.Config.ExposedPorts {
		number, protocol, _ := strings.Cut(exposed, "/")
		if port, err := strconv.Atoi(number); err == nil && port > 0 && port <= 65535 && (protocol == "" || protocol == "tcp") {
			ports = append(ports, port)
		}
	}
	if len(ports) == 0 {
		return 0
	}
	return slices.Min(ports)
}

// dockerfilePrefix lets all steps through but BuildKit's own housekeeping.
func dockerfilePrefix(name string) (string, bool) {
	return phasePrefix(PhaseBuild), !strings.HasPrefix(name, "[internal]")
}
