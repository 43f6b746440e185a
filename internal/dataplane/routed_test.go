package dataplane_test

import (
	"testing"
	"time"

	"github.com/apron-run/apron/internal/dataplane"
)

// Whoever starts with a data plane that has no table yet finds what the one before it routes to.
func TestTheRoutesInForceAreThoseOfTheOneBeforeUntilTheNextHasSome(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, stop := p.newClient(t)
	client.SetRoute(route("app.test", "127.0.0.1:1"))
	flush(t, client)
	stop()
	client = dataplane.NewClient(p.socket, discard)
	p.next(t, client)
	for deadline := time.Now().Add(20 * time.Second); client.Check(t.Context()) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no data plane answers")
		}
	}
	if got, err := client.Routes(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("the routes in force are %+v, %v", got, err)
	}
}
