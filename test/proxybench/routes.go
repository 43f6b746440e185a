package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/test/load/steady"
)

const (
	fewRoutes, manyRoutes = 10, 10_000
	// askedRoutes get requests, whatever the number of routes.
	askedRoutes = 10
	// switchRate is how many requests a second other services get while one's route is switched, every switchEvery.
	switchRate  = 2000
	switchEvery = 100 * time.Millisecond
)

// routing is what a table of some size costs.
type routing struct {
	routes     int
	perRequest []time.Duration
	// switched are the times from SetRoute to the end of Flush.
	switched []time.Duration
	// calm and during are the answers of other services without switches and with them.
	calm, during []*steady.Histogram
	failed       int
}

func hostOf(i int) string { return fmt.Sprintf("service-%d.bench.localhost", i) }

// measureRoutes compares apron with few routes and with many, in every round.
func (b *bench) measureRoutes(rate int) ([]routing, error) {
	results := []routing{{routes: fewRoutes}, {routes: manyRoutes}}
	for round := range b.rounds {
		for i := range results {
			b.note("round %d: apron with %d routes", round+1, results[i].routes)
			if err := b.measureTable(&results[i], rate); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

func (b *bench) measureTable(into *routing, rate int) error {
	routes := make([]platform.Route, into.routes)
	for i := range routes {
		routes[i] = routeTo(fmt.Sprintf("service-%d", i), hostOf(i), b.origin.Instances, perInstance)
	}
	dir, err := b.newDir("apron")
	if err != nil {
		return err
	}
	p, client, err := startApronWith(dir, routes)
	if err != nil {
		return err
	}
	defer p.stop()
	var requests [][]byte
	for i := range askedRoutes {
		requests = append(requests, request(hostOf(i*into.routes/askedRoutes)))
	}
	if _, err := p.at(b.ctx, rate, warmUp, requests...); err != nil {
		return err
	}
	cost, err := p.at(b.ctx, rate, b.during, requests...)
	if err != nil {
		return err
	}
	calm, err := p.at(b.ctx, switchRate, b.during, requests[1:]...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.during)
	defer cancel()
	loaded := make(chan error, 1)
	during := &steady.Result{}
	go func() {
		var err error
		during, err = steady.Load{Address: p.address, Requests: requests[1:], Rate: switchRate, Conns: steadyConns}.Run(ctx)
		loaded <- err
	}()
	for i := 1; ctx.Err() == nil; i++ {
		one := b.origin.Instances[i%len(b.origin.Instances)]
		begun := time.Now()
		client.SetRoute(routeTo("service-0", hostOf(0), []string{one}, perInstance))
		if err := client.Flush(b.ctx); err != nil {
			return err
		}
		into.switched = append(into.switched, time.Since(begun))
		time.Sleep(switchEvery)
	}
	if err := <-loaded; err != nil {
		return err
	}
	into.perRequest = append(into.perRequest, cost.perRequest)
	into.calm, into.during = append(into.calm, calm.latency), append(into.during, &during.Latency)
	into.failed += cost.failed + calm.failed + during.Failed
	return nil
}

func median[T int | float64 | time.Duration](all []T) (middle T) {
	if len(all) == 0 {
		return middle
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
