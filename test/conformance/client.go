package conformance

import (
	"context"
	"encoding/json"
	"fmt"
)

// Client calls actions by one of the clients.
type Client interface {
	Name() string
	// Version is the client's own.
	Version() string
	// Call calls an action. The input and the output are JSON objects with the names of the service's model, and times
	// are seconds since 1970.
	Call(ctx context.Context, action string, input json.RawMessage) (json.RawMessage, *APIError)
	Close() error
}

// APIError is why a call failed.
type APIError struct {
	// Code is the service's, or one of the two below.
	Code, Message string
	// HTTPStatus is 0 where the client does not say it.
	HTTPStatus int
}

func (e *APIError) Error() string {
	return fmt.Sprintf("%s (status %d): %s", e.Code, e.HTTPStatus, e.Message)
}

// Codes for what is no answer of the service.
const (
	// ClientSide is an input that the client refused before it sent anything.
	ClientSide = "ClientSide"
	// NoAnswer is a client that did not work.
	NoAnswer = "NoAnswer"
)

// The names of the clients.
const (
	awsCLI = "aws-cli"
	boto3  = "boto3"
	jsSDK  = "aws-sdk-js-v3"
	goSDK  = "aws-sdk-go-v2"
)

// clientNames are the clients in the order of the tables.
var clientNames = []string{awsCLI, boto3, jsSDK, goSDK}

// Which clients refuse what before they send it.
var (
	// checksLimits are those that know the least lengths and values, and the types, from the service's model.
	checksLimits = []string{awsCLI, boto3}
	// checksRequired are those that know which members are required.
	checksRequired = []string{awsCLI, boto3, goSDK}
	// checksTypes are those that have types of their own for inputs.
	checksTypes = []string{awsCLI, boto3, goSDK}
)

// isOld says whether a client's model is of 2022: Debian's do not know what came later.
func isOld(client string) bool { return client == awsCLI || client == boto3 }

// where is what a driver needs to know of an apron.
type where struct {
	endpoint, region, keyID, secret string
}

func noAnswer(format string, arguments ...any) *APIError {
	return &APIError{Code: NoAnswer, Message: fmt.Sprintf(format, arguments...)}
}
