package build

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// guard fetches what one Dockerfile adds by URL. buildkitd would fetch it from the machine's own network, where it reaches
// what no build may: apron, servers on loopback, instances, a cloud's metadata. So BuildKit is told by a policy to ask the
// guard in place of every URL; it looks at the address of each connection, also behind a redirect.
type guard struct {
	isClosed func(netip.Addr) bool
	server   *http.Server
	// path begins with a secret, because others on this machine reach the listener too. origin is what stands before it.
	origin, path string
	client       http.Client

	mu      sync.Mutex // guards refusal
	refusal *platform.ExplainedError
}

// What bounds one connection of the guard. The build's own deadline bounds the whole.
const (
	guardConnectTime = 15 * time.Second
	guardAnswerTime  = time.Minute
)

// openGuard listens on loopback until close.
func openGuard(isClosed func(netip.Addr) bool) (*guard, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for what a Dockerfile adds: %w", err)
	}
	g := &guard{isClosed: isClosed, origin: "http://" + listener.Addr().String(), path: "/" + rand.Text() + "/"}
	direct := &net.Dialer{Timeout: guardConnectTime, Control: g.control}
	g.client.Transport = &guardTransport{
		guard:   g,
		direct:  guardHTTP(direct, nil),
		proxied: guardHTTP(&net.Dialer{Timeout: guardConnectTime}, http.ProxyFromEnvironment),
	}
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: guardConnectTime}
	go func() { _ = g.server.Serve(listener) }() // until close
	return g, nil
}

func guardHTTP(dialer *net.Dialer, proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		Proxy: proxy, DialContext: dialer.DialContext, TLSHandshakeTimeout: guardConnectTime,
		ResponseHeaderTimeout: guardAnswerTime, ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}
}

func (g *guard) close() error { return g.server.Close() }

// errClosed says that an address is not a build's to reach.
var errClosed = errors.New("the address belongs to this machine or to apron's networks, which builds do not reach")

// control is asked with the address of each connection, after names were looked up.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || g.isClosed(to.Addr()) {
		return errClosed
	}
	return nil
}

// guardTransport goes by the machine's proxy where there is one for the URL. Then it is the proxy that connects, so that the
// name is looked at instead.
type guardTransport struct {
	guard           *guard
	direct, proxied *http.Transport
}

func (t *guardTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	proxy, err := http.ProxyFromEnvironment(request)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return t.direct.RoundTrip(request)
	}
	if t.guard.isClosedName(request.Context(), request.URL.Hostname()) {
		return nil, errClosed
	}
	return t.proxied.RoundTrip(request)
}

// isClosedName says whether a name leads to a closed address, as far as this machine can look it up.
func (g *guard) isClosedName(ctx context.Context, name string) bool {
	addresses, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	for _, address := range addresses {
		if g.isClosed(address) {
			return true
		}
	}
	return false
}

// passedOn are the headers that BuildKit and the server tell each other through the guard.
var passedOn = []string{
	"Accept", "Accept-Encoding", "Authorization", "If-None-Match", "User-Agent",
	"Content-Disposition", "Content-Encoding", "Content-Length", "Content-Type", "Etag", "Last-Modified",
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), g.path)
	scheme, address, _ := strings.Cut(rest, "/")
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	if scheme == "git" {
		g.refuse(w, platform.Explain(nil, "the Dockerfile adds a Git repository by its URL, and apron does not fetch those").
			Try("make it a submodule, or clone it in a RUN step"))
		return
	}
	target := scheme + "://" + address
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, target, nil)
	if err != nil {
		g.refuse(w, platform.Explain(nil, "the Dockerfile adds a URL that is none").Try("correct it"))
		return
	}
	copyHeaders(request.Header, r.Header)
	response, err := g.client.Do(request)
	if err != nil {
		if r.Context().Err() == nil { // else nobody asks any more
			g.refuse(w, explainAdded(request.URL, err))
		}
		return
	}
	defer response.Body.Close()
	copyHeaders(w.Header(), response.Header)
	w.WriteHeader(response.StatusCode)
	if _, err := io.Copy(w, response.Body); err != nil {
		panic(http.ErrAbortHandler) // so that BuildKit does not take the part for the whole
	}
}

func copyHeaders(to, from http.Header) {
	for _, name := range passedOn {
		if values := from.Values(name); len(values) > 0 {
			to[name] = values
		}
	}
}

// explainAdded says why a URL was not fetched. Only its host is told: the rest may carry a secret.
func explainAdded(u *url.URL, err error) *platform.ExplainedError {
	if errors.Is(err, errClosed) {
		return platform.Explain(err, "the Dockerfile adds a file from %s, which leads to this machine or to apron's networks", u.Host).
			Try("builds reach the outside alone: put the file into the repository, or on another server")
	}
	cause := err
	var failure *url.Error // its own text repeats the URL
	if errors.As(err, &failure) {
		cause = failure.Err
	}
	return platform.Explain(err, "the Dockerfile adds a file from %s, which cannot be fetched: %v", u.Host, cause).
		Try("check the URL, and that this machine reaches it")
}

// refuse answers BuildKit, and keeps the reason for the user.
func (g *guard) refuse(w http.ResponseWriter, why *platform.ExplainedError) {
	g.mu.Lock()
	g.refusal = why
	g.mu.Unlock()
	http.Error(w, why.Cause, http.StatusForbidden)
}

// explain is what was refused, or else the build's own error.
func (g *guard) explain(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil || g.refusal == nil {
		return err
	}
	return g.refusal
}
