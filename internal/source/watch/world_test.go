package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// world is what a Watch sees: services, their sources and the wishes that it has had.
type world struct {
	*testing.T
	*Watch

	mu       sync.Mutex // guards what follows
	services map[platform.ServiceID]platform.Service
	// heads are what sources mean, by their branch or identifier; unreadable are those that cannot be read, and why.
	heads      map[string]string
	unreadable map[string]error
	// unchanged are the changes that touch no folder.
	unchanged  map[string]bool
	storeFault error
	// asked are the wishes, events the event logs, and looks counts how often each source was asked.
	asked, events []string
	looks         map[string]int
	atOnce, most  int
	slow          time.Duration
}

const day = 24 * time.Hour

// inWorld runs a test with a Watch that runs and polls every minute. Its time stands still while nobody waits.
func inWorld(t *testing.T, every time.Duration, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			T: t, services: map[platform.ServiceID]platform.Service{}, heads: map[string]string{}, unreadable: map[string]error{},
			unchanged: map[string]bool{}, looks: map[string]int{},
		}
		w.Watch = New(Config{
			Services: w.list, Service: w.one, Ask: w.ask, Pass: w.pass, Event: w.event, Sources: w, Every: every,
			Serves: func(_ context.Context, service platform.Service) (string, error) {
				return string(service.ActiveRevisionID), nil
			},
			Log: slog.New(slog.DiscardHandler),
		})
		test(w)
	})
}

// run lets the Watch run for the rest of the test.
func (w *world) run() {
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Watch.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
}

// add adds a running service with automatic deployments that serves what its source means.
func (w *world) add(name, head string, edit func(*platform.Service)) platform.ServiceID {
	service := platform.Service{ID: platform.ServiceID(name), Name: name, Status: platform.ServiceStatusRunning, Found: head, ActiveRevisionID: platform.RevisionID(head)}
	service.Configuration.Source = platform.Source{IsAutoDeployed: true, Code: &platform.CodeSource{RepositoryURL: "https://git.test/app", Branch: "main", Directory: "/"}}
	if edit != nil {
		edit(&service)
	}
	w.set(func() {
		w.services[service.ID] = service
		if where := at(service.Configuration.Source); w.heads[where] == "" {
			w.heads[where] = head
		}
	})
	return service.ID
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// edit changes a service.
func (w *world) edit(id platform.ServiceID, change func(*platform.Service)) {
	w.set(func() {
		service := w.services[id].Clone()
		change(&service)
		w.services[id] = service
	})
}

// wantAsked waits until nobody does anything, and compares the wishes since the last time, in order of the alphabet.
func (w *world) wantAsked(want ...string) {
	w.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.asked)
	if !slices.Equal(w.asked, want) {
		w.Errorf("asked for\n %s\nwant\n %s", strings.Join(w.asked, "\n "), strings.Join(want, "\n "))
	}
	w.asked = nil
}

func (w *world) wantEvents(want ...string) {
	w.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.events, want) {
		w.Errorf("events\n %s\nwant\n %s", strings.Join(w.events, "\n "), strings.Join(want, "\n "))
	}
	w.events = nil
}

func (w *world) looked(where string) (times int) {
	synctest.Wait()
	w.set(func() { times, w.looks[where] = w.looks[where], 0 })
	return times
}

// mostAtOnce is how many looks there were at a time.
func (w *world) mostAtOnce() (most int) {
	synctest.Wait()
	w.set(func() { most = w.most })
	return most
}

func at(from platform.Source) string {
	if from.Code != nil {
		return from.Code.Branch
	}
	return from.Image.Identifier
}

func (w *world) list(context.Context) ([]platform.Service, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.SortedFunc(maps.Values(w.services), func(a, b platform.Service) int { return strings.Compare(a.Name, b.Name) }), w.storeFault
}

func (w *world) one(_ context.Context, id platform.ServiceID) (platform.Service, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	service, isThere := w.services[id]
	return service.Clone(), isThere, w.storeFault
}

// ask is what the store does with a wish.
func (w *world) ask(_ context.Context, id platform.ServiceID, wish platform.Wish) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.storeFault != nil {
		return w.storeFault
	}
	service := w.services[id]
	service.WaitingTrigger, service.WaitingFor = wish.Trigger, wish.For
	if service.Found == wish.For {
		service.WaitingTrigger, service.WaitingFor = "", ""
	}
	if wish.Considered != "" {
		service.Considered = wish.Considered
	}
	w.services[id] = service
	w.asked = append(w.asked, fmt.Sprintf("%s: %s", id, wish.Trigger))
	return nil
}

func (w *world) pass(_ context.Context, id platform.ServiceID, change string) error {
	w.edit(id, func(service *platform.Service) { service.Considered = change })
	return nil
}

func (w *world) event(id platform.ServiceID, format string, args ...any) {
	w.set(func() { w.events = append(w.events, fmt.Sprintf("%s: ", id)+fmt.Sprintf(format, args...)) })
}

// deploy ends the deployment that a service waits for.
func (w *world) deploy(id platform.ServiceID, succeeds bool) {
	w.edit(id, func(service *platform.Service) {
		service.Found, service.WaitingTrigger, service.WaitingFor = w.heads[at(service.Configuration.Source)], "", ""
		if succeeds {
			service.ActiveRevisionID = platform.RevisionID(service.Found)
		}
	})
}

func (w *world) Find(_ context.Context, from platform.Source, seen Seen) (Seen, error) {
	w.set(func() {
		w.looks[at(from)]++
		w.atOnce++
		w.most = max(w.most, w.atOnce)
	})
	time.Sleep(w.slow)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.atOnce--
	head, err := w.heads[at(from)], w.unreadable[at(from)]
	if err == nil && seen.Mark != "" && (seen.Mark == head) != (seen.Found == head) {
		err = errors.New("what was seen is not what was returned")
	}
	return Seen{Found: head, Mark: head}, err
}

func (w *world) HasChanged(_ context.Context, from platform.Source, before, after string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.unchanged[from.Code.Directory+" "+platform.Change(before, after)], nil
}

func (w *world) IsElsewhere(_ context.Context, from platform.Source) bool {
	return !strings.HasPrefix(at(from), "own")
}
