// Package client is the command line's way to the API: the App Runner client of the AWS SDK for the actions that App
// Runner has, and a small signed client for apron's own (Apron.…).
//
// It never talks to AWS: without an endpoint there is no client.
package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
)

var (
	// ErrNoService says that there is no service of that name.
	ErrNoService = errors.New("no such service")
	// ErrNoConnection says that there is no connection of that name.
	ErrNoConnection = errors.New("no such connection")
	// ErrNoEndpoint says that the configuration names no apron.
	ErrNoEndpoint = errors.New("no endpoint of an apron is known")
)

// Config says where apron is and who asks.
type Config struct {
	// Endpoint is the API's URL, without a path.
	Endpoint string
	Region   string
	KeyID    string
	Secret   string
	// SessionToken is sent along when the credentials came with one.
	SessionToken string
}

// Retrieve makes a Config a provider of its credentials.
func (c Config) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: c.KeyID, SecretAccessKey: c.Secret, SessionToken: c.SessionToken}, nil
}

// Client asks one apron.
type Client struct {
	// API has App Runner's own actions.
	API    *apprunner.Client
	config Config
	http   *http.Client
}

// requestTimeout bounds one request: every action answers at once, since the work is an operation's.
const requestTimeout = 30 * time.Second

// New returns a Client that sends nothing yet. ErrNoEndpoint without a usable endpoint.
func New(config Config) (*Client, error) {
	endpoint, err := url.Parse(config.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, fmt.Errorf("endpoint %q: %w", config.Endpoint, ErrNoEndpoint)
	}
	config.Endpoint = strings.TrimSuffix(config.Endpoint, "/")
	// A connection for each request costs nothing on one machine, and none can be closed in the moment it is used again:
	// nobody knows then whether the request arrived.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	httpClient := &http.Client{Timeout: requestTimeout, Transport: inOnePiece{transport}}
	return &Client{
		API: apprunner.New(apprunner.Options{
			BaseEndpoint: &config.Endpoint, Region: config.Region, Credentials: config, HTTPClient: httpClient,
			// A person waits: an apron that is not there should be said at once. What follows an operation asks again.
			Retryer: aws.NopRetryer{},
		}),
		config: config, http: httpClient,
	}, nil
}

// inOnePiece sends a request's body together with its headers. The SDK's bodies are of a kind that net/http sends on its
// own, and are closed by the SDK once the answer begins: an apron that answers at once would find net/http still looking
// for the body's end, which then closes the connection in the middle of an answer of more than 4 KiB.
type inOnePiece struct{ next http.RoundTripper }

func (t inOnePiece) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body == nil {
		return t.next.RoundTrip(request)
	}
	content, err := io.ReadAll(request.Body)
	if err = errors.Join(err, request.Body.Close()); err != nil {
		return nil, fmt.Errorf("read the request's body: %w", err)
	}
	request = request.Clone(request.Context())
	request.Body = io.NopCloser(bytes.NewReader(content))
	return t.next.RoundTrip(request)
}

// Endpoint is the API's URL, without a slash at its end.
func (c *Client) Endpoint() string { return c.config.Endpoint }

// Credentials are what the Git server and the registry take as user and password.
func (c *Client) Credentials() (user, password string) { return c.config.KeyID, c.config.Secret }

// Services returns every service, oldest first.
func (c *Client) Services(ctx context.Context) ([]types.ServiceSummary, error) {
	var services []types.ServiceSummary
	pages := apprunner.NewListServicesPaginator(c.API, &apprunner.ListServicesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		services = append(services, page.ServiceSummaryList...)
	}
	return services, nil
}

// ARN returns the ARN of a service by its name; an ARN is returned as it is. ErrNoService when no service has the name.
func (c *Client) ARN(ctx context.Context, nameOrARN string) (string, error) {
	if strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN, nil
	}
	services, err := c.Services(ctx)
	if err != nil {
		return "", err
	}
	for _, service := range services {
		if aws.ToString(service.ServiceName) == nameOrARN && service.Status != types.ServiceStatusDeleted {
			return aws.ToString(service.ServiceArn), nil
		}
	}
	return "", fmt.Errorf("%w: %s", ErrNoService, nameOrARN)
}

// Service returns one service by name or ARN. ErrNoService.
func (c *Client) Service(ctx context.Context, nameOrARN string) (types.Service, error) {
	arn, err := c.ARN(ctx, nameOrARN)
	if err != nil {
		return types.Service{}, err
	}
	output, err := c.API.DescribeService(ctx, &apprunner.DescribeServiceInput{ServiceArn: &arn})
	if err != nil {
		return types.Service{}, err
	}
	return *output.Service, nil
}

// Operations returns the newest operations of a service, at most limit (0 means all).
func (c *Client) Operations(ctx context.Context, arn string, limit int) ([]types.OperationSummary, error) {
	var operations []types.OperationSummary
	pages := apprunner.NewListOperationsPaginator(c.API, &apprunner.ListOperationsInput{ServiceArn: &arn})
	for pages.HasMorePages() && (limit == 0 || len(operations) < limit) {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		operations = append(operations, page.OperationSummaryList...)
	}
	if limit > 0 && len(operations) > limit {
		operations = operations[:limit]
	}
	return operations, nil
}

// RemoveRepository removes a repository from apron's Git server; false when there is none of the name.
func (c *Client) RemoveRepository(ctx context.Context, name string) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.config.Endpoint+"/git/"+name+".git", nil)
	if err != nil {
		return false, err
	}
	request.SetBasicAuth(c.Credentials())
	response, err := c.http.Do(request)
	if err != nil {
		return false, fmt.Errorf("remove the repository %s: %w", name, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusNoContent:
		return true, nil
	case http.StatusNotFound:
		return false, nil
	}
	said, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
	return false, fmt.Errorf("remove the repository %s: %s: %s", name, response.Status, strings.TrimSpace(string(said)))
}
