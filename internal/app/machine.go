package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	containerdlog "github.com/containerd/log"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/daemon"
	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source/registry"
)

// machine is what outlives apron: the network, containerd with the instances, and BuildKit.
type machine struct {
	network    *network.Network
	containerd *daemon.Daemon
	builder    *build.Builder
	backend    containerd.Config
	limits     buildLimits
}

// newMachine describes the machine's parts. It starts none of them.
func newMachine(config Config, images *registry.Registry, log *slog.Logger) (*machine, error) {
	// containerd's libraries print to the terminal; what matters of it comes back as errors too.
	if err := containerdlog.SetLevel("error"); err != nil {
		return nil, err
	}
	limits, err := config.buildLimits()
	if err != nil {
		return nil, err
	}
	plugins := filepath.Join(config.BinDir, "cni")
	networks, err := network.New(network.Config{DataDir: config.DataDir, PluginDir: plugins, OpenPorts: openPorts(config)})
	if err != nil {
		return nil, fmt.Errorf("choose a network: %w", err)
	}
	paths := containerd.Paths{DataDir: config.DataDir, BinDir: config.BinDir}
	runtime, err := containerd.NewDaemon(paths, log)
	if err != nil {
		return nil, err
	}
	backend := containerd.Config{Paths: paths, Network: networks, Resolver: images.Resolver, Log: log}
	builder, err := build.New(build.Config{
		Bin: config.BinDir, Data: config.DataDir, Cache: config.CacheDir, Catalogue: config.Runtimes, ContainerdSocket: paths.Socket(),
		Images: images, CacheRoom: deploy.Disk{Dir: config.CacheDir, Limits: limits.disk}.RoomForBuild,
		NetworkConfig: networks.BuildConflist(), NetworkBin: plugins, IsClosed: network.IsClosed, Log: log,
		Registries: buildRegistries(config, images, log), Credentials: images.Credentials,
		CgroupParent: containerd.CgroupParent(config.DataDir), BeforeStart: func(ctx context.Context) error { return removeBuilds(ctx, backend) },
		MemoryBytes: limits.memory, MemoryKills: func(ctx context.Context) <-chan struct{} { return buildKills(ctx, backend) },
		ProcessKills: func(ctx context.Context) <-chan struct{} {
			return containerd.BoundSteps(ctx, containerd.CgroupParent(config.DataDir), containerd.StepProcesses)
		},
		Room:       deploy.Disk{Dir: config.DataDir, Limits: limits.disk}.RoomToGoOn,
		CacheUntil: max(1, min(limits.disk.Build, limits.disk.Deploy)-cacheMargin),
	})
	if err != nil {
		return nil, err
	}
	return &machine{network: networks, containerd: runtime, builder: builder, backend: backend, limits: limits}, nil
}

// ensure adopts or starts the machine's parts, in the order in which they need each other. BuildKit is started apart,
// because services can answer without it.
func (m *machine) ensure(ctx context.Context) error {
	if err := m.network.Ensure(ctx); err != nil {
		return fmt.Errorf("set the network up: %w", err)
	}
	return m.containerd.Ensure(ctx)
}

// ensureAttempts is how often what needs containerd is tried while apron starts.
const ensureAttempts = 3

// ensured does what needs a daemon, once more when it has died since ensure: nobody watches over it before apron's parts run. do may be
// repeated.
func ensured(ctx context.Context, ensure, do func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := do(ctx)
		if !errors.Is(err, platform.ErrUnavailable) || attempt == ensureAttempts {
			return err
		}
		if err := ensure(ctx); err != nil {
			return err
		}
	}
}

// down stops the instances and the daemons and removes the network. What was built and pulled stays.
func (m *machine) down(ctx context.Context) error {
	errs := []error{m.builder.Stop(ctx)}
	// Stopping needs containerd; one that died is started once more for that.
	if err := m.containerd.Ensure(ctx); err != nil {
		errs = append(errs, err)
	} else if backend, err := containerd.New(m.backend); err != nil {
		errs = append(errs, err)
	} else {
		errs = append(errs, backend.RemoveBuilds(ctx), backend.Down(ctx), backend.Close())
	}
	errs = append(errs, m.containerd.Stop(ctx), m.backend.Paths.EndShims(), containerd.RemoveMounts(m.backend.Paths.MountDirs()...), m.network.Remove(ctx))
	return errors.Join(errs...)
}

// removeBuilds removes what a killed BuildKit left running and mounted, before the next one starts.
func removeBuilds(ctx context.Context, config containerd.Config) error {
	backend, err := containerd.New(config)
	if err != nil {
		return err
	}
	return errors.Join(
		backend.RemoveBuilds(ctx), backend.Close(), containerd.RemoveMounts(filepath.Join(config.Paths.DataDir, "buildkit")))
}

// buildKills tells of build steps that used more than their memory, over a connection that lasts as long as ctx.
func buildKills(ctx context.Context, config containerd.Config) <-chan struct{} {
	backend, err := containerd.New(config)
	if err != nil {
		config.Log.Error("watch the memory of a build", "error", err)
		return nil
	}
	context.AfterFunc(ctx, func() { _ = backend.Close() })
	return backend.BuildKills(ctx)
}

// openPorts are the ports of this host that instances may reach: those where services answer publicly.
func openPorts(config Config) []int { return portsOf(config.HTTPAddr, config.HTTPS()) }

// portsOf lists the ports of addresses, without those that the kernel will choose.
func portsOf(addresses ...string) []int {
	var ports []int
	for _, address := range addresses {
		if _, port, err := net.SplitHostPort(address); err == nil {
			if number, err := strconv.Atoi(port); err == nil && number > 0 {
				ports = append(ports, number)
			}
		}
	}
	return ports
}

// buildRegistries is how Dockerfiles' images are reached: as the images of services are. What cannot be read is told when an
// image is deployed, and does not keep apron from starting.
func buildRegistries(config Config, images *registry.Registry, log *slog.Logger) map[string]build.Registry {
	registries := map[string]build.Registry{}
	for _, port := range portsOf(config.APIAddr) { // apron's own, by the names that lead there from this machine
		for _, host := range []string{"localhost", "127.0.0.1"} {
			registries[net.JoinHostPort(host, strconv.Itoa(port))] = build.Registry{IsPlainHTTP: true}
		}
	}
	if host, _, err := net.SplitHostPort(config.APIAddr); err == nil && host != "" {
		registries[config.APIAddr] = build.Registry{IsPlainHTTP: true}
	}
	settings, err := images.Settings()
	if err != nil {
		log.Error("read how registries are reached", "error", err)
		return registries
	}
	entry := func(host string, edit func(*build.Registry)) {
		one := registries[host]
		edit(&one)
		registries[host] = one
	}
	for host, set := range settings.Registries {
		entry(host, func(r *build.Registry) {
			r.CA, r.SkipsVerify = set.CA, set.SkipVerify
			r.IsPlainHTTP = r.IsPlainHTTP || set.HTTP
		})
		for _, mirror := range set.Mirrors {
			address, err := url.Parse(mirror)
			if err != nil {
				continue // Settings has checked it
			}
			entry(host, func(r *build.Registry) {
				r.Mirrors = append(r.Mirrors, address.Host+strings.TrimRight(address.Path, "/"))
			})
			if address.Scheme == "http" {
				entry(address.Host, func(r *build.Registry) { r.IsPlainHTTP = true })
			}
		}
	}
	return registries
}
