package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/moby/buildkit/client"
	"github.com/pelletier/go-toml/v2"

	"github.com/apron-run/apron/internal/daemon"
)

const (
	// containerdNamespace is where instances and images live; buildkitd works in the same.
	containerdNamespace = "apron"
	// stepLogBytes bounds what one step may print.
	stepLogBytes = "4194304"
)

// Ensure adopts or starts buildkitd; one that was started with other settings is started anew. containerd and the network
// configuration must be there already.
func (b *Builder) Ensure(ctx context.Context) error {
	hasChanged, err := b.writeDaemonConfig()
	if err != nil {
		return fmt.Errorf("write buildkitd's configuration: %w", err)
	}
	if hasChanged {
		if err := b.daemon.Stop(ctx); err != nil {
			return err
		}
	}
	if err := b.daemon.Ensure(ctx); err != nil {
		return err
	}
	// The tools that it asks take seconds on a busy machine, and the end of apron is not to wait for them.
	defer context.AfterFunc(ctx, b.stopDiscovery)()
	b.host() // now, so that the first build need not wait for it
	return nil
}

// Run looks after buildkitd until ctx ends and leaves it running.
func (b *Builder) Run(ctx context.Context) error { return b.daemon.Run(ctx) }

// Stop ends buildkitd.
func (b *Builder) Stop(ctx context.Context) error { return b.daemon.Stop(ctx) }

func (b *Builder) newDaemon() *daemon.Daemon {
	return &daemon.Daemon{
		Name: "buildkitd", Prepare: b.prepare,
		Path: filepath.Join(b.config.Bin, "buildkitd"),
		Args: []string{"--config", b.configPath()},
		Env: append(ownEnvironment(),
			"PATH="+b.config.Bin+":"+os.Getenv("PATH"),
			"GOGC=50", "GOMEMLIMIT=96MiB", // idle most of the time; a build may exceed it, at the price of more collections
			"TMPDIR="+b.temporary(), // it mounts there, and below the data directory mounts are found again
			"BUILDKIT_STEP_LOG_MAX_SIZE="+stepLogBytes, "BUILDKIT_STEP_LOG_MAX_SPEED=-1",
		),
		Dir:   filepath.Join(b.config.Data, "run"),
		Ready: b.ready,
		Log:   b.config.Log,
	}
}

// passed are the variables of apron's own environment that buildkitd needs to reach registries. The others may be secrets,
// such as the database's password.
var passed = []string{
	"HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
}

func ownEnvironment() (environment []string) {
	for _, name := range passed {
		if value, ok := os.LookupEnv(name); ok {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}

// prepare runs while no buildkitd does.
func (b *Builder) prepare(ctx context.Context) error {
	if b.config.BeforeStart != nil {
		if err := b.config.BeforeStart(ctx); err != nil {
			return err
		}
	}
	return os.MkdirAll(b.temporary(), 0o700)
}

func (b *Builder) temporary() string { return filepath.Join(b.config.Data, "buildkit", "tmp") }

// ready asks for the worker, which exists once containerd answers too.
func (b *Builder) ready(ctx context.Context) error {
	conn, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	workers, err := conn.ListWorkers(ctx)
	if err != nil {
		return fmt.Errorf("ask buildkitd for its workers: %w", err)
	}
	if len(workers) == 0 {
		return fmt.Errorf("buildkitd has no worker")
	}
	// buildkitd mounts this socket of its own into every step, as long as it is there.
	if err := os.Remove(b.traceSocket()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("close buildkitd's traces to builds: %w", err)
	}
	return nil
}

func (b *Builder) traceSocket() string { return filepath.Join(b.config.Data, "run", "otel.sock") }

func (b *Builder) dial(ctx context.Context) (*client.Client, error) {
	conn, err := client.New(ctx, "unix://"+b.socket())
	if err != nil {
		return nil, fmt.Errorf("reach buildkitd: %w", err)
	}
	return conn, nil
}

func (b *Builder) socket() string { return filepath.Join(b.config.Data, "run", "buildkitd.sock") }

func (b *Builder) configPath() string {
	return filepath.Join(b.config.Data, "buildkit", "buildkitd.toml")
}

// daemonConfig is buildkitd's configuration file, as far as it differs from the defaults.
type daemonConfig struct {
	Root     string                    `toml:"root"`
	GRPC     map[string]any            `toml:"grpc"`
	OTEL     map[string]any            `toml:"otel"`
	Worker   map[string]any            `toml:"worker"`
	History  map[string]any            `toml:"history"`
	CDI      map[string]any            `toml:"cdi"`
	Registry map[string]registryConfig `toml:"registry,omitempty"`
}

type registryConfig struct {
	Mirrors  []string `toml:"mirrors,omitempty"`
	HTTP     *bool    `toml:"http,omitempty"`
	CA       []string `toml:"ca,omitempty"`
	Insecure bool     `toml:"insecure,omitempty"`
}

func (b *Builder) daemonConfig() daemonConfig {
	budget := b.cacheBudget()
	config := daemonConfig{
		Root: filepath.Join(b.config.Data, "buildkit"),
		GRPC: map[string]any{"address": []string{"unix://" + b.socket()}},
		OTEL: map[string]any{"socketPath": b.traceSocket()},
		Worker: map[string]any{
			"oci": map[string]any{"enabled": false},
			"containerd": map[string]any{
				"enabled": true, "address": b.config.ContainerdSocket, "namespace": containerdNamespace,
				"snapshotter": "overlayfs", "platforms": []string{"linux/amd64"},
				"runtime": map[string]any{"name": "io.containerd.runc.v2", "options": map[string]any{
					"BinaryName": filepath.Join(b.config.Bin, "runc"), "Root": filepath.Join(b.config.Data, "run", "runc"),
				}},
				"defaultCgroupParent": b.config.CgroupParent,
				"max-parallelism":     max(2, runtime.NumCPU()),
				"networkMode":         "cni", "cniConfigPath": b.config.NetworkConfig, "cniBinaryPath": b.config.NetworkBin,
				"cniPoolSize": b.config.NetworkPool,
				"gc":          true, "gcpolicy": []map[string]any{
					// What a build brought in and can bring in again goes first.
					{"filters": []string{"type==source.local"}, "keepDuration": "48h", "maxUsedSpace": budget.most / 4},
					{"all": true, "maxUsedSpace": budget.most, "minFreeSpace": budget.free, "reservedSpace": budget.least},
				},
			},
		},
		History:  map[string]any{"maxAge": 1, "maxEntries": 1},
		CDI:      map[string]any{"disabled": true},
		Registry: map[string]registryConfig{},
	}
	for host, registry := range b.config.Registries {
		entry := registryConfig{Mirrors: registry.Mirrors, Insecure: registry.SkipsVerify}
		// Nothing said lets buildkitd speak plain HTTP to this machine.
		if registry.IsPlainHTTP || registry.SkipsVerify || registry.CA != "" {
			entry.HTTP = &registry.IsPlainHTTP
		}
		if registry.CA != "" {
			entry.CA = []string{registry.CA}
		}
		config.Registry[host] = entry
	}
	return config
}

// writeDaemonConfig says whether the configuration is another than before.
func (b *Builder) writeDaemonConfig() (hasChanged bool, err error) {
	data, err := toml.Marshal(b.daemonConfig())
	if err != nil {
		return false, err
	}
	path := b.configPath()
	if before, err := os.ReadFile(path); err == nil && bytes.Equal(before, data) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return false, err
	}
	return true, os.Rename(temporary, path)
}
