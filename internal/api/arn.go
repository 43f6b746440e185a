package api

import (
	"context"
	"errors"
	"strings"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// arn makes the ARN of a resource here.
func (c *Config) arn(resource string) string {
	return "arn:aws:apprunner:" + c.Region + ":" + c.Account + ":" + resource
}

func (c *Config) serviceARN(name string, id platform.ServiceID) string {
	return c.arn("service/" + name + "/" + string(id))
}

// resourceOf returns what an ARN, whose form was validated, says after the account: "service/NAME/ID". isHere is false
// for a resource of another service, region or account, which cannot be found here.
func (c *Config) resourceOf(arn apprunner.AppRunnerResourceARN) (resource string, isHere bool) {
	parts := strings.SplitN(string(arn), ":", 6)
	if len(parts) != 6 {
		return "", false
	}
	return parts[5], strings.Join(parts[:5], ":") == strings.TrimSuffix(c.arn(""), ":")
}

// service returns the service that an ARN names, deleted ones too. ResourceNotFound, or InvalidRequest when the ARN is
// not that of a service.
func (h *Handler) service(ctx context.Context, arn *apprunner.AppRunnerResourceARN) (platform.Service, error) {
	resource, isHere := h.resourceOf(*arn)
	parts := strings.Split(resource, "/")
	if parts[0] != "service" || len(parts) != 3 {
		return platform.Service{}, invalidRequest("ServiceArn: %s is not the ARN of a service, which ends with service/NAME/ID.", shorten(string(*arn)))
	}
	if !isHere {
		return platform.Service{}, notFoundService(*arn)
	}
	service, err := h.Store.ServiceByID(ctx, platform.ServiceID(parts[2]))
	if errors.Is(err, store.ErrNotFound) || err == nil && service.ARN != string(*arn) {
		return platform.Service{}, notFoundService(*arn)
	}
	return service, err
}

// liveService is service without those that were deleted.
func (h *Handler) liveService(ctx context.Context, arn *apprunner.AppRunnerResourceARN) (platform.Service, error) {
	service, err := h.service(ctx, arn)
	if err == nil && service.Status == platform.ServiceStatusDeleted {
		return platform.Service{}, notFoundService(*arn)
	}
	return service, err
}

// referService is liveService for a member that an action cannot answer with ResourceNotFound about.
func (h *Handler) referService(ctx context.Context, action apprunner.Action, arn *apprunner.AppRunnerResourceARN) (platform.Service, error) {
	service, err := h.liveService(ctx, arn)
	var refused *Error
	if errors.As(err, &refused) && !action.Declares(refused.Code) {
		return platform.Service{}, invalidRequest("%s", refused.Message)
	}
	return service, err
}

func notFoundService(arn apprunner.AppRunnerResourceARN) *Error {
	return notFound("There is no service %s.", shorten(string(arn)))
}
