package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
)

// Hint is what somebody else says about a source. Nothing of it is believed but that it is worth a look.
type Hint struct {
	// What happened, in words: "push of main by ada", and who says so: "GitHub"; empty where that is not known.
	What, From string
	// Commit is what the branch is said to be at; empty where that is not said. A host may tell before it knows itself.
	Commit string
	// IsDeleted says that the branch is said to be gone.
	IsDeleted bool
}

// trigger is what a deployment of what was found says that was asked for because of the hint.
func (h Hint) trigger(found string) platform.Trigger {
	words := h.What
	if found != "" {
		words += ", " + Name(found)
	}
	if h.From != "" {
		words += ", webhook from " + h.From
	}
	return platform.Trigger(words)
}

// Name is how people call a commit or a digest.
func Name(found string) string {
	if digest, isDigest := strings.CutPrefix(found, "sha256:"); isDigest {
		return fmt.Sprintf("digest %.12s", digest)
	}
	return fmt.Sprintf("commit %.7s", found)
}

const (
	// lookFor bounds one look at a source, with all that is asked for because of it.
	lookFor = 2 * time.Minute
	// hintsAtOnce bounds the looks at a time that hints lead to, pollsAtOnce the others.
	hintsAtOnce, pollsAtOnce = 8, 8
	// hintEvery is how often hints may lead to a look at the source of one service.
	hintEvery = time.Second
)

// again are the waits before each further look, when the source cannot be read or is not yet at what was hinted.
var again = []time.Duration{time.Second, 3 * time.Second, 10 * time.Second}

// Hint makes the Watch look at the source of a service soon. It does not wait for that. A later hint takes the place of one
// that waits still.
func (w *Watch) Hint(id platform.ServiceID, hint Hint) {
	w.mu.Lock()
	w.hints[id], w.hooked[id] = hint, true
	w.mu.Unlock()
	w.wake()
}

func (w *Watch) wake() {
	select {
	case w.hinted <- struct{}{}:
	default:
	}
}

// followHints begins a look for each hint, but for those of services that are being looked at for an earlier one.
func (w *Watch) followHints(ctx context.Context, room chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, hint := range w.hints {
		if w.at[id] {
			continue
		}
		select {
		case room <- struct{}{}:
		default:
			return // whoever leaves wakes the Watch
		}
		delete(w.hints, id)
		w.at[id] = true
		w.group.Go(func() {
			begun := time.Now()
			w.follow(ctx, id, hint)
			<-room
			w.wake()
			await(ctx, hintEvery-time.Since(begun))
			w.mu.Lock()
			delete(w.at, id)
			w.mu.Unlock()
			w.wake()
		})
	}
}

// follow looks at the source of a service, and again for a while when the host is not yet where its hint was.
func (w *Watch) follow(stopping context.Context, id platform.ServiceID, hint Hint) {
	ctx, cancel := context.WithTimeout(stopping, lookFor)
	defer cancel()
	for try := 0; ; try++ {
		service, isThere, err := w.config.Service(ctx, id)
		if err == nil && (!isThere || !service.Configuration.Source.IsAutoDeployed) {
			w.forget(id)
			return
		}
		var seen Seen
		from := service.Configuration.Source
		if err == nil {
			if seen, err = w.config.Sources.Find(ctx, from, Seen{}); err == nil {
				hint = w.whoTold(id, hint, seen.Found)
				err = w.decide(ctx, service, seen.Found, hint.trigger(seen.Found))
			}
		}
		isBehind := err == nil && hint.Commit != "" && seen.Found != hint.Commit && seen.Found == service.Found
		isGone, isLast := errors.Is(err, source.ErrNoBranch), try == len(again)
		switch {
		case stopping.Err() != nil:
			return
		case err == nil && (!isBehind || isLast):
			w.tellRead(id)
			return
		case isGone && hint.IsDeleted:
			w.tellDeleted(service, hint.trigger(""))
			return
		case w.hasHint(id): // which is followed next
			return
		case err != nil && (isLast || isGone):
			w.tellUnread(id, err)
			return
		}
		if !await(ctx, again[try]) {
			return
		}
	}
}

// whoTold returns the hint of what was found: a later one than is followed may have told of it.
func (w *Watch) whoTold(id platform.ServiceID, followed Hint, found string) Hint {
	w.mu.Lock()
	defer w.mu.Unlock()
	if later, has := w.hints[id]; has && later.Commit == found {
		delete(w.hints, id)
		return later
	}
	return followed
}

func (w *Watch) hasHint(id platform.ServiceID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, has := w.hints[id]
	return has
}

// forget forgets a service that is not there any more.
func (w *Watch) forget(id platform.ServiceID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.hooked, id)
	delete(w.troubled, id)
}

// tellDeleted says, once, that there is nothing more to deploy.
func (w *Watch) tellDeleted(service platform.Service, trigger platform.Trigger) {
	if w.beginTrouble(service.ID) {
		w.config.Event(service.ID, "Nothing is deployed, and the service goes on as it is (%s).", trigger)
	}
}

func (w *Watch) beginTrouble(id platform.ServiceID) (isNew bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	isNew = !w.troubled[id]
	w.troubled[id] = true
	return isNew
}

// tellUnread says, once, why the source of a service cannot be read.
func (w *Watch) tellUnread(id platform.ServiceID, err error) {
	if !w.beginTrouble(id) {
		return
	}
	w.config.Log.Warn("look at a source", "service", id, "error", err)
	cause := "apron's log says why"
	if explained := platform.AsExplained(err); explained != nil {
		cause = strings.TrimSuffix(explained.Cause, ".")
	}
	if errors.Is(err, source.ErrNoBranch) {
		w.config.Event(id, "Nothing is deployed, and the service goes on as it is (%s).", cause)
		return
	}
	w.config.Event(id, "Automatic deployments wait, because the source cannot be read: %s.", cause)
}

// tellRead says, once, that the source can be read again.
func (w *Watch) tellRead(id platform.ServiceID) {
	w.mu.Lock()
	wasTold := w.troubled[id]
	delete(w.troubled, id)
	w.mu.Unlock()
	if wasTold {
		w.config.Event(id, "The source can be read again, and automatic deployments go on.")
	}
}

// await waits, and says whether ctx has not ended.
func await(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
