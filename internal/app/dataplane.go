package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/daemon"
	"github.com/apron-run/apron/internal/dataplane"
	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/internal/telemetry"
)

// proxyStopTimeout is how long the data plane has to finish its requests before it is killed: a bit longer than it gives
// them itself.
const proxyStopTimeout = requestTimeout + 10*time.Second

// requestTimeout bounds a request (App Runner: 120 s).
const requestTimeout = 120 * time.Second

// dataPlane is the proxy's process and the client that steers it.
type dataPlane struct {
	client *dataplane.Client
	daemon *daemon.Daemon
}

func newDataPlane(config Config, log *slog.Logger) (*dataPlane, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	run := filepath.Join(config.DataDir, "run")
	socket := filepath.Join(run, "proxy.sock")
	client := dataplane.NewClient(socket, log)
	return &dataPlane{client, &daemon.Daemon{
		Name: "proxy", Path: program, Dir: run, Log: log, Ready: client.Check, StopTimeout: proxyStopTimeout, Env: []string{},
		Args: []string{
			"proxy", "--control", socket, "--http", config.HTTPAddr, "--private-http", config.PrivateHTTPAddr,
			"--log-file", filepath.Join(config.DataDir, "proxy.log"),
		},
	}}, nil
}

// ensure adopts the data plane that runs, or starts one. One of another program or with other addresses is replaced.
func (d *dataPlane) ensure(ctx context.Context) error {
	isCurrent, err := d.client.IsCurrent(ctx, d.daemon.Args)
	if err == nil && !isCurrent {
		slog.Info("replace the data plane: the program or its addresses have changed")
		if err := d.daemon.Stop(ctx); err != nil {
			return err
		}
	}
	return d.daemon.Ensure(ctx)
}

// stop lets the data plane finish its requests, and ends it.
func (d *dataPlane) stop(ctx context.Context) error { return d.daemon.Stop(ctx) }

// AnswersServices says whether a data plane of this data directory holds config's addresses for services: the one of
// an apron that was killed goes on, and its addresses are not taken from the next one.
func AnswersServices(ctx context.Context, config Config) bool {
	plane, err := newDataPlane(config, slog.New(slog.DiscardHandler))
	if err != nil {
		return false
	}
	arguments, err := plane.client.Arguments(ctx)
	return err == nil && slices.Equal(arguments, plane.daemon.Args)
}

// Proxy is the data plane's process: it answers on httpAddr and privateAddr as the orders at the control socket say, until
// ctx ends.
func Proxy(ctx context.Context, control, httpAddr, privateAddr, logFile string, arguments []string) error {
	log := slog.New(slog.NewTextHandler(telemetry.NewProgramLog(logFile), nil))
	return dataplane.Serve(ctx, dataplane.ServerConfig{
		Socket: control, PrivateAddress: privateAddr, Arguments: arguments, Log: log,
		Proxy: proxy.Config{Address: httpAddr, RequestTimeout: requestTimeout, ShutdownTimeout: requestTimeout, Log: log},
	})
}
