package build_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/platform"
)

// world is a containerd, a network and a Builder of their own, shared by the tests of this package because starting them
// takes seconds. Everything is taken away when the last test has ended.
type world struct {
	builder *build.Builder
	config  build.Config
	backend *containerd.Backend
	dir     string
	stop    []func(context.Context) error
}

var (
	theWorld  *world
	worldOnce sync.Once
	worldErr  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if theWorld != nil {
		if err := theWorld.close(); err != nil {
			fmt.Fprintln(os.Stderr, "take the test's world away:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func openWorld(t testing.TB) *world {
	t.Helper()
	worldOnce.Do(func() { theWorld, worldErr = newWorld() })
	if worldErr != nil {
		t.Fatal(worldErr)
	}
	return theWorld
}

func newWorld() (*world, error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "apb") // short: sockets below it may have 107 bytes
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := w.start(ctx, bin); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// buildMemory is what each of two builds may use.
const buildMemory = 4 << 30

func (w *world) start(ctx context.Context, bin string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	paths := containerd.Paths{DataDir: w.dir, BinDir: bin}
	daemon, err := containerd.NewDaemon(paths, log)
	if err != nil {
		return err
	}
	w.stop = append(w.stop, daemon.Stop)
	if err := daemon.Ensure(ctx); err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	networks, err := network.New(network.Config{DataDir: w.dir, PluginDir: filepath.Join(bin, "cni")})
	if err != nil {
		return err
	}
	w.stop = append(w.stop, networks.Remove)
	if err := networks.Ensure(ctx); err != nil {
		return fmt.Errorf("set up the network: %w", err)
	}
	w.backend, err = containerd.New(containerd.Config{Paths: paths, Network: networks, Log: log})
	if err != nil {
		return err
	}
	w.stop = append(w.stop, func(context.Context) error { return w.backend.Close() }, w.backend.Down)
	w.config = build.Config{
		Bin: bin, Data: w.dir, Cache: os.Getenv("APRON_CACHE"), ContainerdSocket: paths.Socket(),
		NetworkConfig: networks.BuildConflist(), NetworkBin: networks.PluginDir(), Log: log,
		CgroupParent: containerd.CgroupParent(w.dir), IsClosed: network.IsClosed,
	}
	w.builder, err = build.New(w.config)
	if err != nil {
		return err
	}
	w.stop = append(w.stop, w.builder.Stop)
	if err := containerd.LimitBuilds(containerd.CgroupParent(w.dir), 2, buildMemory); err != nil {
		return fmt.Errorf("limit builds: %w", err)
	}
	return w.builder.Ensure(ctx)
}

func (w *world) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var failures []error
	for i := len(w.stop) - 1; i >= 0; i-- {
		failures = append(failures, w.stop[i](ctx))
	}
	if os.Getenv("APRON_KEEP") != "" {
		fmt.Fprintln(os.Stderr, "kept", w.dir)
		return errors.Join(failures...)
	}
	return errors.Join(append(failures, os.RemoveAll(w.dir))...)
}

// findBin returns the folder of the daemons: APRON_BIN, or bin/ of the repository.
func findBin() (string, error) {
	bin := os.Getenv("APRON_BIN")
	if bin == "" {
		root, err := findRoot()
		if err != nil {
			return "", err
		}
		bin = filepath.Join(root, "bin")
	}
	if _, err := os.Stat(filepath.Join(bin, "buildkitd")); err != nil {
		return "", fmt.Errorf("buildkitd is not built: run make build (%w)", err)
	}
	return bin, nil
}

func findRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// example copies an example app, so that a test may change it.
func example(t testing.TB, name string) string {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write puts a file into a repository.
func write(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// outcome is what a build gave.
type outcome struct {
	build.Result
	image string
	log   string
	took  time.Duration
}

// request is a build of dir by its apprunner.yaml; change it before use where a test wants something else.
func request(t testing.TB, dir string) build.Request {
	return build.Request{
		ServiceID: platform.NewServiceID(), ServiceName: "test",
		Code: platform.CodeSource{Directory: "/", UsesConfigurationFile: true},
		Dir:  dir, ImageName: "apron.local/test/" + strings.ToLower(string(platform.NewServiceID())) + ":1", Log: io.Discard,
	}
}

func (w *world) try(t testing.TB, r build.Request) (outcome, error) {
	t.Helper()
	var log lockedBuffer
	r.Log = io.MultiWriter(&log, t.Output())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	began := time.Now()
	result, err := w.builder.Build(ctx, r)
	return outcome{Result: result, image: r.ImageName, log: log.String(), took: time.Since(began)}, err
}

func (w *world) mustBuild(t testing.TB, r build.Request) outcome {
	t.Helper()
	made, err := w.try(t, r)
	if err != nil {
		if explained := platform.AsExplained(err); explained != nil {
			t.Fatalf("build: %v (%v)\n%s", err, explained.Err, strings.Join(explained.Evidence, "\n"))
		}
		t.Fatalf("build: %v", err)
	}
	return made
}

// answer starts an instance of what was built and returns the body it answers to GET /.
func (w *world) answer(t testing.TB, made outcome) string {
	t.Helper()
	body, _ := w.answerAndStop(t, made)
	return body
}

// answerAndStop also returns what the instance had printed when it was stopped.
func (w *world) answerAndStop(t testing.TB, made outcome) (body, output string) {
	t.Helper()
	process := made.Process
	environment := map[string]string{"PORT": strconv.Itoa(process.Port)}
	if process.PortVariable != "" {
		environment[process.PortVariable] = strconv.Itoa(process.Port)
	}
	for name, value := range process.Environment {
		environment[name] = value
	}
	var args []string
	if process.Command != "" {
		args = []string{"/bin/sh", "-c", process.Command}
	}
	log := filepath.Join(t.TempDir(), "instance.log")
	spec := compute.InstanceSpec{
		ID: platform.NewInstanceID(), ServiceID: platform.NewServiceID(), RevisionID: "1", ServiceName: "test",
		Image: made.image, Args: args, Environment: environment, Port: process.Port,
		CPUUnits: 1024, MemoryMiB: 512, StorageBytes: 1 << 30, LogPath: log,
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	instance, err := w.backend.Start(ctx, spec)
	if err != nil {
		t.Fatalf("start an instance: %v", err)
	}
	defer func() {
		if err := w.backend.Stop(context.WithoutCancel(ctx), spec.ID, 5*time.Second); err != nil {
			t.Errorf("stop the instance: %v", err)
		}
		printed, _ := os.ReadFile(log)
		output = string(printed)
	}()
	for {
		body, err := get(ctx, "http://"+instance.Address+"/")
		if err == nil {
			return body, ""
		}
		select {
		case <-ctx.Done():
			output, _ := os.ReadFile(log)
			t.Fatalf("the app does not answer: %v\n%s", err, output)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s", response.Status)
	}
	return string(body), err
}

// lockedBuffer takes a log that several goroutines may write.
type lockedBuffer struct {
	mu     sync.Mutex // guards buffer
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
