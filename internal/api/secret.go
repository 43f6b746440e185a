package api

import (
	"context"
	"errors"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/secret"
	"github.com/apron-run/apron/internal/store"
)

// maxSecretVariables bounds the references of a service.
const maxSecretVariables = 500

func (h *Handler) putSecret(ctx context.Context, input *apprunner.PutSecretRequest) (*apprunner.PutSecretResponse, error) {
	if err := secret.CheckName(string(*input.Name)); err != nil {
		return nil, invalidRequest("Name %s.", err)
	}
	if len(*input.Value) > secret.MaxBytes {
		return nil, invalidRequest("Value must have at most %d bytes.", secret.MaxBytes)
	}
	stored, err := h.Secrets.Put(ctx, string(*input.Name), string(*input.Value))
	if errors.Is(err, secret.ErrTooMany) {
		return nil, quotaExceeded("There are %d secrets, and no more are kept. Delete one with `apron secret delete NAME`.", secret.MaxSecrets)
	}
	if err != nil {
		return nil, err
	}
	return &apprunner.PutSecretResponse{Secret: wireStoredSecret(stored)}, nil
}

func (h *Handler) listSecrets(ctx context.Context, _ *apprunner.ListSecretsRequest) (*apprunner.ListSecretsResponse, error) {
	all, err := h.Secrets.List(ctx)
	if err != nil {
		return nil, err
	}
	output := &apprunner.ListSecretsResponse{}
	for _, each := range all {
		output.Secrets = append(output.Secrets, *wireStoredSecret(each))
	}
	return output, nil
}

// deleteSecret leaves what runs as it is: values are read once, when a service is deployed.
func (h *Handler) deleteSecret(ctx context.Context, input *apprunner.DeleteSecretRequest) (*apprunner.DeleteSecretResponse, error) {
	deleted, err := h.Secrets.Delete(ctx, string(*input.Name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("There is no secret %s.", shorten(string(*input.Name)))
	}
	if err != nil {
		return nil, err
	}
	h.prune(ctx)
	return &apprunner.DeleteSecretResponse{Secret: wireStoredSecret(deleted)}, nil
}

func wireStoredSecret(from platform.Resource) *apprunner.Secret {
	return &apprunner.Secret{
		Name: new(apprunner.SecretName(from.Name)), CreatedAt: &from.CreatedAt, ChangedAt: &from.Detail.Secret.ChangedAt,
	}
}
