package watch

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

func TestAChangeIsFoundByLooking(t *testing.T) {
	inWorld(t, time.Minute, func(w *world) {
		w.add("app", first, nil)
		w.add("image", "sha256:aaaaaaaaaaaaaaaaaaaa", func(service *platform.Service) {
			service.Configuration.Source.Code, service.Configuration.Source.Image = nil, &platform.ImageSource{Identifier: "registry.test/app:live"}
		})
		w.run()
		time.Sleep(5 * time.Minute)
		w.wantAsked() // at first sight each is at what its source means
		w.set(func() { w.heads["main"], w.heads["registry.test/app:live"] = second, "sha256:bbbbbbbbbbbbbbbbbbbb" })
		time.Sleep(90 * time.Second)
		w.wantAsked("app: polling found commit 2222222 of main", "image: polling found digest bbbbbbbbbbbb of registry.test/app:live")
		w.wantEvents()
	})
}

func TestAChangeFromBeforeTheStartIsFoundSoon(t *testing.T) {
	inWorld(t, time.Hour, func(w *world) {
		w.add("app", first, nil)
		w.set(func() { w.heads["main"] = second })
		w.run()
		time.Sleep(20 * time.Second)
		w.wantAsked("app: polling found commit 2222222 of main")
	})
}

// Without polling, a webhook may have come just before the process ended.
func TestWithoutPollingAServiceWithAWebhookIsLookedAtOnce(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.add("app", first, nil)
		w.add("hooked", first, func(service *platform.Service) { service.Webhook = "sealed" })
		w.set(func() { w.heads["main"] = second })
		w.run()
		time.Sleep(day)
		w.wantAsked("hooked: polling found commit 2222222 of main")
		if looks := w.looked("main"); looks != 1 {
			t.Errorf("%d looks", looks)
		}
	})
	inWorld(t, 0, func(w *world) {
		w.run()
		time.Sleep(time.Minute)
		w.add("hooked", first, func(service *platform.Service) { service.Webhook = "sealed" }) // no call of it was lost
		w.set(func() { w.heads["main"] = second })
		time.Sleep(day)
		w.wantAsked()
	})
}

func TestWhatFailedIsNotTriedAgainUntilSomethingChanges(t *testing.T) {
	inWorld(t, time.Minute, func(w *world) {
		w.add("app", first, nil)
		w.run()
		w.set(func() { w.heads["main"] = second })
		time.Sleep(2 * time.Minute)
		w.wantAsked("app: polling found commit 2222222 of main")
		w.deploy("app", false)
		time.Sleep(time.Hour)
		w.wantAsked()
		w.set(func() { w.heads["main"] = third })
		time.Sleep(2 * time.Minute)
		w.wantAsked("app: polling found commit 3333333 of main")
	})
}

func TestAPausedServiceIsDeployedAfterItsResumption(t *testing.T) {
	inWorld(t, time.Minute, func(w *world) {
		app := w.add("app", first, nil)
		w.run()
		time.Sleep(5 * time.Minute)
		w.edit(app, func(service *platform.Service) { service.Status = platform.ServiceStatusPaused })
		time.Sleep(time.Minute)
		w.looked("main")
		w.set(func() { w.heads["main"] = second })
		time.Sleep(time.Hour)
		w.wantAsked()
		if looks := w.looked("main"); looks > 0 {
			t.Errorf("%d looks while it is paused", looks)
		}
		w.edit(app, func(service *platform.Service) { service.Status = platform.ServiceStatusRunning })
		time.Sleep(2 * time.Minute)
		w.wantAsked("app: polling found commit 2222222 of main")
	})
}

func TestOneLookIsForAllServicesOfASource(t *testing.T) {
	inWorld(t, time.Minute, func(w *world) {
		for n := range 5 {
			w.add(fmt.Sprint("app-", n), first, nil)
		}
		w.add("elsewhere", first, func(service *platform.Service) { service.Configuration.Source.Code.Branch = "next" })
		w.add("own", first, func(service *platform.Service) { service.Configuration.Source.Code.Branch = "own" })
		w.run()
		time.Sleep(time.Hour)
		for where, want := range map[string]bool{"main": true, "next": true, "own": false} {
			if looks := w.looked(where); want != (looks > 45 && looks < 75) || !want && looks > 0 {
				t.Errorf("%d looks at %s in an hour", looks, where)
			}
		}
		w.set(func() { w.heads["main"] = second })
		time.Sleep(2 * time.Minute)
		var want []string
		for n := range 5 {
			want = append(want, fmt.Sprintf("app-%d: polling found commit 2222222 of main", n))
		}
		w.wantAsked(want...)
	})
}

func TestASourceThatFailsIsLookedAtLessAndToldOnce(t *testing.T) {
	inWorld(t, time.Minute, func(w *world) {
		w.add("app", first, nil)
		w.run()
		w.set(func() { w.unreadable["main"] = errors.New("no route to host") })
		time.Sleep(day)
		if looks := w.looked("main"); looks < 20 || looks > 45 {
			t.Errorf("%d looks in a day", looks)
		}
		w.wantEvents("app: Automatic deployments wait, because the source cannot be read: apron's log says why.")
		w.set(func() { w.unreadable["main"], w.heads["main"] = nil, second })
		time.Sleep(2 * time.Hour)
		w.wantEvents("app: The source can be read again, and automatic deployments go on.")
		w.wantAsked("app: polling found commit 2222222 of main")
		w.looked("main")
		time.Sleep(time.Hour)
		if looks := w.looked("main"); looks < 45 {
			t.Errorf("%d looks in the hour after it came back", looks)
		}
	})
}

func TestASourceOfWhichWebhooksTellIsLookedAtLess(t *testing.T) {
	inWorld(t, time.Minute, func(w *world) {
		w.add("app", first, nil)
		w.run()
		w.Hint("app", byAda)
		time.Sleep(time.Minute)
		w.looked("main")
		time.Sleep(2 * time.Hour)
		if looks := w.looked("main"); looks < 8 || looks > 16 {
			t.Errorf("%d looks in two hours", looks)
		}
	})
}

func TestSlowSourcesAreLookedAtAFewAtATime(t *testing.T) {
	inWorld(t, time.Minute, func(w *world) {
		w.slow = 30 * time.Second
		for n := range 40 {
			w.add(fmt.Sprint("app-", n), first, func(service *platform.Service) {
				service.Configuration.Source.Code.Branch = fmt.Sprint("branch-", n)
			})
		}
		w.run()
		time.Sleep(time.Hour)
		if most := w.mostAtOnce(); most != pollsAtOnce {
			t.Errorf("%d looks at a time", most)
		}
		for n := range 40 {
			if looks := w.looked(fmt.Sprint("branch-", n)); looks < 10 {
				t.Errorf("branch %d was looked at %d times in an hour", n, looks)
			}
		}
	})
}

func TestAServiceThatIsGoneIsForgotten(t *testing.T) {
	inWorld(t, time.Minute, func(w *world) {
		app := w.add("app", first, nil)
		w.run()
		w.Hint(app, byAda)
		time.Sleep(5 * time.Minute)
		w.set(func() { delete(w.services, app) })
		time.Sleep(time.Minute)
		w.looked("main")
		w.Hint(app, byAda)
		time.Sleep(time.Hour)
		if looks := w.looked("main"); looks > 0 || len(w.hooked)+len(w.troubled)+len(w.hints)+len(w.at) > 0 {
			t.Errorf("%d looks, and %v %v %v %v is left", looks, w.hooked, w.troubled, w.hints, w.at)
		}
	})
}
