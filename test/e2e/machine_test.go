package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// plugIn plugs a machine into a network: a namespace with the address behind the host's. It returns the address of a web server
// there, which nobody reaches but by the bridge.
func plugIn(t *testing.T, into network) string {
	t.Helper()
	own := netip.PrefixFrom(netip.MustParseAddr(into.HostAddress).Next(), netip.MustParsePrefix(into.Subnet).Bits())
	cable := fmt.Sprintf("cable%d", os.Getpid())
	host := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: cable + "h"}, PeerName: cable + "m"}
	if err := netlink.LinkAdd(host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(host) })
	threads, plugged, ended := make(chan int), make(chan struct{}), make(chan struct{})
	listening := make(chan net.Listener, 1)
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine, and its namespace with the last socket
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			failed <- err
			return
		}
		threads <- unix.Gettid()
		<-plugged
		listener, err := listenThere(cable+"m", own)
		if err != nil {
			failed <- err
			return
		}
		listening <- listener
		<-ended
	}()
	t.Cleanup(func() { close(ended) })
	select {
	case err := <-failed:
		t.Fatal(err)
	case thread := <-threads:
		machine, err := netlink.LinkByName(cable + "m")
		if err != nil {
			t.Fatal(err)
		}
		bridge, err := netlink.LinkByName(into.Bridge)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{netlink.LinkSetNsPid(machine, thread), netlink.LinkSetMaster(host, bridge), netlink.LinkSetUp(host)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	plugged <- struct{}{}
	select {
	case err := <-failed:
		t.Fatal(err)
		return ""
	case listener := <-listening:
		server := &http.Server{Handler: http.NotFoundHandler()}
		go server.Serve(listener)
		t.Cleanup(func() { server.Close() })
		return listener.Addr().String()
	}
}

// listenThere listens at the address of the only interface of this thread's namespace.
func listenThere(name string, address netip.Prefix) (net.Listener, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	at, err := netlink.ParseAddr(address.String())
	if err != nil {
		return nil, err
	}
	if err := netlink.AddrAdd(link, at); err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, err
	}
	return net.Listen("tcp4", net.JoinHostPort(address.Addr().String(), "80"))
}
