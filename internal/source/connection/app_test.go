package connection_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source/connection"
)

// appPair is the key of an app, and what GitHub knows of it.
type appPair struct {
	pem    string
	public *rsa.PublicKey
}

func newAppKey(t *testing.T) appPair {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return appPair{string(block), &key.PublicKey}
}

// gitHub stands in for GitHub's API, which no test can ask: it gives the installation 42 of the app 7 a token, when the
// statement holds.
type gitHub struct {
	t      *testing.T
	public *rsa.PublicKey
	now    func() time.Time
	// status, when set, is answered instead of a token.
	status atomic.Int32
	trades atomic.Int32
}

func (g *gitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.Header.Get("Accept") != "application/vnd.github+json" || r.Header.Get("User-Agent") == "" {
		g.t.Errorf("the API is asked %s %s with %v", r.Method, r.URL, r.Header)
	}
	if status := g.status.Load(); status != 0 {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(status))
		return
	}
	if err := g.verify(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")); err != nil {
		g.t.Log(err)
		http.Error(w, "A JSON web token could not be decoded", http.StatusUnauthorized)
		return
	}
	if r.URL.Path != "/app/installations/42/access_tokens" {
		http.NotFound(w, r)
		return
	}
	g.trades.Add(1)
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"token":%q,"expires_at":%q,"permissions":{"contents":"read"}}`, token, g.now().Add(time.Hour).UTC().Format(time.RFC3339))
}

// verify reads a statement as GitHub does: RS256, not from the future, and for at most ten minutes.
func (g *gitHub) verify(statement string) error {
	parts := strings.Split(statement, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%q has not three parts", statement)
	}
	var header struct{ Alg, Typ string }
	var claims struct {
		Iss      string
		Iat, Exp int64
	}
	for i, into := range []any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return err
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(g.public, crypto.SHA256, digest[:], signature); err != nil {
		return err
	}
	now := g.now().Unix()
	if header.Alg != "RS256" || header.Typ != "JWT" || claims.Iss != "7" || claims.Iat > now-30 || claims.Exp <= now || claims.Exp > now+600 {
		return fmt.Errorf("the statement is %+v %+v", header, claims)
	}
	return nil
}

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newGitHub(t *testing.T, w *world, key appPair) (*gitHub, *clock) {
	t.Helper()
	at := &clock{now: time.Now()}
	hub := &gitHub{t: t, public: key.public, now: at.Now}
	server := httptest.NewServer(hub)
	t.Cleanup(server.Close)
	connection.SetAPI(w.connections, server.URL, at.Now)
	return hub, at
}

func TestAnAppTradesItsKeyForTokensThatAreKeptUntilShortlyBeforeTheirEnd(t *testing.T) {
	w, key := newWorld(t), newAppKey(t)
	hub, at := newGitHub(t, w, key)
	app := platform.GitApp{ID: "7", Installation: "42", Key: key.pem}
	forge := w.authorize(w.forge(), platform.GitCredentials{App: &app})
	if kind := forge.Detail.Connection.Credentials.Kind; kind != platform.CredentialApp {
		t.Errorf("the kind is %s", kind)
	}
	resolve := func(wantTrades int32) {
		t.Helper()
		if _, err := w.connections.ResolveCommit(deadline(t), w.source(forge)); err != nil {
			t.Fatal(err)
		}
		if got := hub.trades.Load(); got != wantTrades {
			t.Errorf("after %s there were %d trades, want %d", at.Now(), got, wantTrades)
		}
	}
	resolve(1) // with the try's
	at.pass(44 * time.Minute)
	resolve(1)
	at.pass(2 * time.Minute)
	resolve(2)
	resolve(2)
	forge = w.authorize(w.forge(), platform.GitCredentials{App: new(app)}) // the same key again
	resolve(3)
	other := newAppKey(t)
	hub.public = other.public
	forge = w.authorize(w.forge(), platform.GitCredentials{App: &platform.GitApp{ID: "7", Installation: "42", Key: other.pem}})
	resolve(4)
	back := w.authorize(w.forge(), platform.GitCredentials{User: user, Token: token})
	if _, err := w.connections.ResolveCommit(deadline(t), w.source(back)); err != nil || hub.trades.Load() != 4 {
		t.Errorf("a token of the connection's own: %v, %d trades", err, hub.trades.Load())
	}
}

func TestAnAppThatIsRefusedIsExplained(t *testing.T) {
	w, key := newWorld(t), newAppKey(t)
	hub, _ := newGitHub(t, w, key)
	try := func(app platform.GitApp) error {
		_, err := w.connections.Authorize(deadline(t), w.forge(), platform.GitCredentials{App: &app}, w.repository())
		return err
	}
	good := platform.GitApp{ID: "7", Installation: "42", Key: key.pem}
	wantCause(t, try(platform.GitApp{ID: "7", Installation: "42", Key: newAppKey(t).pem}), "does not know the app 7", "apron connection authorize forge")
	wantCause(t, try(platform.GitApp{ID: "8", Installation: "42", Key: key.pem}), "does not know the app 8")
	wantCause(t, try(platform.GitApp{ID: "7", Installation: "43", Key: key.pem}), "knows no installation 43 of the app 7")
	hub.status.Store(http.StatusForbidden)
	wantCause(t, try(good), "gives the app 7 no token")
	hub.status.Store(http.StatusFound)
	wantCause(t, try(good), "status 302")
	hub.status.Store(http.StatusOK)
	wantCause(t, try(good), "status 200")
	closed := httptest.NewServer(nil)
	closed.Close()
	connection.SetAPI(w.connections, closed.URL, time.Now)
	wantCause(t, try(good), "cannot be reached")
}

func TestGitHubsAPIIsBesideOrBelowItsHost(t *testing.T) {
	for host, want := range map[string]string{"github.com": "https://api.github.com", "git.example.com:8443": "https://git.example.com:8443/api/v3"} {
		if got := connection.APIURL(host); got != want {
			t.Errorf("the API of %s is %s", host, got)
		}
	}
}
