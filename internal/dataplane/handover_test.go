package dataplane_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/dataplane"
	"github.com/apron-run/apron/internal/platform"
)

// next is the plane that is started after p was set aside, at the same addresses.
func (p *plane) next(t *testing.T, client *dataplane.Client) *plane {
	t.Helper()
	if err := client.SetAside(p.pid); err != nil {
		t.Fatal(err)
	}
	after := &plane{
		socket: p.socket, address: p.address, private: p.private, https: p.https, pid: p.pid + 1, freezer: p.freezer, stop: func() {},
	}
	after.start(t)
	t.Cleanup(func() { after.stop() })
	return after
}

// wantEnd fails the test unless the plane ends by itself.
func (p *plane) wantEnd(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			t.Error(err)
		}
		p.stop = func() {}
	case <-time.After(20 * time.Second):
		t.Fatal("the data plane that was told to leave goes on")
	}
}

func TestNoConnectionIsRefusedBetweenADataPlaneAndTheNext(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	before, stop := p.newClient(t)
	served := route("app.test", app(t, says("app")))
	before.SetRoute(served)
	flush(t, before)
	stop()

	first := p // all have its address
	asking, done := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for asking.Err() == nil {
				if got := first.get("app.test"); got != "app" {
					t.Errorf("a request is answered %q", got)
				}
			}
		})
	}
	for range 5 {
		client := dataplane.NewClient(p.socket, discard)
		after := p.next(t, client)
		running, end := context.WithCancel(t.Context())
		group.Go(func() {
			if err := client.Run(running); err != nil {
				t.Error(err)
			}
		})
		client.SetRoute(served)
		flush(t, client)
		client.Leave(t.Context(), p.pid)
		p.wantEnd(t)
		end()
		p = after
	}
	done()
	group.Wait()
}

func TestADataPlaneThatIsLeavingHasTheNewestRoutesAndIsDrained(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	arrived, finish := make(chan struct{}), make(chan struct{})
	old := route("app.test", app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			close(arrived)
			<-finish
		}
		io.WriteString(w, "old")
	}))
	client.SetRoute(old)
	flush(t, client)
	kept := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	defer kept.CloseIdleConnections()
	if got := p.getBy(kept, "app.test", "/quick"); got != "old" {
		t.Fatalf("it answers %q", got)
	}
	slow := make(chan string, 1)
	go func() { slow <- p.get("app.test") }()
	<-arrived

	p.next(t, client)
	client.SetRoute(old) // a change, so that the new one gets its table at once
	flush(t, client)
	client.Leave(t.Context(), p.pid)
	client.SetRoute(route("app.test", app(t, says("new"))))
	ids := []platform.InstanceID{old.Endpoints[0].InstanceID}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if left := client.Drain(short, ids); left != 1 {
		t.Errorf("%d requests are left in flight, want that of the data plane that is leaving", left)
	}
	if got := p.getBy(kept, "app.test", "/quick"); got != "new" {
		t.Errorf("the kept connection is answered %q, want what the newest routes say", got)
	}
	close(finish)
	if got := <-slow; got != "old" {
		t.Errorf("the request in flight is answered %q", got)
	}
	long, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if left := client.Drain(long, ids); left != 0 {
		t.Errorf("%d requests are left in flight, want none", left)
	}
	p.wantEnd(t)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(dataplane.SocketOf(p.socket, p.pid)); os.IsNotExist(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the socket of the data plane that has left is still there")
		}
	}
}

func TestTunnelsToAnInstanceEndOnDataPlanesThatAreLeavingToo(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	upgrading := route("app.test", app(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(conn, conn)
	}))
	client.SetRoute(upgrading)
	flush(t, client)
	tunnels := []net.Conn{p.tunnel(t)}
	next := p.next(t, client)
	client.SetRoute(upgrading)
	flush(t, client)
	client.Leave(t.Context(), p.pid)
	tunnels = append(tunnels, next.tunnel(t))

	client.RemoveRoute(upgrading.ServiceID)
	flush(t, client)
	client.EndTunnels(t.Context(), []platform.InstanceID{upgrading.Endpoints[0].InstanceID})
	for i, conn := range tunnels {
		if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil {
			t.Errorf("tunnel %d has %q, %v, after its end", i, rest, err)
		}
	}
	p.wantEnd(t)
}

// tunnel opens an upgraded connection to app.test.
func (p *plane) tunnel(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the upgrade is answered %+v, %v", response, err)
	}
	return conn
}

func TestOnlyAnAddressThatChangedIsOpenedAnew(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	served := route("app.test", app(t, says("app")))
	client.SetRoute(served)
	flush(t, client)
	if err := client.SetAside(p.pid); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(p.private)
	if err != nil {
		t.Fatal(err)
	}
	// The same port on every interface overlaps with what it was: the data plane before must leave for that.
	after := &plane{socket: p.socket, address: p.address, private: ":" + port, https: p.https, stop: func() {}}
	after.start(t)
	t.Cleanup(func() { after.stop() })
	client.SetRoute(served)
	flush(t, client)
	p.wantEnd(t)
	if got := after.get("app.test"); got != "app" {
		t.Errorf("the address that stayed answers %q", got)
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestADataPlaneThatGotNoTableLeavesAtOnce(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client := dataplane.NewClient(p.socket, discard)
	for deadline := time.Now().Add(10 * time.Second); client.Check(t.Context()) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("no data plane answers")
		}
	}
	if err := client.SetAside(p.pid); err != nil {
		t.Fatal(err)
	}
	client.Leave(t.Context(), p.pid)
	p.wantEnd(t)
	if got := p.get("app.test"); !strings.Contains(got, "refused") {
		t.Errorf("its address answers %q", got)
	}
}
