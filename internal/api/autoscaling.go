package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// The auto scaling configuration that is there from the start.
const (
	defaultAutoScalingName = "DefaultConfiguration"
	defaultAutoScalingID   = "00000000000000000000000000000001"
)

const (
	autoScalingActive   = string(apprunner.AutoScalingConfigurationStatusActive)
	autoScalingInactive = string(apprunner.AutoScalingConfigurationStatusInactive)
)

// EnsureDefaults makes what is there from the start: the built-in auto scaling configuration.
func (h *Handler) EnsureDefaults(ctx context.Context) error {
	limits := platform.DefaultConfiguration().AutoScaling
	resource := platform.Resource{
		ID: defaultAutoScalingID, Kind: platform.ResourceAutoScaling, Name: defaultAutoScalingName, Revision: 1,
		Status: autoScalingActive, CreatedAt: h.Now().UTC(), Tags: map[string]string{}, IsDefault: true,
		Detail: platform.ResourceDetail{AutoScaling: &platform.AutoScalingLimits{
			MaxConcurrency: limits.MaxConcurrency, MinSize: limits.MinSize, MaxSize: limits.MaxSize,
		}},
	}
	resource.ARN = h.arn(resource.Path())
	known, err := h.Store.ListResources(ctx, store.ResourceQuery{ID: resource.ID})
	if err != nil || len(known) > 0 {
		return err
	}
	_, err = h.Store.CreateResource(ctx, resource.Kind, resource.Name, func(store.Existing) (platform.Resource, error) { return resource, nil })
	if errors.Is(err, store.ErrConflict) {
		return nil // another apron on the same database was faster
	}
	return err
}

func (h *Handler) createAutoScalingConfiguration(ctx context.Context, input *apprunner.CreateAutoScalingConfigurationRequest) (*apprunner.CreateAutoScalingConfigurationResponse, error) {
	defaults := platform.DefaultConfiguration().AutoScaling
	limits := platform.AutoScalingLimits{MaxConcurrency: defaults.MaxConcurrency, MinSize: defaults.MinSize, MaxSize: defaults.MaxSize}
	setInt(&limits.MaxConcurrency, input.MaxConcurrency)
	setInt(&limits.MinSize, input.MinSize)
	setInt(&limits.MaxSize, input.MaxSize)
	var wrong error
	if limits.MinSize > limits.MaxSize {
		wrong = invalidRequest("MinSize is %d and MaxSize %d, and MinSize must not be greater than MaxSize.", limits.MinSize, limits.MaxSize)
	}
	resource, err := h.create(ctx, platform.Resource{
		Kind: platform.ResourceAutoScaling, Name: string(*input.AutoScalingConfigurationName), Status: autoScalingActive,
		Detail: platform.ResourceDetail{AutoScaling: &limits},
	}, input.Tags, wrong, h.checkRevision(QuotaAutoScaling, QuotaAutoScalingRevisions, platform.ResourceAutoScaling))
	if err != nil {
		return nil, err
	}
	return &apprunner.CreateAutoScalingConfigurationResponse{AutoScalingConfiguration: wireAutoScalingConfiguration(resource)}, nil
}

func (h *Handler) describeAutoScalingConfiguration(ctx context.Context, input *apprunner.DescribeAutoScalingConfigurationRequest) (*apprunner.DescribeAutoScalingConfigurationResponse, error) {
	resource, err := h.find(ctx, apprunner.DescribeAutoScalingConfiguration.Action, platform.ResourceAutoScaling, input.AutoScalingConfigurationARN)
	if err != nil {
		return nil, err
	}
	return &apprunner.DescribeAutoScalingConfigurationResponse{AutoScalingConfiguration: wireAutoScalingConfiguration(resource)}, nil
}

// listAutoScalingConfigurations answers all revisions unless LatestOnly is true. App Runner's guide says that true is the
// default, but most SDKs leave a false out, and Terraform needs every revision to find the default.
func (h *Handler) listAutoScalingConfigurations(ctx context.Context, input *apprunner.ListAutoScalingConfigurationsRequest) (*apprunner.ListAutoScalingConfigurationsResponse, error) {
	query := store.ResourceQuery{Kind: platform.ResourceAutoScaling, LatestOnly: input.LatestOnly != nil && *input.LatestOnly}
	set(&query.Name, input.AutoScalingConfigurationName)
	resources, next, err := h.list(ctx, apprunner.ListAutoScalingConfigurations.Action, query,
		fmt.Sprint(query.Name, " ", query.LatestOnly), input.NextToken, input.MaxResults, nil)
	if err != nil {
		return nil, err
	}
	output := &apprunner.ListAutoScalingConfigurationsResponse{NextToken: next}
	for _, resource := range resources {
		output.AutoScalingConfigurationSummaryList = append(output.AutoScalingConfigurationSummaryList, apprunner.AutoScalingConfigurationSummary{
			AutoScalingConfigurationARN:      wireARN(resource.ARN),
			AutoScalingConfigurationName:     new(apprunner.AutoScalingConfigurationName(resource.Name)),
			AutoScalingConfigurationRevision: new(apprunner.Integer(resource.Revision)),
			Status:                           new(apprunner.AutoScalingConfigurationStatus(resource.Status)),
			CreatedAt:                        &resource.CreatedAt,
			HasAssociatedService:             &resource.IsUsed,
			IsDefault:                        &resource.IsDefault,
		})
	}
	return output, nil
}

func (h *Handler) deleteAutoScalingConfiguration(ctx context.Context, input *apprunner.DeleteAutoScalingConfigurationRequest) (*apprunner.DeleteAutoScalingConfigurationResponse, error) {
	arn := input.AutoScalingConfigurationARN
	query, _, err := h.queryOf(platform.ResourceAutoScaling, *arn)
	if err != nil {
		return nil, err
	}
	isAll := input.DeleteAllRevisions != nil && *input.DeleteAllRevisions
	switch {
	case isAll && query.ID != "":
		return nil, invalidRequest("You cannot specify full auto scaling configuration ARN and DeleteAllRevisions as true at same time")
	case isAll && query.Revision != 0:
		return nil, invalidRequest("You cannot specify auto scaling configuration revision and DeleteAllRevisions as true at same time")
	}
	resource, err := h.findLive(ctx, apprunner.DeleteAutoScalingConfiguration.Action, platform.ResourceAutoScaling, arn)
	if err != nil {
		return nil, err
	}
	query = store.ResourceQuery{Kind: resource.Kind, ID: resource.ID}
	if isAll {
		query = store.ResourceQuery{Kind: resource.Kind, Name: resource.Name}
	}
	resource, err = h.remove(ctx, query, autoScalingInactive, func(resource platform.Resource) error {
		if resource.IsDefault {
			return invalidRequest("The auto scaling configuration %s is the default, which cannot be deleted. Make another one the default first.", resource.ARN)
		}
		if resource.ID == defaultAutoScalingID {
			return invalidRequest("The auto scaling configuration %s is built in, and cannot be deleted.", resource.ARN)
		}
		return refuseUsed(resource)
	})
	if err != nil {
		return nil, err
	}
	return &apprunner.DeleteAutoScalingConfigurationResponse{AutoScalingConfiguration: wireAutoScalingConfiguration(resource)}, nil
}

// updateDefaultAutoScalingConfiguration decides what services get that are created from now on.
func (h *Handler) updateDefaultAutoScalingConfiguration(ctx context.Context, input *apprunner.UpdateDefaultAutoScalingConfigurationRequest) (*apprunner.UpdateDefaultAutoScalingConfigurationResponse, error) {
	action := apprunner.UpdateDefaultAutoScalingConfiguration.Action
	chosen, err := h.findLive(ctx, action, platform.ResourceAutoScaling, input.AutoScalingConfigurationARN)
	if err != nil {
		return nil, err
	}
	var isFound bool
	err = h.Store.EditResources(ctx, store.ResourceQuery{Kind: platform.ResourceAutoScaling}, func(resources []platform.Resource) error {
		for i := range resources {
			resources[i].IsDefault = resources[i].ID == chosen.ID
			isFound = isFound || resources[i].IsDefault
		}
		if !isFound {
			return deleted(platform.ResourceAutoScaling) // a moment ago
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	chosen.IsDefault = true
	return &apprunner.UpdateDefaultAutoScalingConfigurationResponse{AutoScalingConfiguration: wireAutoScalingConfiguration(chosen)}, nil
}

func (h *Handler) listServicesForAutoScalingConfiguration(ctx context.Context, input *apprunner.ListServicesForAutoScalingConfigurationRequest) (*apprunner.ListServicesForAutoScalingConfigurationResponse, error) {
	action := apprunner.ListServicesForAutoScalingConfiguration.Action
	after, err := h.pages.place(action, string(*input.AutoScalingConfigurationARN), (*apprunner.String)(input.NextToken))
	if err != nil {
		return nil, err
	}
	arn := input.AutoScalingConfigurationARN
	if after != nil {
		arn = wireARN(after.Of) // a name alone may have a newer revision by now
	}
	resource, err := h.find(ctx, action, platform.ResourceAutoScaling, arn)
	if err != nil {
		return nil, err
	}
	size, limit := limitOf(input.MaxResults)
	query := store.ServicePage{Limit: limit, UsesARN: resource.ARN}
	if after != nil {
		query.After = &store.ServiceCursor{CreatedAt: after.time(), ID: platform.ServiceID(after.ID)}
	}
	services, err := h.Store.ListServices(ctx, query)
	if err != nil {
		return nil, err
	}
	services, isMore := page(services, size)
	output := &apprunner.ListServicesForAutoScalingConfigurationResponse{}
	for _, service := range services {
		output.ServiceARNList = append(output.ServiceARNList, apprunner.AppRunnerResourceARN(service.ARN))
	}
	if isMore {
		last := services[len(services)-1]
		at := placeOf(last.CreatedAt, string(last.ID))
		at.Of = resource.ARN
		output.NextToken = (*apprunner.NextToken)(h.pages.token(action, string(*input.AutoScalingConfigurationARN), at))
	}
	return output, nil
}

// defaultAutoScaling is what a service gets that names no configuration.
func (h *Handler) defaultAutoScaling(ctx context.Context) (platform.AutoScaling, error) {
	found, err := h.Store.ListResources(ctx, store.ResourceQuery{Kind: platform.ResourceAutoScaling, DefaultOnly: true})
	if err == nil && len(found) == 0 {
		err = errors.New("there is no default auto scaling configuration")
	}
	if err != nil {
		return platform.AutoScaling{}, err
	}
	return autoScalingOf(found[0]), nil
}

// autoScaling returns the configuration that a service refers to.
func (h *Handler) autoScaling(ctx context.Context, arn apprunner.AppRunnerResourceARN) (platform.AutoScaling, error) {
	resource, err := h.refer(ctx, "AutoScalingConfigurationArn", platform.ResourceAutoScaling, arn)
	if err != nil {
		return platform.AutoScaling{}, err
	}
	return autoScalingOf(resource), nil
}

func autoScalingOf(resource platform.Resource) platform.AutoScaling {
	limits := resource.Detail.AutoScaling
	return platform.AutoScaling{
		ARN: resource.ARN, Name: resource.Name, Revision: resource.Revision,
		MaxConcurrency: limits.MaxConcurrency, MinSize: limits.MinSize, MaxSize: limits.MaxSize,
	}
}

func wireAutoScalingConfiguration(resource platform.Resource) *apprunner.AutoScalingConfiguration {
	limits := resource.Detail.AutoScaling
	return &apprunner.AutoScalingConfiguration{
		AutoScalingConfigurationARN:      wireARN(resource.ARN),
		AutoScalingConfigurationName:     new(apprunner.AutoScalingConfigurationName(resource.Name)),
		AutoScalingConfigurationRevision: new(apprunner.AutoScalingConfigurationRevision(resource.Revision)),
		Latest:                           &resource.IsLatest,
		Status:                           new(apprunner.AutoScalingConfigurationStatus(resource.Status)),
		MaxConcurrency:                   new(apprunner.MaxConcurrency(limits.MaxConcurrency)),
		MinSize:                          new(apprunner.MinSize(limits.MinSize)),
		MaxSize:                          new(apprunner.MaxSize(limits.MaxSize)),
		CreatedAt:                        &resource.CreatedAt,
		DeletedAt:                        resource.DeletedAt,
		HasAssociatedService:             &resource.IsUsed,
		IsDefault:                        &resource.IsDefault,
	}
}
