package operation

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/sqlite"
)

// world is everything around the operations: a real store, and a backend, a registry, a Git host and a data plane in
// memory that do what a test tells them and count what was asked of them.
type world struct {
	t     *testing.T
	store store.Store

	mu sync.Mutex // guards what follows
	// watchers hear of instances that die.
	watchers  []chan platform.InstanceID
	instances map[platform.InstanceID]platform.Instance
	// environments are what instances were started with, secrets what references stand for.
	environments map[platform.InstanceID]map[string]string
	secrets      map[string]string
	// started counts the instances that there ever were.
	started int
	images  map[string]compute.Image
	routes  map[platform.ServiceID]platform.Route
	events  []string
	// lines are what "app" and "build" print, and the logs of operations.
	lines map[string][]string
	// fail holds the error of a call by its name.
	fail map[string]error
	// hold makes a call wait until the channel is closed or its context ends.
	hold map[string]chan struct{}
	// calls counts calls by name, at those that run now, and most is how many ever did at a time.
	calls, at, most map[string]int
	// failOnce is fail for the next call only, and panics what the next call panics.
	failOnce map[string]error
	panics   map[string]bool
	// built names the services whose builds have begun, in order.
	built []string
	// exits is how new instances end at once; nil means that they run.
	exits *platform.Exit
	// isSilent makes every probe fail, startsSilent those of the instances that start now, which silent names.
	isSilent, startsSilent bool
	silent                 map[string]bool
	// healthTimeout is how long a new instance may take to become ready.
	healthTimeout time.Duration
	commit        string
	// key is that of all builds; empty when none can be skipped.
	key string
	// diskUsed is how full the disk is, in percent.
	diskUsed int
	// sources is where repositories are checked out.
	sources string
	// deadlines are those of the aprons that are started.
	deadlines Deadlines
	// builds is how many builds an apron runs at a time.
	builds int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "apron.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{
		t: t, store: db, instances: map[platform.InstanceID]platform.Instance{}, secrets: map[string]string{},
		environments: map[platform.InstanceID]map[string]string{}, images: map[string]compute.Image{},
		routes: map[platform.ServiceID]platform.Route{}, lines: map[string][]string{}, fail: map[string]error{},
		hold: map[string]chan struct{}{}, calls: map[string]int{}, at: map[string]int{}, most: map[string]int{},
		failOnce: map[string]error{}, panics: map[string]bool{}, silent: map[string]bool{}, commit: "1111111111111111111111111111111111111111",
		deadlines: DefaultDeadlines(), builds: 2, healthTimeout: 300 * time.Millisecond, sources: filepath.Join(t.TempDir(), "sources"),
	}
}

// apron is one process: a worker and a supervisor over the world.
type apron struct {
	starter *Starter
	stop    func()
}

// start starts an apron over the world; several one after the other are the same machine after a restart.
func (w *world) start() *apron {
	w.t.Helper()
	return w.startAs("test", w.store, w, leaseFor)
}

// startAs starts one with an owner, a store, a backend and a lease of its own. The owner "frozen" has no Supervisor.
func (w *world) startAs(owner string, db store.Store, backend compute.Backend, lease time.Duration) *apron {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	routes := deploy.NewRoutes(w, func(s platform.Service) string { return string(s.Subdomain) + ".test" })
	executor := &deploy.Executor{
		Store: db, Backend: backend, Images: w, Code: w, Image: w, Builder: w, Secrets: w, Prober: w, Router: w, Routes: routes, Logs: w,
		Log: log, SourcesDir: w.sources, HealthTimeout: w.healthTimeout, Revisions: 10, Scaler: deploy.NewScaler(w),
		Disk: deploy.Disk{Limits: deploy.DefaultDiskLimits(), Used: func(string) (int, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.diskUsed, nil
		}},
	}
	supervisor := deploy.NewSupervisor(executor, db, log)
	worker := NewWorker(db, executor, supervisor, w, log, owner, w.deadlines, w.builds)
	worker.LeaseFor = lease
	ctx, cancel := context.WithCancel(w.t.Context())
	if err := supervisor.Restore(ctx); err != nil {
		w.t.Fatal(err)
	}
	var loops sync.WaitGroup
	loops.Go(func() { _ = worker.Run(ctx) })
	if owner != "frozen" {
		loops.Go(func() { _ = supervisor.Run(ctx) })
	}
	stop := sync.OnceFunc(func() { cancel(); loops.Wait() })
	w.t.Cleanup(stop)
	return &apron{starter: NewStarter(db, w, worker.Wake), stop: stop}
}

// call counts a call, and waits or fails as the test wants.
func (w *world) call(ctx context.Context, name string) error {
	w.mu.Lock()
	w.calls[name]++
	w.at[name]++
	w.most[name] = max(w.most[name], w.at[name])
	err, hold := w.fail[name], w.hold[name]
	if once := w.failOnce[name]; once != nil {
		err = once
	}
	panics := w.panics[name]
	delete(w.failOnce, name)
	delete(w.panics, name)
	w.mu.Unlock()
	defer w.set(func() { w.at[name]-- })
	if panics {
		panic("the test wants it")
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) Start(ctx context.Context, spec compute.InstanceSpec) (platform.Instance, error) {
	if err := w.call(ctx, "start"); err != nil {
		return platform.Instance{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.images[spec.Image]; !ok {
		return platform.Instance{}, fmt.Errorf("no image %s", spec.Image)
	}
	if instance, ok := w.instances[spec.ID]; ok {
		return instance, nil
	}
	instance := platform.Instance{
		ID: spec.ID, ServiceID: spec.ServiceID, RevisionID: spec.RevisionID, State: platform.InstanceStateRunning,
		Address: fmt.Sprintf("10.0.0.%d:%d", w.started+1, spec.Port),
	}
	w.started++
	if w.exits != nil {
		instance.State, instance.Exit = platform.InstanceStateExited, w.exits
	}
	w.instances[spec.ID], w.environments[spec.ID] = instance, spec.Environment
	w.silent[instance.Address] = w.startsSilent
	return instance, nil
}

func (w *world) Stop(ctx context.Context, id platform.InstanceID, _ time.Duration) error {
	if err := w.call(ctx, "stop"); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, route := range w.routes {
		for _, endpoint := range route.Endpoints {
			if endpoint.InstanceID == id && w.instances[id].State == platform.InstanceStateRunning {
				w.t.Errorf("instance %s is stopped while a route names it", id)
			}
		}
	}
	delete(w.instances, id)
	return nil
}

func (w *world) Usage(context.Context, platform.InstanceID) (compute.Usage, error) {
	return compute.Usage{}, nil
}

func (w *world) List(ctx context.Context, of ...platform.ServiceID) ([]platform.Instance, error) {
	if err := w.call(ctx, "list"); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []platform.Instance
	for _, instance := range w.instances {
		if len(of) == 0 || slices.Contains(of, instance.ServiceID) {
			all = append(all, instance)
		}
	}
	return all, nil
}

func (w *world) Inspect(_ context.Context, id platform.InstanceID) (platform.Instance, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	instance, ok := w.instances[id]
	if !ok {
		return platform.Instance{}, compute.ErrNotFound
	}
	return instance, nil
}

func (w *world) Exits(ctx context.Context) (<-chan platform.InstanceID, error) {
	exits := make(chan platform.InstanceID, 64)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watchers = append(w.watchers, exits)
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.watchers = slices.DeleteFunc(w.watchers, func(each chan platform.InstanceID) bool { return each == exits })
		close(exits)
	})
	return exits, nil
}

// die ends an instance. The caller holds the lock.
func (w *world) die(id platform.InstanceID, exit *platform.Exit) {
	instance := w.instances[id]
	instance.State, instance.Exit = platform.InstanceStateExited, exit
	w.instances[id] = instance
	for _, each := range w.watchers {
		each <- id
	}
}

func (w *world) Pull(ctx context.Context, name, reference string, _ io.Writer) (compute.Image, error) {
	if err := w.call(ctx, "pull"); err != nil {
		return compute.Image{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images[name] = compute.Image{Name: name, Digest: reference}
	return w.images[name], nil
}

func (w *world) Image(_ context.Context, name string) (compute.Image, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	image, ok := w.images[name]
	if !ok {
		return compute.Image{}, compute.ErrNotFound
	}
	return image, nil
}

func (w *world) ListImages(context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.images)), nil
}

func (w *world) Sweep(ctx context.Context) error { return w.call(ctx, "sweep") }

func (w *world) Import(context.Context, string, io.Reader) (compute.Image, error) {
	panic("not part of an operation")
}

func (w *world) Remove(ctx context.Context, name string) error {
	w.set(func() { delete(w.images, name) })
	return w.call(ctx, "remove")
}

func (w *world) ResolveCommit(ctx context.Context, _ platform.Source) (string, error) {
	err := w.call(ctx, "resolve")
	return w.commit, err
}

func (w *world) Fetch(ctx context.Context, _ platform.Source, _, dir string, _ io.Writer) error {
	if err := w.call(ctx, "fetch"); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

func (w *world) ResolveImage(ctx context.Context, identifier string) (string, error) {
	err := w.call(ctx, "resolve")
	return identifier + "@sha256:" + w.commit, err
}

func (w *world) Build(ctx context.Context, request deploy.BuildRequest) (deploy.BuildResult, error) {
	w.mu.Lock()
	printed := w.lines["build"]
	w.built = append(w.built, request.ServiceName)
	w.mu.Unlock()
	for _, line := range printed {
		fmt.Fprintln(request.Log, line)
	}
	if err := w.call(ctx, "build"); err != nil {
		return deploy.BuildResult{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images[request.ImageName] = compute.Image{Name: request.ImageName, Digest: "sha256:built"}
	result := deploy.BuildResult{ImageDigest: "sha256:built", Process: platform.Process{Command: "./app", Port: 8080}}
	if w.key != "" {
		result.Runtime, result.Key = "any", w.key
	}
	return result, nil
}

func (w *world) Key(context.Context, deploy.BuildRequest, string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.key
}

func (w *world) Forget(ctx context.Context, _ platform.ServiceID) error { return w.call(ctx, "forget") }

func (w *world) Probe(ctx context.Context, address string, _ platform.HealthCheck) error {
	if err := w.call(ctx, "probe"); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isSilent || w.silent[address] {
		return fmt.Errorf("nothing listens on %s", address)
	}
	return nil
}

func (w *world) SetRoute(route platform.Route) {
	w.set(func() { w.routes[route.ServiceID] = route })
}

func (w *world) RemoveRoute(service platform.ServiceID) {
	w.set(func() { delete(w.routes, service) })
}

func (w *world) Flush(ctx context.Context) error { return w.call(ctx, "flush") }

func (w *world) Routes(context.Context) ([]platform.Route, error) { return nil, nil }

func (w *world) Drain(ctx context.Context, _ []platform.InstanceID) int {
	_ = w.call(ctx, "drain")
	return 0
}

func (w *world) EndTunnels(context.Context, []platform.InstanceID) {}

func (w *world) Event(_ platform.ServiceID, format string, args ...any) {
	w.set(func() { w.events = append(w.events, fmt.Sprintf(format, args...)) })
}

// deploymentLog adds lines, which come whole, to the log of one operation.
type deploymentLog struct {
	w    *world
	name string
}

func (l deploymentLog) Write(p []byte) (int, error) {
	l.w.set(func() { l.w.lines[l.name] = append(l.w.lines[l.name], strings.TrimSuffix(string(p), "\n")) })
	return len(p), nil
}

func (deploymentLog) Close() error { return nil }

func (w *world) Deployment(_ platform.ServiceID, id platform.OperationID) io.WriteCloser {
	return deploymentLog{w, "deployment/" + string(id)}
}

func (w *world) InstancePath(platform.ServiceID, platform.InstanceID) string { return "" }

func (w *world) LastLines(_ platform.ServiceID, name string, _ int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.HasPrefix(name, "instance/") {
		name = "app"
	}
	return w.lines[name]
}

func (w *world) RemoveService(platform.ServiceID) {}
