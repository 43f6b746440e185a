package api

import (
	"context"
	"errors"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source/webhook"
	"github.com/apron-run/apron/internal/store"
)

func (h *Handler) describeWebhook(ctx context.Context, input *apprunner.DescribeWebhookRequest) (*apprunner.DescribeWebhookResponse, error) {
	found, err := h.webhook(ctx, input.ServiceARN, false)
	return &apprunner.DescribeWebhookResponse{Webhook: found}, err
}

func (h *Handler) rotateWebhook(ctx context.Context, input *apprunner.RotateWebhookRequest) (*apprunner.RotateWebhookResponse, error) {
	found, err := h.webhook(ctx, input.ServiceARN, true)
	return &apprunner.RotateWebhookResponse{Webhook: found}, err
}

// webhook returns a service's webhook with its secret, which is made where there is none or when it is to be another.
func (h *Handler) webhook(ctx context.Context, arn *apprunner.AppRunnerResourceARN, renew bool) (*apprunner.Webhook, error) {
	service, err := h.service(ctx, arn)
	if err != nil {
		return nil, err
	}
	secret, err := h.Webhooks.Secret(ctx, service, renew)
	explained := platform.AsExplained(err)
	switch {
	case errors.Is(err, store.ErrNotFound): // it was deleted
		return nil, notFoundService(*arn)
	case explained != nil:
		return nil, invalidRequest("The webhook of the service %s cannot be used: %s.", service.Name, cut(explained.Error(), 500))
	case err != nil:
		return nil, err
	}
	return &apprunner.Webhook{
		URL: new(apprunner.String(webhook.URL(h.WebhookBase, service.ID, ""))), Secret: new(apprunner.WebhookSecret(secret)),
		URLWithSecret: new(apprunner.WebhookSecret(webhook.URL(h.WebhookBase, service.ID, secret))),
	}, nil
}
