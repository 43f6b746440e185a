// Package pushed tells whoever pushed to the Git server what becomes of the push, in the push's own output: the
// deployment of each service as it happens with what the build prints, where it is live or why it failed, and what to do
// where nothing is deployed.
//
// It only looks. The deployments go on whether somebody is told of them or not.
package pushed

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/telemetry"
)

// Store is where services and their operations are read.
type Store interface {
	ListServices(ctx context.Context, page store.ServicePage) ([]platform.Service, error)
	ServiceByID(ctx context.Context, id platform.ServiceID) (platform.Service, error)
	OperationByID(ctx context.Context, id platform.OperationID) (platform.Operation, error)
	ListOperations(ctx context.Context, service platform.ServiceID, page store.OperationPage) ([]platform.Operation, error)
}

// Logs is where the log of an operation is read.
type Logs interface {
	Read(ctx context.Context, service platform.ServiceID, stream, token string, limit int) ([]telemetry.Line, string, error)
}

// Teller tells of pushes. It is safe for concurrent use.
type Teller struct {
	Store Store
	Logs  Logs
	// URL is where a service answers; "" for one that answers privately.
	URL func(platform.Service) string
	// Leaving ends when apron stops, or goes on as another program: nobody is told on, so that none of them waits.
	Leaving context.Context
}

// patience is how long somebody is told of one push: longer than most deployments take.
const patience = 50 * time.Minute

// Push is one branch that got a new commit.
type Push struct {
	Repository, Branch, Commit string
	// IsSource says whether a service is deployed from the repository, whatever its branch.
	IsSource func(platform.Service) bool

	mu    sync.Mutex // guards asked
	asked []asked
}

// asked is a service of which the push has asked for a deployment.
type asked struct {
	id platform.ServiceID
	// last is the newest operation that the service had by then.
	last platform.OperationID
}

// Ask remembers that a service is about to be asked for a deployment of the push, so that its operation can be told from
// those before it. Twice is safe.
func (t *Teller) Ask(ctx context.Context, push *Push, id platform.ServiceID) error {
	newest, err := t.Store.ListOperations(ctx, id, store.OperationPage{Limit: 1})
	if err != nil {
		return fmt.Errorf("read the newest operation: %w", err)
	}
	push.mu.Lock()
	defer push.mu.Unlock()
	if push.find(id) >= 0 {
		return nil
	}
	one := asked{id: id}
	if len(newest) > 0 {
		one.last = newest[0].ID
	}
	push.asked = append(push.asked, one)
	return nil
}

func (p *Push) find(id platform.ServiceID) int {
	return slices.IndexFunc(p.asked, func(one asked) bool { return one.id == id })
}

// Tell writes what becomes of a push, one service after the other, and returns when that is known, or when ctx ends.
func (t *Teller) Tell(ctx context.Context, push *Push, to io.Writer) {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	defer context.AfterFunc(t.Leaving, func() { leave(errLeaving) })()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errLate)
	defer cancel()
	fmt.Fprintln(to)
	push.mu.Lock()
	services := slices.Clone(push.asked)
	push.mu.Unlock()
	for _, one := range services {
		tale{t, push, to}.service(ctx, one)
	}
	t.tellOthers(ctx, push, len(services) > 0, to)
	fmt.Fprintln(to)
}

// tellOthers tells of the repository's services that the push does not deploy, and what deploys them.
func (t *Teller) tellOthers(ctx context.Context, push *Push, isDeployed bool, to io.Writer) {
	all, err := t.Store.ListServices(ctx, store.ServicePage{})
	if err != nil {
		return // the deployments have been told, and were what matters
	}
	all = slices.DeleteFunc(all, func(service platform.Service) bool { return !push.IsSource(service) })
	if len(all) == 0 {
		push.tellFirst(to)
		return
	}
	for _, service := range all {
		source := service.Configuration.Source
		isAsked := push.find(service.ID) >= 0
		switch {
		case isAsked:
		case source.Code.Branch != push.Branch && !isDeployed:
			fmt.Fprintf(to, "%s is deployed from the branch %s, not from %s. To deploy this: git push apron %s:%s\n",
				service.Name, source.Code.Branch, push.Branch, push.Branch, source.Code.Branch)
		case source.Code.Branch != push.Branch:
		case !source.IsAutoDeployed:
			fmt.Fprintf(to, "%s is not deployed by a push: its AutoDeploymentsEnabled is off. To deploy this:\n  %s\n", service.Name, startDeployment(service))
		default:
			fmt.Fprintf(to, "%s stays as it is: the push changes nothing that it is made from.\n", service.Name)
		}
	}
}

// serviceName is what a service can be named.
var serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{3,39}$`)

// tellFirst tells what to do after the first push to a repository, which no service is deployed from.
func (p *Push) tellFirst(to io.Writer) {
	fmt.Fprintf(to, "The push is kept, but no service is deployed from %s yet. ", p.Repository)
	if !serviceName.MatchString(p.Repository) {
		fmt.Fprintln(to, "Create one with the URL that you push to as its RepositoryUrl:\n  aws apprunner create-service")
		return
	}
	fmt.Fprintf(to, "Create one, from the folder that you push:\n  apron deploy --name %s\n", p.Repository)
	branch := p.Branch
	if branch != "main" {
		branch += ":main"
	}
	fmt.Fprintf(to, "From then on a push deploys: git push apron %s\n", branch)
}

func startDeployment(service platform.Service) string {
	return "aws apprunner start-deployment --service-arn " + service.ARN
}
