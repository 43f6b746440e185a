package apprunner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	// ContentType is that of requests and answers (awsJson1_0).
	ContentType = "application/x-amz-json-1.0"
	// SigningName is the service in a signature's scope (Signature Version 4).
	SigningName = "apprunner"

	// maxAnswerBytes bounds an answer: 10,000 lines of a log fit.
	maxAnswerBytes = 64 << 20
)

// Client calls the actions of one endpoint: Endpoint.Call signs, sends and decodes. It is safe for concurrent use.
type Client struct {
	// BaseURL is the API's URL without a path, such as http://127.0.0.1:8700.
	BaseURL string
	Region  string
	// Credentials sign each request.
	Credentials aws.CredentialsProvider
	// HTTP sends requests; nil means http.DefaultClient. It is where time limits belong, beside the context.
	HTTP *http.Client
	// Now is the clock of signatures; nil means time.Now.
	Now func() time.Time
}

// Call calls the action. An error that the service answered is an E, which errors.As finds, as it finds the exception in
// it; any other error means that the answer is not known. The input is sent as it is: Validate tells beforehand what would
// be refused. A nil one is empty. Nothing is tried again.
func (e Endpoint[I, O, E]) Call(ctx context.Context, client *Client, input *I) (*O, error) {
	if input == nil {
		input = new(I)
	}
	request, err := e.request(ctx, client, EncodeJSON(input))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	sender := client.HTTP
	if sender == nil {
		sender = http.DefaultClient
	}
	response, err := sender.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err == nil && len(body) > maxAnswerBytes {
		err = fmt.Errorf("longer than %d bytes", maxAnswerBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", e.Name, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, e.ErrorFromJSON(response.Header.Get("X-Amzn-Errortype"), response.StatusCode, body)
	}
	output := new(O)
	if err := DecodeAnswer(body, output); err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", e.Name, err)
	}
	return output, nil
}

func (e Endpoint[I, O, E]) request(ctx context.Context, client *Client, body []byte) (*http.Request, error) {
	if client.Credentials == nil {
		return nil, errors.New("no credentials to sign with")
	}
	request, err := http.NewRequestWithContext(ctx, Method, strings.TrimSuffix(client.BaseURL, "/")+Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", ContentType)
	request.Header.Set("X-Amz-Target", e.Target)
	credentials, err := client.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("find credentials: %w", err)
	}
	now := time.Now
	if client.Now != nil {
		now = client.Now
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), SigningName, client.Region, now())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return request, nil
}
