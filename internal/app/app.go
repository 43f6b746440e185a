// Package app is the only wiring: from the settings to the store, the backend and the loops, and those to one group that
// runs and ends together. Everything else gets what it needs from here.
//
// # Order
//
// Start: the API's address, so that an address in use is told before anything runs; store, network, containerd, data
// plane, routes from what runs, then the loops. A service that ran answers before the API does. BuildKit comes up beside
// all that.
//
// Stop: the API finishes its requests; the loops end, operations stay as they are and go on at the next start; the data
// plane takes no more requests and finishes those in flight; the store closes. Instances, containerd and BuildKit go on
// running. Down ends those too.
//
// Upgraded: as at a stop, but the data plane goes on as when apron is killed, and the API's listener stays open. The next
// program finds both, and replaces the data plane in a way of its own; see internal/dataplane.
//
// Killed: the data plane goes on as well. The next start adopts it with its routes.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/certs"
	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/operation"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/internal/pushed"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/registry"
	"github.com/apron-run/apron/internal/source/registryserver"
	"github.com/apron-run/apron/internal/telemetry"
)

// Run serves until ctx ends, or until another program is to go on in this process. The caller holds the claim on the data
// directory, and listens with it.
func Run(ctx context.Context, config Config, claim *Claim) error {
	log := slog.Default()
	defer claim.listener.Close()
	stopping := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	leaving, leave := context.WithCancel(ctx)
	defer leave()
	begun := make(chan *server, 1)
	defer context.AfterFunc(claim.upgrade, func() {
		leave() // settle waits for those who are told of their pushes
		select {
		case server := <-begun:
			server.settle(ctx)
		default:
		}
		cancel()
	})()
	keys, err := ensureCredentials(config.DataDir)
	if err != nil {
		return err
	}
	owner, err := config.leaseOwner()
	if err != nil {
		return err
	}
	db, err := config.openStore(ctx)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			log.Error("close the database", "error", err)
		}
	}()
	if err := config.own(ctx, db); err != nil {
		return err
	}
	endpoint := source.NewEndpoint(config.APIAddr)
	diskLimits, err := config.diskLimits()
	if err != nil {
		return err
	}
	disk := deploy.Disk{Dir: config.DataDir, Limits: diskLimits}
	var pushes *pushes // there before anybody can push
	embedded := registryserver.New(registryserver.Config{
		Dir: filepath.Join(config.DataDir, "registry"), Keys: keys, Keep: neededImages(db), Room: disk.RoomForImage, Log: log,
		OnPush: func(ctx context.Context, push registryserver.Push) { pushes.ofTag(ctx, push) },
	})
	images := registry.New(registry.Config{Data: config.DataDir, Endpoint: endpoint, Keys: keys, Embedded: embedded})
	machine, err := newMachine(config, images, log)
	if err != nil {
		return err
	}
	if err := machine.ensure(ctx); err != nil {
		return err
	}
	backend, err := containerd.New(machine.backend)
	if err != nil {
		return err
	}
	defer backend.Close()
	repositories := git.New(git.Config{Data: config.DataDir, Endpoint: endpoint, IsClosed: network.IsClosed})
	if err := repositories.CleanUp(); err != nil {
		log.Error("remove what was left of fetches", "error", err)
	}
	box, err := newBox(config)
	if err != nil {
		return err
	}
	connections, vault := newConnections(db, box, repositories), newVault(config, db, box)

	logs := telemetry.NewLogs(filepath.Join(config.DataDir, "logs")).WithAccess(accessLog(config.DataDir))
	plane, err := newDataPlane(config, log)
	if err != nil {
		return err
	}
	if err := config.ensureAuthority(); err != nil {
		return err
	}
	if err := plane.ensure(ctx); err != nil {
		return err
	}
	deadlines, err := config.deadlines()
	if err != nil {
		return err
	}
	every, err := config.poll()
	if err != nil {
		return err
	}
	revisions, err := config.revisions()
	if err != nil {
		return err
	}
	routes := deploy.NewRoutes(plane.client, config.host)
	executor := &deploy.Executor{
		Store: db, Backend: backend, Images: backend, Code: connections, Image: images, Builder: builder{machine.builder, config.DataDir},
		Secrets: vault, Prober: proxy.Prober{}, Router: plane.client, Routes: routes, Logs: logs, Log: log,
		SourcesDir: filepath.Join(config.DataDir, "sources"), HealthTimeout: deadlines.HealthCheck(),
		Revisions: revisions, Disk: disk, Scaler: deploy.NewScaler(logs), Loads: plane.client,
	}
	supervisor := deploy.NewSupervisor(executor, db, log)
	worker := operation.NewWorker(db, executor, supervisor, logs, log, owner, deadlines, machine.limits.builds)
	ingress := deploy.NewIngress(db, routes, plane.client, log)
	traffic := deploy.NewTraffic(db, routes, log)
	domains := certs.NewKeeper(certs.Config{
		Store: db, Resolver: certs.DNS{Server: config.Resolver}, Names: ingress, Events: logs, Log: log,
		Account: config.Account, Region: config.Region,
	})
	if err := ingress.Restore(ctx); err != nil {
		return fmt.Errorf("restore the names of services: %w", err)
	}
	if err := ensured(ctx, machine.containerd.Ensure, supervisor.Restore); err != nil {
		return fmt.Errorf("restore the routes: %w", err)
	}
	operations := operation.NewStarter(db, logs, worker.Wake)
	watch := newWatch(db, operations, sources{repositories, connections, images}, logs, every, log)
	pushes = newPushes(watch, repositories, images, &pushed.Teller{Store: db, Logs: logs, URL: config.url, Leaving: leaving}, log)
	webhookSecrets := newWebhookSecrets(db, box)
	server, err := newServer(ctx, config, claim.listener, serverParts{
		store: db, operations: operations, onPush: pushes.ofBranch, logs: logs, instances: backend, scales: executor.Scaler, connections: connections, secrets: vault,
		webhookSecrets: webhookSecrets, webhooks: newWebhooks(db, webhookSecrets, images, watch, logs, log),
		provision: func() { domains.Wake(); ingress.Wake() }, retag: func() { traffic.Wake(); supervisor.Wake() },
		networks: machine.network, keys: keys, images: embedded, room: disk.RoomForImage, runtimes: machine.builder, log: log,
	})
	if err != nil {
		return err
	}
	begun <- server
	err = runAll(ctx, log,
		part{"API", server.run}, part{"registry", embedded.Run}, part{"reserve of the disk", newReserve(config.DataDir, log).run},
		part{"worker", worker.Run}, part{"supervisor", supervisor.Run}, part{"custom domains", domains.Run},
		part{"VPC ingress connections", ingress.Run}, part{"tags of traffic", traffic.Run}, part{"watch of sources", watch.Run},
		part{"containerd", machine.containerd.Run}, part{"BuildKit", machine.runBuilder},
		part{"preparation of runtimes", machine.builder.RunPreparations},
		part{"client of the data plane", plane.client.Run}, part{"data plane", plane.daemon.Run},
		part{"end of earlier data planes", plane.leave}, part{"claim on the database", config.keepOwning(db)},
	)
	if err != nil || stopping.Err() == nil {
		return err // something failed, or another program goes on: services go on answering
	}
	return plane.stop(context.WithoutCancel(ctx))
}

// Down ends what outlives Run: instances, daemons and the network. The caller holds the claim on the data directory.
func Down(ctx context.Context, config Config) error {
	config.Runtimes = "" // nothing is built
	images := registry.New(registry.Config{Data: config.DataDir, Endpoint: source.NewEndpoint(config.APIAddr)})
	machine, err := newMachine(config, images, slog.Default())
	if err != nil {
		return err
	}
	plane, err := newDataPlane(config, slog.Default())
	if err != nil {
		return err
	}
	return errors.Join(plane.stop(ctx), machine.down(ctx))
}

// host is the host name of a service, without a port.
func (c Config) host(service platform.Service) string {
	return service.Subdomain.Host(c.Region, c.Domain)
}

// url is where a service answers; "" for a private one.
func (c Config) url(service platform.Service) string {
	if !service.Configuration.Network.IsPubliclyAccessible {
		return ""
	}
	return c.listeners().URL(c.host(service))
}

// listeners are the ports at which services answer.
func (c Config) listeners() platform.Listeners {
	portOf := func(address string) int { return append(portsOf(address), 0)[0] }
	return platform.Listeners{HTTPPort: portOf(c.HTTPAddr), HTTPSPort: portOf(c.HTTPS())}
}

// builder makes build.Builder a deploy.Builder.
type builder struct {
	*build.Builder
	dataDir string
}

// Build returns once what was built is on the disk: an instance needs it also after the machine has stopped.
func (b builder) Build(ctx context.Context, request deploy.BuildRequest) (deploy.BuildResult, error) {
	result, err := b.Builder.Build(ctx, build.Request(request))
	if err == nil {
		err = bringToDisk(b.dataDir)
	}
	return deploy.BuildResult(result), err
}

func (b builder) Key(ctx context.Context, request deploy.BuildRequest, runtime string) string {
	return b.Builder.Key(ctx, build.Request(request), runtime)
}

// bringToDisk writes everything that was written to the disk of a folder.
func bringToDisk(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("bring a build to the disk: %w", err)
	}
	defer folder.Close()
	if err := unix.Syncfs(int(folder.Fd())); err != nil {
		return fmt.Errorf("bring a build to the disk: %w", err)
	}
	return nil
}

// runBuilder brings BuildKit up and watches over it. A machine on which it does not come up still serves.
func (m *machine) runBuilder(ctx context.Context) error {
	if err := containerd.LimitBuilds(containerd.CgroupParent(m.backend.Paths.DataDir), m.limits.builds, m.limits.memory); err != nil {
		slog.Error("limit what builds use together; each step has its own limit", "error", err)
	}
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := m.builder.Ensure(ctx)
		if err == nil {
			return m.builder.Run(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		slog.Error("start BuildKit", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}
