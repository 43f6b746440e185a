package dataplane_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/dataplane"
	"github.com/apron-run/apron/internal/platform"
)

// Two clients in turn, as when an apron takes over from another one, and a data plane that is started anew now and then: what is in
// force is what the client wants, whether it tells changes or the whole.
func TestTheTableInForceIsTheOneThatIsWanted(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, stop := p.newClient(t)
	want := map[platform.ServiceID]platform.Route{}
	for step := range 120 {
		switch {
		case step%50 == 49:
			p.stop()
			p.start(t)
		case step%40 == 39:
			stop()
			client, stop = p.newClient(t)
			for _, each := range want {
				client.SetRoute(each)
			}
		}
		for range rand.IntN(4) {
			host := fmt.Sprintf("app%d.test", rand.IntN(8))
			if rand.IntN(3) == 0 {
				client.RemoveRoute(platform.ServiceID(host))
				delete(want, platform.ServiceID(host))
				continue
			}
			made := route(host, fmt.Sprintf("127.0.0.1:%d", 1+rand.IntN(9)))
			client.SetRoute(made)
			want[made.ServiceID] = made
		}
		flush(t, client)
		wantRoutes(t, client, want)
	}
}

func wantRoutes(t *testing.T, client *dataplane.Client, want map[platform.ServiceID]platform.Route) {
	t.Helper()
	all := []platform.Route{}
	for _, each := range want {
		all = append(all, each)
	}
	slices.SortFunc(all, func(a, b platform.Route) int { return cmp.Compare(a.ServiceID, b.ServiceID) })
	var diff string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // one that was started anew is told soon
		got, err := client.Routes(t.Context())
		if diff = gocmp.Diff(all, append([]platform.Route{}, got...)); err == nil && diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the routes in force (%v) (-want +got):\n%s", err, diff)
		}
	}
}

// A data plane of a program that knows only whole tables gets them: it may be leaving while an apron of a newer one runs.
func TestADataPlaneThatKnowsNoChangesIsToldTheWhole(t *testing.T) {
	p := newPlane(t)
	listener, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var table struct {
		ID     string
		Routes []platform.Route
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/routes", func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if err := json.NewDecoder(r.Body).Decode(&table); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("GET /v1/health", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, `{"Table": %q}`, table.ID)
	})
	server := &http.Server{Handler: mux}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	client, _ := p.newClient(t)
	for i := range 3 {
		client.SetRoute(route(fmt.Sprintf("app%d.test", i), "127.0.0.1:1"))
		flush(t, client)
		mu.Lock()
		if len(table.Routes) != i+1 {
			t.Errorf("%d routes are known, want %d", len(table.Routes), i+1)
		}
		mu.Unlock()
	}
}
