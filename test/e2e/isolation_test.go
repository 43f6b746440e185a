package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// An instance can reach neither apron, nor another instance, nor the cloud's metadata, nor containerd.
func TestAnInstanceReachesNothingOfApron(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "alone:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("alone", "alone:live", nil))
	other := a.MustCreate(t, fromImage("other-one", "alone:live", nil))
	own, others := service.WantOneInstance(t).Address, other.WantOneInstance(t).Address
	gateway := gatewayOf(t, others)
	// A server of the host on the bridge's own address, as apron's API would be with --api 0.0.0.0.
	listener, err := net.Listen("tcp", net.JoinHostPort(gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, apiPort, _ := net.SplitHostPort(a.API)

	if got := dialFrom(t, a, service, "tcp", own); got != "connected" {
		t.Fatalf("it cannot even reach itself at %s: %s", own, got)
	}
	for _, address := range []string{others, listener.Addr().String(), net.JoinHostPort(gateway, apiPort), a.API, "169.254.169.254:80"} {
		if got := dialFrom(t, a, service, "tcp", address); got == "connected" {
			t.Errorf("it reaches %s", address)
		}
	}
	for _, socket := range []string{filepath.Join(a.Data, "run", "containerd.sock"), "/run/containerd/containerd.sock"} {
		if got := dialFrom(t, a, service, "unix", socket); got == "connected" {
			t.Errorf("it reaches %s", socket)
		}
	}
	for _, local := range linkLocalOf(t, gateway) {
		if got := dialFrom(t, a, service, "tcp", net.JoinHostPort(local+"%eth0", anyPort(t))); got == "connected" {
			t.Errorf("it reaches the host at %s", local)
		}
	}
	if sockets := a.Get(t, service.URL, "/read?path=/proc/net/unix").Body; strings.Contains(sockets, "@") {
		t.Errorf("it sees abstract sockets of others:\n%s", sockets)
	}
}

func dialFrom(t *testing.T, a *apron.Apron, service *apron.Service, network, address string) string {
	t.Helper()
	return a.Get(t, service.URL, "/dial?network="+network+"&address="+url.QueryEscape(address)).Body
}

// gatewayOf finds the host's address on the bridge that the instance's address is on.
func gatewayOf(t *testing.T, instance string) string {
	t.Helper()
	address := netip.MustParseAddrPort(instance).Addr()
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range interfaces {
		if prefix, err := netip.ParsePrefix(each.String()); err == nil && prefix.Contains(address) {
			return prefix.Addr().String()
		}
	}
	t.Fatalf("the host has no address in the network of %s", instance)
	return ""
}

// linkLocalOf returns the IPv6 addresses that the kernel gave the interface that has address.
func linkLocalOf(t *testing.T, address string) []string {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range interfaces {
		var local []string
		isIt := false
		addresses, err := each.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range addresses {
			prefix, err := netip.ParsePrefix(each.String())
			isIt = isIt || err == nil && prefix.Addr().String() == address
			if err == nil && prefix.Addr().IsLinkLocalUnicast() && prefix.Addr().Is6() {
				local = append(local, prefix.Addr().String())
			}
		}
		if isIt {
			return local
		}
	}
	return nil
}

// anyPort is a port of the host on which a server listens on all addresses until the test ends.
func anyPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

func TestAnInstanceHasNoPrivileges(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "plain:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("plain", "plain:live", nil))
	for _, attempt := range []string{
		"mount", "mknod", "unshare", "hostname", "clock", "sysctl", "cgroup", "raw socket", "module", "kernel log",
	} {
		answer := a.Get(t, service.URL, "/try?what="+url.QueryEscape(attempt))
		if answer.Status != http.StatusTeapot || !strings.HasPrefix(answer.Body, "refused: ") {
			t.Errorf("it tries %s: %d %s", attempt, answer.Status, answer.Body)
		}
	}
	status := a.Get(t, service.URL, "/read?path=/proc/self/status").Body
	for name, want := range map[string]string{"NoNewPrivs": "1", "Seccomp": "2"} {
		if got := statusField(status, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	effective, err := strconv.ParseUint(statusField(status, "CapEff"), 16, 64)
	const forbidden = 1<<12 | 1<<13 | 1<<16 | 1<<19 | 1<<21 | 1<<24 | 1<<27 // NET_ADMIN, NET_RAW, SYS_MODULE, SYS_PTRACE, SYS_ADMIN, SYS_RESOURCE, MKNOD
	if err != nil || effective&forbidden != 0 {
		t.Errorf("its capabilities are %x (%v)", effective, err)
	}
	if limit := a.Get(t, service.URL, "/read?path=/sys/fs/cgroup/pids/pids.max"); limit.Status == http.StatusOK && strings.TrimSpace(limit.Body) == "max" {
		t.Error("its number of processes is not limited")
	}
	for _, path := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"} {
		if answer := a.Get(t, service.URL, "/read?path="+path); answer.Status == http.StatusOK && answer.Body != "" {
			t.Errorf("it reads %d bytes of %s", len(answer.Body), path)
		}
	}
}

func statusField(status, name string) string {
	found := regexp.MustCompile(`(?m)^` + name + `:\s*(.*)$`).FindStringSubmatch(status)
	if found == nil {
		return fmt.Sprintf("no %s", name)
	}
	return found[1]
}

// A client cannot make the application believe that a request came from elsewhere.
func TestForwardedHeadersAreSetAndNotTrusted(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "headers:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("headers", "headers:live", nil))
	host, _, _ := strings.Cut(service.URL, ":")
	for name, want := range map[string]*regexp.Regexp{
		"X-Forwarded-For":   regexp.MustCompile(`^127\.0\.0\.1$`),
		"X-Forwarded-Proto": regexp.MustCompile(`^http$`),
		"X-Forwarded-Host":  regexp.MustCompile(`^` + regexp.QuoteMeta(host) + `(:\d+)?$`),
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+service.URL+"/header?name="+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(name, "203.0.113.9")
		answer, err := a.Do(request)
		if err != nil || !want.MatchString(answer.Body) {
			t.Errorf("%s reaches the application as %q (%v)", name, answer.Body, err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://nobody.us-east-1.apron.localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := a.Do(request); err != nil || answer.Status != http.StatusNotFound {
		t.Errorf("an unknown host is answered with %d (%v)", answer.Status, err)
	}
}
