package api

import (
	"context"
	"fmt"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// reservedObservabilityName is a name that App Runner keeps for itself.
const reservedObservabilityName = "DefaultConfiguration"

func (h *Handler) createObservabilityConfiguration(ctx context.Context, input *apprunner.CreateObservabilityConfigurationRequest) (*apprunner.CreateObservabilityConfigurationResponse, error) {
	var wrong error
	if *input.ObservabilityConfigurationName == reservedObservabilityName {
		wrong = invalidRequest("ObservabilityConfigurationName must not be %s, which is reserved.", reservedObservabilityName)
	}
	detail := platform.ObservabilityDetail{}
	if input.TraceConfiguration != nil {
		set(&detail.Vendor, input.TraceConfiguration.Vendor)
	}
	resource, err := h.create(ctx, platform.Resource{
		Kind: platform.ResourceObservability, Name: string(*input.ObservabilityConfigurationName),
		Status: string(apprunner.ObservabilityConfigurationStatusActive), Detail: platform.ResourceDetail{Observability: &detail},
	}, input.Tags, wrong, h.checkRevision(QuotaObservability, QuotaObservabilityRevisions, platform.ResourceObservability))
	if err != nil {
		return nil, err
	}
	return &apprunner.CreateObservabilityConfigurationResponse{ObservabilityConfiguration: wireObservability(resource)}, nil
}

func (h *Handler) describeObservabilityConfiguration(ctx context.Context, input *apprunner.DescribeObservabilityConfigurationRequest) (*apprunner.DescribeObservabilityConfigurationResponse, error) {
	resource, err := h.find(ctx, apprunner.DescribeObservabilityConfiguration.Action, platform.ResourceObservability, input.ObservabilityConfigurationARN)
	if err != nil {
		return nil, err
	}
	return &apprunner.DescribeObservabilityConfigurationResponse{ObservabilityConfiguration: wireObservability(resource)}, nil
}

// listObservabilityConfigurations answers all revisions unless LatestOnly is true, as listAutoScalingConfigurations.
func (h *Handler) listObservabilityConfigurations(ctx context.Context, input *apprunner.ListObservabilityConfigurationsRequest) (*apprunner.ListObservabilityConfigurationsResponse, error) {
	query := store.ResourceQuery{Kind: platform.ResourceObservability, LatestOnly: input.LatestOnly != nil && *input.LatestOnly}
	set(&query.Name, input.ObservabilityConfigurationName)
	resources, next, err := h.list(ctx, apprunner.ListObservabilityConfigurations.Action, query,
		fmt.Sprint(query.Name, " ", query.LatestOnly), input.NextToken, input.MaxResults, nil)
	if err != nil {
		return nil, err
	}
	output := &apprunner.ListObservabilityConfigurationsResponse{NextToken: next}
	for _, resource := range resources {
		output.ObservabilityConfigurationSummaryList = append(output.ObservabilityConfigurationSummaryList, apprunner.ObservabilityConfigurationSummary{
			ObservabilityConfigurationARN:      wireARN(resource.ARN),
			ObservabilityConfigurationName:     new(apprunner.ObservabilityConfigurationName(resource.Name)),
			ObservabilityConfigurationRevision: new(apprunner.Integer(resource.Revision)),
		})
	}
	return output, nil
}

func (h *Handler) deleteObservabilityConfiguration(ctx context.Context, input *apprunner.DeleteObservabilityConfigurationRequest) (*apprunner.DeleteObservabilityConfigurationResponse, error) {
	resource, err := h.findLive(ctx, apprunner.DeleteObservabilityConfiguration.Action, platform.ResourceObservability, input.ObservabilityConfigurationARN)
	if err != nil {
		return nil, err
	}
	resource, err = h.remove(ctx, store.ResourceQuery{Kind: resource.Kind, ID: resource.ID},
		string(apprunner.ObservabilityConfigurationStatusInactive), refuseUsed)
	if err != nil {
		return nil, err
	}
	return &apprunner.DeleteObservabilityConfigurationResponse{ObservabilityConfiguration: wireObservability(resource)}, nil
}

// observability returns what a service's choice refers to.
func (h *Handler) observability(ctx context.Context, change *apprunner.ServiceObservabilityConfiguration) (platform.Observability, error) {
	const member = "ObservabilityConfiguration.ObservabilityConfigurationArn"
	arn := change.ObservabilityConfigurationARN
	switch {
	case arn != nil && !*change.ObservabilityEnabled:
		return platform.Observability{}, invalidRequest("%s may be given only when ObservabilityEnabled is true.", member)
	case arn == nil && *change.ObservabilityEnabled:
		return platform.Observability{}, invalidRequest("%s is required when ObservabilityEnabled is true.", member)
	case arn == nil:
		return platform.Observability{}, nil
	}
	resource, err := h.refer(ctx, member, platform.ResourceObservability, *arn)
	if err != nil {
		return platform.Observability{}, err
	}
	return platform.Observability{IsEnabled: true, ARN: resource.ARN}, nil
}

func wireObservability(resource platform.Resource) *apprunner.ObservabilityConfiguration {
	wire := &apprunner.ObservabilityConfiguration{
		ObservabilityConfigurationARN:      wireARN(resource.ARN),
		ObservabilityConfigurationName:     new(apprunner.ObservabilityConfigurationName(resource.Name)),
		ObservabilityConfigurationRevision: new(apprunner.Integer(resource.Revision)),
		Latest:                             &resource.IsLatest,
		Status:                             new(apprunner.ObservabilityConfigurationStatus(resource.Status)),
		CreatedAt:                          &resource.CreatedAt,
		DeletedAt:                          resource.DeletedAt,
	}
	if vendor := resource.Detail.Observability.Vendor; vendor != "" {
		wire.TraceConfiguration = &apprunner.TraceConfiguration{Vendor: new(apprunner.TracingVendor(vendor))}
	}
	return wire
}
