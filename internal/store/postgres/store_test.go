package postgres_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/postgres"
	"github.com/apron-run/apron/internal/store/postgres/postgrestest"
)

var errFull = errors.New("full")

func TestManyMayOpenANewDatabaseAtTheSameTime(t *testing.T) {
	t.Parallel()
	url := newDatabase(t, server, "")
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			db, err := postgres.Open(t.Context(), url)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			defer db.Close()
			if _, err := create(t, db, n, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if services, err := open(t, url).ListServices(t.Context(), store.ServicePage{}); err != nil || len(services) != 8 {
		t.Errorf("%d services, %v; want 8, no error", len(services), err)
	}
}

// With transactions that see what was there at their begin, each of two processes would count without the other's.
func TestProcessesThatShareADatabaseCountTogether(t *testing.T) {
	t.Parallel()
	name, err := server.Create(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Execute(t.Context(), "postgres", "ALTER DATABASE "+name+" SET default_transaction_isolation = 'serializable'"); err != nil {
		t.Fatal(err)
	}
	const processes, limit = 4, 10
	var stores [processes]store.Store
	for process := range processes {
		stores[process] = open(t, server.URL(name))
	}
	var group sync.WaitGroup
	for process, db := range stores {
		for n := range limit {
			group.Go(func() {
				_, err := create(t, db, process*limit+n, func(services int) error {
					if services >= limit {
						return errFull
					}
					return nil
				})
				if err != nil && !errors.Is(err, errFull) {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	if services, err := open(t, server.URL(name)).ListServices(t.Context(), store.ServicePage{}); err != nil || len(services) != limit {
		t.Errorf("%d services, %v; want %d, no error", len(services), err, limit)
	}
}

func TestProcessesThatShareADatabaseRunEachOperationOnce(t *testing.T) {
	t.Parallel()
	url := newDatabase(t, server, template)
	const processes, workers, operations = 2, 8, 60
	stores := [processes]store.Store{open(t, url), open(t, url)}
	for n := range operations {
		if _, err := create(t, stores[0], n, nil); err != nil {
			t.Fatal(err)
		}
	}
	var (
		mu      sync.Mutex // guards claimed
		claimed = map[platform.OperationID]int{}
		group   sync.WaitGroup
	)
	for process, db := range stores {
		for range workers {
			group.Go(func() {
				for {
					now := time.Now()
					operation, err := db.ClaimOperation(t.Context(), fmt.Sprint("owner", process), now, now.Add(time.Hour))
					if errors.Is(err, store.ErrNotFound) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					claimed[operation.ID]++
					mu.Unlock()
				}
			})
		}
	}
	group.Wait()
	if len(claimed) != operations {
		t.Errorf("%d operations were claimed, want %d", len(claimed), operations)
	}
	for id, times := range claimed {
		if times != 1 {
			t.Errorf("operation %s was claimed %d times", id, times)
		}
	}
}

// Writers go on writing while the server is killed and comes back. Each write ends, those in between with an error that is
// worth another try, and what was accepted is there.
func TestWhatWasAcceptedSurvivesAKillOfTheServer(t *testing.T) {
	t.Parallel()
	server, err := postgrestest.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	db := open(t, newDatabase(t, server, ""))
	const writers, before, after = 4, 20, 20
	var (
		mu       sync.Mutex // guards accepted and refused
		accepted []platform.ServiceID
		refused  int
		group    sync.WaitGroup
		early    = make(chan struct{})
		isBack   = make(chan struct{})
	)
	note := func(id platform.ServiceID, err error) (isDone bool) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			if refused++; errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
				t.Errorf("a write without a server: %v, want an error that is worth another try", err)
			}
			return false
		}
		if accepted = append(accepted, id); len(accepted) == before {
			close(early)
		}
		select {
		case <-isBack:
			return len(accepted) >= before+after
		default:
			return false
		}
	}
	for writer := range writers {
		group.Go(func() {
			for n := 0; t.Context().Err() == nil; n++ {
				if note(create(t, db, n*writers+writer, nil)) {
					return
				}
			}
		})
	}
	<-early
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ListServices(t.Context(), store.ServicePage{}); err == nil {
		t.Error("a read without a server has no error")
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	close(isBack)
	group.Wait()
	if refused == 0 {
		t.Error("no write met the server when it was away")
	}
	for _, id := range accepted {
		if _, err := db.ServiceByID(t.Context(), id); err != nil {
			t.Errorf("read an accepted service: %v", err)
		}
	}
}

// A process that hangs in the middle of a write keeps the others waiting for a bounded time.
func TestAWriterThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	address := newDatabase(t, server, template)
	hanging, other := open(t, address+"&idle_in_transaction_session_timeout=500ms"), open(t, address)
	id, err := create(t, hanging, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- hanging.UpdateTags(t.Context(), id, func(tags map[string]string) error {
			close(begun)
			<-end
			tags["written"] = "after the end"
			return nil
		})
	}()
	<-begun
	if err := other.UpdateTags(t.Context(), id, func(tags map[string]string) error { tags["other"] = ""; return nil }); err != nil {
		t.Errorf("the other: %v", err)
	}
	close(end)
	if err := <-ended; err == nil {
		t.Error("the one that hung was told that its write was kept")
	}
	service, err := hanging.ServiceByID(t.Context(), id)
	if err != nil || len(service.Tags) != 1 {
		t.Errorf("tags %v, %v; want those of the other", service.Tags, err)
	}
}

// An apron that starts waits for one that migrates the database, or that hangs in the middle of a write, for longer than a write would.
func TestOpeningWaitsForTheOneThatWrites(t *testing.T) {
	t.Parallel()
	address := newDatabase(t, server, template)
	hanging := open(t, address+"&idle_in_transaction_session_timeout=500ms")
	id, err := create(t, hanging, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = hanging.UpdateTags(t.Context(), id, func(map[string]string) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	db, err := postgres.Open(t.Context(), address+"&lock_timeout=50ms&statement_timeout=100ms")
	if err != nil {
		t.Error(err)
	} else if err := db.Close(); err != nil {
		t.Error(err)
	}
	close(end)
	<-ended
}

func TestAWriteDoesNotWaitForTheLockWithoutEnd(t *testing.T) {
	t.Parallel()
	address := newDatabase(t, server, template)
	holding, waiting := open(t, address), open(t, address+"&lock_timeout=100ms")
	id, err := create(t, holding, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = holding.UpdateTags(t.Context(), id, func(map[string]string) error {
		err := waiting.UpdateTags(t.Context(), id, func(map[string]string) error { return nil })
		if err == nil || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("the one that waits: %v, want an error that is worth another try", err)
		}
		if _, err := waiting.ServiceByID(t.Context(), id); err != nil {
			t.Errorf("a read beside the writer: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestADatabaseThatCannotBeUsedIsExplainedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	name, err := server.Create(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	err = server.Execute(t.Context(), name, `INSERT INTO schema_versions (version, name, applied_at) VALUES (9000, 'from the future', 0)`)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := url.Parse(server.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	wrong.User = url.UserPassword("postgres", postgrestest.Password+"-wrong")
	for want, address := range map[string]string{
		"newer apron (schema 9000": server.URL(name),
		"refused the user":         wrong.String(),
		"has no database none":     server.URL("none"),
		"cannot be reached":        "postgres://apron:" + postgrestest.Password + "@127.0.0.1:1/apron",
	} {
		_, err := postgres.Open(t.Context(), address)
		if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, want) {
			t.Errorf("open: %v, want a sentence with %q", err, want)
		} else if strings.Contains(fmt.Sprint(err, explained.Err, explained.Evidence), postgrestest.Password) {
			t.Errorf("the password is told: %v", err)
		}
	}
}

func TestAURLThatIsNoneIsRefusedWithoutItsPassword(t *testing.T) {
	for _, text := range []string{
		"apron.db", "mysql://root:secret@host/db", "postgres://apron:se%secret@host/db", "postgres://apron:secret@host:port/db",
		"host=db user=apron password=secret", "postgres://apron@host/db?password=secret&connect_timeout=x", "postgres://a:sec ret@[::1/db",
	} {
		if err := postgres.CheckURL(text); err == nil || strings.Contains(err.Error(), "sec") {
			t.Errorf("check %q: %v, want an error without the password", text, err)
		}
	}
	for _, text := range []string{"postgres://apron@db.example/apron", "postgresql:///apron?host=/run/postgresql", "postgres://a:b@h1:1,h2:2/db"} {
		if err := postgres.CheckURL(text); err != nil {
			t.Errorf("check %q: %v", text, err)
		}
	}
}

func create(t testing.TB, db store.Store, n int, check func(services int) error) (platform.ServiceID, error) {
	now := time.Now()
	service := platform.Service{
		ID: platform.NewServiceID(), Name: fmt.Sprintf("service-%d", n), Subdomain: platform.NewSubdomain(), CreatedAt: now,
		UpdatedAt: now, Status: platform.ServiceStatusOperationInProgress,
	}
	operation := platform.Operation{
		ID: platform.NewOperationID(), ServiceID: service.ID, Type: platform.OperationCreateService,
		Status: platform.OperationStatusPending, StartedAt: now, UpdatedAt: now,
	}
	return service.ID, db.CreateService(t.Context(), service, operation, check)
}

// BenchmarkWrites tells what the one lock costs: writers of one process share transactions, those of several take turns. The
// tests' server does not wait for its disk.
func BenchmarkWrites(b *testing.B) {
	for _, processes := range []int{1, 2, 4} {
		for _, writers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%d processes of %d writers", processes, writers), func(b *testing.B) {
				url := newDatabase(b, server, template)
				var (
					left  atomic.Int64
					group sync.WaitGroup
					work  []func()
				)
				left.Store(int64(b.N))
				for process := range processes {
					db := open(b, url)
					for writer := range writers {
						id, err := create(b, db, process*writers+writer, nil)
						if err != nil {
							b.Fatal(err)
						}
						work = append(work, func() {
							for n := left.Add(-1); n >= 0; n = left.Add(-1) {
								err := db.UpdateTags(b.Context(), id, func(tags map[string]string) error { tags["n"] = fmt.Sprint(n); return nil })
								if err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
				}
				b.ResetTimer()
				for _, each := range work {
					group.Go(each)
				}
				group.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			})
		}
	}
}
