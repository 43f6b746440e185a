package containerd_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/freezer"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// BenchmarkFirstRequestToAFrozenInstance measures requests through a proxy that finds the instance frozen, beside those that follow and
// find it warm.
func BenchmarkFirstRequestToAFrozenInstance(bb *testing.B) {
	b := newBench(bb)
	_, instance := b.Start()
	b.Get(instance, "/")
	address := httptest.NewUnstartedServer(nil).Listener
	p := proxy.New(proxy.Config{Listener: address, Freezer: freezer.Files{}, Log: slog.New(slog.DiscardHandler)})
	p.SetRoutes([]platform.Route{{
		ServiceID: "service", Hosts: []string{"127.0.0.1"}, State: platform.RouteStateServing,
		Traffic:   platform.Traffic{FreezeAfter: 20 * time.Millisecond},
		Endpoints: []platform.Endpoint{{InstanceID: instance.ID, Address: instance.Address, Freezer: instance.Freezer}},
	}})
	go func() { _ = p.Run(bb.Context()) }()
	ask := func() time.Duration {
		began := time.Now()
		response, err := http.Get("http://" + address.Addr().String())
		if err != nil {
			bb.Fatal(err)
		}
		defer response.Body.Close()
		if content, err := io.ReadAll(response.Body); err != nil || string(content) != "hello from v1\n" {
			bb.Fatalf("answer %q, %v", content, err)
		}
		return time.Since(began)
	}
	ask() // the client's connection is kept from now on
	var cold, warm []time.Duration
	for bb.Loop() {
		for frozen := false; !frozen; time.Sleep(time.Millisecond) {
			frozen, _ = freezer.Files{}.IsFrozen(instance.Freezer)
		}
		time.Sleep(10 * time.Millisecond) // as one that has slept for a while
		cold, warm = append(cold, ask()), append(warm, ask())
	}
	slices.Sort(cold)
	slices.Sort(warm)
	for name, times := range map[string][]time.Duration{"cold": cold, "warm": warm} {
		bb.ReportMetric(float64(times[len(times)/2].Microseconds()), name+"-median-µs")
		bb.ReportMetric(float64(times[len(times)*99/100].Microseconds()), name+"-p99-µs")
	}
}
