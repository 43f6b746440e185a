package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/operation"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/connection"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/registryserver"
	"github.com/apron-run/apron/internal/source/webhook"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/telemetry"
)

// stopTimeout is how long requests to the API, pushes and pulls may take to finish when apron stops.
const stopTimeout = 10 * time.Second

// settleTimeout is how long they may take before apron goes on as another program; new ones are answered meanwhile.
const settleTimeout = time.Minute

// HealthPath answers with a Health while apron serves.
const HealthPath = "/healthz"

// Health says that apron serves, and which process it is.
type Health struct {
	Status string `json:"status"`
	PID    int    `json:"pid"`
	// Goroutines is how many there are: some tens, and as many more as there is work. A number that only grows is a leak.
	Goroutines int `json:"goroutines"`
}

// server answers on --api: the API, the Git server, the registry and the health check.
type server struct {
	listener net.Listener
	http     *http.Server
	conns    atomic.Int64

	mu       sync.Mutex // guards inFlight
	inFlight map[*http.Request]struct{}
}

// serverParts are what the server hands requests to.
type serverParts struct {
	store       store.Store
	operations  *operation.Starter
	logs        *telemetry.Logs
	instances   compute.Backend
	scales      api.Scales
	provision   func()
	retag       func()
	connections *connection.Connections
	secrets     api.Secrets
	// webhooks answers those of services, whose secrets the API tells.
	webhooks       *webhook.Handler
	webhookSecrets webhook.Secrets
	keys           source.KeyPair
	images         *registryserver.Server
	runtimes       *build.Builder
	log            *slog.Logger
	networks       *network.Network
	onPush         func(context.Context, gitserver.Push) func(context.Context, io.Writer)
	// room refuses pushes that the disk has no room for.
	room func() error
}

// newServer answers on listener once run runs.
func newServer(ctx context.Context, config Config, listener net.Listener, parts serverParts) (*server, error) {
	tokenKey, err := ensureKey(filepath.Join(config.DataDir, "token.key"))
	if err != nil {
		return nil, fmt.Errorf("read the key of pagination tokens: %w", err)
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
	mux.Handle(webhook.Path, parts.webhooks)
	mux.HandleFunc("GET "+HealthPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Health{Status: "ok", PID: os.Getpid(), Goroutines: runtime.NumGoroutine()})
	})
	handler := api.New(api.Config{
		Store: parts.store, Operations: parts.operations, Logs: parts.logs, Instances: parts.instances, Scales: parts.scales, Connections: parts.connections,
		Secrets:  parts.secrets,
		Webhooks: parts.webhookSecrets, WebhookBase: config.webhookBase(),
		Provision: parts.provision, Retag: parts.retag,
		Networks: parts.networks, Keys: parts.keys,
		Region: config.Region, Account: config.Account, Domain: config.Domain, Listeners: config.listeners(), TokenKey: tokenKey,
		Quotas: quotas, Runtimes: parts.runtimes.Runtimes, ManagedRuntimes: parts.runtimes, StoreFault: config.storeFault, Log: parts.log,
	})
	if err := handler.EnsureDefaults(ctx); err != nil {
		return nil, fmt.Errorf("make the default auto scaling configuration: %w", err)
	}
	mux.Handle("/", handler)
	s := &server{listener: listener, inFlight: map[*http.Request]struct{}{}}
	s.http = &http.Server{
		Handler: s.track(awaitBodies(bodyTimeout, withoutRedirects(mux, handler))), ConnState: s.countConn,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(parts.log.Handler(), slog.LevelWarn),
	}
	return s, nil
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
//
// The server's own Shutdown would drop a connection that was accepted and not read yet. So the server is first without
// keep-alives and without a listener, until each connection that is open has had its answer.
func (s *server) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		s.http.SetKeepAlivesEnabled(false)
		_ = s.listener.Close()
	})()
	if err := s.http.Serve(s.listener); ctx.Err() == nil {
		return fmt.Errorf("serve the API: %w", err)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	await(stopping, func() bool { return s.conns.Load() == 0 })
	if err := s.http.Shutdown(stopping); err != nil {
		return s.http.Close()
	}
	return nil
}

// countConn counts the open connections.
func (s *server) countConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Add(-1)
	}
}

// track remembers the requests that are in flight.
func (s *server) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.inFlight[r] = struct{}{}
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.inFlight, r)
		}()
		next.ServeHTTP(w, r)
	})
}

// settle waits, while everything goes on, until the requests that are in flight now have been answered: a push may take
// longer than run leaves it in the end. Those that follow are not waited for.
func (s *server) settle(ctx context.Context) {
	s.mu.Lock()
	waitedFor := maps.Clone(s.inFlight)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	await(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for r := range waitedFor {
			if _, isInFlight := s.inFlight[r]; isInFlight {
				return false
			}
		}
		return true
	})
}

// await looks again and again whether something is so, until it is or ctx ends.
func await(ctx context.Context, isSo func() bool) {
	for !isSo() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
