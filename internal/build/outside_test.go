package build_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// outsideHost is the address of a machine that is neither this one nor an instance, of a network for documentation.
const outsideHost = "198.51.100.2"

// outside lets a server answer at a host of the outside until the test ends, and returns its HOST:PORT.
func outside(t *testing.T, handler http.Handler) string {
	t.Helper()
	const name, near, far = "apron-outside", "apo-near", "apo-far"
	for _, args := range [][]string{
		{"netns", "add", name},
		{"link", "add", near, "type", "veth", "peer", "name", far, "netns", name},
		{"address", "add", "198.51.100.1/30", "dev", near},
		{"link", "set", near, "up"},
		{"-n", name, "address", "add", outsideHost + "/30", "dev", far},
		{"-n", name, "link", "set", far, "up"},
	} {
		if output, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, output)
		}
		undo := map[string][]string{"netns": {"netns", "delete", name}, "link add": {"link", "delete", near}}
		for begin, undo := range undo {
			if strings.HasPrefix(strings.Join(args, " "), begin) {
				t.Cleanup(func() {
					if output, err := exec.Command("ip", undo...).CombinedOutput(); err != nil {
						t.Errorf("ip %v: %v: %s", undo, err, output)
					}
				})
			}
		}
	}
	listener, err := listenIn("/run/netns/"+name, net.JoinHostPort(outsideHost, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }() // until it is closed
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

// listenIn makes a listener in another network namespace, where it stays.
func listenIn(path, address string) (listener net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		namespace, openErr := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if openErr != nil {
			err = fmt.Errorf("open the namespace: %w", openErr)
			return
		}
		defer unix.Close(namespace)
		if err = unix.Setns(namespace, unix.CLONE_NEWNET); err == nil {
			listener, err = net.Listen("tcp4", address)
		}
	}()
	<-done
	if err == nil && listener == nil {
		err = errors.New("no listener")
	}
	return listener, err
}
