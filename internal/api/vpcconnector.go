package api

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

func (h *Handler) createVPCConnector(ctx context.Context, input *apprunner.CreateVPCConnectorRequest) (*apprunner.CreateVPCConnectorResponse, error) {
	subnets, badSubnets := distinct("Subnets", input.Subnets)
	switch {
	case badSubnets != nil:
	case len(subnets) == 0:
		badSubnets = invalidRequest("Subnets must have at least one subnet.")
	default:
		badSubnets = h.checkSubnets(subnets)
	}
	groups, badGroups := distinct("SecurityGroups", input.SecurityGroups)
	resource := platform.Resource{
		Kind: platform.ResourceVPCConnector, Name: string(*input.VPCConnectorName), Status: string(apprunner.VPCConnectorStatusActive),
		Detail: platform.ResourceDetail{VPCConnector: &platform.VPCConnectorDetail{Subnets: subnets, SecurityGroups: groups}},
	}
	resource, err := h.create(ctx, resource, input.Tags, errors.Join(badSubnets, badGroups), h.checkName(QuotaVPCConnectors, resource))
	if err != nil {
		return nil, err
	}
	return &apprunner.CreateVPCConnectorResponse{VPCConnector: wireVPCConnector(resource)}, nil
}

// distinct reads a list of ids.
func distinct(member string, list apprunner.StringList) ([]string, error) {
	var ids []string
	var errs []error
	for i, id := range list {
		switch {
		case id == "" || strings.ContainsFunc(string(id), isSpaceOrControl):
			errs = append(errs, invalidRequest("%s[%d] must be an id, without spaces.", member, i))
		case slices.Contains(ids, string(id)):
			errs = append(errs, invalidRequest("%s[%d] is given twice.", member, i))
		}
		ids = append(ids, string(id))
	}
	return ids, errors.Join(errs...)
}

// checkSubnets refuses subnets that no network of the host stands for.
func (h *Handler) checkSubnets(subnets []string) error {
	if h.Networks == nil {
		return nil
	}
	_, unmapped := platform.ResolveSubnets(h.Networks.HostNetworks(), subnets)
	if len(unmapped) > 0 {
		id := unmapped[0]
		if len(id) > maxSubnetID {
			id = "ID"
		}
		return invalidRequest("Subnets: no network of the host stands for %s. `apron network create NAME --subnet-id %s` makes one; with --subnet-id '*' it stands for every id that is left.",
			shorten(strings.Join(unmapped, ", ")), id)
	}
	return nil
}

func (h *Handler) describeVPCConnector(ctx context.Context, input *apprunner.DescribeVPCConnectorRequest) (*apprunner.DescribeVPCConnectorResponse, error) {
	resource, err := h.find(ctx, apprunner.DescribeVPCConnector.Action, platform.ResourceVPCConnector, input.VPCConnectorARN)
	if err != nil {
		return nil, err
	}
	return &apprunner.DescribeVPCConnectorResponse{VPCConnector: wireVPCConnector(resource)}, nil
}

func (h *Handler) listVPCConnectors(ctx context.Context, input *apprunner.ListVPCConnectorsRequest) (*apprunner.ListVPCConnectorsResponse, error) {
	query := store.ResourceQuery{Kind: platform.ResourceVPCConnector}
	resources, next, err := h.list(ctx, apprunner.ListVPCConnectors.Action, query, "", input.NextToken, input.MaxResults, nil)
	if err != nil {
		return nil, err
	}
	output := &apprunner.ListVPCConnectorsResponse{NextToken: next}
	for _, resource := range resources {
		output.VPCConnectors = append(output.VPCConnectors, *wireVPCConnector(resource))
	}
	return output, nil
}

func (h *Handler) deleteVPCConnector(ctx context.Context, input *apprunner.DeleteVPCConnectorRequest) (*apprunner.DeleteVPCConnectorResponse, error) {
	resource, err := h.findLive(ctx, apprunner.DeleteVPCConnector.Action, platform.ResourceVPCConnector, input.VPCConnectorARN)
	if err != nil {
		return nil, err
	}
	resource, err = h.remove(ctx, store.ResourceQuery{Kind: resource.Kind, ID: resource.ID}, string(apprunner.VPCConnectorStatusInactive), refuseUsed)
	if err != nil {
		return nil, err
	}
	return &apprunner.DeleteVPCConnectorResponse{VPCConnector: wireVPCConnector(resource)}, nil
}

func wireVPCConnector(resource platform.Resource) *apprunner.VPCConnector {
	detail := resource.Detail.VPCConnector
	return &apprunner.VPCConnector{
		VPCConnectorName:     new(apprunner.VPCConnectorName(resource.Name)),
		VPCConnectorARN:      wireARN(resource.ARN),
		VPCConnectorRevision: new(apprunner.Integer(resource.Revision)),
		Subnets:              wireStrings(detail.Subnets),
		SecurityGroups:       wireStrings(detail.SecurityGroups),
		Status:               new(apprunner.VPCConnectorStatus(resource.Status)),
		CreatedAt:            &resource.CreatedAt,
		DeletedAt:            resource.DeletedAt,
	}
}

func wireStrings(texts []string) apprunner.StringList {
	wire := make(apprunner.StringList, len(texts))
	for i, text := range texts {
		wire[i] = apprunner.String(text)
	}
	return wire
}
