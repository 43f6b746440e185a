package build

import (
	"context"
	"log/slog"

	"github.com/moby/buildkit/session/auth"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// registryAuth answers buildkitd's questions for credentials over the session of one build.
type registryAuth struct {
	auth.UnimplementedAuthServer
	credentials func(ctx context.Context, host string) (username, password string, err error)
}

func (a registryAuth) Register(server *grpc.Server) { auth.RegisterAuthServer(server, a) }

// Credentials returns empty ones for a host that nobody knows: the pull is then anonymous.
func (a registryAuth) Credentials(ctx context.Context, request *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	if a.credentials == nil {
		return &auth.CredentialsResponse{}, nil
	}
	host := request.Host
	if host == "registry-1.docker.io" {
		host = "docker.io"
	}
	username, password, err := a.credentials(ctx, host)
	if err != nil {
		slog.DebugContext(ctx, "credentials for a registry", "host", host, "error", err)
		return nil, status.Error(codes.Unavailable, "the credentials for "+host+" could not be read")
	}
	return &auth.CredentialsResponse{Username: username, Secret: password}, nil
}

// FetchToken makes buildkitd fetch tokens itself, with the credentials.
func (a registryAuth) FetchToken(context.Context, *auth.FetchTokenRequest) (*auth.FetchTokenResponse, error) {
	return nil, status.Error(codes.Unimplemented, "tokens are fetched by the builder")
}
