// Package watch asks for a deployment of the services with automatic deployments when what they are made from has changed.
//
// It hears of a change in three ways: apron's own servers tell it what was pushed (Changed), a webhook hints that something
// was (Hint), and it looks by itself, again and again (Run). Whatever it hears, it goes by what the source means at that
// time, and asks for it unless the service has it, is being deployed from it, or was decided about before: a hint that comes
// twice, or late, does no harm. What failed is not tried again until the source changes.
//
// It neither knows the hosts that send webhooks nor how a source is read: internal/app puts those together.
package watch

import (
	"context"
	"log/slog"
	"path"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// Config is all that a Watch needs.
type Config struct {
	// Services returns all services, Service one; ok is false when there is none, or when it was deleted.
	Services func(ctx context.Context) ([]platform.Service, error)
	Service  func(ctx context.Context, id platform.ServiceID) (service platform.Service, ok bool, err error)
	// Serves returns the commit or digest of the revision that serves; empty when there is none.
	Serves func(ctx context.Context, service platform.Service) (string, error)
	// Ask asks for a deployment, and Pass remembers that a change is not deployed. Both are durable, and safe twice.
	Ask  func(ctx context.Context, service platform.ServiceID, wish platform.Wish) error
	Pass func(ctx context.Context, service platform.ServiceID, change string) error
	// Event adds a line to a service's event log.
	Event   func(service platform.ServiceID, format string, args ...any)
	Sources Sources
	// Every is how often a source is looked at; 0 looks at none by itself.
	Every time.Duration
	Log   *slog.Logger
}

// Sources reads what services are made from.
type Sources interface {
	// Find returns what a source means now. seen is what it returned last, with which it may find out at less cost that
	// nothing has changed.
	Find(ctx context.Context, from platform.Source, seen Seen) (Seen, error)
	// HasChanged says whether the folder that a code source is built from differs between two commits.
	HasChanged(ctx context.Context, from platform.Source, before, after string) (bool, error)
	// IsElsewhere says whether a source has to be asked what it means: it can change, and apron's own servers would not tell.
	IsElsewhere(ctx context.Context, from platform.Source) bool
}

// Seen is what a source meant when somebody looked.
type Seen struct {
	// Found is the commit or digest that would be deployed, Mark whatever the source is asked with the next time.
	Found, Mark string
}

// Watch is made by New. It is safe for concurrent use.
type Watch struct {
	config Config
	hinted chan struct{}
	group  sync.WaitGroup

	mu sync.Mutex // guards what follows
	// hints wait for their turn; at is where one is at work, of whatever service.
	hints map[platform.ServiceID]Hint
	at    map[platform.ServiceID]bool
	// hooked are the services for which a webhook came, and troubled those of which was told that their source cannot be read.
	hooked, troubled map[platform.ServiceID]bool
}

// New returns a Watch, which hears of pushes from now on, and of everything once it runs.
func New(config Config) *Watch {
	return &Watch{
		config: config, hinted: make(chan struct{}, 1), hints: map[platform.ServiceID]Hint{}, at: map[platform.ServiceID]bool{},
		hooked: map[platform.ServiceID]bool{}, troubled: map[platform.ServiceID]bool{},
	}
}

// News is what a push to one of apron's own servers has changed.
type News struct {
	Trigger platform.Trigger
	// Found is what the source means now: a commit or digest, or empty when the branch was deleted.
	Found string
}

// patience is how long a store that does not answer is asked again.
const patience = 30 * time.Second

// Changed decides about every service with automatic deployments for which hasChanged says that its source did. It returns
// once that is durable. What cannot be asked for in time is logged.
func (w *Watch) Changed(ctx context.Context, news News, hasChanged func(platform.Service) bool) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := w.changed(limited, news, hasChanged)
		if err == nil {
			return
		}
		select {
		case <-limited.Done():
			w.config.Log.Error("a change is not deployed: start the deployments of it by hand", "trigger", news.Trigger, "error", err)
			return
		case <-time.After(wait):
		}
	}
}

func (w *Watch) changed(ctx context.Context, news News, hasChanged func(platform.Service) bool) error {
	services, err := w.config.Services(ctx)
	if err != nil {
		return err
	}
	for _, service := range services {
		if !service.Configuration.Source.IsAutoDeployed || !hasChanged(service) {
			continue
		}
		if news.Found == "" {
			w.tellDeleted(service, news.Trigger)
			continue
		}
		w.tellRead(service.ID)
		if err := w.decide(ctx, service, news.Found, news.Trigger); err != nil {
			return err
		}
	}
	return nil
}

// decide asks for a deployment of what was found, unless the service has it or something was decided about that change.
func (w *Watch) decide(ctx context.Context, service platform.Service, found string, trigger platform.Trigger) error {
	wish := platform.Wish{Trigger: trigger, For: found}
	if found == service.Found {
		if service.WaitingTrigger == "" {
			return nil
		}
		return w.config.Ask(ctx, service.ID, wish) // the source went back to it, and nothing need wait any more
	}
	before := service.Found
	if service.Status != platform.ServiceStatusOperationInProgress {
		serves, err := w.config.Serves(ctx, service)
		if err != nil || serves == found {
			return err
		}
		if serves != "" {
			before = serves
		}
	}
	wish.Considered = platform.Change(before, found)
	if wish.Considered == service.Considered {
		return nil
	}
	if !w.isAbout(ctx, service.Configuration.Source, before, found) {
		if err := w.config.Pass(ctx, service.ID, wish.Considered); err != nil {
			return err
		}
		w.config.Event(service.ID, "Nothing was deployed (%s), because nothing has changed in %s.", trigger, service.Configuration.Source.Code.Directory)
		return nil
	}
	return w.config.Ask(ctx, service.ID, wish)
}

// isAbout says whether a change touches what the service is built from. Where nobody knows, it does.
func (w *Watch) isAbout(ctx context.Context, from platform.Source, before, after string) bool {
	if from.Code == nil || before == "" || path.Clean("/"+from.Code.Directory) == "/" {
		return true
	}
	hasChanged, err := w.config.Sources.HasChanged(ctx, from, before, after)
	if err != nil {
		w.config.Log.Warn("look what has changed in a repository", "before", before, "after", after, "error", err)
	}
	return hasChanged || err != nil
}
