package apprunner

import "time"

type CreateVPCConnectorRequest struct {
	VPCConnectorName *VPCConnectorName `api:"VpcConnectorName,required"`
	Subnets          StringList        `api:",required"`
	SecurityGroups   StringList
	Tags             TagList
}

type CreateVPCConnectorResponse struct {
	VPCConnector *VPCConnector `api:"VpcConnector,required"`
}

type DescribeVPCConnectorRequest struct {
	VPCConnectorARN *AppRunnerResourceARN `api:"VpcConnectorArn,required"`
}

type DescribeVPCConnectorResponse struct {
	VPCConnector *VPCConnector `api:"VpcConnector,required"`
}

type ListVPCConnectorsRequest struct {
	MaxResults *MaxResults
	NextToken  *NextToken
}

type ListVPCConnectorsResponse struct {
	VPCConnectors VPCConnectors `api:"VpcConnectors,required"`
	NextToken     *NextToken
}

type DeleteVPCConnectorRequest struct {
	VPCConnectorARN *AppRunnerResourceARN `api:"VpcConnectorArn,required"`
}

type DeleteVPCConnectorResponse struct {
	VPCConnector *VPCConnector `api:"VpcConnector,required"`
}

// VPCConnector names networks that instances of a service are attached to.
type VPCConnector struct {
	VPCConnectorName     *VPCConnectorName     `api:"VpcConnectorName"`
	VPCConnectorARN      *AppRunnerResourceARN `api:"VpcConnectorArn"`
	VPCConnectorRevision *Integer              `api:"VpcConnectorRevision"`
	Subnets              StringList
	SecurityGroups       StringList
	Status               *VPCConnectorStatus
	CreatedAt            *time.Time
	DeletedAt            *time.Time
}

type VPCConnectors []VPCConnector

type StringList []String
