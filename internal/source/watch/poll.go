package watch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// hookedTimes is how many times rarer a source is looked at whose services have webhooks that come.
	hookedTimes = 10
	// longest bounds the wait after failures, where Every is not longer itself.
	longest = time.Hour
)

// polled is a source that is looked at for all services that are made from it.
type polled struct {
	from     platform.Source
	services []platform.ServiceID
	// due is when it is looked at next, and failures how often that failed in a row.
	due      time.Time
	failures int
	seen     Seen
	isBusy   bool
}

// Run follows hints, and looks at sources when they are due, until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	defer w.group.Wait()
	round := time.NewTicker(w.round())
	defer round.Stop()
	hints, polls, ended := make(chan struct{}, hintsAtOnce), make(chan struct{}, pollsAtOnce), make(chan *polled, pollsAtOnce)
	sources := map[string]*polled{}
	isRead, refreshed := w.refresh(ctx, sources, true), time.Now()
	for {
		w.poll(ctx, sources, polls, ended)
		select {
		case <-ctx.Done():
			return nil
		case <-w.hinted:
			w.followHints(ctx, hints)
		case one := <-ended:
			one.isBusy = false
			<-polls
		case <-round.C:
			if isRead && time.Since(refreshed) < w.refreshEvery() {
				continue
			}
			isRead, refreshed = w.refresh(ctx, sources, !isRead) || isRead, time.Now()
		}
	}
}

// refreshEvery is how often is looked which services there are: all of them are read for that.
func (w *Watch) refreshEvery() time.Duration {
	if w.config.Every == 0 {
		return time.Minute
	}
	return min(w.config.Every/2, time.Minute)
}

// round is how often is looked which sources are due.
func (w *Watch) round() time.Duration {
	const longestRound = 10 * time.Second
	if w.config.Every == 0 {
		return longestRound
	}
	return min(max(w.config.Every/6, 100*time.Millisecond), longestRound)
}

// refresh makes sources those that are to be looked at, and says whether it could. A new one is due within a round. Without
// polling those that are there at the start are looked at once if their service has a webhook: a hint may have been lost with
// the process before this one.
func (w *Watch) refresh(ctx context.Context, sources map[string]*polled, isStart bool) bool {
	services, err := w.config.Services(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.config.Log.Error("look for services with automatic deployments", "error", err)
		}
		return false
	}
	for _, each := range sources {
		each.services = nil
	}
	there := map[platform.ServiceID]bool{}
	for _, service := range services {
		there[service.ID] = true
		from := service.Configuration.Source
		if !isPolled(service) || w.config.Every == 0 && service.Webhook == "" || !w.config.Sources.IsElsewhere(ctx, from) {
			continue
		}
		key := keyOf(from)
		if sources[key] == nil && w.config.Every == 0 && !isStart {
			continue
		}
		if sources[key] == nil {
			sources[key] = &polled{from: from, due: time.Now().Add(rand.N(w.round()))}
		}
		sources[key].services = append(sources[key].services, service.ID)
	}
	maps.DeleteFunc(sources, func(_ string, each *polled) bool { return len(each.services) == 0 && !each.isBusy })
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, told := range []map[platform.ServiceID]bool{w.hooked, w.troubled} {
		maps.DeleteFunc(told, func(id platform.ServiceID, _ bool) bool { return !there[id] })
	}
	return true
}

// isPolled says whether a service could be deployed for a change now, or after the operation that runs. One that runs for the
// first time finds what is newest by itself.
func isPolled(service platform.Service) bool {
	switch service.Status {
	case platform.ServiceStatusRunning, platform.ServiceStatusCreateFailed:
	case platform.ServiceStatusOperationInProgress:
		if service.Found == "" {
			return false
		}
	default:
		return false
	}
	return service.Configuration.Source.IsAutoDeployed
}

// keyOf is the same for sources that mean the same, read in the same way.
func keyOf(from platform.Source) string {
	if from.Code != nil {
		return fmt.Sprintf("%q %q %q", from.Code.RepositoryURL, from.Code.Branch, from.ConnectionARN)
	}
	return fmt.Sprintf("%q", from.Image.Identifier)
}

// poll begins to look at the sources that are due, the longest due first, as far as there is room.
func (w *Watch) poll(ctx context.Context, sources map[string]*polled, room chan struct{}, ended chan<- *polled) {
	now := time.Now()
	var due []*polled
	for _, each := range sources {
		if !each.isBusy && !each.due.After(now) && len(each.services) > 0 {
			due = append(due, each)
		}
	}
	slices.SortFunc(due, func(a, b *polled) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(keyOf(a.from), keyOf(b.from))) })
	for _, each := range due {
		select {
		case room <- struct{}{}:
		default:
			return
		}
		each.isBusy = true
		services := slices.Clone(each.services)
		w.group.Go(func() {
			w.look(ctx, each, services)
			each.due = time.Now().Add(w.pause(each.failures, services))
			ended <- each
		})
	}
}

// look looks at a source once, and decides for each of its services.
func (w *Watch) look(ctx context.Context, source *polled, services []platform.ServiceID) {
	limited, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	seen, err := w.config.Sources.Find(limited, source.from, source.seen)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		source.failures++
		for _, id := range services {
			w.tellUnread(id, err)
		}
		return
	}
	source.failures, source.seen = 0, seen
	trigger := platform.Trigger("polling found " + Name(seen.Found) + of(source.from))
	for _, id := range services {
		w.tellRead(id)
		service, isThere, err := w.config.Service(limited, id)
		if err == nil && isThere && isPolled(service) && keyOf(service.Configuration.Source) == keyOf(source.from) {
			err = w.decide(limited, service, seen.Found, trigger)
		}
		if err != nil && ctx.Err() == nil {
			w.config.Log.Error("decide about a change", "service", id, "error", err) // the next look decides
		}
	}
}

func of(from platform.Source) string {
	if from.Code != nil {
		return " of " + from.Code.Branch
	}
	return " of " + from.Image.Identifier
}

// pause is how long a source is left alone: longer when it fails, and when webhooks tell of it anyway.
func (w *Watch) pause(failures int, services []platform.ServiceID) time.Duration {
	every := w.config.Every
	if every == 0 {
		return 100 * 365 * 24 * time.Hour // once was enough
	}
	w.mu.Lock()
	isHooked := !slices.ContainsFunc(services, func(id platform.ServiceID) bool { return !w.hooked[id] })
	w.mu.Unlock()
	if isHooked {
		every *= hookedTimes
	}
	for range failures {
		every = min(2*every, max(longest, every))
	}
	return every*9/10 + rand.N(every/5+1) // so that the sources of a host are not all asked at one time
}
