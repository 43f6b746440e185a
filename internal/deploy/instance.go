package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

// start starts one instance of a revision. It is idempotent by id.
func (e *Executor) start(ctx context.Context, id platform.InstanceID, service platform.Service, revision platform.Revision) (platform.Instance, error) {
	if names := slices.Sorted(maps.Keys(revision.Process.Secrets)); len(names) > 0 {
		return platform.Instance{}, platform.Explain(nil,
			"The secret %s cannot be read: no secret store is configured. Remove it from the configuration, or set the variable as plain text.", names[0])
	}
	instance, err := e.Backend.Start(ctx, instanceSpec(id, service, revision, e.Logs.InstancePath(service.ID, id)))
	if err != nil {
		return platform.Instance{}, fmt.Errorf("start instance %s: %w", id, err)
	}
	return instance, nil
}

// instanceSpec is pure: everything the backend needs to start one instance of a revision.
func instanceSpec(id platform.InstanceID, service platform.Service, revision platform.Revision, logPath string) compute.InstanceSpec {
	process, size := revision.Process, revision.Configuration.Instance
	port := strconv.Itoa(process.Port)
	environment := map[string]string{}
	maps.Copy(environment, process.Environment)
	environment["PORT"] = port
	if process.PortVariable != "" {
		environment[process.PortVariable] = port
	}
	return compute.InstanceSpec{
		ID: id, ServiceID: service.ID, RevisionID: revision.ID, ServiceName: service.Name,
		Image: revision.Image, Args: CommandArgs(process.Command), Environment: environment, Port: process.Port,
		Subnets:  revision.Configuration.Network.Subnets,
		CPUUnits: size.CPUUnits, MemoryMiB: size.MemoryMiB, StorageBytes: StorageBytes, LogPath: logPath,
	}
}

// awaitHealthy waits until one instance is ready; the error is the plain reason why it is not.
func (e *Executor) awaitHealthy(ctx context.Context, service platform.Service, revision platform.Revision, instance platform.Instance) error {
	probing, cancel := context.WithTimeout(ctx, e.HealthTimeout)
	defer cancel()
	ended := make(chan *platform.Exit, 1)
	go e.watchExit(probing, instance.ID, ended)

	healthy := make(chan error, 1)
	go func() {
		healthy <- e.Prober.WaitHealthy(probing, instance.Address, revision.Configuration.HealthCheck, probeEvery)
	}()
	var probe error
	select {
	case probe = <-healthy:
	case exit := <-ended:
		cancel()
		<-healthy
		return e.explainExit(service, revision, instance.ID, exit)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// The last moment counts: an app that ended just now is told as an end, neither as health nor as silence.
	if now, err := e.Backend.Inspect(ctx, instance.ID); err == nil && now.Exit != nil {
		return e.explainExit(service, revision, instance.ID, now.Exit)
	}
	if probe == nil {
		return nil
	}
	return e.explainSilence(service, revision, instance.ID, probe)
}

// watchExit sends how the instance ended, if it does before ctx ends.
func (e *Executor) watchExit(ctx context.Context, id platform.InstanceID, ended chan<- *platform.Exit) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		instance, err := e.Backend.Inspect(ctx, id)
		if err == nil && instance.Exit != nil {
			ended <- instance.Exit
			return
		}
		if errors.Is(err, compute.ErrNotFound) {
			ended <- nil
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (e *Executor) explainExit(service platform.Service, revision platform.Revision, id platform.InstanceID, exit *platform.Exit) error {
	output := e.lastOutput(service.ID, id)
	return platform.Explain(nil, "%s", ExitCause(exit, revision.Configuration.Instance.MemoryMiB)+lastLine(output)).WithEvidence(output...)
}

// ExitCause says in one sentence how an app ended.
func ExitCause(exit *platform.Exit, memoryMiB int) string {
	switch {
	case exit == nil:
		return "The instance was removed while it was starting."
	case exit.IsOutOfMemory:
		return fmt.Sprintf("The application was killed because it used more than its %d MB of memory. Give it more with InstanceConfiguration.Memory.", memoryMiB)
	case exit.IsOverStorage:
		return "The application was stopped because it wrote more than 3 GB to its file system."
	case exit.IsLost:
		return "The instance's process was lost: it, or the shim that watches over it, was ended from outside, as by a restart of the machine."
	case exit.Code == 127:
		return "The application could not be started: the start command was not found in the image. Container exit code: 127."
	default:
		return fmt.Sprintf("The application stopped or failed to start. Container exit code: %d.", exit.Code)
	}
}

func (e *Executor) explainSilence(service platform.Service, revision platform.Revision, id platform.InstanceID, probe error) error {
	output := e.lastOutput(service.ID, id)
	check, port := revision.Configuration.HealthCheck, revision.Process.Port
	within := e.HealthTimeout.Seconds()
	cause := fmt.Sprintf("The application listened on no port: nothing answered on %d within %g s", port, within)
	if check.Protocol == platform.HealthCheckHTTP {
		cause = fmt.Sprintf("The health check failed: GET %s on port %d was not answered well within %g s (%v)", check.Path, port, within, probe)
	}
	if len(output) == 0 {
		return platform.Explain(probe, "%s; it printed nothing. Check the configured port.", cause)
	}
	return platform.Explain(probe, "%s; its last output was: %s", cause, output[len(output)-1]).WithEvidence(output...)
}

func (e *Executor) lastOutput(service platform.ServiceID, id platform.InstanceID) []string {
	return e.Logs.LastLines(service, "instance/"+string(id), evidenceLines)
}

func lastLine(output []string) string {
	if len(output) == 0 {
		return " It printed nothing."
	}
	return " Its last output was: " + output[len(output)-1]
}
