package deploy

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// tagged lists services, whose tags may change meanwhile.
type tagged struct {
	store.Services
	mu       sync.Mutex // guards what follows
	services []platform.Service
	err      error
}

func (s *tagged) ListServices(context.Context, store.ServicePage) ([]platform.Service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.services, s.err
}

// set makes it list this service, or fail.
func (s *tagged) set(service platform.Service, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services, s.err = []platform.Service{service}, err
}

func (p *plane) traffic(service platform.ServiceID) platform.Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.routes[service].Traffic
}

func (p *plane) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changes
}

func TestAChangeOfTagsHoldsWithoutADeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlane()
		routes := NewRoutes(p, hostOf)
		service := serving("r1")
		service.Tags = map[string]string{platform.TagRequestTimeout: "5m"}
		_, revision := of(true)
		routes.Serve(service, revision, nil)
		want := func(when string, edit func(*platform.Traffic)) {
			t.Helper()
			synctest.Wait()
			wanted := platform.Traffic{FreezeAfter: time.Minute}
			edit(&wanted)
			if diff := cmp.Diff(wanted, p.traffic(service.ID)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		long := func(t *platform.Traffic) { t.RequestTimeout = 5 * time.Minute }
		want("from the service's own tags", long)

		db := &tagged{services: []platform.Service{service}}
		traffic := NewTraffic(db, routes, slog.New(slog.NewTextHandler(t.Output(), nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- traffic.Run(ctx) }()
		want("at the start", long)
		if changes := p.count(); changes != 1 {
			t.Error("what has not changed was told again")
		}
		changed := service
		changed.Tags = map[string]string{platform.TagCompression: "on"}
		db.set(changed, nil)
		traffic.Wake()
		compressed := func(t *platform.Traffic) { t.Compresses = true }
		want("after a change", compressed)
		routes.Serve(service, revision, nil) // by a deployment that has read the service before the change
		want("after a deployment", compressed)

		db.set(changed, context.DeadlineExceeded)
		traffic.Wake()
		want("while the database is away", compressed)
		changed.Tags = map[string]string{platform.TagRequestTimeout: "for ever", platform.TagHTTPS: "redirect"}
		db.set(changed, nil)
		time.Sleep(2 * settleEvery)
		want("with a tag that cannot be read", func(t *platform.Traffic) { t.RedirectsToHTTPS = true })
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
