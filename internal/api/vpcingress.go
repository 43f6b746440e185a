package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

func (h *Handler) createVPCIngressConnection(ctx context.Context, input *apprunner.CreateVPCIngressConnectionRequest) (*apprunner.CreateVPCIngressConnectionResponse, error) {
	action := apprunner.CreateVPCIngressConnection.Action
	service, err := h.referService(ctx, action, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	detail := platform.VPCIngressDetail{DomainName: platform.NewVPCIngressDomain(h.Region, h.Domain)}
	wrong := applyIngress(&detail, input.IngressVPCConfiguration)
	resource := platform.Resource{
		Kind: platform.ResourceVPCIngress, Name: string(*input.VPCIngressConnectionName), Status: platform.IngressStatusPendingCreation,
		ServiceID: service.ID, Detail: platform.ResourceDetail{VPCIngress: &detail},
	}
	resource, err = h.create(ctx, resource, input.Tags, wrong, func(existing store.Existing) error {
		if existing.Revisions > 0 {
			return taken(resource)
		}
		return h.checkIngress(ctx, action, service.ID)
	})
	if err != nil {
		return nil, err
	}
	h.Provision()
	wire, err := h.wireIngress(ctx, resource)
	if err != nil {
		return nil, err
	}
	return &apprunner.CreateVPCIngressConnectionResponse{VPCIngressConnection: wire}, nil
}

// checkIngress refuses a connection to a service that cannot have one more now. It is asked while nothing else is written.
func (h *Handler) checkIngress(ctx context.Context, action apprunner.Action, id platform.ServiceID) error {
	service, err := h.Store.ServiceByID(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case service.Status != platform.ServiceStatusRunning && service.Status != platform.ServiceStatusPaused:
		return invalidState(action, "Service cannot be given a VPC ingress connection in the current state: %s.", service.Status)
	case service.Configuration.Network.IsPubliclyAccessible:
		return invalidRequest("ServiceArn: the service is publicly accessible. Update it with IsPubliclyAccessible false in its IngressConfiguration first.")
	}
	known, err := h.Store.ListResources(ctx, store.ResourceQuery{Kind: platform.ResourceVPCIngress, ServiceID: id})
	if err != nil {
		return err
	}
	return h.Quotas.refuse(QuotaVPCIngress, "VPC ingress connections of the service", len(known))
}

// applyIngress reads where a connection leads from. A new one needs both ids; a change needs one.
func applyIngress(into *platform.VPCIngressDetail, change *apprunner.IngressVPCConfiguration) error {
	set(&into.VPCID, change.VPCID)
	set(&into.EndpointID, change.VPCEndpointID)
	return errors.Join(checkIngressID("VpcId", into.VPCID), checkIngressID("VpcEndpointId", into.EndpointID))
}

func checkIngressID(member, id string) error {
	if id == "" || strings.ContainsFunc(id, isSpaceOrControl) {
		return invalidRequest("IngressVpcConfiguration.%s must be an id, without spaces.", member)
	}
	return nil
}

func (h *Handler) describeVPCIngressConnection(ctx context.Context, input *apprunner.DescribeVPCIngressConnectionRequest) (*apprunner.DescribeVPCIngressConnectionResponse, error) {
	resource, err := h.find(ctx, apprunner.DescribeVPCIngressConnection.Action, platform.ResourceVPCIngress, input.VPCIngressConnectionARN)
	if err != nil {
		return nil, err
	}
	wire, err := h.wireIngress(ctx, resource)
	if err != nil {
		return nil, err
	}
	return &apprunner.DescribeVPCIngressConnectionResponse{VPCIngressConnection: wire}, nil
}

func (h *Handler) listVPCIngressConnections(ctx context.Context, input *apprunner.ListVPCIngressConnectionsRequest) (*apprunner.ListVPCIngressConnectionsResponse, error) {
	query := store.ResourceQuery{Kind: platform.ResourceVPCIngress}
	var endpoint string
	if filter := input.Filter; filter != nil {
		set(&endpoint, filter.VPCEndpointID)
		if filter.ServiceARN != nil {
			service, err := h.referService(ctx, apprunner.ListVPCIngressConnections.Action, filter.ServiceARN)
			if err != nil {
				return nil, renamed(err, "ServiceArn", "Filter.ServiceArn")
			}
			query.ServiceID = service.ID
		}
	}
	var keep func(platform.Resource) bool
	if endpoint != "" {
		keep = func(resource platform.Resource) bool { return resource.Detail.VPCIngress.EndpointID == endpoint }
	}
	resources, next, err := h.list(ctx, apprunner.ListVPCIngressConnections.Action, query,
		fmt.Sprint(query.ServiceID, " ", endpoint), input.NextToken, input.MaxResults, keep)
	if err != nil {
		return nil, err
	}
	output := &apprunner.ListVPCIngressConnectionsResponse{NextToken: next}
	for _, resource := range resources {
		wire, err := h.wireIngress(ctx, resource)
		if err != nil {
			return nil, err
		}
		output.VPCIngressConnectionSummaryList = append(output.VPCIngressConnectionSummaryList, apprunner.VPCIngressConnectionSummary{
			VPCIngressConnectionARN: wire.VPCIngressConnectionARN, ServiceARN: wire.ServiceARN,
		})
	}
	return output, nil
}

func (h *Handler) updateVPCIngressConnection(ctx context.Context, input *apprunner.UpdateVPCIngressConnectionRequest) (*apprunner.UpdateVPCIngressConnectionResponse, error) {
	if input.IngressVPCConfiguration.VPCID == nil && input.IngressVPCConfiguration.VPCEndpointID == nil {
		return nil, invalidRequest("IngressVpcConfiguration must have VpcId, VpcEndpointId or both.")
	}
	resource, err := h.moveIngress(ctx, apprunner.UpdateVPCIngressConnection.Action, input.VPCIngressConnectionARN, "updated",
		[]string{platform.IngressStatusAvailable, platform.IngressStatusFailedCreation, platform.IngressStatusFailedUpdate},
		func(resource *platform.Resource) error {
			resource.Status = platform.IngressStatusPendingUpdate
			return asOne(applyIngress(resource.Detail.VPCIngress, input.IngressVPCConfiguration))
		})
	if err != nil {
		return nil, err
	}
	wire, err := h.wireIngress(ctx, resource)
	if err != nil {
		return nil, err
	}
	return &apprunner.UpdateVPCIngressConnectionResponse{VPCIngressConnection: wire}, nil
}

func (h *Handler) deleteVPCIngressConnection(ctx context.Context, input *apprunner.DeleteVPCIngressConnectionRequest) (*apprunner.DeleteVPCIngressConnectionResponse, error) {
	resource, err := h.moveIngress(ctx, apprunner.DeleteVPCIngressConnection.Action, input.VPCIngressConnectionARN, "deleted",
		[]string{
			platform.IngressStatusAvailable, platform.IngressStatusFailedCreation, platform.IngressStatusFailedUpdate,
			platform.IngressStatusFailedDeletion,
		}, func(resource *platform.Resource) error {
			resource.Status = platform.IngressStatusPendingDeletion
			return nil
		})
	if err != nil {
		return nil, err
	}
	h.prune(ctx)
	wire, err := h.wireIngress(ctx, resource)
	if err != nil {
		return nil, err
	}
	return &apprunner.DeleteVPCIngressConnectionResponse{VPCIngressConnection: wire}, nil
}

// moveIngress lets edit change a connection whose status allows it, and wakes what carries it out.
func (h *Handler) moveIngress(ctx context.Context, action apprunner.Action, arn *apprunner.AppRunnerResourceARN, participle string,
	allowed []string, edit func(*platform.Resource) error) (platform.Resource, error) {
	resource, err := h.find(ctx, action, platform.ResourceVPCIngress, arn)
	if err != nil {
		return platform.Resource{}, err
	}
	gone := notFound("There is no VPC ingress connection %s: it was deleted.", resource.ARN)
	if resource.DeletedAt != nil {
		return platform.Resource{}, gone
	}
	err = h.Store.EditResources(ctx, store.ResourceQuery{Kind: resource.Kind, ID: resource.ID}, func(found []platform.Resource) error {
		if len(found) == 0 {
			return gone // a moment ago
		}
		if !slices.Contains(allowed, found[0].Status) {
			return invalidState(action, "VPC ingress connection cannot be %s in the current state: %s.", participle, found[0].Status)
		}
		if err := edit(&found[0]); err != nil {
			return err
		}
		resource = found[0].Clone()
		return nil
	})
	if err != nil {
		return platform.Resource{}, err
	}
	h.Provision()
	return resource, nil
}

// refuseIngress keeps a service that VPC ingress connections lead to.
func (h *Handler) refuseIngress(ctx context.Context, action apprunner.Action, id platform.ServiceID, what string) error {
	known, err := h.Store.ListResources(ctx, store.ResourceQuery{Kind: platform.ResourceVPCIngress, ServiceID: id, Limit: 1})
	if err != nil || len(known) == 0 {
		return err
	}
	return invalidState(action, "Service cannot be %s while the VPC ingress connection %s leads to it. Delete that first.", what, known[0].ARN)
}

func (h *Handler) wireIngress(ctx context.Context, resource platform.Resource) (*apprunner.VPCIngressConnection, error) {
	service, err := h.Store.ServiceByID(ctx, resource.ServiceID)
	if err != nil {
		return nil, err
	}
	detail := resource.Detail.VPCIngress
	return &apprunner.VPCIngressConnection{
		VPCIngressConnectionARN:  wireARN(resource.ARN),
		VPCIngressConnectionName: new(apprunner.VPCIngressConnectionName(resource.Name)),
		ServiceARN:               wireARN(service.ARN),
		Status:                   new(apprunner.VPCIngressConnectionStatus(resource.Status)),
		AccountID:                new(apprunner.CustomerAccountID(h.Account)),
		DomainName:               new(apprunner.DomainName(detail.DomainName)),
		IngressVPCConfiguration: &apprunner.IngressVPCConfiguration{
			VPCID: new(apprunner.String(detail.VPCID)), VPCEndpointID: new(apprunner.String(detail.EndpointID)),
		},
		CreatedAt: &resource.CreatedAt,
		DeletedAt: resource.DeletedAt,
	}, nil
}
