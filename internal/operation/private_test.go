package operation

import (
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

// An update's wish to be private holds from its switch on, also when apron was killed on the way and starts again.
func TestAnUpdateMakesAServicePrivateAtItsSwitch(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	update := func(a *apron, isPublic bool) platform.OperationID {
		return w.begin(a, service, platform.OperationUpdateService, func(service *platform.Service) error {
			service.Configuration.Network.IsPubliclyAccessible = isPublic
			return nil
		})
	}
	for _, isPublic := range []bool{false, true} {
		held := make(chan struct{})
		w.set(func() { w.hold["start"] = held; w.calls["start"] = 0 })
		id := update(a, isPublic)
		w.eventually("the new instance is started", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.calls["start"] > 0
		})
		before := len(w.routeOf(service).Hosts)
		if wasPublic := before > 0; wasPublic == isPublic {
			t.Errorf("before the switch to public %v it has %d hosts", isPublic, before)
		}
		a.stop()
		a = w.start()
		if got := len(w.routeOf(service).Hosts); got != before {
			t.Errorf("a restart before the switch to public %v makes it have %d hosts, not %d", isPublic, got, before)
		}
		w.set(func() { delete(w.hold, "start") })
		close(held)
		if ended, _ := w.ended(id); ended.Status != platform.OperationStatusSucceeded {
			t.Fatalf("the update has ended as %s: %+v", ended.Status, ended.Failure)
		}
		if hasHosts := len(w.routeOf(service).Hosts) > 0; hasHosts != isPublic {
			t.Errorf("after the switch to public %v its hosts are %q", isPublic, w.routeOf(service).Hosts)
		}
	}
}
