package watch

import (
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
)

var byAda = Hint{What: "push of main by ada", From: "GitHub"}

func TestAHintDeploysWhatTheBranchMeansAtOnce(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.add("app", first, nil)
		w.add("by hand", first, func(service *platform.Service) { service.Configuration.Source.IsAutoDeployed = false })
		w.run()
		w.set(func() { w.heads["main"] = second })
		for _, id := range []platform.ServiceID{"app", "by hand", "none"} {
			w.Hint(id, byAda)
		}
		w.wantAsked("app: push of main by ada, commit 2222222, webhook from GitHub")
		w.set(func() { w.heads["main"] = third })
		time.Sleep(time.Second)
		w.Hint("app", Hint{What: "call of the webhook"})
		w.wantAsked("app: call of the webhook, commit 3333333")
		for range 3 { // a replay
			w.Hint("app", byAda)
			time.Sleep(time.Minute)
		}
		w.wantAsked()
		w.wantEvents()
	})
}

func TestAHintThatComesBeforeTheHostKnowsItselfIsFollowedAgain(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.add("app", first, nil)
		w.run()
		early := byAda
		early.Commit = second
		w.Hint("app", early)
		w.wantAsked()
		w.set(func() { w.heads["main"] = second })
		time.Sleep(time.Second)
		w.wantAsked("app: push of main by ada, commit 2222222, webhook from GitHub")

		w.deploy("app", true)
		early.Commit = third // which never comes
		w.Hint("app", early)
		time.Sleep(time.Hour)
		w.wantAsked()
		w.wantEvents()
	})
}

func TestManyHintsLeadToFewLooks(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.slow = 100 * time.Millisecond
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
			w.add(name, first, nil)
		}
		w.run()
		for range 1000 {
			for id := range w.services {
				w.Hint(id, byAda)
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if looks := w.looked("main"); looks < 12 || looks > 12*12 {
			t.Errorf("12,000 hints in 10 seconds led to %d looks", looks)
		}
		if most := w.mostAtOnce(); most > hintsAtOnce {
			t.Errorf("%d looks at a time", most)
		}
	})
}

func TestAHintOfABranchThatIsGoneDeploysNothing(t *testing.T) {
	inWorld(t, time.Minute, func(w *world) {
		w.add("app", first, nil)
		w.run()
		w.set(func() {
			w.unreadable["main"] = platform.Explain(source.ErrNoBranch, "the repository has no branch main").Try("push it")
		})
		gone := Hint{What: "deletion of main by ada", From: "GitHub", IsDeleted: true}
		for range 3 {
			w.Hint("app", gone)
			time.Sleep(time.Hour)
		}
		w.wantAsked()
		w.wantEvents("app: Nothing is deployed, and the service goes on as it is (deletion of main by ada, webhook from GitHub).")
	})
}

// The host tells of two pushes, and the second is there when the first is looked at.
func TestADeploymentIsInTheWordsOfWhoToldOfIt(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.add("app", first, nil)
		w.slow = 100 * time.Millisecond
		w.run()
		w.Hint("app", Hint{What: "push of main by ada", From: "GitHub", Commit: second})
		time.Sleep(50 * time.Millisecond)
		w.set(func() { w.heads["main"] = third })
		w.Hint("app", Hint{What: "forced push of main by bob", From: "GitHub", Commit: third})
		time.Sleep(time.Minute)
		w.wantAsked("app: forced push of main by bob, commit 3333333, webhook from GitHub")
		if looks := w.looked("main"); looks != 1 {
			t.Errorf("%d looks", looks)
		}
	})
}

func TestABranchThatIsFoundGoneIsToldOnce(t *testing.T) {
	inWorld(t, time.Minute, func(w *world) {
		w.add("app", first, nil)
		w.run()
		w.set(func() {
			w.unreadable["main"] = platform.Explain(source.ErrNoBranch, "the repository has no branch main").Try("push it")
		})
		time.Sleep(time.Hour)
		w.wantEvents("app: Nothing is deployed, and the service goes on as it is (the repository has no branch main).")
		w.wantAsked()
	})
}

func TestAHintWhoseSourceCannotBeReadIsToldAndFollowedAgain(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.add("app", first, nil)
		w.run()
		w.set(func() { w.heads["main"] = second })
		w.set(func() {
			w.unreadable["main"] = platform.Explain(nil, "git.test cannot be reached from this machine").Try("check it")
		})
		w.Hint("app", byAda)
		time.Sleep(2 * time.Second)
		w.set(func() { w.unreadable["main"] = nil })
		time.Sleep(time.Minute)
		w.wantAsked("app: push of main by ada, commit 2222222, webhook from GitHub")
		w.wantEvents()

		w.set(func() {
			w.unreadable["main"] = platform.Explain(nil, "git.test cannot be reached from this machine").Try("check it")
		})
		for range 2 {
			w.Hint("app", byAda)
			time.Sleep(time.Minute)
		}
		w.wantEvents("app: Automatic deployments wait, because the source cannot be read: git.test cannot be reached from this machine.")
	})
}
