package certs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	// keepEvery bounds how late DNS is asked, and how long what failed waits for the next try.
	keepEvery = time.Second
	// rereadEvery bounds how long a missed wake-up goes unnoticed.
	rereadEvery = time.Minute
	// maxLookups is how many domains DNS is asked about at a time; more wait for the next pass.
	maxLookups = 16
	// lookupTimeout bounds the questions about one domain.
	lookupTimeout = 10 * time.Second
)

// Resolver asks DNS. Implemented by DNS.
type Resolver interface {
	// CNAME returns what name, which ends with a dot, is another name for; empty when there is no such record. An error
	// says that nobody has answered.
	CNAME(ctx context.Context, name string) (string, error)
}

// Names are those that services answer to. Implemented by deploy.Ingress.
type Names interface {
	// Refresh brings them into force as the store has them, and returns once that is done.
	Refresh(ctx context.Context) error
}

// Events tells a service's owner what happened. Implemented by telemetry.Logs.
type Events interface {
	Event(service platform.ServiceID, format string, args ...any)
}

// Config is all that a Keeper needs.
type Config struct {
	Store    store.Domains
	Resolver Resolver
	Names    Names
	Events   Events
	Log      *slog.Logger
	// Account and Region are part of what records are called.
	Account, Region string
}

// Keeper carries out custom domains.
type Keeper struct {
	config  Config
	wake    chan struct{}
	lookups chan struct{}
	workers sync.WaitGroup

	mu sync.Mutex // guards what follows
	// due is when DNS is asked about a domain next, reread when the store is read at the latest.
	due    map[platform.ResourceID]time.Time
	reread time.Time
}

// NewKeeper returns a Keeper.
func NewKeeper(config Config) *Keeper {
	return &Keeper{
		config: config, wake: make(chan struct{}, 1), lookups: make(chan struct{}, maxLookups),
		due: map[platform.ResourceID]time.Time{},
	}
}

// Wake makes the Keeper look now.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run carries out domains until ctx ends, and returns after all its work has ended.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.workers.Wait()
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for isWoken := true; ; {
		if now := time.Now(); isWoken || k.isTime(now) {
			err := k.runOnce(ctx, now)
			if err != nil && ctx.Err() == nil {
				k.config.Log.Error("keep custom domains", "error", err)
			}
			k.setReread(now, err != nil)
		}
		isWoken = false
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-k.wake:
			isWoken = true
		}
	}
}

// isTime says whether there is anything to do now that nobody has woken the Keeper for.
func (k *Keeper) isTime(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !now.Before(k.reread) {
		return true
	}
	for _, due := range k.due {
		if !now.Before(due) {
			return true
		}
	}
	return false
}

func (k *Keeper) setReread(now time.Time, hasFailed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reread = now.Add(rereadEvery)
	if hasFailed {
		k.reread = now // at the next tick
	}
}

// runOnce looks at every domain that is to become another, once.
func (k *Keeper) runOnce(ctx context.Context, now time.Time) error {
	domains, err := k.config.Store.ListDomains(ctx, store.DomainQuery{Unsettled: true})
	if err != nil {
		return err
	}
	k.forgetExcept(domains)
	var errs []error
	var moving []platform.CustomDomain
	for _, domain := range domains {
		switch domain.Status {
		case platform.DomainStatusCreating:
			fresh := platform.NewValidationRecords(domain.Name, domain.HasWWW, k.config.Account, k.config.Region)
			errs = append(errs, k.move(ctx, now, domain, Evidence{Fresh: fresh}))
		case platform.DomainStatusPendingValidation:
			k.look(ctx, now, domain)
		case platform.DomainStatusBinding, platform.DomainStatusDeleting:
			moving = append(moving, domain)
		}
	}
	if len(moving) == 0 {
		return errors.Join(errs...)
	}
	// The data plane may keep us waiting, so what needs it comes last.
	if err := k.config.Names.Refresh(ctx); err != nil {
		return errors.Join(append(errs, fmt.Errorf("bring names into force: %w", err))...)
	}
	for _, domain := range moving {
		errs = append(errs, k.move(ctx, now, domain, Evidence{InForce: domain.Status}))
	}
	return errors.Join(errs...)
}

// look asks DNS about a domain, beside the loop, if it is time for that and there is room.
func (k *Keeper) look(ctx context.Context, now time.Time, domain platform.CustomDomain) {
	k.mu.Lock()
	isDue := !k.due[domain.ID].After(now)
	k.mu.Unlock()
	if !isDue {
		return
	}
	select {
	case k.lookups <- struct{}{}:
	default:
		k.setDue(domain.ID, now) // still
		return
	}
	k.setDue(domain.ID, now.Add(2*lookupTimeout)) // not again before this look is over
	k.workers.Go(func() {
		defer func() { <-k.lookups }()
		seen := k.sights(ctx, domain)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		k.setDue(domain.ID, now.Add(pauseAfter(now.Sub(domain.CreatedAt), rand.Float64())))
		if err := k.move(ctx, now, domain, Evidence{Seen: seen}); err != nil && ctx.Err() == nil {
			k.config.Log.Error("record what DNS says", "domain", domain.Name, "error", err)
		}
	})
}

// sights asks DNS for the records that were not seen yet.
func (k *Keeper) sights(ctx context.Context, domain platform.CustomDomain) []Sight {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	seen := make([]Sight, len(domain.Records))
	for i, record := range domain.Records {
		if record.IsValidated {
			seen[i] = SightSeen
			continue
		}
		target, err := k.config.Resolver.CNAME(ctx, record.Name)
		switch {
		case err != nil:
			k.config.Log.Warn("DNS does not answer", "domain", domain.Name, "error", err)
		case strings.EqualFold(target, record.Value):
			seen[i] = SightSeen
		default:
			seen[i] = SightAbsent
		}
	}
	return seen
}

// errNothingToDo keeps an edit that changes nothing from being written.
var errNothingToDo = errors.New("nothing to do")

// move makes of a domain what evidence makes of it, as it is in the store now. One that is not there any more is done.
func (k *Keeper) move(ctx context.Context, now time.Time, domain platform.CustomDomain, evidence Evidence) error {
	var before platform.DomainStatus
	var isGone bool
	after, err := k.config.Store.EditDomain(ctx, domain.ID, func(stored *platform.CustomDomain) error {
		var next platform.CustomDomain
		before = stored.Status
		if next, isGone = Decide(now, *stored, evidence); reflect.DeepEqual(next, *stored) {
			return errNothingToDo
		}
		*stored = next
		return nil
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case isGone:
		if err := k.config.Store.DeleteDomain(ctx, domain.ID); err != nil {
			return err
		}
		k.config.Events.Event(domain.ServiceID, "Custom domain %s is no longer associated.", domain.Name)
		return nil
	case errors.Is(err, errNothingToDo):
		return nil
	case err != nil:
		return err
	}
	if after.Status != before {
		k.tell(after)
		k.Wake()
	}
	return nil
}

// tell writes a domain's new status into the service's events. A failure has no other place to say why.
func (k *Keeper) tell(domain platform.CustomDomain) {
	event := func(format string, args ...any) { k.config.Events.Event(domain.ServiceID, format, args...) }
	switch domain.Status {
	case platform.DomainStatusPendingValidation:
		event("Custom domain %s waits for %d CNAME records in DNS. DescribeCustomDomains lists them.", domain.Name, len(domain.Records))
	case platform.DomainStatusActive:
		event("Custom domain %s is active.", domain.Name)
	case platform.DomainStatusCreateFailed:
		if len(domain.Records) == 0 {
			event("Custom domain %s was refused: the name is reserved for documentation, so nobody can own it. Disassociate it.", domain.Name)
			return
		}
		var missing []string
		for _, record := range domain.Records {
			if record.IsFailed {
				missing = append(missing, record.Name)
			}
		}
		event("Custom domain %s failed: within %.0f hours DNS had no CNAME record %s with the value that was asked for. "+
			"Disassociate it and associate it again.", domain.Name, validateWithin.Hours(), strings.Join(missing, ", "))
	}
}

func (k *Keeper) setDue(id platform.ResourceID, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.due[id] = at
}

// forgetExcept drops what is remembered about domains that wait no more.
func (k *Keeper) forgetExcept(domains []platform.CustomDomain) {
	known := make(map[platform.ResourceID]bool, len(domains))
	for _, domain := range domains {
		known[domain.ID] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.due {
		if !known[id] {
			delete(k.due, id)
		}
	}
}
