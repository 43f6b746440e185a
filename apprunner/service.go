package apprunner

import "time"

type CreateServiceRequest struct {
	ServiceName                 *ServiceName         `api:",required"`
	SourceConfiguration         *SourceConfiguration `api:",required"`
	InstanceConfiguration       *InstanceConfiguration
	Tags                        TagList
	EncryptionConfiguration     *EncryptionConfiguration
	HealthCheckConfiguration    *HealthCheckConfiguration
	AutoScalingConfigurationARN *AppRunnerResourceARN `api:"AutoScalingConfigurationArn"`
	NetworkConfiguration        *NetworkConfiguration
	ObservabilityConfiguration  *ServiceObservabilityConfiguration
}

type CreateServiceResponse struct {
	Service     *Service `api:",required"`
	OperationID *UUID    `api:"OperationId,required"`
}

type UpdateServiceRequest struct {
	ServiceARN                  *AppRunnerResourceARN `api:"ServiceArn,required"`
	SourceConfiguration         *SourceConfiguration
	InstanceConfiguration       *InstanceConfiguration
	AutoScalingConfigurationARN *AppRunnerResourceARN `api:"AutoScalingConfigurationArn"`
	HealthCheckConfiguration    *HealthCheckConfiguration
	NetworkConfiguration        *NetworkConfiguration
	ObservabilityConfiguration  *ServiceObservabilityConfiguration
}

type UpdateServiceResponse struct {
	Service     *Service `api:",required"`
	OperationID *UUID    `api:"OperationId,required"`
}

type DescribeServiceRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
}

type DescribeServiceResponse struct {
	Service *Service `api:",required"`
}

type ListServicesRequest struct {
	NextToken  *String
	MaxResults *ServiceMaxResults
}

type ListServicesResponse struct {
	ServiceSummaryList ServiceSummaryList `api:",required"`
	NextToken          *String
}

type PauseServiceRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
}

type PauseServiceResponse struct {
	Service     *Service `api:",required"`
	OperationID *UUID    `api:"OperationId"`
}

type ResumeServiceRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
}

type ResumeServiceResponse struct {
	Service     *Service `api:",required"`
	OperationID *UUID    `api:"OperationId"`
}

type DeleteServiceRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
}

type DeleteServiceResponse struct {
	Service     *Service `api:",required"`
	OperationID *UUID    `api:"OperationId,required"`
}

// Service is the customer's app.
type Service struct {
	ServiceName                     *ServiceName          `api:",required"`
	ServiceID                       *ServiceID            `api:"ServiceId,required"`
	ServiceARN                      *AppRunnerResourceARN `api:"ServiceArn,required"`
	ServiceURL                      *String               `api:"ServiceUrl"`
	CreatedAt                       *time.Time            `api:",required"`
	UpdatedAt                       *time.Time            `api:",required"`
	DeletedAt                       *time.Time
	Status                          *ServiceStatus         `api:",required"`
	SourceConfiguration             *SourceConfiguration   `api:",required"`
	InstanceConfiguration           *InstanceConfiguration `api:",required"`
	EncryptionConfiguration         *EncryptionConfiguration
	HealthCheckConfiguration        *HealthCheckConfiguration
	AutoScalingConfigurationSummary *AutoScalingConfigurationSummary `api:",required"`
	NetworkConfiguration            *NetworkConfiguration            `api:",required"`
	ObservabilityConfiguration      *ServiceObservabilityConfiguration
}

// ServiceSummary is a Service in a list.
type ServiceSummary struct {
	ServiceName *ServiceName
	ServiceID   *ServiceID            `api:"ServiceId"`
	ServiceARN  *AppRunnerResourceARN `api:"ServiceArn"`
	ServiceURL  *String               `api:"ServiceUrl"`
	CreatedAt   *time.Time
	UpdatedAt   *time.Time
	Status      *ServiceStatus
}

type ServiceSummaryList []ServiceSummary

// InstanceConfiguration is the size of one instance.
type InstanceConfiguration struct {
	CPU             *CPU `api:"Cpu"`
	Memory          *Memory
	InstanceRoleARN *RoleARN `api:"InstanceRoleArn"`
}

type EncryptionConfiguration struct {
	KMSKey *KMSKeyARN `api:"KmsKey,required"`
}

type HealthCheckConfiguration struct {
	Protocol           *HealthCheckProtocol
	Path               *HealthCheckPath
	Interval           *HealthCheckInterval
	Timeout            *HealthCheckTimeout
	HealthyThreshold   *HealthCheckHealthyThreshold
	UnhealthyThreshold *HealthCheckUnhealthyThreshold
}

type AutoScalingConfigurationSummary struct {
	AutoScalingConfigurationARN      *AppRunnerResourceARN `api:"AutoScalingConfigurationArn"`
	AutoScalingConfigurationName     *AutoScalingConfigurationName
	AutoScalingConfigurationRevision *Integer
	Status                           *AutoScalingConfigurationStatus
	CreatedAt                        *time.Time
	HasAssociatedService             *bool
	IsDefault                        *bool
}

type NetworkConfiguration struct {
	EgressConfiguration  *EgressConfiguration
	IngressConfiguration *IngressConfiguration
	IPAddressType        *IPAddressType `api:"IpAddressType"`
}

type EgressConfiguration struct {
	EgressType      *EgressType
	VPCConnectorARN *AppRunnerResourceARN `api:"VpcConnectorArn"`
}

// IngressConfiguration says who reaches a service. Absent means false inside it: most SDKs leave a false out.
type IngressConfiguration struct {
	IsPubliclyAccessible *bool
}

type ServiceObservabilityConfiguration struct {
	ObservabilityEnabled          *bool                 `api:",required"`
	ObservabilityConfigurationARN *AppRunnerResourceARN `api:"ObservabilityConfigurationArn"`
}
