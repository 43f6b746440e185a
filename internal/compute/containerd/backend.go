package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/events"
	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	client "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/platform"
)

const (
	// Namespace is containerd's namespace for everything of apron.
	Namespace = "apron"
	// snapshotter holds the layers of images.
	snapshotter = "overlayfs"

	labelService  = "apron/service"
	labelRevision = "apron/revision"
	labelAddress  = "apron/address"
	labelOOM      = "apron/out-of-memory"

	// callTimeout bounds calls that only read.
	callTimeout = 10 * time.Second
	// oomNotice is how long after a SIGKILL the notice of an out-of-memory kill may still be on its way.
	oomNotice = 200 * time.Millisecond
	// subscribeTime is how long a subscription takes to stand or to fail: containerd does not tell that it does.
	subscribeTime = 100 * time.Millisecond
)

// Config is what a Backend needs.
type Config struct {
	Paths   Paths
	Network *network.Network
	// Resolver reaches registries with their credentials and mirrors.
	Resolver func() remotes.Resolver
	Log      *slog.Logger
}

// Backend runs instances with containerd. It is safe for concurrent use.
type Backend struct {
	config Config
	client *client.Client
	cgroup string

	mu   sync.Mutex // guards busy
	busy map[platform.InstanceID]chan struct{}
}

// New connects to the containerd of config.Paths, which must be running. The connection comes back by itself when the
// daemon was restarted.
func New(config Config) (*Backend, error) {
	connected, err := dial(config.Paths.Socket())
	if err != nil {
		return nil, fmt.Errorf("connect to containerd: %w", err)
	}
	return &Backend{config: config, client: connected, cgroup: CgroupParent(config.Paths.DataDir), busy: map[platform.InstanceID]chan struct{}{}}, nil
}

func dial(socket string) (*client.Client, error) {
	return client.New(socket, client.WithDefaultNamespace(Namespace), client.WithTimeout(callTimeout),
		client.WithExtraDialOpts([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}))
}

// Close ends the connection. Instances go on.
func (b *Backend) Close() error { return b.client.Close() }

// lock makes calls on one instance follow each other. The release must be called.
func (b *Backend) lock(ctx context.Context, id platform.InstanceID) (release func(), err error) {
	for {
		b.mu.Lock()
		other, isBusy := b.busy[id]
		if !isBusy {
			done := make(chan struct{})
			b.busy[id] = done
			b.mu.Unlock()
			return func() {
				b.mu.Lock()
				delete(b.busy, id)
				b.mu.Unlock()
				close(done)
			}, nil
		}
		b.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Stop implements compute.Backend.
func (b *Backend) Stop(ctx context.Context, id platform.InstanceID, grace time.Duration) (err error) {
	defer noteAway(ctx, &err)
	release, err := b.lock(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	b.thaw(id) // a frozen app hears nothing, and does not even die
	if grace > 0 {
		b.terminate(ctx, id, grace)
	}
	// What has begun is finished, also when the caller goes away: half an instance is of no use to anybody.
	finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return b.remove(finishing, id)
}

// defaultStopSignal asks an app to end whose image names no other signal.
const defaultStopSignal = "SIGTERM"

// terminate sends the image's stop signal and waits until the app has ended, the grace is over or ctx ends. An app that would
// not hear the signal is left as it is.
func (b *Backend) terminate(ctx context.Context, id platform.InstanceID, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace+callTimeout)
	defer cancel()
	container, err := b.client.LoadContainer(ctx, string(id))
	if err != nil {
		return
	}
	task, err := container.Task(ctx, nil)
	if err != nil {
		return
	}
	waiting, stop := context.WithTimeout(ctx, grace)
	defer stop()
	ended, err := task.Wait(waiting)
	if err != nil {
		return
	}
	signal, err := client.GetStopSignal(ctx, container, syscall.SIGTERM)
	if err != nil { // the image names one that there is not
		signal = syscall.SIGTERM
	}
	if !hears(task.Pid(), signal) || task.Kill(ctx, signal) != nil {
		return
	}
	select {
	case <-ended:
	case <-waiting.Done():
	}
}

// List implements compute.Backend. containerd asks the shim of each process that it lists, so those of one service are asked for
// one by one.
func (b *Backend) List(ctx context.Context, of ...platform.ServiceID) (instances []platform.Instance, err error) {
	defer noteAway(ctx, &err)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	filters := []string{fmt.Sprintf("labels.%q", labelService)}
	if len(of) > 0 {
		filters = nil
	}
	for _, service := range of {
		filters = append(filters, fmt.Sprintf("labels.%q==%q", labelService, service))
	}
	records, err := b.client.ContainerService().List(ctx, filters...)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	busy := b.busyOnes() // before their processes are read: afterwards one may have begun, and not be busy any more
	processes, err := b.processes(ctx, records, len(of) == 0)
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		if id := platform.InstanceID(record.ID); !hasBegun(processes[record.ID]) && (busy[id] || b.isStarting(id)) {
			continue // Start or Stop is at work on it
		}
		instances = append(instances, b.withFreezer(instanceFrom(record, processes[record.ID], time.Now())))
	}
	return instances, nil
}

// processes returns the processes of the containers, by the containers' ids.
func (b *Backend) processes(ctx context.Context, records []containers.Container, all bool) (map[string]*tasktypes.Process, error) {
	processes := make(map[string]*tasktypes.Process, len(records))
	if all {
		response, err := b.client.TaskService().List(ctx, &tasks.ListTasksRequest{})
		if err != nil {
			return nil, fmt.Errorf("list tasks: %w", err)
		}
		for _, process := range response.Tasks {
			processes[process.ID] = process
		}
		return processes, nil
	}
	for _, record := range records {
		process, err := b.process(ctx, record.ID)
		if err != nil {
			return nil, err
		}
		processes[record.ID] = process
	}
	return processes, nil
}

// process returns the process of a container; nil when it has none.
func (b *Backend) process(ctx context.Context, id string) (*tasktypes.Process, error) {
	response, err := b.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: id})
	if err != nil && !errdefs.IsNotFound(errgrpc.ToNative(err)) {
		return nil, fmt.Errorf("read task: %w", err)
	}
	return response.GetProcess(), nil
}

func (b *Backend) isStarting(id platform.InstanceID) bool { return b.busyOnes()[id] }

// busyOnes are the instances that a call is at work on.
func (b *Backend) busyOnes() map[platform.InstanceID]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ones := make(map[platform.InstanceID]bool, len(b.busy))
	for id := range b.busy {
		ones[id] = true
	}
	return ones
}

// Inspect implements compute.Backend.
func (b *Backend) Inspect(ctx context.Context, id platform.InstanceID) (_ platform.Instance, err error) {
	defer noteAway(ctx, &err)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	record, err := b.client.ContainerService().Get(ctx, string(id))
	if errdefs.IsNotFound(err) {
		return platform.Instance{}, compute.ErrNotFound
	}
	if err != nil {
		return platform.Instance{}, fmt.Errorf("read container: %w", err)
	}
	process, err := b.process(ctx, record.ID)
	if err != nil {
		return platform.Instance{}, err
	}
	return b.withFreezer(instanceFrom(record, process, time.Now())), nil
}

// hasBegun says whether an app was let begin. A process that waits for that was left by a start that was cut short.
func hasBegun(process *tasktypes.Process) bool {
	return process != nil && process.Status != tasktypes.Status_CREATED
}

// instanceFrom is pure: what the container's record and its process say. No process that has begun is one that ended
// without a trace, as after a reboot.
func instanceFrom(record containers.Container, process *tasktypes.Process, now time.Time) platform.Instance {
	instance := platform.Instance{
		ID: platform.InstanceID(record.ID), ServiceID: platform.ServiceID(record.Labels[labelService]),
		RevisionID: platform.RevisionID(record.Labels[labelRevision]), State: platform.InstanceStateRunning,
		Address: record.Labels[labelAddress], StartedAt: record.CreatedAt,
	}
	isOutOfMemory := record.Labels[labelOOM] != ""
	switch {
	case !hasBegun(process):
		instance.Exit = &platform.Exit{Code: 255, At: now, IsOutOfMemory: isOutOfMemory, IsLost: true}
	case process.Status == tasktypes.Status_STOPPED:
		at := process.ExitedAt.AsTime()
		wasKilled := process.ExitStatus == 128+uint32(syscall.SIGKILL)
		if wasKilled && !isOutOfMemory && now.Sub(at) < oomNotice {
			return instance // why it was killed is told in a moment
		}
		instance.Exit = &platform.Exit{Code: int(process.ExitStatus), At: at, IsOutOfMemory: isOutOfMemory && wasKilled}
	case process.Status == tasktypes.Status_PAUSED:
		instance.State = platform.InstanceStateFrozen
	}
	if instance.Exit != nil {
		instance.State, instance.Address = platform.InstanceStateExited, ""
	}
	return instance
}

// withFreezer says by which file a running instance is frozen. Its state does not say whether it is: that may change at any time
// without containerd, and the file tells.
func (b *Backend) withFreezer(instance platform.Instance) platform.Instance {
	if instance.Exit == nil {
		instance.Freezer = b.freezerOf(instance.ID)
	}
	return instance
}

// Exits implements compute.Backend. It subscribes again when containerd was restarted.
func (b *Backend) Exits(ctx context.Context) (<-chan platform.InstanceID, error) {
	exits := make(chan platform.InstanceID, 64)
	go func() {
		defer close(exits)
		for ctx.Err() == nil {
			b.forwardEvents(ctx, exits)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return exits, nil
}

// forwardEvents sends ends of instances to exits until the subscription breaks, and notes out-of-memory kills. It sends
// the empty id once the subscription stands: what ended before is not told. A reader that is late holds it up, and containerd keeps
// what comes meanwhile.
func (b *Backend) forwardEvents(ctx context.Context, exits chan<- platform.InstanceID) {
	subscription, cancel := context.WithCancel(ctx)
	defer cancel()
	envelopes, errs := b.client.Subscribe(subscription, `topic=="/tasks/exit"`, `topic=="/tasks/oom"`)
	stands := time.After(subscribeTime)
	for {
		select {
		case <-ctx.Done():
			return
		case <-errs:
			return
		case <-stands:
			if !send(ctx, exits, "") {
				return
			}
		case envelope := <-envelopes:
			event, err := typeurl.UnmarshalAny(envelope.Event)
			if err != nil {
				continue
			}
			switch event := event.(type) {
			case *events.TaskOOM:
				b.noteOOM(ctx, event.ContainerID)
			case *events.TaskExit:
				if event.ID != event.ContainerID {
					continue // not the app's own process
				}
				if !send(ctx, exits, platform.InstanceID(event.ContainerID)) {
					return
				}
			}
		}
	}
}

func send(ctx context.Context, exits chan<- platform.InstanceID, id platform.InstanceID) bool {
	select {
	case exits <- id:
		return true
	case <-ctx.Done():
		return false
	}
}

// noteOOM keeps the notice as a label, where a restart of apron does not lose it.
func (b *Backend) noteOOM(ctx context.Context, id string) {
	container, err := b.client.LoadContainer(ctx, id)
	if err == nil {
		_, err = container.SetLabels(ctx, map[string]string{labelOOM: "true"})
	}
	if err != nil && !errdefs.IsNotFound(err) && ctx.Err() == nil {
		b.config.Log.Error("note an out-of-memory kill", "instance", id, "error", err)
	}
}

// stopsAtOnce bounds how many instances Down stops at a time: each is several processes that end others, and a thousand at once
// let nothing else on the machine run.
const stopsAtOnce = 64

// Down stops all instances, many at a time, and removes what they had.
func (b *Backend) Down(ctx context.Context) error {
	instances, err := b.List(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(instances))
	var group errgroup.Group
	group.SetLimit(stopsAtOnce)
	for i, instance := range instances {
		group.Go(func() error { errs[i] = b.Stop(ctx, instance.ID, 2*time.Second); return nil })
	}
	_ = group.Wait()
	return errors.Join(append(errs, b.Sweep(ctx), removeCgroups(b.cgroup))...)
}
