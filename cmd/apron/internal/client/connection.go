package client

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
)

// GitCredentials are what a connection is authorized with: one of a token, an SSH key and an app. They never print.
type GitCredentials struct {
	// User goes with Token; empty means the host's own for tokens.
	User, Token string
	SSHKey      string
	// AppID, Installation and AppKey are an app's.
	AppID, Installation, AppKey string
}

func (GitCredentials) String() string       { return "***" }
func (GitCredentials) GoString() string     { return "***" }
func (GitCredentials) LogValue() slog.Value { return slog.StringValue("***") }

// members are the credentials as Apron.AuthorizeConnection takes them.
func (c GitCredentials) members() map[string]any {
	switch {
	case c.AppID != "":
		return map[string]any{"App": map[string]any{"Id": c.AppID, "InstallationId": c.Installation, "PrivateKey": c.AppKey}}
	case c.SSHKey != "":
		return map[string]any{"SshPrivateKey": c.SSHKey}
	case c.User != "":
		return map[string]any{"Token": c.Token, "UserName": c.User}
	}
	return map[string]any{"Token": c.Token}
}

// Authorized is a connection with its credentials.
type Authorized struct {
	Connection struct {
		Name string `json:"ConnectionName"`
		ARN  string `json:"ConnectionArn"`
		// Provider is GITHUB or BITBUCKET.
		Provider string `json:"ProviderType"`
		Status   string
	}
	// RepositoryURL is what was read with the credentials.
	RepositoryURL string `json:"RepositoryUrl"`
}

// Authorize gives a connection, by name or ARN, its credentials. An empty repository means that of a service which uses it.
func (c *Client) Authorize(ctx context.Context, nameOrARN string, credentials GitCredentials, repository string) (Authorized, error) {
	input := credentials.members()
	if strings.HasPrefix(nameOrARN, "arn:") {
		input["ConnectionArn"] = nameOrARN
	} else {
		input["ConnectionName"] = nameOrARN
	}
	if repository != "" {
		input["RepositoryUrl"] = repository
	}
	var output Authorized
	err := c.call(ctx, "AuthorizeConnection", input, &output)
	return output, err
}

// Connections returns every connection, oldest first; with a name, that one or none.
func (c *Client) Connections(ctx context.Context, name string) ([]types.ConnectionSummary, error) {
	input := &apprunner.ListConnectionsInput{}
	if name != "" {
		input.ConnectionName = &name
	}
	var connections []types.ConnectionSummary
	pages := apprunner.NewListConnectionsPaginator(c.API, input)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		connections = append(connections, page.ConnectionSummaryList...)
	}
	return connections, nil
}

// ConnectionARN returns the ARN of a connection by its name; an ARN is returned as it is. ErrNoConnection.
func (c *Client) ConnectionARN(ctx context.Context, nameOrARN string) (string, error) {
	if strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN, nil
	}
	connections, err := c.Connections(ctx, nameOrARN)
	if err != nil {
		return "", err
	}
	if len(connections) == 0 {
		return "", fmt.Errorf("%w: %s", ErrNoConnection, nameOrARN)
	}
	return aws.ToString(connections[0].ConnectionArn), nil
}

// Tags returns the tags of what an ARN names.
func (c *Client) Tags(ctx context.Context, arn string) (map[string]string, error) {
	output, err := c.API.ListTagsForResource(ctx, &apprunner.ListTagsForResourceInput{ResourceArn: &arn})
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	for _, tag := range output.Tags {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags, nil
}
