package apprunner

import "time"

type CreateVPCIngressConnectionRequest struct {
	ServiceARN               *AppRunnerResourceARN     `api:"ServiceArn,required"`
	VPCIngressConnectionName *VPCIngressConnectionName `api:"VpcIngressConnectionName,required"`
	IngressVPCConfiguration  *IngressVPCConfiguration  `api:"IngressVpcConfiguration,required"`
	Tags                     TagList
}

type CreateVPCIngressConnectionResponse struct {
	VPCIngressConnection *VPCIngressConnection `api:"VpcIngressConnection,required"`
}

type DescribeVPCIngressConnectionRequest struct {
	VPCIngressConnectionARN *AppRunnerResourceARN `api:"VpcIngressConnectionArn,required"`
}

type DescribeVPCIngressConnectionResponse struct {
	VPCIngressConnection *VPCIngressConnection `api:"VpcIngressConnection,required"`
}

type UpdateVPCIngressConnectionRequest struct {
	VPCIngressConnectionARN *AppRunnerResourceARN    `api:"VpcIngressConnectionArn,required"`
	IngressVPCConfiguration *IngressVPCConfiguration `api:"IngressVpcConfiguration,required"`
}

type UpdateVPCIngressConnectionResponse struct {
	VPCIngressConnection *VPCIngressConnection `api:"VpcIngressConnection,required"`
}

type ListVPCIngressConnectionsRequest struct {
	Filter     *ListVPCIngressConnectionsFilter
	MaxResults *MaxResults
	NextToken  *NextToken
}

type ListVPCIngressConnectionsResponse struct {
	VPCIngressConnectionSummaryList VPCIngressConnectionSummaryList `api:"VpcIngressConnectionSummaryList,required"`
	NextToken                       *NextToken
}

type DeleteVPCIngressConnectionRequest struct {
	VPCIngressConnectionARN *AppRunnerResourceARN `api:"VpcIngressConnectionArn,required"`
}

type DeleteVPCIngressConnectionResponse struct {
	VPCIngressConnection *VPCIngressConnection `api:"VpcIngressConnection,required"`
}

// VPCIngressConnection is a private name of a service that is not publicly accessible.
type VPCIngressConnection struct {
	VPCIngressConnectionARN  *AppRunnerResourceARN     `api:"VpcIngressConnectionArn"`
	VPCIngressConnectionName *VPCIngressConnectionName `api:"VpcIngressConnectionName"`
	ServiceARN               *AppRunnerResourceARN     `api:"ServiceArn"`
	Status                   *VPCIngressConnectionStatus
	AccountID                *CustomerAccountID `api:"AccountId"`
	DomainName               *DomainName
	IngressVPCConfiguration  *IngressVPCConfiguration `api:"IngressVpcConfiguration"`
	CreatedAt                *time.Time
	DeletedAt                *time.Time
}

// VPCIngressConnectionSummary is a VPCIngressConnection in a list.
type VPCIngressConnectionSummary struct {
	VPCIngressConnectionARN *AppRunnerResourceARN `api:"VpcIngressConnectionArn"`
	ServiceARN              *AppRunnerResourceARN `api:"ServiceArn"`
}

type VPCIngressConnectionSummaryList []VPCIngressConnectionSummary

type IngressVPCConfiguration struct {
	VPCID         *String `api:"VpcId"`
	VPCEndpointID *String `api:"VpcEndpointId"`
}

type ListVPCIngressConnectionsFilter struct {
	ServiceARN    *AppRunnerResourceARN `api:"ServiceArn"`
	VPCEndpointID *String               `api:"VpcEndpointId"`
}
