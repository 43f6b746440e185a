package dataplane

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// orderTimeout bounds one order; the data plane is on the same machine.
	orderTimeout = 10 * time.Second
	// askEvery is how often the client looks whether the data plane still has its table, and how long it waits after an
	// order that failed.
	askEvery = 250 * time.Millisecond
	// drainMargin is how long before its deadline a drain is answered, so that the answer arrives.
	drainMargin = 200 * time.Millisecond
)

// Client steers the data plane. Its methods may be called at the same time; those that change routes never wait. Nothing
// is sent before Run runs.
type Client struct {
	http *http.Client
	log  *slog.Logger
	// session makes the IDs of this client's tables unlike those of any other.
	session string

	mu      sync.Mutex // guards the members below
	routes  map[platform.ServiceID]platform.Route
	wanted  uint64 // counts the changes
	applied uint64 // the newest change that is in force
	reached chan struct{}
	changed chan struct{} // holds one token when there is something to send
}

// NewClient returns a Client without routes for the data plane at the Unix socket.
func NewClient(socket string, log *slog.Logger) *Client {
	dialer := &net.Dialer{}
	return &Client{
		http: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", socket)
			},
		}},
		log: log, session: rand.Text(), routes: map[platform.ServiceID]platform.Route{},
		reached: make(chan struct{}), changed: make(chan struct{}, 1), wanted: 1, // even no route at all must be said once
	}
}

// SetRoute replaces the route of route.ServiceID. It is in force once Flush has returned.
func (c *Client) SetRoute(route platform.Route) {
	c.change(func() { c.routes[route.ServiceID] = route })
}

// RemoveRoute forgets the route of a service.
func (c *Client) RemoveRoute(service platform.ServiceID) {
	c.change(func() { delete(c.routes, service) })
}

func (c *Client) change(edit func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit()
	c.wanted++
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
// how many requests were still in flight. A data plane that dies takes its requests with it, and the next one is asked
// again.
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
	var answer drainAnswer
	err := c.order(ctx, http.MethodPost, drainPath, drainMessage{instances, timeout.Milliseconds()}, &answer)
	return answer.Left, err
}

// Routes returns the table in force, which another apron may have said.
func (c *Client) Routes(ctx context.Context) ([]platform.Route, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	var table routesMessage
	err := c.order(ctx, http.MethodGet, routesPath, nil, &table)
	return table.Routes, err
}

// Check says whether a data plane answers; it is the daemon's readiness.
func (c *Client) Check(ctx context.Context) error {
	_, err := c.health(ctx)
	return err
}

// IsCurrent says whether the data plane that answers is this very program, started with these arguments.
func (c *Client) IsCurrent(ctx context.Context, arguments []string) (bool, error) {
	program, err := thisProgram()
	if err != nil {
		return false, err
	}
	found, err := c.health(ctx)
	return found.Program == program && slices.Equal(found.Arguments, arguments), err
}

// Arguments are what the data plane that answers was started with.
func (c *Client) Arguments(ctx context.Context) ([]string, error) {
	found, err := c.health(ctx)
	return found.Arguments, err
}

func (c *Client) health(ctx context.Context) (health, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	var found health
	err := c.order(ctx, http.MethodGet, healthPath, nil, &found)
	return found, err
}

// Run keeps the data plane's table as it is wanted until ctx ends: it sends each change, and the whole again to a data
// plane that does not have it.
func (c *Client) Run(ctx context.Context) error {
	failures := 0
	for ctx.Err() == nil {
		err := c.sync(ctx)
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() == nil:
			if failures++; failures == 1 { // the loop that watches over the process tells more
				c.log.Warn("the data plane does not take its routes", "error", err)
			}
		}
		if err != nil {
			sleep(ctx, askEvery)
			continue
		}
		select {
		case <-ctx.Done():
		case <-c.changed:
		case <-time.After(askEvery):
		}
	}
	return nil
}

// sync sends the table if the data plane has another one.
func (c *Client) sync(ctx context.Context) error {
	c.mu.Lock()
	wanted, isApplied := c.wanted, c.applied == c.wanted
	table := routesMessage{ID: c.session + "/" + strconv.FormatUint(wanted, 10)}
	if !isApplied {
		table.Routes = c.sorted()
	}
	c.mu.Unlock()
	if isApplied {
		found, err := c.health(ctx)
		if err != nil || found.Table == table.ID {
			return err
		}
		c.mu.Lock()
		c.applied = 0 // it was started anew
		c.mu.Unlock()
		return c.sync(ctx)
	}
	sending, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	if err := c.order(sending, http.MethodPut, routesPath, table, nil); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applied = wanted
	close(c.reached)
	c.reached = make(chan struct{})
	return nil
}

// sorted returns the routes in the order of their services. Callers hold mu.
func (c *Client) sorted() []platform.Route {
	return slices.SortedFunc(maps.Values(c.routes), func(a, b platform.Route) int { return cmp.Compare(a.ServiceID, b.ServiceID) })
}

// order sends one order and reads its answer.
func (c *Client) order(ctx context.Context, method, path string, message, answer any) error {
	var body io.Reader
	if message != nil {
		content, err := json.Marshal(message)
		if err != nil {
			return err
		}
		body = bytes.NewReader(content)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://dataplane"+path, body)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 512))
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(text))
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxMessageBytes)).Decode(answer); err != nil {
		return errors.Join(fmt.Errorf("%s %s: read the answer", method, path), err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
