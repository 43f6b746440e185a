// Package connection keeps the credentials of connections and reads repositories with them. A connection's credentials
// are one of a token, an SSH key and the key of an app (GitHub's, on github.com or a host of one's own).
//
//	PENDING_HANDSHAKE --Authorize--> AVAILABLE --Authorize--> AVAILABLE (other credentials)
//
// What is remembered is sealed, bound to the connection's ARN and to the host that the credentials were given for: they
// are of use to no other connection, and go to no other host, whatever is changed around them. They are opened for one
// reading of a repository at a time and appear in no error. The states themselves are the API's to write.
package connection

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
)

// Repositories reads repositories with one Access. Implemented by git.Repositories.
type Repositories interface {
	ResolveCommit(ctx context.Context, code platform.CodeSource) (string, error)
	Fetch(ctx context.Context, code platform.CodeSource, commit, dir string, log io.Writer) error
	HasChanged(ctx context.Context, code platform.CodeSource, before, after string) (bool, error)
	// Try reads the names of a repository. wasAsked is false for one that anyone may read.
	Try(ctx context.Context, repositoryURL string) (wasAsked bool, err error)
}

// Secrets seals what is remembered. Implemented by secret.Box.
type Secrets interface {
	Seal(purpose string, plain []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Config is all that Connections need.
type Config struct {
	// ByARN returns a connection; ok is false when there is none, or when it was deleted.
	ByARN   func(ctx context.Context, arn string) (connection platform.Resource, ok bool, err error)
	Secrets Secrets
	// As returns Repositories that ask with an access; nil means the administrator's credentials.
	As func(access *source.Access) Repositories
}

// Connections reads repositories with the credentials of connections. It implements deploy.CodeResolver and
// api.Connections, and is safe for concurrent use.
type Connections struct {
	config Config
	apps   *apps
}

// New returns Connections.
func New(config Config) *Connections {
	client := &http.Client{
		Timeout: exchangeTimeout,
		// An app's statement is for the host that it was made for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Connections{config, &apps{client: client, url: apiURL, now: time.Now, tokens: map[string]appToken{}}}
}

// ResolveCommit returns the full id of the newest commit of the source's branch.
func (c *Connections) ResolveCommit(ctx context.Context, from platform.Source) (string, error) {
	repositories, err := c.repositories(ctx, from)
	if err != nil {
		return "", err
	}
	return repositories.ResolveCommit(ctx, *from.Code)
}

// Fetch checks commit out into dir, as git.Repositories.Fetch does.
func (c *Connections) Fetch(ctx context.Context, from platform.Source, commit, dir string, log io.Writer) error {
	repositories, err := c.repositories(ctx, from)
	if err != nil {
		return err
	}
	return repositories.Fetch(ctx, *from.Code, commit, dir, log)
}

// HasChanged says whether the folder that is built differs between two commits, as git.Repositories.HasChanged does.
func (c *Connections) HasChanged(ctx context.Context, from platform.Source, before, after string) (bool, error) {
	repositories, err := c.repositories(ctx, from)
	if err != nil {
		return false, err
	}
	return repositories.HasChanged(ctx, *from.Code, before, after)
}

// repositories asks as the source's connection says, if it has one.
func (c *Connections) repositories(ctx context.Context, from platform.Source) (Repositories, error) {
	if from.ConnectionARN == "" {
		return c.config.As(nil), nil
	}
	connection, ok, err := c.config.ByARN(ctx, from.ConnectionARN)
	if err != nil {
		return nil, fmt.Errorf("read the connection: %w", err)
	}
	if !ok {
		return nil, platform.Explain(nil, "the connection %s was deleted", from.ConnectionARN).
			Try("give the service another one")
	}
	credentials, err := c.open(connection)
	if err != nil {
		return nil, err
	}
	access, err := c.access(ctx, connection, credentials, c.apps.token)
	if err != nil {
		return nil, err
	}
	return c.config.As(access), nil
}

// access turns credentials into what the host takes. exchange gives an app's token.
func (c *Connections) access(ctx context.Context, connection platform.Resource, credentials platform.GitCredentials,
	exchange func(context.Context, platform.Resource, platform.GitApp) (string, error)) (*source.Access, error) {
	access := &source.Access{Connection: connection.Name, Host: connection.GitHost()}
	switch credentials.Kind() {
	case platform.CredentialSSHKey:
		access.SSHKey = credentials.SSHKey
	case platform.CredentialApp:
		token, err := exchange(ctx, connection, *credentials.App)
		if err != nil {
			return nil, err
		}
		access.User, access.Password = gitHubUser, token
	default:
		access.User, access.Password = credentials.User, credentials.Token
		if access.User == "" {
			access.User = tokenUser(connection)
		}
	}
	return access, nil
}

// gitHubUser is the user that goes with every token of GitHub.
const gitHubUser = "x-access-token"

// tokenUser is the user that goes with a token where nobody was named. GitLab wants oauth2 for some of its tokens and
// takes any user for the others; Gitea and Forgejo take any.
func tokenUser(connection platform.Resource) string {
	switch connection.GitHost() {
	case "github.com":
		return gitHubUser
	case "bitbucket.org":
		return "x-token-auth"
	}
	return "oauth2"
}
