package connection

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// exchangeTimeout bounds the trade of a statement for a token.
	exchangeTimeout = 15 * time.Second
	// renewBefore is how long before its end a token is not used any more: a fetch may take minutes.
	renewBefore = 15 * time.Minute
	// statementTime is how long a statement holds; GitHub takes at most ten minutes. It begins statementSkew earlier,
	// for a clock there that is behind.
	statementTime = 8 * time.Minute
	statementSkew = time.Minute
	// maxAnswerBytes bounds what an API answers.
	maxAnswerBytes = 64 << 10
	// maxTokens bounds the tokens that are kept; more connections than that trade more often.
	maxTokens = 1000
)

// apps trades the keys of apps for tokens, and keeps those until shortly before they end.
type apps struct {
	client *http.Client
	// url is the API of a host.
	url func(host string) string
	now func() time.Time

	mu     sync.Mutex // guards tokens
	tokens map[string]appToken
}

// appToken is a token of an app's installation. It was traded for this app's key, and not one that came later.
type appToken struct {
	app   platform.GitApp
	host  string
	token string
	ends  time.Time
}

// apiURL is where GitHub's API is: on github.com on a host of its own, elsewhere below a path.
func apiURL(host string) string {
	if host == "github.com" {
		return "https://api.github.com"
	}
	return "https://" + host + "/api/v3"
}

// token returns a token that holds for a while still.
func (a *apps) token(ctx context.Context, connection platform.Resource, app platform.GitApp) (string, error) {
	host := connection.GitHost()
	a.mu.Lock()
	kept, ok := a.tokens[connection.ARN]
	a.mu.Unlock()
	if ok && kept.app == app && kept.host == host && a.now().Before(kept.ends.Add(-renewBefore)) {
		return kept.token, nil
	}
	return a.exchange(ctx, connection, app)
}

// exchange returns a token that was traded just now, and keeps it in place of the one before.
func (a *apps) exchange(ctx context.Context, connection platform.Resource, app platform.GitApp) (string, error) {
	fresh, err := a.trade(ctx, connection, app)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	maps.DeleteFunc(a.tokens, func(_ string, kept appToken) bool { return now.After(kept.ends) })
	if len(a.tokens) >= maxTokens {
		clear(a.tokens)
	}
	a.tokens[connection.ARN] = fresh
	return fresh.token, nil
}

// trade sends a statement that the app signed, and gets a token of its installation.
// https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
func (a *apps) trade(ctx context.Context, connection platform.Resource, app platform.GitApp) (appToken, error) {
	host := connection.GitHost()
	statement, err := a.statement(app)
	if err != nil {
		return appToken{}, err
	}
	address := a.url(host) + "/app/installations/" + app.Installation + "/access_tokens"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return appToken{}, fmt.Errorf("trade an app's key: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+statement)
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	request.Header.Set("User-Agent", "apron")
	response, err := a.client.Do(request)
	if err != nil {
		return appToken{}, unreachable(ctx, host, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return appToken{}, unreachable(ctx, host, err)
	}
	if response.StatusCode != http.StatusCreated {
		return appToken{}, refused(connection, app, response.StatusCode)
	}
	var answer struct {
		Token     string
		ExpiresAt time.Time `json:"expires_at"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Token == "" || strings.ContainsFunc(answer.Token, isSpaceOrControl) {
		return appToken{}, platform.Explain(nil, "the API of %s answered an app's request for a token with something else", host).
			Try("check that it is a GitHub; other hosts want a token or an SSH key")
	}
	now := a.now()
	// As now is a reading of the clock that never jumps, so is what is added to it.
	return appToken{app, host, answer.Token, now.Add(answer.ExpiresAt.Sub(now))}, nil
}

// statement is a JSON Web Token (RFC 7519) by which the app says that it is itself, signed by RS256.
func (a *apps) statement(app platform.GitApp) (string, error) {
	key, err := appKey(app)
	if err != nil {
		return "", err
	}
	now := a.now()
	claims, err := json.Marshal(map[string]any{
		"iss": app.ID, "iat": now.Add(-statementSkew).Unix(), "exp": now.Add(statementTime).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("sign an app's statement: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", platform.Explain(nil, "the app's key cannot sign").
			Try("make another one in the app's settings")
	}
	return text + "." + encode(signature), nil
}

// refused says what an answer that is no token means. What the server wrote is left out: it is the other side's text.
func refused(connection platform.Resource, app platform.GitApp, status int) error {
	host, again := connection.GitHost(), "`apron connection authorize "+connection.Name+"`"
	switch status {
	case http.StatusUnauthorized:
		return platform.Explain(nil, "%s does not know the app %s by the key of the connection %s", host, app.ID, connection.Name).
			Try("check the app's id, this machine's clock, and that the key is still one of the app's, and run %s", again)
	case http.StatusNotFound:
		return platform.Explain(nil, "%s knows no installation %s of the app %s", host, app.Installation, app.ID).
			Try("install the app where the repositories are, and run %s with the installation's id", again)
	case http.StatusForbidden:
		return platform.Explain(nil, "%s gives the app %s no token for its installation %s", host, app.ID, app.Installation).
			Try("check in the app's settings that the installation is not suspended, and try again later")
	}
	return platform.Explain(nil, "the API of %s answered an app's request for a token with status %d", host, status).
		Try("check that it is up, and try again")
}

func unreachable(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("trade an app's key: %w", context.Cause(ctx))
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return platform.Explain(err, "the API of %s did not answer within %s", host, exchangeTimeout).
			Try("check that it is up, and try again")
	}
	return platform.Explain(err, "the API of %s cannot be reached from this machine", host).
		Try("check its name, its certificate, the network and proxies")
}
