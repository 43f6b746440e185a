package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/apron-run/apron/internal/platform"
)

// Amazon's registries take no access key but a token that is traded for one and ends after twelve hours. A user AKIA… with
// its secret in registries.json is such a key; the registries' own user is always AWS.

// accessKeyPattern is the id of a lasting access key. Temporary ones need a third part, which the file has no place for.
var accessKeyPattern = regexp.MustCompile(`^AKIA[A-Z0-9]{12,124}$`)

// tokenMargin is how long before its end a token is traded anew.
const tokenMargin = 10 * time.Minute

// maxTokenBytes bounds Amazon's answer.
const maxTokenBytes = 64 << 10

// ecrTokens keeps tokens until shortly before their end.
type ecrTokens struct {
	mu    sync.Mutex // guards known
	known map[string]ecrToken
}

type ecrToken struct {
	user, password string
	end            time.Time
}

// ecrCredentials trades an access key for the user and password of an Amazon registry.
func (r *Registry) ecrCredentials(ctx context.Context, host, keyID, secret string) (user, password string, err error) {
	sum := sha256.Sum256([]byte(host + "\n" + keyID + "\n" + secret))
	key := string(sum[:])
	r.ecr.mu.Lock()
	token, isKnown := r.ecr.known[key]
	r.ecr.mu.Unlock()
	if isKnown && time.Until(token.end) > tokenMargin {
		return token.user, token.password, nil
	}
	if token, err = r.askECR(ctx, host, keyID, secret); err != nil {
		return "", "", err
	}
	r.ecr.mu.Lock()
	defer r.ecr.mu.Unlock()
	if r.ecr.known == nil || len(r.ecr.known) > 100 { // keys change rarely
		r.ecr.known = map[string]ecrToken{}
	}
	r.ecr.known[key] = token
	return token.user, token.password, nil
}

// askECR calls GetAuthorizationToken.
func (r *Registry) askECR(ctx context.Context, host, keyID, secret string) (ecrToken, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	found := ecrPattern.FindStringSubmatch(host)
	region := found[2]
	api := "api.ecr"
	if found[1] != "" {
		api = "ecr-fips"
	}
	endpoint := cmp.Or(os.Getenv("AWS_ENDPOINT_URL_ECR"), "https://"+api+"."+region+".amazonaws.com"+found[3])
	address, err := url.Parse(endpoint)
	if err != nil || address.Host == "" {
		return ecrToken{}, platform.Explain(nil, "AWS_ENDPOINT_URL_ECR is not a URL").Try("correct it, or start apron without it")
	}
	body := []byte("{}")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.JoinPath("/").String(), bytes.NewReader(body))
	if err != nil {
		return ecrToken{}, fmt.Errorf("ask for a token of %s: %w", host, err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	sum := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), "ecr", region, time.Now()); err != nil {
		return ecrToken{}, fmt.Errorf("ask for a token of %s: %w", host, err)
	}
	transport, err := r.transport(address.Host, HostSettings{})
	if err != nil {
		return ecrToken{}, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return ecrToken{}, platform.Explain(err, "Amazon's ECR could not be asked at %s for a token for %s", address.Host, host).
			Try("check that this machine reaches it")
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxTokenBytes))
	if err != nil {
		return ecrToken{}, fmt.Errorf("ask for a token of %s: %w", host, err)
	}
	if response.StatusCode != http.StatusOK {
		return ecrToken{}, r.explainECR(host, response.Status, answer)
	}
	return readECRToken(host, answer)
}

// explainECR says why there is no token: Amazon's own word for it.
func (r *Registry) explainECR(host, status string, answer []byte) error {
	var refusal struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(answer, &refusal) // what is no JSON has no word
	_, name, isQualified := strings.Cut(refusal.Type, "#")
	if !isQualified {
		name = refusal.Type
	}
	return platform.Explain(nil, "Amazon's ECR gives no token for %s to the access key in %s: %.100s", host, r.credentialsFile(), cmp.Or(name, status)).
		Try("check the key, that it may call ecr:GetAuthorizationToken, and this machine's clock")
}

func readECRToken(host string, answer []byte) (ecrToken, error) {
	var decoded struct {
		AuthorizationData []struct {
			AuthorizationToken string  `json:"authorizationToken"`
			ExpiresAt          float64 `json:"expiresAt"`
		} `json:"authorizationData"`
	}
	if err := json.Unmarshal(answer, &decoded); err != nil || len(decoded.AuthorizationData) == 0 {
		return ecrToken{}, fmt.Errorf("the token of %s cannot be read", host) // not repeated: it is a secret
	}
	first := decoded.AuthorizationData[0]
	plain, err := base64.StdEncoding.DecodeString(first.AuthorizationToken)
	user, password, hasPassword := strings.Cut(string(plain), ":")
	if err != nil || !hasPassword {
		return ecrToken{}, fmt.Errorf("the token of %s cannot be read", host)
	}
	return ecrToken{user, password, time.Unix(int64(first.ExpiresAt), 0)}, nil
}
