package build

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
	"github.com/apron-run/apron/internal/daemon"
	"github.com/apron-run/apron/internal/platform"
)

// Config says where things are. Bin and Data are required.
type Config struct {
	// Bin is the folder with buildkitd.
	Bin string
	// Data is apron's data folder: buildkitd keeps DATA/buildkit and listens on DATA/run/buildkitd.sock.
	Data string
	// Cache is the machine's folder of runtime images; default /var/cache/apron.
	Cache string
	// Catalogue is a file that is laid over the embedded catalogue of runtimes, or empty.
	Catalogue string
	// Images is where the images of runtimes that are references come from. Nil is nowhere.
	Images recipe.Registry
	// CacheRoom refuses to prepare a runtime when the disk of Cache has no room for it. May be nil.
	CacheRoom func() error
	// ContainerdSocket is the backend's containerd; default DATA/run/containerd.sock.
	ContainerdSocket string
	// NetworkConfig is the CNI configuration list for build steps, NetworkBin the folder of the CNI plugins; default
	// DATA/run/build.conflist and BIN/cni.
	NetworkConfig string
	NetworkBin    string
	// NetworkPool is how many networks are kept ready for steps, so that a step need not wait for one; default 0.
	NetworkPool int
	// Registries say how to reach registries that a Dockerfile names, by host. buildkitd reads them when it starts.
	Registries map[string]Registry
	// IsClosed says whether an address is none that may be fetched from in a build's name. Required.
	IsClosed func(netip.Addr) bool
	// Credentials returns the user name and password for a registry's host, or empty ones. May be nil.
	Credentials func(ctx context.Context, host string) (username, password string, err error)
	// CgroupParent holds the control groups of build steps; empty is buildkitd's own.
	CgroupParent string
	// BeforeStart, when not nil, runs before each start of buildkitd: what the one before left can be removed then.
	BeforeStart func(ctx context.Context) error
	// MemoryBytes is what each step of a build may use; 0 is no limit.
	MemoryBytes int64
	// MemoryKills tells, until ctx ends, each time that a step of any build lost a process because it used more than its
	// memory. May be nil.
	MemoryKills func(ctx context.Context) <-chan struct{}
	// ProcessKills tells, until ctx ends, each time that a step of any build is ended because it started too many processes.
	// May be nil.
	ProcessKills func(ctx context.Context) <-chan struct{}
	// Room is asked while a build runs, and stops it with the error that it returns. May be nil.
	Room func() error
	// CacheBytes bounds what buildkitd keeps; default a tenth of the disk, within bounds. It keeps less when the disk is fuller
	// than CacheUntil, in percent; default 85.
	CacheBytes int64
	CacheUntil int
	// Log may be nil.
	Log *slog.Logger
}

// Registry is how one registry's host is reached.
type Registry struct {
	// Mirrors are hosts that are asked first, each with a path where it has one.
	Mirrors []string
	// CA is a file with certificate authorities that are trusted besides the machine's, or empty.
	CA string
	// IsPlainHTTP says that the host speaks no TLS; SkipsVerify that its certificate is not checked.
	IsPlainHTTP bool
	SkipsVerify bool
}

const defaultCache = "/var/cache/apron"

// Builder builds images. Build may be called by several goroutines at a time.
type Builder struct {
	config   Config
	runtimes *catalogue.Catalogue
	// host is asked once, at the first need: the tools that know it take a second to start.
	host          func() host.Settings
	stopDiscovery context.CancelFunc
	recipes       *recipe.Cache
	daemon        *daemon.Daemon
	preparations  preparations
}

// New reads the catalogue. It starts nothing.
func New(config Config) (*Builder, error) {
	config = config.withDefaults()
	runtimes, err := catalogue.Default()
	if config.Catalogue != "" {
		runtimes, err = catalogue.Load(config.Catalogue)
	}
	if err != nil {
		return nil, err
	}
	discovering, stopDiscovery := context.WithCancel(context.Background())
	settings := sync.OnceValue(func() host.Settings { return host.Discover(discovering) })
	recipes, err := recipe.Open(config.Cache, settings)
	if err != nil {
		stopDiscovery()
		return nil, err
	}
	if config.Images != nil {
		recipes.PullFrom(config.Images)
	}
	b := &Builder{config: config, runtimes: runtimes, host: settings, stopDiscovery: stopDiscovery, recipes: recipes}
	b.daemon = b.newDaemon()
	return b, nil
}

func (c Config) withDefaults() Config {
	setDefault(&c.Cache, defaultCache)
	setDefault(&c.ContainerdSocket, filepath.Join(c.Data, "run", "containerd.sock"))
	setDefault(&c.NetworkConfig, filepath.Join(c.Data, "run", "build.conflist"))
	setDefault(&c.NetworkBin, filepath.Join(c.Bin, "cni"))
	if c.CacheUntil == 0 {
		c.CacheUntil = defaultCacheUntil
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// Build makes the image and keeps it under request.ImageName in the backend's store, unpacked. Failures that a person can
// act on are a *platform.ExplainedError.
func (b *Builder) Build(ctx context.Context, request Request) (Result, error) {
	ctx, stop := b.whileThereIsRoom(ctx)
	defer stop()
	repository, err := openRepository(request.Dir, request.Code.Directory)
	if err != nil {
		return Result{}, err
	}
	used := &bases{}
	defer used.release()
	result, err := b.build(ctx, request, repository, used)
	result.Runtimes = used.versions
	if full := platform.AsExplained(context.Cause(ctx)); err != nil && full != nil {
		err = full // wherever the build was
	}
	return result, errors.Join(err, repository.close())
}

func (b *Builder) build(ctx context.Context, request Request, repository *repository, used *bases) (Result, error) {
	switch kind, isTagged := request.Tags[platform.TagBuild]; {
	case kind == platform.BuildDockerfile:
		return b.buildDockerfile(ctx, request, repository, used)
	case kind == platform.BuildAuto:
		return b.buildAuto(ctx, request, repository, used)
	case isTagged:
		return Result{}, platform.Explain(nil, "the tag %s is %q, which is no way to build", platform.TagBuild, kind).
			Try("set it to %s or %s, or remove it", platform.BuildDockerfile, platform.BuildAuto)
	}
	plan, err := b.plan(request, repository)
	if err != nil {
		return Result{}, err
	}
	return b.run(ctx, request, repository, plan, used)
}

// run tells what is to be known of a plan and builds by it.
func (b *Builder) run(ctx context.Context, request Request, repository *repository, plan Plan, used *bases) (Result, error) {
	for _, warning := range plan.Warnings {
		fmt.Fprintln(request.Log, "warning:", warning)
	}
	return b.buildPlan(ctx, request, repository, plan, used)
}

func (b *Builder) plan(request Request, repository *repository) (Plan, error) {
	tag := request.Tags[platform.TagRuntime]
	if !request.Code.UsesConfigurationFile {
		return planFromValues(b.runtimes, repository.directory, request.Code.Values, tag)
	}
	file, err := repository.configuration()
	if err != nil {
		return Plan{}, err
	}
	return planFromFile(b.runtimes, repository.directory, file, tag)
}

// buildPlan builds for a managed runtime.
func (b *Builder) buildPlan(ctx context.Context, request Request, repository *repository, plan Plan, used *bases) (Result, error) {
	runtime, _ := b.runtimes.ByName(plan.Runtime)
	images, err := b.base(ctx, runtime, used, request.Log)
	if err != nil {
		return Result{}, err
	}
	wanted, err := assembly{
		plan: plan, early: findEarly(plan, folder{files: repository.root.FS(), directory: repository.directory}),
		runtime: runtime, images: images, host: b.host(), service: request.ServiceID, memory: b.config.MemoryBytes,
	}.marshal(ctx)
	if err != nil {
		return Result{}, err
	}
	source, err := fsutil.NewFS(request.Dir)
	if err != nil {
		return Result{}, fmt.Errorf("open the repository: %w", err)
	}
	secrets, err := hostSecrets(b.host())
	if err != nil {
		return Result{}, err
	}
	options := b.solveOptions(request.ImageName, secrets)
	options.LocalMounts = map[string]fsutil.FS{sourceMount: source}
	options.OCIStores = contentStores(b.recipes)
	progress := b.newProgress(ctx, request.Log, planPrefix)
	defer progress.close()
	digest, err := b.solve(ctx, options, planSolver(wanted, imageConfig(plan, runtime, images)), progress)
	if err != nil {
		return Result{}, progress.explain(ctx, err, "building the image")
	}
	return Result{
		ImageDigest: digest, Process: plan.Process, Runtime: runtime.Name, Key: b.Key(ctx, request, runtime.Name),
	}, nil
}

// planPrefix lets the phases through; copying and merging are nobody's matter.
func planPrefix(name string) (string, bool) {
	phase, ok := phaseOf(name)
	return phasePrefix(phase), ok
}

// solve runs one build and returns the digest of its image. The status stream is read to its end before it returns.
func (b *Builder) solve(ctx context.Context, options client.SolveOpt, run solver, progress *progress) (string, error) {
	conn, err := b.dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stream := make(chan *client.SolveStatus)
	var response *client.SolveResponse
	var group errgroup.Group
	group.Go(func() error {
		progress.follow(stream)
		return nil
	})
	group.Go(func() (err error) {
		response, err = conn.Build(ctx, options, "", run, stream)
		return err
	})
	if err := group.Wait(); err != nil {
		return "", err
	}
	digest := response.ExporterResponse["containerimage.digest"]
	if digest == "" {
		return "", fmt.Errorf("buildkitd returned no digest")
	}
	return digest, nil
}
