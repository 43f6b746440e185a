package certs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/apron-run/apron/internal/certs/dnstest"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a real store with one running service, and all else that a Keeper needs.
type world struct {
	t       *testing.T
	store   store.Store
	service platform.Service
	keeper  *Keeper // the one that was started last

	mu     sync.Mutex // guards what follows
	events []string
	// records are what DNS knows, asked is when it was asked, silent makes it give no answer.
	records  map[string]string
	asked    []time.Time
	isSilent bool
	atOnce   int
	mostOnce int
	// routed are the domains in force; refusal keeps them from being brought into force.
	routed  map[string]bool
	refusal error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "apron.db"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: db, records: map[string]string{}, routed: map[string]bool{}}
	w.service = platform.Service{
		ID: platform.NewServiceID(), Name: "shop", ARN: "arn:shop", Subdomain: platform.NewSubdomain(),
		CreatedAt: time.Now(), UpdatedAt: time.Now(), Status: platform.ServiceStatusRunning,
	}
	operation := platform.Operation{
		ID: platform.NewOperationID(), ServiceID: w.service.ID, ServiceARN: w.service.ARN, Type: platform.OperationCreateService,
		Status: platform.OperationStatusPending, StartedAt: time.Now(), UpdatedAt: time.Now(),
	}
	if err := db.CreateService(t.Context(), w.service, operation, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// close is no cleanup: within a synctest bubble, nothing may be left when the test's function returns.
func (w *world) close() {
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// keep runs a Keeper over the world until stop is called; several one after the other are the same apron after restarts.
func (w *world) keep(resolver Resolver) (stop func()) {
	keeper := NewKeeper(Config{
		Store: w.store, Resolver: resolver, Names: w, Events: w, Log: slog.New(slog.DiscardHandler),
		Account: "000000000000", Region: "us-east-1",
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := keeper.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.keeper = keeper
	return func() { cancel(); <-ended }
}

// associate makes a domain of the service and wakes the Keeper, as the API does.
func (w *world) associate(name string) platform.CustomDomain {
	w.t.Helper()
	return w.associated(name, time.Now())
}

// associated is associate at a time in the past.
func (w *world) associated(name string, at time.Time) platform.CustomDomain {
	w.t.Helper()
	made := platform.CustomDomain{
		ID: platform.NewResourceID(), ServiceID: w.service.ID, Name: name, HasWWW: true,
		Status: platform.DomainStatusCreating, CreatedAt: at, UpdatedAt: at,
	}
	allowed := []platform.ServiceStatus{platform.ServiceStatusRunning, platform.ServiceStatusOperationInProgress}
	if err := w.store.CreateDomain(w.t.Context(), made, allowed, nil); err != nil {
		w.t.Fatal(err)
	}
	w.keeper.Wake()
	return made
}

func (w *world) disassociate(domain platform.CustomDomain) {
	w.t.Helper()
	_, err := w.store.EditDomain(w.t.Context(), domain.ID, func(d *platform.CustomDomain) error {
		d.Status = platform.DomainStatusDeleting
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.keeper.Wake()
}

// find returns the domain as it is stored; false when it is gone.
func (w *world) find(domain platform.CustomDomain) (platform.CustomDomain, bool) {
	w.t.Helper()
	found, err := w.store.ListDomains(w.t.Context(), store.DomainQuery{Name: domain.Name})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(found) == 0 {
		return platform.CustomDomain{}, false
	}
	return found[0], true
}

// want fails the test unless the domain has the status; an empty one means that it is gone.
func (w *world) want(domain platform.CustomDomain, status platform.DomainStatus) platform.CustomDomain {
	w.t.Helper()
	found, isThere := w.find(domain)
	if found.Status != status || isThere != (status != "") {
		w.t.Fatalf("%s is %q, want %q", domain.Name, found.Status, status)
	}
	return found
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// told returns the events.
func (w *world) told() (events []string) {
	w.set(func() { events = slices.Clone(w.events) })
	return events
}

func (w *world) publish(domain platform.CustomDomain) {
	w.set(func() {
		for _, record := range domain.Records {
			w.records[record.Name] = strings.ToUpper(record.Value)
		}
	})
}

func (w *world) Event(_ platform.ServiceID, format string, args ...any) {
	w.set(func() { w.events = append(w.events, fmt.Sprintf(format, args...)) })
}

func (w *world) CNAME(ctx context.Context, name string) (string, error) {
	var target string
	var isSilent bool
	w.set(func() {
		w.asked = append(w.asked, time.Now())
		w.atOnce++
		w.mostOnce = max(w.mostOnce, w.atOnce)
		target, isSilent = w.records[name], w.isSilent
	})
	defer w.set(func() { w.atOnce-- })
	if isSilent {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return target, nil
}

func (w *world) Refresh(ctx context.Context) error {
	domains, err := w.store.ListDomains(ctx, store.DomainQuery{})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refusal != nil {
		return w.refusal
	}
	clear(w.routed)
	for _, domain := range domains {
		if domain.IsRouted() {
			w.routed[domain.Name] = true
		}
	}
	return nil
}

func (w *world) isRouted(domain platform.CustomDomain) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.routed[domain.Name]
}

func TestADomainBecomesActiveOnceItsRecordsAreInDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		stop := w.keep(w)
		defer func() { stop() }()
		domain := w.associate("shop.test")
		synctest.Wait()
		pending := w.want(domain, platform.DomainStatusPendingValidation)
		if len(pending.Records) != 3 {
			t.Errorf("it has %d records, want 3", len(pending.Records))
		}
		stop() // what was decided is in the store
		stop = w.keep(w)
		time.Sleep(time.Minute)
		w.want(domain, platform.DomainStatusPendingValidation)
		w.publish(pending)
		time.Sleep(time.Minute / 8 * 2)
		active := w.want(domain, platform.DomainStatusActive)
		for _, record := range active.Records {
			if !record.IsValidated {
				t.Errorf("record %s is not validated", record.Name)
			}
		}
		if !w.isRouted(domain) {
			t.Error("it is active and not routed")
		}
		w.disassociate(domain)
		synctest.Wait()
		w.want(domain, "")
		if w.isRouted(domain) {
			t.Error("it is gone and still routed")
		}
	})
}

func TestADomainWithoutRecordsFailsAfterThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		stop := w.keep(w)
		defer stop()
		domain := w.associated("shop.test", time.Now().Add(10*time.Minute-validateWithin))
		time.Sleep(9 * time.Minute)
		w.want(domain, platform.DomainStatusPendingValidation)
		time.Sleep(2 * longestPause)
		failed := w.want(domain, platform.DomainStatusCreateFailed)
		for _, record := range failed.Records {
			if !record.IsFailed {
				t.Errorf("record %s has not failed", record.Name)
			}
		}
		last := w.told()[len(w.told())-1]
		if !strings.Contains(last, failed.Records[1].Name) || !strings.Contains(last, "72 hours") {
			t.Errorf("the events end with %q", last)
		}
	})
}

func TestDNSIsAskedOftenAtFirstAndSeldomLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		stop := w.keep(w)
		defer stop()
		begun := time.Now()
		domain := w.associate("shop.test")
		time.Sleep(2 * time.Hour)
		records := len(w.want(domain, platform.DomainStatusPendingValidation).Records)
		var asked []time.Time
		w.set(func() { asked = slices.Clone(w.asked) })
		looks := func(from, to time.Duration) (n int) {
			for _, at := range asked {
				if age := at.Sub(begun); age >= from && age < to {
					n++
				}
			}
			return n / records
		}
		for _, test := range []struct {
			from, to    time.Duration
			least, most int
		}{
			{0, 10 * time.Second, 5, 13},
			{time.Minute, 10 * time.Minute, 10, 30}, // the age grows by an eighth from look to look: log 10 / log 1.125 = 20
			{time.Hour, 2 * time.Hour, 9, 16},
		} {
			if got := looks(test.from, test.to); got < test.least || got > test.most {
				t.Errorf("between %s and %s DNS was asked %d times, want %d to %d", test.from, test.to, got, test.least, test.most)
			}
		}
	})
}

func TestAReservedNameIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		stop := w.keep(w)
		defer stop()
		domain := w.associate("example.com")
		synctest.Wait()
		if failed := w.want(domain, platform.DomainStatusCreateFailed); len(failed.Records) != 0 {
			t.Errorf("it has records: %+v", failed.Records)
		}
		if told := w.told(); !strings.Contains(strings.Join(told, "\n"), "reserved for documentation") {
			t.Errorf("the events are %q", told)
		}
	})
}

func TestADomainIsNotActiveWhileTheDataPlaneDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.refusal = errors.New("it is away")
		stop := w.keep(w)
		defer stop()
		domain := w.associate("shop.test")
		time.Sleep(2 * keepEvery)
		w.publish(w.want(domain, platform.DomainStatusPendingValidation))
		time.Sleep(10 * keepEvery)
		w.want(domain, platform.DomainStatusBinding)
		other := w.associate("other.test")
		time.Sleep(2 * keepEvery)
		w.want(other, platform.DomainStatusPendingValidation) // who does not need the data plane does not wait for it
		w.disassociate(other)
		time.Sleep(10 * keepEvery)
		w.want(other, platform.DomainStatusDeleting)
		w.set(func() { w.refusal = nil })
		time.Sleep(2 * keepEvery)
		w.want(domain, platform.DomainStatusActive)
		w.want(other, "")
	})
}

func TestASilentDNSHoldsUpNeitherOtherDomainsNorTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.isSilent = true
		stop := w.keep(w)
		var domains []platform.CustomDomain
		for i := range 3 * maxLookups {
			domains = append(domains, w.associate(fmt.Sprintf("shop%d.test", i)))
		}
		time.Sleep(time.Minute)
		for _, domain := range domains {
			w.want(domain, platform.DomainStatusPendingValidation)
		}
		var most int
		w.set(func() { most = w.mostOnce })
		if most != maxLookups {
			t.Errorf("DNS was asked %d questions at a time, want %d", most, maxLookups)
		}
		w.disassociate(domains[0])
		time.Sleep(2 * keepEvery)
		w.want(domains[0], "")
		begun := time.Now()
		stop()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the end took %s", took)
		}
	})
}

// The same over real sockets and a real clock.
func TestRecordsAreFoundAtARealServer(t *testing.T) {
	w := newWorld(t)
	defer w.close()
	server := dnstest.Start(t)
	stop := w.keep(DNS{server.Addr})
	defer stop()
	domain := w.associate("shop.test")
	until(t, func() bool {
		found, _ := w.find(domain)
		return len(found.Records) > 0 && server.Asked(found.Records[0].Name) > 0
	})
	pending := w.want(domain, platform.DomainStatusPendingValidation)
	server.Set(pending.Records[0].Name, "elsewhere.test.")
	server.Set(pending.Records[1].Name, pending.Records[1].Value)
	server.Set(pending.Records[2].Name, pending.Records[2].Value)
	until(t, func() bool {
		found, _ := w.find(domain)
		return found.Records[1].IsValidated && found.Records[2].IsValidated
	})
	w.want(domain, platform.DomainStatusPendingValidation)
	server.Set(pending.Records[0].Name, pending.Records[0].Value)
	until(t, func() bool {
		found, _ := w.find(domain)
		return found.Status == platform.DomainStatusActive
	})
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come in 20 s")
		}
	}
}
