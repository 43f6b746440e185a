package api

import (
	"context"
	"errors"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// Runtimes are those that code is built for. Implemented by build.Builder.
type Runtimes interface {
	// ListRuntimes returns them all by name, with what this machine has of each.
	ListRuntimes() ([]platform.Runtime, error)
	// PrepareRuntime begins to make or pull a runtime's images; it goes on for as long as Preparation is called.
	// platform.ErrNoRuntime, platform.ErrBeingPrepared.
	PrepareRuntime(name string, isRefresh bool) (platform.Preparation, error)
	// Preparation returns how far one is, with its lines from a number on. platform.ErrNoPreparation.
	Preparation(id string, from int) (platform.Preparation, error)
	// CancelPreparation asks for the end of one. platform.ErrNoPreparation.
	CancelPreparation(id string) error
}

func (h *Handler) listRuntimes(ctx context.Context, _ *apprunner.ListRuntimesRequest) (*apprunner.ListRuntimesResponse, error) {
	output := &apprunner.ListRuntimesResponse{}
	if h.ManagedRuntimes == nil {
		return output, nil
	}
	runtimes, err := h.ManagedRuntimes.ListRuntimes()
	if err != nil {
		return nil, err
	}
	outdated, err := h.outdatedServices(ctx, runtimes)
	if err != nil {
		return nil, err
	}
	for _, runtime := range runtimes {
		output.Runtimes = append(output.Runtimes, wireRuntime(runtime, outdated[runtime.Name]))
	}
	return output, nil
}

// outdatedServices returns for each runtime's name the services whose active revision was made of other images than there
// are now.
func (h *Handler) outdatedServices(ctx context.Context, runtimes []platform.Runtime) (map[string]apprunner.StringList, error) {
	services, err := h.Store.ListServices(ctx, store.ServicePage{})
	if err != nil {
		return nil, err
	}
	outdated := map[string]apprunner.StringList{}
	for _, service := range services {
		if service.Status == platform.ServiceStatusDeleted || service.Configuration.Source.Code == nil || service.ActiveRevisionID == "" {
			continue
		}
		revision, err := h.Store.RevisionByID(ctx, service.ActiveRevisionID)
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted just now
		}
		if err != nil {
			return nil, err
		}
		for _, runtime := range runtimes {
			if used := revision.Runtimes[runtime.Name]; used != "" && runtime.Digest != "" && used != runtime.Digest {
				outdated[runtime.Name] = append(outdated[runtime.Name], apprunner.String(service.Name))
			}
		}
	}
	return outdated, nil
}

func wireRuntime(runtime platform.Runtime, outdated apprunner.StringList) apprunner.ManagedRuntime {
	wire := apprunner.ManagedRuntime{
		Name: new(apprunner.RuntimeName(runtime.Name)), APIName: optional[apprunner.Runtime](runtime.API),
		Version: optional[apprunner.String](runtime.Version), IsImage: new(runtime.IsImage),
		State: new(apprunner.String(runtime.State)), Failure: optional[apprunner.String](runtime.Failure),
		SizeMB: new(apprunner.Integer(runtime.SizeBytes >> 20)), Digest: optional[apprunner.String](runtime.Digest),
		BuildImage: optional[apprunner.String](runtime.BuildImage), RunImage: optional[apprunner.String](runtime.RunImage),
		OutdatedServices: outdated,
	}
	if !runtime.MadeAt.IsZero() {
		wire.MadeAt = new(runtime.MadeAt)
	}
	if !runtime.CheckedAt.IsZero() {
		wire.CheckedAt = new(runtime.CheckedAt)
	}
	return wire
}

func (h *Handler) prepareRuntime(_ context.Context, input *apprunner.PrepareRuntimeRequest) (*apprunner.PrepareRuntimeResponse, error) {
	if h.ManagedRuntimes == nil {
		return nil, notFound("There is no runtime %s.", *input.Name)
	}
	begun, err := h.ManagedRuntimes.PrepareRuntime(string(*input.Name), input.IsRefresh != nil && *input.IsRefresh)
	switch {
	case errors.Is(err, platform.ErrNoRuntime):
		return nil, notFound("There is no runtime %s.", *input.Name)
	case errors.Is(err, platform.ErrBeingPrepared):
		return nil, invalidState(apprunner.PrepareRuntime.Action, "The runtime %s is being prepared; refresh it when that has ended.", *input.Name)
	case err != nil:
		return nil, err
	}
	return &apprunner.PrepareRuntimeResponse{Preparation: wirePreparation(begun)}, nil
}

func (h *Handler) describePreparation(_ context.Context, input *apprunner.DescribePreparationRequest) (*apprunner.DescribePreparationResponse, error) {
	from := 0
	if input.FromLine != nil {
		from = int(*input.FromLine)
	}
	found, err := h.preparation(*input.PreparationID, from)
	return &apprunner.DescribePreparationResponse{Preparation: found}, err
}

// cancelPreparation asks for a preparation's end. What comes of it is seen as for any preparation.
func (h *Handler) cancelPreparation(_ context.Context, input *apprunner.CancelPreparationRequest) (*apprunner.CancelPreparationResponse, error) {
	found, err := h.preparation(*input.PreparationID, 0)
	if err != nil {
		return nil, err
	}
	if err := h.ManagedRuntimes.CancelPreparation(string(*input.PreparationID)); err != nil && !errors.Is(err, platform.ErrNoPreparation) {
		return nil, err
	}
	return &apprunner.CancelPreparationResponse{Preparation: found}, nil
}

func (h *Handler) preparation(id apprunner.UUID, from int) (*apprunner.Preparation, error) {
	if h.ManagedRuntimes == nil {
		return nil, notFound("There is no preparation %s.", id)
	}
	found, err := h.ManagedRuntimes.Preparation(string(id), from)
	if errors.Is(err, platform.ErrNoPreparation) {
		return nil, notFound("There is no preparation %s; a restart of apron ends them all.", id)
	}
	if err != nil {
		return nil, err
	}
	return wirePreparation(found), nil
}

func wirePreparation(found platform.Preparation) *apprunner.Preparation {
	state := apprunner.String("RUNNING")
	switch {
	case found.IsOver && found.Failure != nil:
		state = "FAILED"
	case found.IsOver:
		state = "SUCCEEDED"
	}
	wire := &apprunner.Preparation{
		ID: wireID(found.ID), Name: new(apprunner.RuntimeName(found.Runtime)), IsRefresh: new(found.IsRefresh),
		IsJoined: new(found.IsJoined), State: &state, IsUnchanged: new(found.IsUnchanged), Lines: wireStrings(found.Lines),
		NextLine: new(apprunner.LineNumber(found.Next)),
	}
	if why := found.Failure; why != nil {
		wire.Failure = &apprunner.Failure{
			Step: new(apprunner.String("prepare")), Cause: new(apprunner.String(why.Cause)),
			Remedy: optional[apprunner.String](why.Remedy), Evidence: []apprunner.String(wireStrings(why.Evidence)),
		}
	}
	return wire
}
