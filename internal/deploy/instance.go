package deploy

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

// start starts one instance of a revision. It is idempotent by id.
func (e *Executor) start(ctx context.Context, id platform.InstanceID, service platform.Service, revision platform.Revision) (platform.Instance, error) {
	secrets, err := e.Secrets.Open(revision.ID, revision.Process.SealedSecrets)
	if err != nil {
		return platform.Instance{}, err
	}
	instance, err := e.Backend.Start(ctx, instanceSpec(id, service, revision, secrets, e.Logs.InstancePath(service.ID, id)))
	if err != nil {
		return platform.Instance{}, fmt.Errorf("start instance %s: %w", id, err)
	}
	return instance, nil
}

// checkSecrets reads the secrets that the source names, so that a missing one is told before the build, not after it.
func (e *Executor) checkSecrets(ctx context.Context, source platform.Source) error {
	_, err := e.Secrets.Seal(ctx, "", source.Secrets())
	return err
}

// instanceSpec is pure: everything the backend needs to start one instance of a revision. A secret wins over a plain variable of
// its name.
func instanceSpec(id platform.InstanceID, service platform.Service, revision platform.Revision, secrets map[string]string, logPath string) compute.InstanceSpec {
	process, size := revision.Process, revision.Configuration.Instance
	port := strconv.Itoa(process.Port)
	environment := map[string]string{}
	maps.Copy(environment, process.Environment)
	maps.Copy(environment, secrets)
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
