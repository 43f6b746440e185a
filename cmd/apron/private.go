package main

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/cmd/apron/internal/client"
)

// privateOf says by which names a private service answers, or how it gets one. "" for a public service.
func privateOf(ctx context.Context, connected *client.Client, service types.Service) (string, error) {
	network := service.NetworkConfiguration
	if network == nil || network.IngressConfiguration == nil || network.IngressConfiguration.IsPubliclyAccessible {
		return "", nil
	}
	var names []string
	pages := apprunner.NewListVpcIngressConnectionsPaginator(connected.API, &apprunner.ListVpcIngressConnectionsInput{
		Filter: &types.ListVpcIngressConnectionsFilter{ServiceArn: service.ServiceArn},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, each := range page.VpcIngressConnectionSummaryList {
			described, err := connected.API.DescribeVpcIngressConnection(ctx, &apprunner.DescribeVpcIngressConnectionInput{VpcIngressConnectionArn: each.VpcIngressConnectionArn})
			if err != nil {
				return "", err
			}
			names = append(names, aws.ToString(described.VpcIngressConnection.DomainName))
		}
	}
	if len(names) == 0 {
		return "reached by nobody, until `aws apprunner create-vpc-ingress-connection` gives it a name", nil
	}
	return strings.Join(names, ", ") + ", at --private-http", nil
}
