package dataplane

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// ServerConfig is how the process is set up.
type ServerConfig struct {
	// Socket is the path of the Unix socket that takes orders. Only its owner may connect.
	Socket string
	// Proxy's Address is where services answer.
	Proxy proxy.Config
	// PrivateAddress is where they answer to their private hosts.
	PrivateAddress string
	// HTTPSAddress is where they answer by TLS, and by HTTP/3 at the UDP port with its number; empty means nowhere.
	HTTPSAddress string
	// Arguments are the process's own, which health repeats.
	Arguments []string
	Log       *slog.Logger
}

// server is the process: the proxy, and the socket that steers it.
type server struct {
	proxy     *proxy.Proxy
	session   string // unlike that of any other data plane
	program   string
	arguments []string
	log       *slog.Logger
	// sockets are the proxy's. leavePackets lets the next data plane read the packets of HTTP/3.
	sockets      map[place]socket
	leavePackets func()

	mu     sync.Mutex // guards table, routes and replaced, and keeps the tables in order
	table  string     // its ID
	routes map[platform.ServiceID]platform.Route
	// replaced is closed when another table takes its place.
	replaced chan struct{}
	// ready is closed by the first table. Clients are not accepted before: they wait in the listener's queue instead of
	// being told that nobody knows their host.
	ready     chan struct{}
	readyOnce sync.Once
	// left is closed by the order to leave.
	left     chan struct{}
	leftOnce sync.Once
}

// firstTableTimeout is how long a data plane may be without a table: whoever started it is gone, and the next one may have
// started another.
const firstTableTimeout = 5 * time.Minute

// Serve runs the data plane until ctx ends, or until it is told to leave. Then it takes no more connections, and finishes
// the requests in flight.
func Serve(ctx context.Context, config ServerConfig) error {
	program, err := thisProgram()
	if err != nil {
		return fmt.Errorf("identify this program: %w", err)
	}
	sockets, err := listen(ctx, config)
	if err != nil {
		return err
	}
	for _, each := range sockets {
		defer each.Close()
	}
	leavePackets := config.give(sockets)
	orders, err := listenControl(config.Socket)
	if err != nil {
		return fmt.Errorf("listen for orders: %w", err)
	}
	config.Proxy.IsAlone = func() bool { return isAlone(ctx, config.Socket) }
	s := &server{
		proxy: proxy.New(config.Proxy), session: rand.Text(), program: program, arguments: config.Arguments, log: config.Log, sockets: sockets,
		leavePackets: leavePackets, routes: map[platform.ServiceID]platform.Route{}, replaced: make(chan struct{}), ready: make(chan struct{}),
		left: make(chan struct{}),
	}
	control := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(config.Log.Handler(), slog.LevelWarn),
	}
	controlled := make(chan error, 1)
	go func() { controlled <- control.Serve(orders) }()
	defer control.Close()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(<-controlled) }()
	select {
	case <-s.ready:
	case <-s.left:
		return nil
	case <-time.After(firstTableTimeout):
		return fmt.Errorf("nobody has told the routes within %s", firstTableTimeout)
	case <-ctx.Done():
		return stopCause(ctx)
	}
	if err := s.proxy.Run(ctx); err != nil {
		return err
	}
	return stopCause(ctx)
}

// stopCause is nil when the process was told to stop or to leave, and otherwise why the control socket failed.
func stopCause(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("take orders: %w", cause)
	}
	return nil
}

// listenControl makes the socket. One that is there belonged to a process that has ended: whoever starts this one sees
// to it that there is one at a time. The file stays when this process ends, because by then the path may be another's.
func listenControl(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+healthPath, func(w http.ResponseWriter, r *http.Request) {
		s.awaitOther(r.Context(), r.URL.Query().Get("while"))
		s.answer(w, health{
			PID: os.Getpid(), Program: s.program, Arguments: s.arguments, Table: s.current(), Goroutines: runtime.NumGoroutine(),
		})
	})
	mux.HandleFunc("GET "+routesPath, func(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.whole()) })
	mux.HandleFunc("PUT "+routesPath, s.putRoutes)
	mux.HandleFunc("PATCH "+routesPath, s.changeRoutes)
	mux.HandleFunc("GET "+loadPath, s.load)
	mux.HandleFunc("POST "+drainPath, s.drain)
	mux.HandleFunc("POST "+tunnelsPath, s.endTunnels)
	mux.HandleFunc("POST "+listenersPath, s.handOver)
	mux.HandleFunc("POST "+leavePath, func(w http.ResponseWriter, _ *http.Request) {
		s.leavePackets() // before the proxy refuses new connections by HTTP/3
		s.proxy.Leave()
		s.leftOnce.Do(func() { close(s.left) })
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// current is the ID of the table in force.
func (s *server) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table
}

func (s *server) whole() routesMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return routesMessage{s.table, sorted(s.routes)}
}

// awaitOther waits until the table in force is another than the one with the ID, for a while. Without an ID it does not wait.
func (s *server) awaitOther(ctx context.Context, id string) {
	s.mu.Lock()
	isOther, replaced := s.table != id, s.replaced
	s.mu.Unlock()
	if id == "" || isOther {
		return
	}
	select {
	case <-replaced:
	case <-ctx.Done():
	case <-s.left:
	case <-time.After(healthHold):
	}
}

// replace notes which table is in force. Callers hold mu.
func (s *server) replace(table string) {
	s.table = table
	close(s.replaced)
	s.replaced = make(chan struct{})
}

func (s *server) putRoutes(w http.ResponseWriter, r *http.Request) {
	var message routesMessage
	if !s.read(w, r, &message) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxy.SetRoutes(message.Routes)
	s.replace(message.ID)
	clear(s.routes)
	for _, each := range message.Routes {
		s.routes[each.ServiceID] = each
	}
	s.readyOnce.Do(func() { close(s.ready) })
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) changeRoutes(w http.ResponseWriter, r *http.Request) {
	var message changeMessage
	if !s.read(w, r, &message) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table == "" || s.table != message.Base {
		http.Error(w, "another table is in force", http.StatusConflict)
		return
	}
	s.proxy.ChangeRoutes(message.Changed, message.Removed)
	s.replace(message.ID)
	for _, each := range message.Changed {
		s.routes[each.ServiceID] = each
	}
	for _, each := range message.Removed {
		delete(s.routes, each)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) drain(w http.ResponseWriter, r *http.Request) {
	var message drainMessage
	if !s.read(w, r, &message) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(message.TimeoutMilliseconds)*time.Millisecond)
	defer cancel()
	s.answer(w, drainAnswer{Left: s.proxy.Drain(ctx, message.Instances)})
}

func (s *server) endTunnels(w http.ResponseWriter, r *http.Request) {
	var message tunnelsMessage
	if !s.read(w, r, &message) {
		return
	}
	s.proxy.EndTunnels(r.Context(), message.Instances)
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessageBytes)).Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func (s *server) answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		s.log.Warn("answer an order", "error", err)
	}
}
