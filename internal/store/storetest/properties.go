package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// runProperties drives a store through random sequences of calls and checks the safety properties after each call:
//
//   - a terminal status never changes, nor anything else of a terminal operation;
//   - a service has at most one operation that is not terminal;
//   - only the holder of the newest lease has ever written.
//
// One store serves all sequences, each of which uses services of its own: what others left open must not matter.
func runProperties(t *testing.T, open func(testing.TB) store.Store) {
	db := open(t)
	var sequence int
	rapid.Check(t, func(rt *rapid.T) {
		sequence++
		m := &machine{t: t, db: db, sequence: sequence, now: epoch, ended: map[platform.OperationID]platform.Operation{}}
		rt.Repeat(map[string]func(*rapid.T){
			"create": m.create, "start": m.start, "claim": m.claim, "save": m.save, "renew": m.renew,
			"release": m.release, "later": m.later, "": m.check,
		})
		m.cleanUp(rt)
	})
}

// machine is a model of a store: who holds which lease, and what has ended.
type machine struct {
	t        *testing.T
	db       store.Store
	sequence int
	now      time.Time
	services []platform.Service
	// held are all operations as they were claimed or saved, of leases that hold and of leases that do not.
	held []platform.Operation
	// terms are the newest terms; a released one is 0.
	terms map[platform.OperationID]int
	ended map[platform.OperationID]platform.Operation
}

var owners = []string{"a", "b"}

func (m *machine) create(t *rapid.T) {
	if len(m.services) == 3 {
		t.Skip("enough services")
	}
	service := newService(len(m.services))
	service.Name = fmt.Sprintf("property-%d-%d", m.sequence, len(m.services))
	operation := newOperation(service, platform.OperationCreateService, 0)
	operation.StartedAt = m.now
	if err := m.db.CreateService(m.t.Context(), service, operation, nil); err != nil {
		t.Fatalf("create: %v", err)
	}
	m.services = append(m.services, service)
}

func (m *machine) start(t *rapid.T) {
	if len(m.services) == 0 {
		t.Skip("no service")
	}
	service := rapid.SampledFrom(m.services).Draw(t, "service")
	before := readService(m.t, m.db, service.ID)
	hasOpen := m.openOperations(service.ID) > 0
	operation := newOperation(service, platform.OperationStartDeployment, 0)
	operation.StartedAt = m.now
	// Every status is allowed, so that only the rule of one operation at a time can refuse.
	_, _, err := m.db.StartOperation(m.t.Context(), operation,
		[]platform.ServiceStatus{before.Status, platform.ServiceStatusOperationInProgress}, nil)
	if hasOpen != errors.Is(err, store.ErrConflict) {
		t.Fatalf("start beside an open operation (%v): %v", hasOpen, err)
	}
	if !hasOpen && err != nil {
		t.Fatalf("start: %v", err)
	}
}

func (m *machine) claim(t *rapid.T) {
	owner := rapid.SampledFrom(owners).Draw(t, "owner")
	operation, err := m.db.ClaimOperation(m.t.Context(), owner, m.now, m.now.Add(10*time.Second))
	if errors.Is(err, store.ErrNotFound) {
		t.Skip("nothing to claim")
	}
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	if operation.Status.IsTerminal() {
		t.Fatalf("claimed operation %s, which is %s", operation.ID, operation.Status)
	}
	for _, held := range m.held {
		if held.ID == operation.ID && held.LeaseTerm >= operation.LeaseTerm {
			t.Fatalf("claimed term %d after term %d", operation.LeaseTerm, held.LeaseTerm)
		}
	}
	if m.terms == nil {
		m.terms = map[platform.OperationID]int{}
	}
	m.terms[operation.ID] = operation.LeaseTerm
	m.held = append(m.held, operation)
}

func (m *machine) save(t *rapid.T) {
	if len(m.held) == 0 {
		t.Skip("nothing held")
	}
	i := rapid.IntRange(0, len(m.held)-1).Draw(t, "held")
	operation := m.held[i]
	stored := readOperation(m.t, m.db, operation.ID)
	operation.Status = rapid.SampledFrom(allStatuses).Draw(t, "status")
	operation.Progress.HasSwitched = rapid.Bool().Draw(t, "switched")
	operation.Progress.Commit = rapid.StringMatching(`[0-9a-f]{4}`).Draw(t, "commit")
	err := m.db.SaveOperation(m.t.Context(), operation, func(s *platform.Service) {
		if operation.Status.IsTerminal() {
			s.Status = platform.ServiceStatusRunning
		}
	})
	mayWrite := m.terms[operation.ID] == operation.LeaseTerm && (operation.Progress.HasSwitched || !stored.Progress.HasSwitched) &&
		(stored.Status.CanBecome(operation.Status) || stored.Status == operation.Status && !stored.Status.IsTerminal())
	if mayWrite && err != nil || !mayWrite && !errors.Is(err, store.ErrConflict) {
		t.Fatalf("save %s over %s with term %d (current %d): %v", operation.Status, stored.Status, operation.LeaseTerm, m.terms[operation.ID], err)
	}
	want := stored
	if mayWrite {
		m.held[i], want = operation, operation
	}
	if diff := cmp.Diff(want, readOperation(m.t, m.db, operation.ID)); diff != "" {
		t.Fatalf("operation after save (-want +got):\n%s", diff)
	}
}

func (m *machine) renew(t *rapid.T) {
	if len(m.held) == 0 {
		t.Skip("nothing held")
	}
	operation := rapid.SampledFrom(m.held).Draw(t, "held")
	err := m.db.RenewLease(m.t.Context(), operation.ID, operation.LeaseTerm, m.now.Add(10*time.Second))
	if holds := m.terms[operation.ID] == operation.LeaseTerm; holds != (err == nil) {
		t.Fatalf("renew term %d (current %d): %v", operation.LeaseTerm, m.terms[operation.ID], err)
	}
}

func (m *machine) release(t *rapid.T) {
	for _, owner := range owners {
		if err := m.db.ReleaseLeases(m.t.Context(), owner); err != nil {
			t.Fatalf("release: %v", err)
		}
	}
	for id := range m.terms {
		if _, hasEnded := m.ended[id]; !hasEnded {
			m.terms[id] = 0
		}
	}
}

func (m *machine) later(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 15).Draw(t, "seconds")) * time.Second)
}

func (m *machine) openOperations(id platform.ServiceID) int {
	return len(slices.DeleteFunc(listOperations(m.t, m.db, id), func(o platform.Operation) bool { return o.Status.IsTerminal() }))
}

func (m *machine) check(t *rapid.T) {
	for _, service := range m.services {
		open := 0
		for _, operation := range listOperations(m.t, m.db, service.ID) {
			ended, hasEnded := m.ended[operation.ID]
			if diff := cmp.Diff(ended, operation); hasEnded && diff != "" {
				t.Fatalf("an ended operation changed (-was +is):\n%s", diff)
			}
			if operation.Status.IsTerminal() {
				m.ended[operation.ID] = operation
			} else if open++; open > 1 {
				t.Fatalf("service %s has %d open operations", service.Name, open)
			}
		}
	}
}

// cleanUp ends what is open, so that the next sequence's claims find its own operations only.
func (m *machine) cleanUp(t *rapid.T) {
	m.release(t)
	for {
		operation, err := m.db.ClaimOperation(m.t.Context(), "clean-up", m.now, m.now.Add(time.Hour))
		if errors.Is(err, store.ErrNotFound) {
			return
		}
		if err != nil {
			t.Fatalf("claim: %v", err)
		}
		finish(m.t, m.db, operation, finalOf(operation.Status), platform.ServiceStatusDeleted)
	}
}
