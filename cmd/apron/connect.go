package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/internal/app"
)

// connect finds the apron that is meant: the one whose data directory is named by --data or APRON_DATA; else the one
// that the AWS variables name, as `apron env` prints them; else the one with the default data directory. AWS variables
// without an endpoint mean AWS, so that their keys are never taken.
func (s *shell) connect() (*client.Client, error) {
	config, err := s.settings.resolve()
	if err != nil {
		return nil, err
	}
	endpoint := firstOf(os.Getenv("AWS_ENDPOINT_URL_APPRUNNER"), os.Getenv("AWS_ENDPOINT_URL"))
	if endpoint != "" && !s.settings.namesData() {
		return connectByVariables(endpoint, config)
	}
	found, err := find(config)
	if err != nil {
		return nil, err
	}
	return client.New(found)
}

func connectByVariables(endpoint string, config app.Config) (*client.Client, error) {
	named := client.Config{
		Endpoint: endpoint,
		Region:   firstOf(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), config.Region),
		KeyID:    os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
	}
	if named.KeyID == "" || named.Secret == "" {
		keys, err := credentials(config.DataDir)
		if err != nil {
			return nil, err
		}
		named.KeyID, named.Secret, named.SessionToken = keys.KeyID, keys.Secret, ""
	}
	connected, err := client.New(named)
	if errors.Is(err, client.ErrNoEndpoint) {
		return nil, &usageError{fmt.Errorf("AWS_ENDPOINT_URL %q is no http URL", endpoint), adviceKeys}
	}
	return connected, err
}

// find returns how to reach the apron of config's data directory, whether it runs or not.
func find(config app.Config) (client.Config, error) {
	found, err := credentials(config.DataDir)
	if err != nil {
		return client.Config{}, err
	}
	found.Endpoint, found.Region = config.Endpoint(), config.Region
	running, isRunning, err := app.FindRunning(config.DataDir)
	if isRunning && err == nil {
		found.Endpoint, found.Region = running.Endpoint, running.Region
	}
	return found, nil
}

// credentials reads the key pair of a data directory.
func credentials(dataDir string) (client.Config, error) {
	keys, err := app.Credentials(dataDir)
	path := filepath.Join(dataDir, app.CredentialsFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return client.Config{}, advise(adviceStart, "no apron was ever started here: there is no %s", path)
	case errors.Is(err, fs.ErrPermission):
		return client.Config{}, advise("Run it as root, or let root print the key pair for you: eval \"$(sudo apron env)\".", "you may not read %s", path)
	case err != nil:
		return client.Config{}, err
	}
	return client.Config{KeyID: keys.ID, Secret: keys.Secret}, nil
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// connectTo is connect for a verb about one service, which its name or ARN names.
func (s *shell) connectTo(ctx context.Context, name string) (connected *client.Client, arn string, err error) {
	if connected, err = s.connect(); err != nil {
		return nil, "", err
	}
	arn, err = connected.ARN(ctx, name)
	return connected, arn, err
}
