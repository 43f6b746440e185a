package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sync/errgroup"

	"github.com/apron-run/apron/internal/certs"
	"github.com/apron-run/apron/internal/daemon"
	"github.com/apron-run/apron/internal/dataplane"
	"github.com/apron-run/apron/internal/freezer"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/internal/proxy/accesslog"
	"github.com/apron-run/apron/internal/telemetry"
)

const (
	// requestTimeout bounds a request (App Runner: 120 s).
	requestTimeout = 120 * time.Second
	// idleTimeout is how long a client's connection waits for its next request.
	idleTimeout = 75 * time.Second
	// proxyStopTimeout is how long the data plane has to finish its requests before it is killed: a bit longer than it gives
	// them itself.
	proxyStopTimeout = requestTimeout + 10*time.Second
	// proxyLeaveTimeout is how long one has that was told to leave: a connection may bring its last request when it is about to
	// be too old.
	proxyLeaveTimeout = idleTimeout + proxyStopTimeout
	// maxLeaving bounds how many data planes may be leaving. An upgrade beyond that waits for one of them.
	maxLeaving = 4
)

// dataPlane is the proxy's process and the client that steers it, and the processes before it that are leaving.
type dataPlane struct {
	client *dataplane.Client
	daemon *daemon.Daemon
	run    string
	socket string
}

func newDataPlane(config Config, log *slog.Logger) (*dataPlane, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	run := filepath.Join(config.DataDir, "run")
	socket := filepath.Join(run, "proxy.sock")
	client := dataplane.NewClient(socket, log)
	arguments := []string{
		"proxy", "--control", socket, "--http", config.HTTPAddr, "--private-http", config.PrivateHTTPAddr,
		"--https", config.HTTPS(), "--domain", config.Domain, "--tls", config.tlsDir(), "--certs", config.CertsDir,
		"--log-file", filepath.Join(config.DataDir, "proxy.log"),
	}
	if config.TrustedProxies != "" {
		arguments = append(arguments, "--trusted-proxy", config.TrustedProxies)
	}
	if config.AccessLog == "on" {
		arguments = append(arguments, "--access-log", accessLog(config.DataDir))
	}
	return &dataPlane{client: client, run: run, socket: socket, daemon: &daemon.Daemon{
		Name: "proxy", Path: program, Dir: run, Log: log, Ready: client.Check, StopTimeout: proxyStopTimeout, Env: []string{},
		Args: arguments,
	}}, nil
}

// accessLog is the file with a line about each request to a service.
func accessLog(dataDir string) string { return filepath.Join(dataDir, "access.log") }

// ensure adopts the data plane that runs, or starts one. One of another program or with other addresses is set aside for
// that: it goes on until leave has it leave.
func (d *dataPlane) ensure(ctx context.Context) error {
	found, err := d.client.Find(ctx, d.daemon.Args)
	switch {
	case err != nil: // there is none
	case found.PID == 0:
		slog.Info("stop the data plane: its program is one that cannot hand its listeners over")
		if err := d.daemon.Stop(ctx); err != nil {
			return err
		}
	default:
		// Whoever answers at the socket is the data plane: a crash may have come between it and its pid file.
		err := errors.Join(d.daemon.Adopt(found.PID), d.earlier(found.PID).Forget())
		if err == nil && !found.IsCurrent {
			slog.Info("replace the data plane: the program or its addresses have changed", "process", found.PID)
			err = d.setAside(ctx, found.PID)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) { // one that has died meanwhile is started anew
			return err
		}
	}
	return d.daemon.Ensure(ctx)
}

// setAside makes room for another data plane. The pid file of its own comes first and the socket last: as long as the socket
// is in its place, ensure begins again.
func (d *dataPlane) setAside(ctx context.Context, pid int) error {
	for leaving := d.leaving(); len(leaving) >= maxLeaving; leaving = d.leaving() {
		slog.Info("wait for a data plane that is leaving", "process", leaving[0])
		if err := d.earlier(leaving[0]).Stop(ctx); err != nil {
			return err
		}
	}
	return errors.Join(d.earlier(pid).Adopt(pid), d.daemon.Forget(), d.client.SetAside(pid))
}

// earlier is a data plane that was set aside.
func (d *dataPlane) earlier(pid int) *daemon.Daemon {
	return &daemon.Daemon{Name: "proxy-" + strconv.Itoa(pid), Dir: d.run, StopTimeout: proxyStopTimeout}
}

// leaving lists the pids of the data planes that were set aside, with those that have ended since. The first has had the most time.
func (d *dataPlane) leaving() (pids []int) {
	entries, _ := os.ReadDir(d.run) // without the folder there is none
	since := map[int]time.Time{}
	for _, each := range entries {
		name, isPidFile := strings.CutSuffix(each.Name(), ".pid")
		pid, err := strconv.Atoi(strings.TrimPrefix(name, "proxy-"))
		if info, gone := each.Info(); err == nil && isPidFile && gone == nil {
			pids, since[pid] = append(pids, pid), info.ModTime()
		}
	}
	slices.SortFunc(pids, func(a, b int) int { return since[a].Compare(since[b]) })
	return pids
}

// leave tells the data planes that were set aside to leave, once the one that runs has its routes, and sees to it that they
// end in time.
func (d *dataPlane) leave(ctx context.Context) error {
	if err := d.client.Flush(ctx); err != nil {
		return nil // ctx has ended
	}
	var group sync.WaitGroup
	for _, pid := range d.leaving() {
		group.Go(func() { d.await(ctx, pid) })
	}
	group.Wait()
	<-ctx.Done()
	return nil
}

// await has one data plane leave, and kills it when its time is over.
func (d *dataPlane) await(ctx context.Context, pid int) {
	leaving, cancel := context.WithTimeout(ctx, proxyLeaveTimeout)
	defer cancel()
	d.client.Leave(leaving, pid)
	hasEnded := d.earlier(pid).HasEnded(leaving)
	if ctx.Err() != nil {
		return // the next apron goes on
	}
	if !hasEnded {
		slog.Error("a data plane has not left in time, and is killed", "process", pid)
	}
	if err := d.end(ctx, pid); err != nil {
		slog.Error("end a data plane", "process", pid, "error", err)
	}
}

// end stops a data plane that was set aside and removes what it had.
func (d *dataPlane) end(ctx context.Context, pid int) error {
	return errors.Join(d.earlier(pid).Stop(ctx), removeFile(dataplane.SocketOf(d.socket, pid)))
}

// stop lets the data planes finish their requests, and ends them.
func (d *dataPlane) stop(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() error { return errors.Join(d.daemon.Stop(ctx), removeFile(d.socket)) })
	for _, pid := range d.leaving() {
		group.Go(func() error { return d.end(ctx, pid) })
	}
	return group.Wait()
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

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

// CheckHTTPS says whether services can answer at config's address for HTTPS, unless the data plane of this data directory does so
// already: one of an earlier program may not.
func CheckHTTPS(ctx context.Context, config Config) error {
	address := config.HTTPS()
	plane, err := newDataPlane(config, slog.New(slog.DiscardHandler))
	if err != nil || address == "" {
		return err
	}
	arguments, err := plane.client.Arguments(ctx)
	if flag := slices.Index(arguments, "--https"); err == nil && flag >= 0 && flag+1 < len(arguments) && arguments[flag+1] == address {
		return nil
	}
	return dataplane.CheckHTTPS(ctx, address)
}

// ProxyConfig is how the data plane's process is set up.
type ProxyConfig struct {
	// Control is the Unix socket that takes orders.
	Control string
	// HTTPAddr, PrivateHTTPAddr and HTTPSAddr are where services answer; no HTTPSAddr means without TLS.
	HTTPAddr, PrivateHTTPAddr, HTTPSAddr string
	// Domain is that of the local authority, which TLSDir holds; CertsDir has more certificates, or is empty.
	Domain, TLSDir, CertsDir string
	// LogFile takes the process's own log, AccessFile a line about each request; there is none where it is empty.
	LogFile, AccessFile string
	// TrustedProxies is Config's.
	TrustedProxies string
	// Arguments are the process's own.
	Arguments []string
}

// Proxy is the data plane's process: it answers as the orders at the control socket say, until ctx ends.
func Proxy(ctx context.Context, config ProxyConfig) error {
	log := slog.New(slog.NewTextHandler(telemetry.NewProgramLog(config.LogFile), nil))
	trusted, ok := platform.ParsePrefixes(config.TrustedProxies)
	if !ok && config.TrustedProxies != "" {
		return fmt.Errorf("trusted proxies %q: not a list of networks", config.TrustedProxies)
	}
	// Where every one of Go's processors has an event loop, none is ever idle to it, and its monitor looks at them every 20 µs.
	loops := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(loops + 1)
	plane := dataplane.ServerConfig{
		Socket: config.Control, PrivateAddress: config.PrivateHTTPAddr, HTTPSAddress: config.HTTPSAddr, Arguments: config.Arguments, Log: log,
		Proxy: proxy.Config{
			Address: config.HTTPAddr, TrustedProxies: trusted, RequestTimeout: requestTimeout, IdleTimeout: idleTimeout, ShutdownTimeout: requestTimeout,
			EventLoops: loops, Freezer: freezer.Files{}, Log: log,
		},
	}
	if config.HTTPSAddr != "" {
		var sources certs.Sources
		sources, plane.Proxy.QUICResetKey = config.certificates(log)
		plane.Proxy.Certificates = sources.GetCertificate
		var err error
		if _, plane.Proxy.HTTPSPort, err = net.SplitHostPort(config.HTTPSAddr); err != nil {
			return err
		}
	}
	if config.AccessFile != "" {
		access := accesslog.NewWriter(telemetry.NewAccessLog(config.AccessFile), log)
		plane.Proxy.AccessLog = access
		writing, stop := context.WithCancel(context.WithoutCancel(ctx))
		var writer sync.WaitGroup
		writer.Go(func() { access.Run(writing) })
		defer writer.Wait()
		defer stop()
	}
	return dataplane.Serve(ctx, plane)
}

// certificates are where those of services come from: the user's own come first. Without the authority, which `apron serve` has seen
// to, the rest of the traffic goes on, and there is no resetKey.
func (c ProxyConfig) certificates(log *slog.Logger) (sources certs.Sources, resetKey *quic.StatelessResetKey) {
	if c.CertsDir != "" {
		sources = append(sources, certs.OpenFiles(c.CertsDir, log))
	}
	authority, err := certs.OpenAuthority(c.TLSDir, c.Domain)
	if err != nil {
		log.Error("names without a certificate of their own have none", "error", err)
		return sources, nil
	}
	key, err := authority.Derive("stateless resets of QUIC")
	if err != nil {
		log.Warn("clients of HTTP/3 are not told when this process has died", "error", err)
		return append(sources, authority), nil
	}
	return append(sources, authority), (*quic.StatelessResetKey)(&key)
}
