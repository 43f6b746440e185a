package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the data plane, and a program that is upgraded.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "upgrade" {
		if err := upgradeOnce(os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 20 && os.Args[1] == "proxy" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		flags := map[string]string{}
		for i := 2; i < len(os.Args); i += 2 {
			flags[os.Args[i]] = os.Args[i+1]
		}
		if err := Proxy(ctx, ProxyConfig{
			Control: flags["--control"], HTTPAddr: flags["--http"], PrivateHTTPAddr: flags["--private-http"], HTTPSAddr: flags["--https"],
			Domain: flags["--domain"], TLSDir: flags["--tls"], CertsDir: flags["--certs"], LogFile: flags["--log-file"],
			AccessFile: flags["--access-log"], Arguments: os.Args[1:],
		}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 2 && os.Args[1] == "leaving" { // takes a second to end
		terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		<-terminated.Done()
		time.Sleep(time.Second)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// dataPlaneConfig is a configuration with free addresses.
func dataPlaneConfig(t *testing.T) Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "dp[1]*") // t.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := Default()
	config.DataDir = dir
	for _, address := range []*string{&config.HTTPAddr, &config.PrivateHTTPAddr, &config.HTTPSAddr} {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer free.Close()
		*address = free.Addr().String()
	}
	t.Cleanup(func() {
		if err := mustPlane(t, config).stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return config
}

func mustPlane(t *testing.T, config Config) *dataPlane {
	t.Helper()
	plane, err := newDataPlane(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return plane
}

// serve runs what steers the plane, until stop is called.
func (d *dataPlane) serve(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for _, part := range []func(context.Context) error{d.client.Run, d.leave} {
		group.Go(func() {
			if err := part(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	if err := d.client.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	return func() { cancel(); group.Wait() }
}

// anotherProgram is a program that differs from this one, and does the same.
func anotherProgram(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "apron")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// apron is killed at each point of the replacement of its data plane. At no time are connections refused, and the next start
// leaves one data plane, of its own program.
func TestADataPlaneIsReplacedAfterACrashAtAnyPoint(t *testing.T) {
	another := anotherProgram(t)
	begin := func(d *dataPlane, pid int) error { return d.earlier(pid).Adopt(pid) }
	forget := func(d *dataPlane, _ int) error { return d.daemon.Forget() }
	setAside := func(d *dataPlane, pid int) error { return d.client.SetAside(pid) }
	start := func(d *dataPlane, _ int) error { return d.daemon.Ensure(t.Context()) }
	for name, steps := range map[string][]func(d *dataPlane, pid int) error{
		"at none":                      {},
		"after its second pid file":    {begin},
		"without its pid file":         {begin, forget},
		"when it is set aside":         {begin, forget, setAside},
		"when the next one is started": {begin, forget, setAside, start},
		"before the next one's file":   {begin, forget, setAside, start, forget},
	} {
		t.Run(name, func(t *testing.T) {
			config := dataPlaneConfig(t)
			first := mustPlane(t, config)
			first.daemon.Path = another
			if err := first.ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			first.serve(t)()
			found, err := first.client.Find(t.Context(), first.daemon.Args)
			if err != nil || found.IsCurrent {
				t.Fatalf("found %+v, %v", found, err)
			}
			dialing, stop := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() {
				for dialing.Err() == nil {
					conn, err := net.Dial("tcp", config.HTTPAddr)
					if err != nil {
						t.Error(err)
						return
					}
					conn.(*net.TCPConn).SetLinger(0) // leaves no port behind
					conn.Close()
				}
			})
			killed := mustPlane(t, config)
			for _, step := range steps {
				if err := step(killed, found.PID); err != nil {
					t.Fatal(err)
				}
			}
			next := mustPlane(t, config)
			if err := next.ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			end := next.serve(t)
			waiting, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			await(waiting, func() bool {
				return len(next.leaving()) == 0 && errors.Is(syscall.Kill(found.PID, 0), syscall.ESRCH)
			})
			end()
			stop()
			group.Wait()
			if left := next.leaving(); len(left) > 0 {
				t.Errorf("%v have not left", left)
			}
			if err := syscall.Kill(found.PID, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("the first data plane: %v, want no such process, not even one that nobody has waited for", err)
			}
			last, err := next.client.Find(t.Context(), next.daemon.Args)
			if err != nil || !last.IsCurrent || !isPID(next, last.PID) {
				t.Errorf("found %+v, %v", last, err)
			}
		})
	}
}

// isPID says whether the pid file names the process.
func isPID(d *dataPlane, pid int) bool {
	content, err := os.ReadFile(filepath.Join(d.run, "proxy.pid"))
	var named int
	_, _ = fmt.Sscanf(string(content), `{"Pid":%d,`, &named)
	return err == nil && named == pid
}

// Each has a connection that its client keeps, and so would be there for long.
func TestUpgradesInQuickSuccessionLeaveFewDataPlanes(t *testing.T) {
	config, program := dataPlaneConfig(t), anotherProgram(t)
	for range maxLeaving + 2 {
		plane := mustPlane(t, config)
		plane.daemon.Path = program
		if err := plane.ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		plane.serve(t)()
		conn, err := net.Dial("tcp", config.HTTPAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		if leaving := plane.leaving(); len(leaving) > maxLeaving {
			t.Errorf("%d data planes are leaving", len(leaving))
		}
	}
}

// An upgrade that finds too many data planes leaving waits for the one that has had the most time, not for the one whose number comes
// first.
func TestTheDataPlaneThatWasSetAsideFirstIsTheFirstToBeStopped(t *testing.T) {
	plane := mustPlane(t, dataPlaneConfig(t))
	if err := os.MkdirAll(plane.run, 0o700); err != nil {
		t.Fatal(err)
	}
	for age, pid := range []int{1000, 999, 1001} {
		path := filepath.Join(plane.run, fmt.Sprintf("proxy-%d.pid", pid))
		at := time.Now().Add(-time.Duration(age) * time.Minute)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if got := plane.leaving(); !slices.Equal(got, []int{1001, 999, 1000}) {
		t.Errorf("they are %v", got)
	}
}

// The data plane dies while the next one waits for one that is leaving.
func TestADataPlaneThatDiesWhileItIsReplacedIsStartedAgain(t *testing.T) {
	config := dataPlaneConfig(t)
	first := mustPlane(t, config)
	first.daemon.Path = anotherProgram(t)
	if err := first.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.serve(t)()
	found, err := first.client.Find(t.Context(), first.daemon.Args)
	if err != nil {
		t.Fatal(err)
	}
	next := mustPlane(t, config)
	for range maxLeaving {
		leaving := exec.Command(os.Args[0], "leaving")
		if err := leaving.Start(); err != nil {
			t.Fatal(err)
		}
		go leaving.Wait()
		if err := next.earlier(leaving.Process.Pid).Adopt(leaving.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	time.AfterFunc(500*time.Millisecond, func() { _ = syscall.Kill(found.PID, syscall.SIGKILL) })
	if err := next.ensure(t.Context()); err != nil {
		t.Errorf("apron does not start: %v", err)
	}
	if err := next.client.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
