package dataplane

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// orderTimeout bounds one order; the data plane is on the same machine.
	orderTimeout = 10 * time.Second
	// askEvery is how often the client looks whether data planes that are leaving have its table, and how long it waits after an order
	// that failed.
	askEvery = 250 * time.Millisecond
	// leavingTimeout bounds an order to a data plane that is leaving: it must not hold up what the other one is told.
	leavingTimeout = time.Second
	// drainMargin is how long before its deadline a drain is answered, so that the answer arrives.
	drainMargin = 200 * time.Millisecond
)

// Client steers the data plane, and those before it that are still leaving: connections that were open then are answered by
// the newest routes too. Its methods may be called at the same time; those that change routes never wait. Nothing is sent
// before Run runs.
type Client struct {
	socket string
	http   *http.Client
	log    *slog.Logger
	// session makes the IDs of this client's tables unlike those of any other.
	session string

	mu      sync.Mutex // guards the members below
	routes  map[platform.ServiceID]platform.Route
	dirty   map[platform.ServiceID]uint64 // those that are not in force as they are here, by their newest change
	wanted  uint64                        // counts the changes
	applied uint64                        // the newest change that is in force
	reached chan struct{}
	changed chan struct{} // holds one token when there is something to send
}

// NewClient returns a Client without routes for the data plane at the Unix socket.
func NewClient(socket string, log *slog.Logger) *Client {
	return &Client{
		socket: socket, http: newHTTP(), log: log, session: rand.Text(), routes: map[platform.ServiceID]platform.Route{}, dirty: map[platform.ServiceID]uint64{},
		reached: make(chan struct{}), changed: make(chan struct{}, 1), wanted: 1, // even no route at all must be said once
	}
}

// SetRoute replaces the route of route.ServiceID. It is in force once Flush has returned.
func (c *Client) SetRoute(route platform.Route) {
	c.change(route.ServiceID, func() { c.routes[route.ServiceID] = route })
}

// RemoveRoute forgets the route of a service.
func (c *Client) RemoveRoute(service platform.ServiceID) {
	c.change(service, func() { delete(c.routes, service) })
}

func (c *Client) change(service platform.ServiceID, edit func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit()
	c.wanted++
	c.dirty[service] = c.wanted
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Flush waits until every change made before is in force, or ctx ends.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	target := c.wanted
	c.mu.Unlock()
	for {
		c.mu.Lock()
		applied, reached := c.applied, c.reached
		c.mu.Unlock()
		if applied >= target {
			return nil
		}
		select {
		case <-reached:
		case <-ctx.Done():
			return fmt.Errorf("wait for the data plane: %w", ctx.Err())
		}
	}
}

// Drain waits until no request is in flight on the instances, which no route names any more, or ctx ends; it returns
// how many requests were still in flight, on data planes that are leaving too. A data plane that dies takes its requests
// with it, and the next one is asked again.
func (c *Client) Drain(ctx context.Context, instances []platform.InstanceID) int {
	for {
		left, err := c.drain(ctx, instances)
		if err == nil {
			return left
		}
		select {
		case <-ctx.Done():
			return 0
		case <-time.After(askEvery):
		}
	}
}

func (c *Client) drain(ctx context.Context, instances []platform.InstanceID) (int, error) {
	if err := c.Flush(ctx); err != nil {
		return 0, err
	}
	timeout := orderTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline)-drainMargin, 0)
	}
	var left atomic.Int64
	var group errgroup.Group
	asked := append(setAside(c.socket), c.socket)
	for _, socket := range asked {
		group.Go(func() error {
			var answer drainAnswer
			err := order(ctx, c.http, socket, http.MethodPost, drainPath, drainMessage{instances, timeout.Milliseconds()}, &answer)
			left.Add(int64(answer.Left))
			if socket != c.socket && isGone(err) {
				return nil // it ended after its last request
			}
			return err
		})
	}
	err := group.Wait()
	for _, socket := range setAside(c.socket) {
		if err == nil && !slices.Contains(asked, socket) {
			err = errSetAside
		}
	}
	return int(left.Load()), err
}

// errSetAside says that a data plane was set aside while all were asked: it or the one in its place may not have been.
var errSetAside = errors.New("another data plane has taken the place of the one that was asked")

// EndTunnels ends the upgraded connections to instances that are about to be stopped, on data planes that are leaving too.
// A data plane that does not answer in time does not keep anybody from stopping them.
func (c *Client) EndTunnels(ctx context.Context, instances []platform.InstanceID) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	var group sync.WaitGroup
	for _, socket := range append(setAside(c.socket), c.socket) {
		group.Go(func() {
			if err := order(ctx, c.http, socket, http.MethodPost, tunnelsPath, tunnelsMessage{instances}, nil); err != nil && !isGone(err) {
				c.log.Warn("end the upgraded connections to instances", "error", err)
			}
		})
	}
	group.Wait()
}

// Routes returns the table in force, which another apron may have said. As long as a data plane has none, those are in force that it follows.
func (c *Client) Routes(ctx context.Context) ([]platform.Route, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	var table routesMessage
	err := order(ctx, c.http, c.socket, http.MethodGet, routesPath, nil, &table)
	if err != nil || table.ID != "" {
		return table.Routes, err
	}
	for _, socket := range setAside(c.socket) {
		var before routesMessage
		if order(ctx, c.http, socket, http.MethodGet, routesPath, nil, &before) == nil {
			table.Routes = append(table.Routes, before.Routes...)
		}
	}
	return table.Routes, nil
}

// Check says whether a data plane answers; it is the daemon's readiness.
func (c *Client) Check(ctx context.Context) error {
	_, err := c.health(ctx)
	return err
}

// Found is the data plane that answers.
type Found struct {
	// PID is 0 for one of a program that could not yet be set aside.
	PID int
	// IsCurrent says that it is this very program, started with the arguments that were asked for.
	IsCurrent bool
}

// Find returns the data plane that answers, compared with this program and arguments.
func (c *Client) Find(ctx context.Context, arguments []string) (Found, error) {
	program, err := thisProgram()
	if err != nil {
		return Found{}, err
	}
	found, err := c.health(ctx)
	return Found{found.PID, found.Program == program && slices.Equal(found.Arguments, arguments)}, err
}

// Arguments are what the data plane that answers was started with.
func (c *Client) Arguments(ctx context.Context) ([]string, error) {
	found, err := c.health(ctx)
	return found.Arguments, err
}

func (c *Client) health(ctx context.Context) (health, error) {
	return c.healthOf(ctx, c.socket, orderTimeout)
}

func (c *Client) healthOf(ctx context.Context, socket string, timeout time.Duration) (found health, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = order(ctx, c.http, socket, http.MethodGet, healthPath, nil, &found)
	return found, err
}

// SetAside makes room at the socket for another data plane. The one with the pid goes on as before, and is found by the
// next one, which takes its listeners over.
func (c *Client) SetAside(pid int) error {
	return os.Rename(c.socket, SocketOf(c.socket, pid))
}

// Leave tells a data plane that was set aside to take no more connections and to end after those that are open. It returns
// when that was heard, or nobody is there any more, or ctx has ended.
func (c *Client) Leave(ctx context.Context, pid int) {
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, orderTimeout)
		err := order(asking, c.http, SocketOf(c.socket, pid), http.MethodPost, leavePath, nil, nil)
		cancel()
		if err == nil || isGone(err) {
			return
		}
		sleep(ctx, askEvery)
	}
}
