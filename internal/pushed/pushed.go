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

	candidates []candidate
}

// candidate is a service that the push may deploy.
type candidate struct {
	id platform.ServiceID
	// last is the newest operation that the service had before the push was announced.
	last platform.OperationID
}

// beginTimeout bounds Begin, which holds up a push.
const beginTimeout = 5 * time.Second

// Begin remembers how the services are that the push may deploy. Call it before deployments are asked for: what begins
// after it can be told from what was there.
func (t *Teller) Begin(ctx context.Context, push *Push) error {
	ctx, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
	services, err := t.Store.ListServices(ctx, store.ServicePage{})
	if err != nil {
		return fmt.Errorf("read the services: %w", err)
	}
	for _, service := range services {
		if !push.IsSource(service) || !push.deploys(service) {
			continue
		}
		one := candidate{id: service.ID}
		newest, err := t.Store.ListOperations(ctx, service.ID, store.OperationPage{Limit: 1})
		if err != nil {
			return fmt.Errorf("read the newest operation: %w", err)
		}
		if len(newest) > 0 {
			one.last = newest[0].ID
		}
		push.candidates = append(push.candidates, one)
	}
	return nil
}

// deploys says whether a service of the repository is deployed by pushes to this branch.
func (p *Push) deploys(service platform.Service) bool {
	source := service.Configuration.Source
	return source.IsAutoDeployed && source.Code.Branch == p.Branch
}

// Tell writes what becomes of a push that was announced, one service after the other, and returns when that is known, or
// when ctx ends.
func (t *Teller) Tell(ctx context.Context, push *Push, to io.Writer) {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	defer context.AfterFunc(t.Leaving, func() { leave(errLeaving) })()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errLate)
	defer cancel()
	fmt.Fprintln(to)
	for _, one := range push.candidates {
		tale{t, push, to}.service(ctx, one)
	}
	t.tellOthers(ctx, push, to)
	fmt.Fprintln(to)
}

// tellOthers tells of the repository's services that pushes to this branch do not deploy, and what deploys them.
func (t *Teller) tellOthers(ctx context.Context, push *Push, to io.Writer) {
	all, err := t.Store.ListServices(ctx, store.ServicePage{})
	if err != nil {
		return // the deployments have been told, and were what matters
	}
	all = slices.DeleteFunc(all, func(service platform.Service) bool { return !push.IsSource(service) })
	if len(all) == 0 && len(push.candidates) == 0 {
		push.tellFirst(to)
	}
	for _, service := range all {
		branch := service.Configuration.Source.Code.Branch
		switch {
		case push.deploys(service): // told already
		case branch == push.Branch:
			fmt.Fprintf(to, "%s is not deployed by a push: its AutoDeploymentsEnabled is off. To deploy this:\n  %s\n", service.Name, startDeployment(service))
		case len(push.candidates) == 0:
			fmt.Fprintf(to, "%s is deployed from the branch %s, not from %s. To deploy this: git push apron %s:%s\n",
				service.Name, branch, push.Branch, push.Branch, branch)
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
