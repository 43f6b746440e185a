package apprunner

import "time"

type CreateObservabilityConfigurationRequest struct {
	ObservabilityConfigurationName *ObservabilityConfigurationName `api:",required"`
	TraceConfiguration             *TraceConfiguration
	Tags                           TagList
}

type CreateObservabilityConfigurationResponse struct {
	ObservabilityConfiguration *ObservabilityConfiguration `api:",required"`
}

type DescribeObservabilityConfigurationRequest struct {
	ObservabilityConfigurationARN *AppRunnerResourceARN `api:"ObservabilityConfigurationArn,required"`
}

type DescribeObservabilityConfigurationResponse struct {
	ObservabilityConfiguration *ObservabilityConfiguration `api:",required"`
}

type ListObservabilityConfigurationsRequest struct {
	ObservabilityConfigurationName *ObservabilityConfigurationName
	LatestOnly                     *bool
	MaxResults                     *MaxResults
	NextToken                      *NextToken
}

type ListObservabilityConfigurationsResponse struct {
	ObservabilityConfigurationSummaryList ObservabilityConfigurationSummaryList `api:",required"`
	NextToken                             *NextToken
}

type DeleteObservabilityConfigurationRequest struct {
	ObservabilityConfigurationARN *AppRunnerResourceARN `api:"ObservabilityConfigurationArn,required"`
}

type DeleteObservabilityConfigurationResponse struct {
	ObservabilityConfiguration *ObservabilityConfiguration `api:",required"`
}

// ObservabilityConfiguration is one revision of how services are traced. Revisions never change.
type ObservabilityConfiguration struct {
	ObservabilityConfigurationARN      *AppRunnerResourceARN `api:"ObservabilityConfigurationArn"`
	ObservabilityConfigurationName     *ObservabilityConfigurationName
	TraceConfiguration                 *TraceConfiguration
	ObservabilityConfigurationRevision *Integer
	Latest                             *bool
	Status                             *ObservabilityConfigurationStatus
	CreatedAt                          *time.Time
	DeletedAt                          *time.Time
}

// ObservabilityConfigurationSummary is an ObservabilityConfiguration in a list.
type ObservabilityConfigurationSummary struct {
	ObservabilityConfigurationARN      *AppRunnerResourceARN `api:"ObservabilityConfigurationArn"`
	ObservabilityConfigurationName     *ObservabilityConfigurationName
	ObservabilityConfigurationRevision *Integer
}

type ObservabilityConfigurationSummaryList []ObservabilityConfigurationSummary

type TraceConfiguration struct {
	Vendor *TracingVendor `api:",required"`
}
