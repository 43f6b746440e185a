package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

// start starts one instance of a revision. It is idempotent by id.
func (e *Executor) start(ctx context.Context, id platform.InstanceID, service platform.Service, revision platform.Revision) (platform.Instance, error) {
	if names := slices.Sorted(maps.Keys(revision.Process.Secrets)); len(names) > 0 {
		return platform.Instance{}, platform.Explain(nil, "The secret %s cannot be read: no secret store is configured.", names[0]).
			Try("Remove it from the configuration, or set the variable as plain text.")
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
