package api

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// domainPattern is a host name of two labels or more, of which the first may be "*" (RFC 1035, section 2.3.1).
var domainPattern = regexp.MustCompile(`^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// maxDomain is the longest name that leaves room for the records' names (RFC 1035: 253 characters).
const maxDomain = 253 - 34 - 32

func (h *Handler) associateCustomDomain(ctx context.Context, input *apprunner.AssociateCustomDomainRequest) (*apprunner.AssociateCustomDomainResponse, error) {
	action := apprunner.AssociateCustomDomain.Action
	service, err := h.referService(ctx, action, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	name, err := h.domainName(*input.DomainName)
	if err != nil {
		return nil, err
	}
	hasWWW := input.EnableWWWSubdomain == nil || *input.EnableWWWSubdomain
	if strings.HasPrefix(name, "*.") {
		if input.EnableWWWSubdomain != nil && hasWWW {
			return nil, invalidRequest("EnableWWWSubdomain must not be true for a wildcard, which covers www already.")
		}
		hasWWW = false
	}
	now := h.Now().UTC()
	domain := platform.CustomDomain{
		ID: platform.NewResourceID(), ServiceID: service.ID, Name: name, HasWWW: hasWWW,
		Status: platform.DomainStatusCreating, CreatedAt: now, UpdatedAt: now,
	}
	err = h.Store.CreateDomain(ctx, domain, []platform.ServiceStatus{platform.ServiceStatusRunning}, h.checkDomains)
	var status *store.StatusError
	var holder *store.TakenError
	switch {
	case errors.As(err, &status):
		return nil, invalidState(action, "Custom domain cannot be associated in the current state of the service: %s.", status.Status)
	case errors.As(err, &holder):
		return nil, invalidRequest("%s is already associated with %s", name, holder.ServiceARN)
	case errors.Is(err, store.ErrConflict):
		return nil, invalidRequest("%s is already associated with a service", name)
	case err != nil:
		return nil, err
	}
	h.Provision()
	targets, err := h.wireTargets(ctx, service)
	if err != nil {
		return nil, err
	}
	return &apprunner.AssociateCustomDomainResponse{
		DNSTarget: h.dnsTarget(service), ServiceARN: wireARN(service.ARN), CustomDomain: wireDomain(domain), VPCDNSTargets: targets,
	}, nil
}

// checkDomains refuses one more domain than the quota of a service. The action declares no error of quotas.
func (h *Handler) checkDomains(domains int) error {
	err := h.Quotas.refuse(QuotaDomains, "custom domains of the service", domains)
	var refused *Error
	if errors.As(err, &refused) {
		return invalidRequest("%s", refused.Message)
	}
	return err
}

// domainName checks a name of the customer's and returns it as it is kept.
func (h *Handler) domainName(name apprunner.DomainName) (string, error) {
	domain := strings.ToLower(strings.TrimSuffix(string(name), "."))
	if len(domain) > maxDomain || !domainPattern.MatchString(domain) {
		return "", invalidRequest("DomainName must be a host name with a dot, such as example.com, www.example.com or *.example.com, of at most %d characters.", maxDomain)
	}
	if base := strings.TrimPrefix(domain, "*."); base == h.Domain || strings.HasSuffix(base, "."+h.Domain) {
		return "", invalidRequest("DomainName must not be below %s, where services have their own names.", h.Domain)
	}
	return domain, nil
}

func (h *Handler) describeCustomDomains(ctx context.Context, input *apprunner.DescribeCustomDomainsRequest) (*apprunner.DescribeCustomDomainsResponse, error) {
	action := apprunner.DescribeCustomDomains.Action
	service, err := h.liveService(ctx, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	after, err := h.pages.place(action, service.ARN, input.NextToken)
	if err != nil {
		return nil, err
	}
	size, limit := limitOf(input.MaxResults)
	query := store.DomainQuery{ServiceID: service.ID, Limit: limit}
	if after != nil {
		query.After = &store.ResourceCursor{CreatedAt: after.time(), ID: platform.ResourceID(after.ID)}
	}
	domains, err := h.Store.ListDomains(ctx, query)
	if err != nil {
		return nil, err
	}
	targets, err := h.wireTargets(ctx, service)
	if err != nil {
		return nil, err
	}
	domains, isMore := page(domains, size)
	output := &apprunner.DescribeCustomDomainsResponse{DNSTarget: h.dnsTarget(service), ServiceARN: wireARN(service.ARN), VPCDNSTargets: targets}
	for _, domain := range domains {
		output.CustomDomains = append(output.CustomDomains, *wireDomain(domain))
	}
	if isMore {
		last := domains[len(domains)-1]
		output.NextToken = h.pages.token(action, service.ARN, placeOf(last.CreatedAt, string(last.ID)))
	}
	return output, nil
}

func (h *Handler) disassociateCustomDomain(ctx context.Context, input *apprunner.DisassociateCustomDomainRequest) (*apprunner.DisassociateCustomDomainResponse, error) {
	action := apprunner.DisassociateCustomDomain.Action
	service, err := h.liveService(ctx, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	if service.Status != platform.ServiceStatusRunning {
		return nil, invalidState(action, "Custom domain cannot be disassociated in the current state of the service: %s.", service.Status)
	}
	name := strings.ToLower(strings.TrimSuffix(string(*input.DomainName), "."))
	missing := invalidRequest("No custom domain %s found for the provided service", shorten(name))
	found, err := h.Store.ListDomains(ctx, store.DomainQuery{ServiceID: service.ID, Name: name})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, missing
	}
	domain, err := h.Store.EditDomain(ctx, found[0].ID, func(domain *platform.CustomDomain) error {
		if domain.Status == platform.DomainStatusDeleting {
			return invalidState(action, "Custom domain cannot be disassociated in its current state: %s.", domain.Status)
		}
		domain.Status, domain.UpdatedAt = platform.DomainStatusDeleting, h.Now()
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, missing // deleted a moment ago
	}
	if err != nil {
		return nil, err
	}
	h.Provision()
	targets, err := h.wireTargets(ctx, service)
	if err != nil {
		return nil, err
	}
	return &apprunner.DisassociateCustomDomainResponse{
		DNSTarget: h.dnsTarget(service), ServiceARN: wireARN(service.ARN), CustomDomain: wireDomain(domain), VPCDNSTargets: targets,
	}, nil
}

// dnsTarget is what the customer's domains point to: the service's own host name.
func (h *Handler) dnsTarget(service platform.Service) *apprunner.String {
	return new(apprunner.String(service.Subdomain.Host(h.Region, h.Domain)))
}

// wireTargets are what a private service's domains point to inside networks.
func (h *Handler) wireTargets(ctx context.Context, service platform.Service) (apprunner.VPCDNSTargetList, error) {
	ingresses, err := h.Store.ListResources(ctx, store.ResourceQuery{Kind: platform.ResourceVPCIngress, ServiceID: service.ID})
	if err != nil {
		return nil, err
	}
	targets := apprunner.VPCDNSTargetList{}
	for _, ingress := range ingresses {
		targets = append(targets, apprunner.VPCDNSTarget{
			VPCIngressConnectionARN: wireARN(ingress.ARN),
			VPCID:                   new(apprunner.String(ingress.Detail.VPCIngress.VPCID)),
			DomainName:              new(apprunner.DomainName(ingress.Detail.VPCIngress.DomainName)),
		})
	}
	return targets, nil
}

func wireDomain(domain platform.CustomDomain) *apprunner.CustomDomain {
	wire := &apprunner.CustomDomain{
		DomainName:         new(apprunner.DomainName(domain.Name)),
		EnableWWWSubdomain: &domain.HasWWW,
		Status:             new(apprunner.CustomDomainAssociationStatus(domain.Status)),
	}
	for _, record := range domain.Records {
		status := apprunner.CertificateValidationRecordStatusPendingValidation
		switch {
		case record.IsValidated:
			status = apprunner.CertificateValidationRecordStatusSuccess
		case record.IsFailed:
			status = apprunner.CertificateValidationRecordStatusFailed
		}
		wire.CertificateValidationRecords = append(wire.CertificateValidationRecords, apprunner.CertificateValidationRecord{
			Name: new(apprunner.String(record.Name)), Type: new(apprunner.String("CNAME")),
			Value: new(apprunner.String(record.Value)), Status: &status,
		})
	}
	return wire
}
