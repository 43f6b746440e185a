package apprunner

import "time"

type CreateAutoScalingConfigurationRequest struct {
	AutoScalingConfigurationName *AutoScalingConfigurationName `api:",required"`
	MaxConcurrency               *ASConfigMaxConcurrency
	MinSize                      *ASConfigMinSize
	MaxSize                      *ASConfigMaxSize
	Tags                         TagList
}

type CreateAutoScalingConfigurationResponse struct {
	AutoScalingConfiguration *AutoScalingConfiguration `api:",required"`
}

type DescribeAutoScalingConfigurationRequest struct {
	AutoScalingConfigurationARN *AppRunnerResourceARN `api:"AutoScalingConfigurationArn,required"`
}

type DescribeAutoScalingConfigurationResponse struct {
	AutoScalingConfiguration *AutoScalingConfiguration `api:",required"`
}

type ListAutoScalingConfigurationsRequest struct {
	AutoScalingConfigurationName *AutoScalingConfigurationName
	LatestOnly                   *bool
	MaxResults                   *MaxResults
	NextToken                    *NextToken
}

type ListAutoScalingConfigurationsResponse struct {
	AutoScalingConfigurationSummaryList AutoScalingConfigurationSummaryList `api:",required"`
	NextToken                           *NextToken
}

type DeleteAutoScalingConfigurationRequest struct {
	AutoScalingConfigurationARN *AppRunnerResourceARN `api:"AutoScalingConfigurationArn,required"`
	DeleteAllRevisions          *bool
}

type DeleteAutoScalingConfigurationResponse struct {
	AutoScalingConfiguration *AutoScalingConfiguration `api:",required"`
}

type UpdateDefaultAutoScalingConfigurationRequest struct {
	AutoScalingConfigurationARN *AppRunnerResourceARN `api:"AutoScalingConfigurationArn,required"`
}

type UpdateDefaultAutoScalingConfigurationResponse struct {
	AutoScalingConfiguration *AutoScalingConfiguration `api:",required"`
}

type ListServicesForAutoScalingConfigurationRequest struct {
	AutoScalingConfigurationARN *AppRunnerResourceARN `api:"AutoScalingConfigurationArn,required"`
	MaxResults                  *MaxResults
	NextToken                   *NextToken
}

type ListServicesForAutoScalingConfigurationResponse struct {
	ServiceARNList ServiceARNList `api:"ServiceArnList,required"`
	NextToken      *NextToken
}

// AutoScalingConfiguration is one revision of the limits between which a service scales. Revisions never change.
type AutoScalingConfiguration struct {
	AutoScalingConfigurationARN      *AppRunnerResourceARN `api:"AutoScalingConfigurationArn"`
	AutoScalingConfigurationName     *AutoScalingConfigurationName
	AutoScalingConfigurationRevision *AutoScalingConfigurationRevision
	Latest                           *bool
	Status                           *AutoScalingConfigurationStatus
	MaxConcurrency                   *MaxConcurrency
	MinSize                          *MinSize
	MaxSize                          *MaxSize
	CreatedAt                        *time.Time
	DeletedAt                        *time.Time
	HasAssociatedService             *bool
	IsDefault                        *bool
}

type AutoScalingConfigurationSummaryList []AutoScalingConfigurationSummary

type ServiceARNList []AppRunnerResourceARN
