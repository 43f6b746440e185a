package dataplane

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

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
		c.await(ctx)
	}
	return nil
}

// await waits until there is something to send, or a data plane may have another table than it should. As long as one is leaving it
// looks often; else the data plane is asked once, and answers when that is so: when it dies, the order fails.
func (c *Client) await(ctx context.Context) {
	if len(setAside(c.socket)) > 0 {
		select {
		case <-ctx.Done():
		case <-c.changed:
		case <-time.After(askEvery):
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, healthHold+orderTimeout)
	defer cancel()
	c.mu.Lock()
	path := healthPath + "?while=" + url.QueryEscape(c.table(c.wanted))
	c.mu.Unlock()
	differs := make(chan struct{})
	go func() {
		defer close(differs)
		_ = order(ctx, c.http, c.socket, http.MethodGet, path, nil, nil)
	}()
	select {
	case <-ctx.Done():
	case <-c.changed:
	case <-differs:
	}
	cancel()
	<-differs
}

// sync tells the data planes what has changed, or the whole table where one of them has another.
func (c *Client) sync(ctx context.Context) error {
	c.mu.Lock()
	wanted, isApplied := c.wanted, c.applied == c.wanted
	var change changeMessage
	if !isApplied {
		change = c.difference()
	}
	c.mu.Unlock()
	if isApplied {
		isEverywhere, err := c.isEverywhere(ctx, c.table(wanted))
		if err != nil || isEverywhere {
			return err
		}
		c.mu.Lock()
		c.applied = 0 // one was started anew
		c.mu.Unlock()
		return c.sync(ctx)
	}
	// A table that is newer than its ID is as good: the next change says the same once more.
	whole := sync.OnceValue(func() routesMessage {
		c.mu.Lock()
		defer c.mu.Unlock()
		return routesMessage{change.ID, sorted(c.routes)}
	})
	for _, socket := range setAside(c.socket) {
		_ = c.tell(ctx, socket, leavingTimeout, change, whole) // it may be gone, and if not it is asked again
	}
	if err := c.tell(ctx, c.socket, orderTimeout, change, whole); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applied = wanted
	maps.DeleteFunc(c.dirty, func(_ platform.ServiceID, change uint64) bool { return change <= wanted })
	close(c.reached)
	c.reached = make(chan struct{})
	return nil
}

// table is the ID of the table after a change.
func (c *Client) table(change uint64) string { return c.session + "/" + strconv.FormatUint(change, 10) }

// difference is what has changed since the table that is in force; its Base is empty when none is. Callers hold mu.
func (c *Client) difference() changeMessage {
	change := changeMessage{ID: c.table(c.wanted)}
	if c.applied == 0 {
		return change
	}
	change.Base = c.table(c.applied)
	for id := range c.dirty {
		if route, isThere := c.routes[id]; isThere {
			change.Changed = append(change.Changed, route)
		} else {
			change.Removed = append(change.Removed, id)
		}
	}
	return change
}

// tell sends the change to one data plane, and the whole table when it does not take that: its table is another one, or its program
// knows no changes yet.
func (c *Client) tell(ctx context.Context, socket string, timeout time.Duration, change changeMessage, whole func() routesMessage) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if change.Base != "" {
		err := order(ctx, c.http, socket, http.MethodPatch, routesPath, change, nil)
		if _, isRefused := errors.AsType[*refusedError](err); !isRefused {
			return err
		}
	}
	return order(ctx, c.http, socket, http.MethodPut, routesPath, whole(), nil)
}

// isEverywhere says whether every data plane that answers has the table. The error is that of the one that is not leaving.
func (c *Client) isEverywhere(ctx context.Context, table string) (bool, error) {
	for _, socket := range setAside(c.socket) {
		switch found, err := c.healthOf(ctx, socket, leavingTimeout); {
		case isGone(err):
			_ = os.Remove(socket) // what stays is asked again
		case err == nil && found.Table != table:
			return false, nil
		}
	}
	found, err := c.health(ctx)
	return found.Table == table, err
}

// sorted returns the routes in the order of their services.
func sorted(routes map[platform.ServiceID]platform.Route) []platform.Route {
	return slices.SortedFunc(maps.Values(routes), func(a, b platform.Route) int { return cmp.Compare(a.ServiceID, b.ServiceID) })
}
