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
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
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
)

// standardSyntax matches a syntax line that asks for the Dockerfile frontend that buildkitd has built in. Following it
// would pull the same frontend from a registry before every build.
var standardSyntax = regexp.MustCompile(`(?i)\A(\xef\xbb\xbf)?#[ \t]*syntax[ \t]*=[ \t]*(docker\.io/)?docker/dockerfile(:[\w.-]+)?(@\S+)?[ \t]*\r?(\n|\z)`)

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
	if err := copyDockerfile(repository, name, inputs); err != nil {
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
	options, err := b.solveOptions(request.ImageName)
	if err != nil {
		return Result{}, err
	}
	options.LocalMounts = map[string]fsutil.FS{contextMount: contextFS, dockerfileMount: dockerfileFS}
	options.SharedKey = "apron/" + string(request.ServiceID)
	options.OCIStores = contentStores(b.recipes)
	frontend := b.dockerfileOptions()
	contexts, err := b.runtimeContexts(ctx, request, used, inputs)
	if err != nil {
		return Result{}, err
	}
	maps.Copy(frontend, contexts)
	progress := b.newProgress(ctx, request.Log, dockerfilePrefix)
	defer progress.close()
	progress.showsSteps = true
	var config ocispec.Image
	digest, err := b.solve(ctx, options, dockerfileSolver(frontend, &config), progress)
	if err != nil {
		return Result{}, progress.explain(ctx, err, "building with the Dockerfile "+name)
	}
	process, err := dockerfileProcess(request.Code, config)
	return Result{ImageDigest: digest, Process: process}, err
}

// copyDockerfile copies the Dockerfile and its ignore file out of the repository, because the tag may name a file
// anywhere inside it.
func copyDockerfile(repository *repository, name, inputs string) error {
	if hasParent(name) || path.IsAbs(name) {
		return platform.Explain(nil, "the tag %s is %q, which is no path inside the source directory", platform.TagDockerfile, name).
			Try("write the path from there, such as docker/Dockerfile")
	}
	data, err := repository.read(path.Join(repository.directory, name), maxDockerfile+1)
	if errors.Is(err, fs.ErrNotExist) {
		return platform.Explain(err, "there is no %s in the source directory", name).
			Try("add one, or name it with the tag %s", platform.TagDockerfile)
	}
	if err != nil {
		return explainPath(err, "the Dockerfile", name)
	}
	if len(data) > maxDockerfile {
		return platform.Explain(nil, "the Dockerfile %s has more than %d bytes", name, maxDockerfile).
			Try("move what it contains into files that it copies")
	}
	if found := standardSyntax.Find(data); found != nil {
		data = append([]byte("#\n"), data[len(found):]...) // a line stays, so that messages name the right ones
	}
	if err := os.WriteFile(filepath.Join(inputs, defaultDockerfile), data, 0o600); err != nil {
		return err
	}
	ignore, err := repository.read(path.Join(repository.directory, name+".dockerignore"), maxDockerfile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the context's own .dockerignore counts
	}
	if err != nil {
		return explainPath(err, "the ignore file", name+".dockerignore")
	}
	return os.WriteFile(filepath.Join(inputs, defaultDockerfile+".dockerignore"), ignore, 0o600)
}

// dockerfileOptions are the frontend's own; the proxy's are build arguments that it keeps out of the image.
func (b *Builder) dockerfileOptions() map[string]string {
	options := map[string]string{"filename": defaultDockerfile, "platform": "linux/amd64"}
	if limit := b.config.MemoryBytes; limit > 0 {
		options["memory"], options["memswap"] = strconv.FormatInt(limit, 10), strconv.FormatInt(limit, 10)
	}
	for name, value := range map[string]string{
		"HTTP_PROXY": b.host().Proxy.HTTP, "HTTPS_PROXY": b.host().Proxy.HTTPS, "NO_PROXY": b.host().Proxy.No, "ALL_PROXY": b.host().Proxy.All,
	} {
		if value != "" {
			options["build-arg:"+name] = value
		}
	}
	return options
}

// dockerfileSolver runs the built-in frontend and keeps the image's configuration.
func dockerfileSolver(options map[string]string, config *ocispec.Image) solver {
	return func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		result, err := c.Solve(ctx, gateway.SolveRequest{Frontend: "dockerfile.v0", FrontendOpt: options, Evaluate: true})
		if err != nil {
			return nil, err
		}
		if err := json.NewDecoder(bytes.NewReader(result.Metadata[exptypes.ExporterImageConfigKey])).Decode(config); err != nil {
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
