package dataplane_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/dataplane"
	"github.com/apron-run/apron/internal/platform"
)

// ordered stands where a data plane takes orders, and answers them as the test says.
func ordered(t *testing.T, socket string, handler http.HandlerFunc) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	server := &http.Server{Handler: handler}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
}

// An order that is under way while a data plane is set aside must not leave a connection to it behind, by which later orders reach it
// in the place of the next one: instances would be stopped that the next one still sends requests to.
func TestNoOrderReachesADataPlaneInThePlaceOfTheNext(t *testing.T) {
	p := newPlane(t)
	arrived, finish := make(chan struct{}), make(chan struct{})
	var late atomic.Int32
	ordered(t, p.socket, func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-finish:
			late.Add(1)
		default:
			close(arrived)
			<-finish
		}
		fmt.Fprint(w, `{"PID": 1}`)
	})
	client := dataplane.NewClient(p.socket, discard)
	underWay := make(chan error, 1)
	go func() { underWay <- client.Check(t.Context()) }()
	<-arrived
	if err := client.SetAside(1); err != nil {
		t.Fatal(err)
	}
	ordered(t, p.socket, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"PID": 2}`) })
	check := func() {
		if err := client.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	check()
	close(finish)
	if err := <-underWay; err != nil {
		t.Error(err)
	}
	for range 100 {
		check()
	}
	if late := late.Load(); late > 0 {
		t.Errorf("%d orders reached the data plane that was set aside", late)
	}
}

// A data plane that is set aside while it is asked to drain is not the only one that may have requests then.
func TestDrainAsksADataPlaneThatTakesAPlaceMeanwhile(t *testing.T) {
	p := newPlane(t)
	var ofFirst, ofSecond atomic.Int32
	client := dataplane.NewClient(p.socket, discard)
	second := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/drain" {
			ofSecond.Add(1)
		}
		fmt.Fprint(w, `{}`)
	}
	ordered(t, p.socket, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/drain" && ofFirst.Add(1) == 1 {
			if err := os.Rename(p.socket, dataplane.SocketOf(p.socket, 1)); err != nil {
				t.Error(err)
			}
			ordered(t, p.socket, second)
		}
		fmt.Fprint(w, `{}`)
	})
	run(t, client)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if left := client.Drain(ctx, []platform.InstanceID{"one"}); left != 0 {
		t.Errorf("%d requests are left", left)
	}
	if first, second := ofFirst.Load(), ofSecond.Load(); first < 1 || second < 1 {
		t.Errorf("the first data plane was asked %d times and the second %d, want both", first, second)
	}
}
