package apron

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
)

// Keys reads the key pair that the first start has made.
func (a *Apron) Keys() (aws.Credentials, error) {
	content, err := os.ReadFile(filepath.Join(a.Data, "credentials"))
	if err != nil {
		return aws.Credentials{}, err
	}
	var keys aws.Credentials
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			keys.AccessKeyID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			keys.SecretAccessKey = strings.TrimSpace(value)
		}
	}
	if !keys.HasKeys() {
		return keys, fmt.Errorf("%s/credentials holds no key pair", a.Data)
	}
	return keys, nil
}

// SDK returns the AWS SDK's client of this apron. A test wants to see each answer, so that it tries again only where the client
// has closed its own connection in the middle of one: aws-sdk-go-v2 does that now and then to answers beyond 4 KB.
func (a *Apron) SDK() *apprunner.Client {
	endpoint := a.Endpoint()
	return apprunner.New(apprunner.Options{
		BaseEndpoint: &endpoint, Region: a.Region, Retryer: retry.NewStandard(func(options *retry.StandardOptions) {
			options.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				return aws.BoolTernary(errors.Is(err, net.ErrClosed))
			})}
		}),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return a.Keys() }),
		HTTPClient:  &http.Client{Timeout: 30 * time.Second},
	})
}

// Extension calls one of apron's own actions, signed as the SDK signs App Runner's.
func (a *Apron) Extension(ctx context.Context, action string, input, output any) error {
	body, err := json.Marshal(input)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Endpoint()+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "Apron."+action)
	keys, err := a.Keys()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, keys, request, hex.EncodeToString(sum[:]), "apprunner", a.Region, time.Now()); err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", action, response.StatusCode, answer)
	}
	return json.Unmarshal(answer, output)
}
