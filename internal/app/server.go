package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/operation"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/connection"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/registryserver"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/telemetry"
)

// stopTimeout is how long requests to the API, pushes and pulls may take to finish when apron stops.
const stopTimeout = 10 * time.Second

// HealthPath answers with a Health while apron serves.
const HealthPath = "/healthz"

// Health says that apron serves, and which process it is.
type Health struct {
	Status string `json:"status"`
	PID    int    `json:"pid"`
}

// server answers on --api: the API, the Git server, the registry and the health check.
type server struct {
	listener net.Listener
	http     *http.Server
}

// serverParts are what the server hands requests to.
type serverParts struct {
	store       store.Store
	operations  *operation.Starter
	logs        *telemetry.Logs
	instances   compute.Backend
	provision   func()
	connections *connection.Connections
	keys        source.KeyPair
	images      *registryserver.Server
	runtimes    []string
	log         *slog.Logger
	networks    *network.Network
	onPush      func(context.Context, gitserver.Push)
	// room refuses pushes that the disk has no room for.
	room func() error
}

// newServer answers on listener once run runs.
func newServer(ctx context.Context, config Config, listener net.Listener, parts serverParts) (*server, error) {
	tokenKey, err := ensureKey(filepath.Join(config.DataDir, "token.key"))
	if err != nil {
		return nil, fmt.Errorf("read the key of pagination tokens: %w", err)
	}
	publicPort, err := portOf(config.HTTPAddr)
	if err != nil {
		return nil, err
	}
	quotas, err := config.quotas()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	repositories := gitserver.New(gitserver.Config{
		Dir: filepath.Join(config.DataDir, "git"), Keys: parts.keys, OnPush: parts.onPush, Room: parts.room, Log: parts.log,
	})
	if err := errors.Join(repositories.Recover(ctx), parts.images.Recover(ctx)); err != nil {
		parts.log.Error("look for pushes that a crash cut short", "error", err)
	}
	mux.Handle("/git/", repositories)
	mux.Handle("/v2/", parts.images)
	mux.HandleFunc("GET "+HealthPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Health{Status: "ok", PID: os.Getpid()})
	})
	handler := api.New(api.Config{
		Store: parts.store, Operations: parts.operations, Logs: parts.logs, Instances: parts.instances, Connections: parts.connections,
		Provision: parts.provision,
		Networks:  parts.networks, Keys: parts.keys,
		Region: config.Region, Account: config.Account, Domain: config.Domain, PublicPort: publicPort, TokenKey: tokenKey,
		Quotas: quotas, Runtimes: func() []string { return parts.runtimes }, Log: parts.log,
	})
	if err := handler.EnsureDefaults(ctx); err != nil {
		return nil, fmt.Errorf("make the default auto scaling configuration: %w", err)
	}
	mux.Handle("/", handler)
	return &server{listener, &http.Server{
		Handler: awaitBodies(bodyTimeout, withoutRedirects(mux, handler)), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(parts.log.Handler(), slog.LevelWarn),
	}}, nil
}

// withoutRedirects lets the API refuse a path that mux would redirect to a clean one. A client that followed would be told
// that its signature, which is for the path as it was, is wrong.
func withoutRedirects(mux, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clean := path.Clean(r.URL.Path)
		if clean != r.URL.Path && (clean == "/" || clean+"/" != r.URL.Path) {
			handler.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// bodyTimeout is how long a client may take to send what no handler reads: that of a request that is refused.
const bodyTimeout = 30 * time.Second

// awaitBodies bounds how long a request's body is waited for. Before it answers, net/http reads what a handler left of a
// body. Handlers that read bodies have bounds of their own, which replace this one.
func awaitBodies(most time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(most)) // net/http's own always has deadlines
		}
		next.ServeHTTP(w, r)
	})
}

// run answers until ctx ends, and then finishes what is in flight.
func (s *server) run(ctx context.Context) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if err := s.http.Shutdown(stopping); err != nil {
			stopped <- s.http.Close()
			return
		}
		stopped <- nil
	})
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve the API: %w", err)
	}
	return <-stopped
}

// portOf is the number after an address's last colon.
func portOf(address string) (int, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
