package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/apron-run/apron/internal/dataplane"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/test/apron"
)

// startApron starts the data plane alone, and tells it its one route.
func startApron(dir string, to []string, limit int) (*proxy, error) {
	p, _, err := startApronWith(dir, []platform.Route{routeTo("app", host, to, limit)})
	return p, err
}

// startApronWith starts the data plane with routes, and returns the client that can change them.
func startApronWith(dir string, routes []platform.Route) (*proxy, *dataplane.Client, error) {
	program, err := apron.Program()
	if err != nil {
		return nil, nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	private, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(dir, "s")
	client := dataplane.NewClient(socket, slog.New(slog.DiscardHandler))
	for _, each := range routes {
		client.SetRoute(each)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go client.Run(ctx)
	arguments := []string{"proxy", "--control", socket, "--http", address, "--private-http", private, "--log-file", filepath.Join(dir, "proxy.log")}
	if knows(program, "--access-log") {
		arguments = append(arguments, "--access-log", filepath.Join(dir, "access.log"))
	}
	p, err := runWith("apron", dir, address, program, arguments...)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	p.stopped = cancel
	flushing, flushed := context.WithTimeout(ctx, 10*time.Second)
	defer flushed()
	if err := client.Flush(flushing); err != nil {
		p.stop()
		return nil, nil, fmt.Errorf("%w; it says:\n%s", err, p.tail())
	}
	return p, client, nil
}

// knows says whether the data plane has a flag: an apron of before, in APRON_BIN, may have none.
func knows(program, flag string) bool {
	help, _ := exec.Command(program, "proxy", "--help").Output()
	return bytes.Contains(help, []byte(flag))
}

// routeTo is the route of a service with one host.
func routeTo(service, host string, to []string, limit int) platform.Route {
	route := platform.Route{
		ServiceID: platform.ServiceID(service), ServiceName: service, RevisionID: platform.RevisionID("r" + service),
		Hosts: []string{host}, State: platform.RouteStateServing, MaxConcurrency: limit,
		Traffic: platform.Traffic{FreezeAfter: platform.DefaultFreezeAfter},
	}
	for i, address := range to {
		id := platform.InstanceID(fmt.Sprintf("%s-%d", service, i))
		route.Endpoints = append(route.Endpoints, platform.Endpoint{InstanceID: id, Address: address})
	}
	return route
}
