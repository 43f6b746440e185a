package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	// settleEvery bounds how long a missed wake-up goes unnoticed, and how long what failed waits for the next try.
	settleEvery = 5 * time.Second
	// refreshTimeout is how long changed names are waited for; it takes milliseconds.
	refreshTimeout = 10 * time.Second
)

// IngressStore is what an Ingress reads and writes. Implemented by store.Store.
type IngressStore interface {
	store.Resources
	store.Domains
}

// Ingress keeps the names that services answer to besides their own hosts as the store has them, and carries out VPC
// ingress connections: one is AVAILABLE once its name answers, and DELETED once it does not any more.
type Ingress struct {
	store  IngressStore
	routes *Routes
	router Router
	log    *slog.Logger
	wake   chan struct{}
	// turn holds a token while nobody reads names and sets them: what was read first must not be set last.
	turn chan struct{}
}

// NewIngress returns an Ingress for these routes.
func NewIngress(db IngressStore, routes *Routes, router Router, log *slog.Logger) *Ingress {
	i := &Ingress{store: db, routes: routes, router: router, log: log, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	i.turn <- struct{}{}
	return i
}

// Restore sets all names, as at the start of apron. They are in force with the first routes.
func (i *Ingress) Restore(ctx context.Context) error {
	select {
	case <-i.turn:
		defer func() { i.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	domains, err := i.store.ListDomains(ctx, store.DomainQuery{})
	if err != nil {
		return err
	}
	connections, err := i.store.ListResources(ctx, store.ResourceQuery{Kind: platform.ResourceVPCIngress})
	if err != nil {
		return err
	}
	i.routes.SetNames(namesOf(domains, connections))
	return nil
}

// Refresh brings the names into force as the store has them, and returns once that is done.
func (i *Ingress) Refresh(ctx context.Context) error {
	if err := i.Restore(ctx); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	return i.router.Flush(waiting)
}

// namesOf gathers what leads to each service. Every list is sorted, so that what has not changed is equal.
func namesOf(domains []platform.CustomDomain, connections []platform.Resource) map[platform.ServiceID]Names {
	all := map[platform.ServiceID]Names{}
	for _, domain := range domains {
		if names := all[domain.ServiceID]; domain.IsRouted() {
			names.Domains = append(names.Domains, domain.Hosts()...)
			all[domain.ServiceID] = names
		}
	}
	for _, connection := range connections {
		if names := all[connection.ServiceID]; isRouted(connection) {
			names.Ingress = append(names.Ingress, connection.Detail.VPCIngress.DomainName)
			all[connection.ServiceID] = names
		}
	}
	for _, names := range all {
		slices.Sort(names.Domains)
		slices.Sort(names.Ingress)
	}
	return all
}

// isRouted says whether a VPC ingress connection leads to its service. It is AVAILABLE once it does.
func isRouted(connection platform.Resource) bool {
	switch connection.Status {
	case platform.IngressStatusPendingDeletion, platform.IngressStatusFailedCreation, platform.IngressStatusDeleted:
		return false
	}
	return true
}

// Wake makes the Ingress look now.
func (i *Ingress) Wake() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// Run carries out VPC ingress connections until ctx ends.
func (i *Ingress) Run(ctx context.Context) error {
	ticker := time.NewTicker(settleEvery)
	defer ticker.Stop()
	for {
		if err := i.runOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
			i.log.Error("carry out VPC ingress connections", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-i.wake:
		}
	}
}

// runOnce settles every connection that is pending.
func (i *Ingress) runOnce(ctx context.Context, now time.Time) error {
	connections, err := i.store.ListResources(ctx, store.ResourceQuery{Kind: platform.ResourceVPCIngress})
	if err != nil {
		return err
	}
	pending := slices.DeleteFunc(connections, func(c platform.Resource) bool { return !settle(now, &c) })
	if len(pending) == 0 {
		return nil
	}
	if err := i.Refresh(ctx); err != nil {
		return fmt.Errorf("bring names into force: %w", err)
	}
	var errs []error
	for _, each := range pending {
		query := store.ResourceQuery{Kind: platform.ResourceVPCIngress, ID: each.ID}
		errs = append(errs, i.store.EditResources(ctx, query, func(found []platform.Resource) error {
			for at := range found {
				if found[at].Status == each.Status { // the routes in force were made from that
					settle(now, &found[at])
				}
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

// settle gives a pending connection the status that it was to have; false when it is not pending.
func settle(now time.Time, connection *platform.Resource) bool {
	switch connection.Status {
	case platform.IngressStatusPendingCreation, platform.IngressStatusPendingUpdate:
		connection.Status = platform.IngressStatusAvailable
	case platform.IngressStatusPendingDeletion:
		connection.Status, connection.DeletedAt = platform.IngressStatusDeleted, new(now.UTC())
	default:
		return false
	}
	return true
}
