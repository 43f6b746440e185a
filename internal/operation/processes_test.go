package operation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/postgres"
	"github.com/apron-run/apron/internal/store/postgres/postgrestest"
)

// asWorker makes the test's program a process that runs operations; it holds a workerConfig.
const asWorker = "APRON_TEST_WORKER"

type workerConfig struct{ Owner, Database, Dir string }

func TestMain(m *testing.M) {
	if text := os.Getenv(asWorker); text != "" {
		if err := runAsWorker(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// runAsWorker runs operations until its input ends, which it does with the test.
func runAsWorker(text string) error {
	var config workerConfig
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { defer cancel(); io.Copy(io.Discard, os.Stdin) }()
	db, err := postgres.Open(ctx, config.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	world := shared{config.Dir, config.Owner}
	executor := &deploy.Executor{
		Store: db, Backend: world, Images: world, Code: world, Image: world, Builder: world, Secrets: noSecrets{}, Prober: world, Router: world,
		Routes: deploy.NewRoutes(world, func(s platform.Service) string { return string(s.Subdomain) }), Logs: world, Log: log,
		SourcesDir: filepath.Join(config.Dir, config.Owner), HealthTimeout: time.Minute, Revisions: 10, Scaler: deploy.NewScaler(world),
		Disk: deploy.Disk{Limits: deploy.DefaultDiskLimits(), Used: func(string) (int, error) { return 0, nil }},
	}
	// Nobody supervises: with two, each would replace what is missing.
	worker := NewWorker(db, executor, deploy.NewSupervisor(executor, db, log), world, log, config.Owner, DefaultDeadlines(), 2)
	worker.LeaseFor = shortLease
	return worker.Run(ctx)
}

// crowd is several processes that share a database and a backend.
type crowd struct {
	t        *testing.T
	server   *postgrestest.Server
	database string
	db       store.Store
	world    shared
	starter  *Starter
	services []platform.Service
}

// process is one of them.
type process struct {
	t     *testing.T
	owner string
	run   *exec.Cmd
	input io.Closer
	log   string
}

func newCrowd(t *testing.T, services int) *crowd {
	t.Helper()
	server, err := postgrestest.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	name, err := server.Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), server.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &crowd{t: t, server: server, database: server.URL(name), db: db, world: shared{t.TempDir(), "test"}}
	c.starter = NewStarter(db, c.world, func() {})
	for n := range services {
		service := imageService()
		service.Name = fmt.Sprint("service-", n)
		c.services = append(c.services, service)
	}
	return c
}

// begin starts a process, which ends with the test.
func (c *crowd) begin(owner string) *process {
	c.t.Helper()
	text, err := json.Marshal(workerConfig{owner, c.database, c.world.dir})
	if err != nil {
		c.t.Fatal(err)
	}
	p := &process{t: c.t, owner: owner, run: exec.Command("/proc/self/exe"), log: filepath.Join(c.t.TempDir(), "log")}
	log, err := os.Create(p.log)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	p.run.Env, p.run.Stderr, p.run.Stdout = append(os.Environ(), asWorker+"="+string(text)), log, log
	if p.input, err = p.run.StdinPipe(); err != nil {
		c.t.Fatal(err)
	}
	if err := p.run.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		p.kill()
		if content, _ := os.ReadFile(p.log); c.t.Failed() {
			c.t.Logf("the log of %s:\n%s", p.owner, content[max(0, len(content)-5000):])
		}
	})
	return p
}

func (p *process) signal(signal syscall.Signal) {
	p.t.Helper()
	if err := p.run.Process.Signal(signal); err != nil {
		p.t.Fatalf("signal %s to %s: %v", signal, p.owner, err)
	}
}

// kill ends the process at once, also one that is stopped.
func (p *process) kill() {
	if p.run.ProcessState == nil {
		_ = p.run.Process.Kill() // one that has ended is well
		_ = p.run.Wait()
		_ = p.input.Close()
	}
}

// lost is how many operations the process has left to others.
func (p *process) lost() int {
	content, _ := os.ReadFile(p.log)
	return bytes.Count(content, []byte(`"msg":"operation left for later"`))
}

// slow makes pulls take so long from now on.
func (c *crowd) slow(takes time.Duration) {
	c.t.Helper()
	path := filepath.Join(c.world.dir, slowly)
	if err := os.WriteFile(path, []byte(strconv.FormatInt(takes.Milliseconds(), 10)), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// start begins an operation on each service.
func (c *crowd) start(kind platform.OperationType) (ids []platform.OperationID) {
	c.t.Helper()
	for _, service := range c.services {
		_, operation, err := c.starter.Start(c.t.Context(), service.ID, kind, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		ids = append(ids, operation.ID)
	}
	return ids
}

// end waits until all operations have succeeded.
func (c *crowd) end(ids []platform.OperationID) {
	c.t.Helper()
	operations := make([]platform.Operation, len(ids))
	c.eventually("all operations end", func() bool {
		for i, id := range ids {
			operation, err := c.db.OperationByID(c.t.Context(), id)
			if err != nil || !operation.Status.IsTerminal() {
				return false
			}
			operations[i] = operation
		}
		return true
	})
	for _, operation := range operations {
		if operation.Status != platform.OperationStatusSucceeded {
			c.t.Errorf("operation %s ended %s: %+v", operation.ID, operation.Status, operation.Failure)
		}
	}
}

func (c *crowd) eventually(what string, condition func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("did not happen in time: %s", what)
		}
	}
}

// pulling returns the services whose image the process pulls now.
func (c *crowd) pulling(p *process) (services []platform.ServiceID) {
	c.t.Helper()
	_, begun, err := c.world.effects()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, line := range begun {
		if line.Process == p.owner && line.Call == "pull" {
			services = append(services, line.Service)
		}
	}
	return services
}

// whoPulls waits until one of two processes is in the middle of a pull, and returns that one first.
func (c *crowd) whoPulls(one, two *process) (puller, other *process) {
	c.t.Helper()
	c.eventually("one pulls", func() bool {
		if puller, other = one, two; len(c.pulling(one)) == 0 {
			puller, other = two, one
		}
		return len(c.pulling(puller)) > 0
	})
	return puller, other
}

// wantOneAtATime fails the test when two processes were at one service at a time, or when not all of them did something. What
// a process did while it had the lease no more is not counted.
func (c *crowd) wantOneAtATime(since time.Time, sleeper string, processes ...*process) {
	c.t.Helper()
	ended, _, err := c.world.effects()
	if err != nil {
		c.t.Fatal(err)
	}
	ended = slices.DeleteFunc(ended, func(line effect) bool {
		return line.Begun.Before(since) || line.Process == sleeper && line.Ended.Sub(line.Begun) > shortLease
	})
	did := map[string]int{}
	for i, one := range ended {
		did[one.Process]++
		for _, other := range ended[:i] {
			if one.Service == other.Service && one.Process != other.Process && one.Begun.Before(other.Ended) && other.Begun.Before(one.Ended) {
				c.t.Errorf("two processes at a time: %+v and %+v", other, one)
			}
		}
	}
	for _, p := range processes {
		if did[p.owner] == 0 {
			c.t.Errorf("%s did nothing; the others: %v", p.owner, did)
		}
	}
}

// rows is all that is remembered.
func (c *crowd) rows() string {
	c.t.Helper()
	var text strings.Builder
	for _, service := range c.services {
		current, err := c.db.ServiceByID(c.t.Context(), service.ID)
		operations, errOperations := c.db.ListOperations(c.t.Context(), service.ID, store.OperationPage{})
		revisions, errRevisions := c.db.ListRevisions(c.t.Context(), service.ID)
		if err := errors.Join(err, errOperations, errRevisions); err != nil {
			c.t.Fatal(err)
		}
		encoder := json.NewEncoder(&text)
		encoder.SetIndent("", " ")
		if err := encoder.Encode([]any{current, operations, revisions}); err != nil {
			c.t.Fatal(err)
		}
	}
	return text.String()
}

// Two processes run the operations of one database. Everything that happens to them leaves each operation run by one of them
// at a time, and to its end. What takes half a minute with apron's own lease takes seconds with this one.
func TestProcessesShareTheOperationsOfADatabase(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 10)
	a := c.begin("a")
	time.Sleep(claimEvery / 2) // each looks for work at a time of its own
	b := c.begin("b")

	begun := time.Now()
	c.slow(shortLease / 2)
	var ids []platform.OperationID
	for i, service := range c.services {
		time.Sleep(claimEvery / 4)
		service, operation, err := c.starter.Create(t.Context(), service, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.services[i], ids = service, append(ids, operation.ID)
	}
	c.end(ids)
	c.slow(0)
	for _, kind := range []platform.OperationType{platform.OperationStartDeployment, platform.OperationPauseService, platform.OperationResumeService} {
		c.end(c.start(kind))
	}
	c.wantOneAtATime(begun, "", a, b)

	t.Log("one is killed in the middle of its steps")
	begun = time.Now()
	c.slow(shortLease / 2)
	ids = c.start(platform.OperationStartDeployment)
	victim, other := c.whoPulls(a, b)
	victim.kill()
	killed := time.Now()
	c.end(ids)
	t.Logf("the other had done everything after %s, with a lease of %s", time.Since(killed).Round(time.Millisecond), shortLease)
	c.wantOneAtATime(begun, "", other)

	t.Log("one is stopped in the middle of its steps, and goes on when the other has ended its operations")
	d := c.begin("d")
	begun = time.Now()
	ids = c.start(platform.OperationStartDeployment)
	victim, other = c.whoPulls(other, d)
	victim.signal(syscall.SIGSTOP)
	held, lost := len(c.pulling(victim)), victim.lost()
	c.end(ids)
	before := c.rows()
	victim.signal(syscall.SIGCONT)
	c.eventually("it leaves its operations to the other", func() bool {
		return victim.lost() >= lost+held && len(c.pulling(victim)) == 0
	})
	if diff := cmp.Diff(before, c.rows()); diff != "" {
		t.Errorf("it has written (-before +after):\n%s", diff)
	}
	c.wantOneAtATime(begun, victim.owner, other)
	other.kill()
	c.slow(0)
	begun = time.Now()
	c.end(c.start(platform.OperationStartDeployment))
	c.wantOneAtATime(begun, "", victim)

	t.Log("the database goes away for two leases")
	c.slow(shortLease / 2)
	ids = c.start(platform.OperationStartDeployment)
	c.whoPulls(victim, c.begin("e"))
	if err := c.server.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * shortLease)
	if err := c.server.Start(); err != nil {
		t.Fatal(err)
	}
	c.end(ids)
}
