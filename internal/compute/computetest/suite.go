package computetest

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/freezer"
	"github.com/apron-run/apron/internal/platform"
)

// Run is the suite that every backend passes.
func Run(t *testing.T, b *Bench) {
	for _, each := range []struct {
		name string
		test func(*testing.T, *Bench)
	}{
		{"answers at its address with its environment", answers},
		{"starting it again changes nothing", startsOnce},
		{"is not listed as lost while it starts", isNotLostWhileItStarts},
		{"has no privileges", hasNoPrivileges},
		{"tells its exit code", tellsItsExitCode},
		{"tells when it was out of memory", tellsOutOfMemory},
		{"can write only so much", writesOnlySoMuch},
		{"can start only so many processes", startsOnlySoManyProcesses},
		{"keeps bounded output", keepsBoundedOutput},
		{"reaches neither another instance nor the host nor link-local addresses", reachesNothing},
		{"ends when it is asked to", endsWhenAsked},
		{"answers what came while it was frozen, and ends when it is frozen", canBeFrozen},
		{"a command that is not there is told in a sentence", explainsAMissingCommand},
	} {
		t.Run(each.name, func(t *testing.T) { each.test(t, b.On(t)) })
	}
}

func answers(t *testing.T, b *Bench) {
	spec, instance := b.Start()
	if _, body := b.Get(instance, "/"); body != "hello from v1\n" {
		t.Errorf("answer: %q", body)
	}
	if _, body := b.Get(instance, "/env"); !strings.Contains(body, "PORT=8080") || !strings.Contains(body, "FROM_IMAGE=yes") {
		t.Errorf("environment: %s", body)
	}
	text := b.output(spec, "a line on stderr")
	if !strings.Contains(text, " stdout listening on 8080\n") || !strings.Contains(text, " stderr a line on stderr\n") {
		t.Errorf("output: %s", text)
	}
}

func startsOnce(t *testing.T, b *Bench) {
	spec, first := b.Start()
	second, err := b.Backend.Start(t.Context(), spec)
	if err != nil || second.Address != first.Address {
		t.Errorf("second start: %+v, %v; first %+v", second, err, first)
	}
}

// What is listed may have been read before an instance began, and judged after: many that start make that likely.
func isNotLostWhileItStarts(t *testing.T, b *Bench) {
	const starters, each = 8, 3
	var starting sync.WaitGroup
	var started atomic.Int32
	for range starters {
		starting.Go(func() {
			for range each {
				spec := b.Spec()
				_, err := b.Backend.Start(t.Context(), spec)
				if err := errors.Join(err, b.Backend.Stop(t.Context(), spec.ID, 0)); err != nil {
					t.Error(err)
				}
				started.Add(1)
			}
		})
	}
	before, err := b.Backend.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kinds := [][]platform.ServiceID{nil, {b.Spec().ServiceID}, {"another"}}
	for kind := 0; started.Load() < starters*each && !t.Failed(); kind++ {
		of := kinds[kind%len(kinds)]
		instances, err := b.Backend.List(t.Context(), of...)
		if err != nil {
			t.Error(err)
		}
		if len(of) > 0 && of[0] == "another" && len(instances) > 0 {
			t.Errorf("a service without instances has %+v", instances)
		}
		for _, one := range instances {
			isOlder := slices.ContainsFunc(before, func(other platform.Instance) bool { return other.ID == one.ID })
			if one.Exit != nil && one.Exit.IsLost && !isOlder {
				t.Errorf("%s is told to be lost", one.ID)
			}
		}
	}
	starting.Wait()
}

func hasNoPrivileges(t *testing.T, b *Bench) {
	_, instance := b.Start()
	_, status := b.Get(instance, "/file", "path", "/proc/self/status")
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t00000000000004eb", "CapBnd:\t00000000000004eb"} {
		if !strings.Contains(status, want) {
			t.Errorf("%q is not in /proc/self/status:\n%s", want, status)
		}
	}
	// Images whose user is not root listen on port 80 too.
	if _, first := b.Get(instance, "/file", "path", "/proc/sys/net/ipv4/ip_unprivileged_port_start"); first != "0\n" {
		t.Errorf("only root can listen on ports below %s", first)
	}
	for _, path := range []string{"/sys/fs/cgroup/x", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/etc/resolv.conf", "/sys/kernel/x"} {
		if code, _ := b.Get(instance, "/write", "path", path); code != http.StatusTeapot {
			t.Errorf("%s could be written", path)
		}
	}
	if code, _ := b.Get(instance, "/file", "path", "/proc/kcore"); code == http.StatusOK {
		if _, content := b.Get(instance, "/file", "path", "/proc/kcore"); content != "" {
			t.Error("/proc/kcore could be read")
		}
	}
}

func tellsItsExitCode(t *testing.T, b *Bench) {
	spec, _ := b.Start("/testapp", "exit", "3")
	if exit := b.Exit(spec.ID); exit.Code != 3 || exit.IsOutOfMemory {
		t.Errorf("exit: %+v", exit)
	}
}

func tellsOutOfMemory(t *testing.T, b *Bench) {
	spec := b.Spec("/testapp", "hog")
	spec.MemoryMiB = 64
	events, err := b.Backend.Exits(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Backend.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if exit := b.Exit(spec.ID); !exit.IsOutOfMemory {
		t.Errorf("exit: %+v", exit)
	}
	b.eventually("the end is told", func() bool {
		select {
		case id := <-events:
			return id == spec.ID
		default:
			return false
		}
	})
}

func writesOnlySoMuch(t *testing.T, b *Bench) {
	spec, _ := b.Start("/testapp", "fill")
	if text := b.output(spec, "no space left on device"); !strings.Contains(text, "stopped after 5") && !strings.Contains(text, "stopped after 6") {
		t.Errorf("with 64 MiB of storage: %s", text)
	}
}

func startsOnlySoManyProcesses(t *testing.T, b *Bench) {
	spec := b.Spec("/testapp", "fork")
	spec.MemoryMiB = 2048
	if _, err := b.Backend.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	b.output(spec, "resource temporarily unavailable")
	if err := b.Backend.Stop(t.Context(), spec.ID, 0); err != nil {
		t.Error(err)
	}
}

func keepsBoundedOutput(t *testing.T, b *Bench) {
	spec, _ := b.Start("/testapp", "print")
	b.eventually("the output is rotated twice", func() bool {
		_, err := os.Stat(spec.LogPath + ".2")
		return err == nil
	})
	files, err := filepath.Glob(spec.LogPath + "*")
	if err != nil || len(files) > 3 {
		t.Errorf("files: %v, %v", files, err)
	}
	if err := b.Backend.Stop(t.Context(), spec.ID, 0); err != nil {
		t.Error(err)
	}
}

func reachesNothing(t *testing.T, b *Bench) {
	_, one := b.Start()
	_, other := b.Start()
	b.Get(other, "/")
	listener := listenOn(t, b.HostAddress)
	for _, address := range []string{other.Address, listener, "169.254.169.254:80"} {
		if code, body := b.Get(one, "/dial", "address", address); code == http.StatusOK {
			t.Errorf("%s: %s", address, body)
		}
	}
}

func endsWhenAsked(t *testing.T, b *Bench) {
	spec, instance := b.Start()
	b.Get(instance, "/")
	began := time.Now()
	for range 2 {
		if err := b.Backend.Stop(t.Context(), spec.ID, 20*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the app handles SIGTERM, and its end took %s", took)
	}
	if _, err := b.Backend.Inspect(t.Context(), spec.ID); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("after the end: %v", err)
	}
}

func canBeFrozen(t *testing.T, b *Bench) {
	spec, instance := b.Start()
	if instance.Freezer == "" {
		t.Skip("the backend freezes nothing")
	}
	b.Get(instance, "/")
	files := freezer.Files{}
	if err := files.Freeze(instance.Freezer); err != nil {
		t.Fatal(err)
	}
	seen, err := b.Backend.Inspect(t.Context(), spec.ID)
	if err != nil || seen.State != platform.InstanceStateRunning || seen.Freezer != instance.Freezer {
		t.Errorf("frozen: %+v, %v", seen, err)
	}
	answered := make(chan string, 1)
	go func() {
		_, body := b.Get(instance, "/")
		answered <- body
	}()
	select {
	case <-answered:
		t.Error("a frozen instance answers")
	case <-time.After(200 * time.Millisecond): // long for an answer on this machine
	}
	if err := files.Thaw(instance.Freezer); err != nil {
		t.Fatal(err)
	}
	if body := <-answered; body != "hello from v1\n" {
		t.Errorf("answer after the thaw: %q", body)
	}
	if err := files.Freeze(instance.Freezer); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := b.Backend.Stop(t.Context(), spec.ID, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the app handles SIGTERM, and its end took %s when it was frozen", took)
	}
}

func explainsAMissingCommand(t *testing.T, b *Bench) {
	spec := b.Spec("/nothing")
	_, err := b.Backend.Start(t.Context(), spec)
	if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, "/nothing was not found in the image") {
		t.Errorf("got %v", err)
	}
	if content, err := os.ReadFile(spec.LogPath); len(content) > 0 {
		t.Errorf("the app never ran, and its output is %q (%v)", content, err)
	}
}

// listenOn listens on an address of this host and returns it with its port.
func listenOn(t *testing.T, host string) string {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}
