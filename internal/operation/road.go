package operation

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/failpoint"
	"github.com/apron-run/apron/internal/platform"
)

// road is the order of steps of an operation: those before the point of no return, the last of which is the switch, and
// those after it.
type road struct{ before, after []step }

// roadFor chooses the steps for an operation. It is pure and gives the same road after a crash.
func roadFor(operation platform.Operation, service platform.Service) road {
	rollout := []step{
		{name: stepStart, run: startInstances},
		{name: stepHealthCheck, run: awaitHealthy},
		{name: stepSwitch, run: switchTraffic, isWhole: true},
	}
	drain := step{name: stepDrain, run: drainOld}
	stop := step{name: stepStop, run: stopAll, isWhole: true}
	switchOff := func(run func(context.Context, *run) (string, error)) step {
		return step{name: stepSwitchOff, run: run, isWhole: true}
	}
	switch operation.Type {
	case platform.OperationPauseService:
		return road{[]step{switchOff(pauseTraffic)}, []step{drain, stop}}
	case platform.OperationResumeService:
		return road{rollout, nil}
	case platform.OperationDeleteService:
		remove := step{name: stepRemove, run: removeService, isWhole: true}
		return road{[]step{switchOff(endTraffic)}, []step{drain, stop, remove}}
	}
	leave := step{name: stepStop, run: stopOld, isWhole: true}
	return road{append(acquire(operation, service), rollout...), []step{{name: stepDrain, run: drainBriefly}, leave}}
}

// acquire is how the new revision's image is come by.
func acquire(operation platform.Operation, service platform.Service) []step {
	resolve := step{name: stepResolve, run: resolveSource}
	switch {
	case operation.RollsBackTo != "", operation.Type == platform.OperationUpdateService && keepsImage(operation, service):
		return []step{{name: stepReuse, run: reuseImage}}
	case service.Configuration.Source.Code != nil:
		return []step{
			resolve, {name: stepFetch, run: fetchSource}, {name: stepBuild, run: buildImage},
		}
	default:
		return []step{resolve, {name: stepPull, run: pullImage}}
	}
}

// keepsImage says whether an update needs no new image: the service has a revision, and what the update changed has no
// part in making the image. A deployment, not an update, is what brings new code.
func keepsImage(operation platform.Operation, service platform.Service) bool {
	if service.ActiveRevisionID == "" || operation.Previous == nil || operation.Previous.Status == platform.ServiceStatusCreateFailed {
		return false
	}
	before, now := operation.Previous.Configuration.Source, service.Configuration.Source
	if now.Image != nil {
		return before.Image != nil && before.Image.Identifier == now.Image.Identifier
	}
	return reflect.DeepEqual(before.Code, now.Code)
}

func resolveSource(ctx context.Context, r *run) (string, error) {
	detail, err := r.executor.Resolve(ctx, r.service.Configuration.Source, &r.operation.Progress)
	if err != nil {
		return "", err
	}
	// Whoever watches the source hears of it at once, and does not ask for the same again.
	return detail, r.save(ctx, func(service *platform.Service) { service.Find(r.operation.Progress.Found()) })
}

func fetchSource(ctx context.Context, r *run) (string, error) {
	earlier, err := r.executor.SkipBuild(ctx, r.operation, r.service)
	if err != nil {
		return "", err
	}
	if earlier != "" {
		r.logs.Event(r.service.ID, "Commit %.7s was built before; its image is used again.", r.operation.Progress.Commit)
		return "not needed: the image of " + earlier + " is used again", nil
	}
	code := r.service.Configuration.Source.Code
	r.logs.Event(r.service.ID, "Pulling source code from GIT Repository ( %s ).", deploy.RedactURL(code.RepositoryURL))
	if err := r.executor.Fetch(ctx, r.operation, r.service); err != nil {
		return "", err
	}
	r.logs.Event(r.service.ID, "Successfully pulled your application source code.")
	return "", nil
}

func buildImage(ctx context.Context, r *run) (string, error) {
	if earlier, err := r.executor.SkipBuild(ctx, r.operation, r.service); err != nil || earlier != "" {
		return "skipped: " + earlier + " was built of the same commit", err
	}
	r.writeDeployment(lineBuild)
	if err := r.executor.Build(ctx, r.operation, r.service); err != nil {
		return "", err
	}
	r.writeDeployment(lineBuilt)
	return "", nil
}

func pullImage(ctx context.Context, r *run) (string, error) {
	identifier := r.service.Configuration.Source.Image.Identifier
	r.logs.Event(r.service.ID, "Pulling image %s from ECR repository.", identifier)
	r.writeDeployment(linePull)
	if err := r.executor.Pull(ctx, r.operation, r.service); err != nil {
		return "", err
	}
	r.logs.Event(r.service.ID, linePulled)
	r.writeDeployment(linePulled)
	return "", nil
}

func reuseImage(ctx context.Context, r *run) (string, error) {
	return "", r.executor.Reuse(ctx, r.operation, r.service)
}

// loadRevision reads the revision that the operation brings up: its own, or the active one for a resume.
func (r *run) loadRevision(ctx context.Context) (err error) {
	id := platform.RevisionIDFor(r.operation.ID)
	if r.operation.Type == platform.OperationResumeService {
		id = r.service.ActiveRevisionID
	}
	if r.revision.ID == id {
		return nil
	}
	if r.revision, err = r.store.RevisionByID(ctx, id); err != nil {
		return fmt.Errorf("read the revision: %w", err)
	}
	r.operation.Progress.RevisionID = id
	return nil
}

func startInstances(ctx context.Context, r *run) (detail string, err error) {
	if err := r.loadRevision(ctx); err != nil {
		return "", err
	}
	r.logs.Event(r.service.ID, "Provisioning instances and deploying image.")
	if r.instances, err = r.executor.StartInstances(ctx, r.operation, r.service, r.revision); err != nil {
		return "", err
	}
	return plural(len(r.instances), "instance"), nil
}

func awaitHealthy(ctx context.Context, r *run) (string, error) {
	check, port := r.revision.Configuration.HealthCheck, r.revision.Process.Port
	if check.Protocol == platform.HealthCheckHTTP {
		r.logs.Event(r.service.ID, "Performing health check on protocol `HTTP` [Path: '%s'], [Port: '%d'].", check.Path, port)
	} else {
		r.logs.Event(r.service.ID, "Performing health check on protocol `TCP` [Port: '%d'].", port)
	}
	if err := r.executor.AwaitHealthy(ctx, r.service, r.revision, r.instances); err != nil {
		return "", err
	}
	r.logs.Event(r.service.ID, "Health check is successful. Routing traffic to application.")
	return "", nil
}

// switchTraffic is the point of no return. The transaction comes first: whatever happens between it and the route, the
// store says which revision serves, and a restart builds the route from that.
func switchTraffic(ctx context.Context, r *run) (string, error) {
	err := r.passNoReturn(ctx, func(service *platform.Service) {
		service.ActiveRevisionID, service.IsServing = r.revision.ID, true
	})
	if err != nil {
		return "", err
	}
	r.executor.Routes.Serve(r.service, r.revision, deploy.Endpoints(r.instances))
	r.flush(ctx)
	r.supervisor.Wake(r.service.ID) // it owns the instances from here on
	r.logs.Event(r.service.ID, "Successfully routed incoming traffic to application.")
	return "", nil
}

func pauseTraffic(ctx context.Context, r *run) (string, error) {
	return "", r.stopTraffic(ctx, func() { r.executor.Routes.Pause(r.service) })
}

func endTraffic(ctx context.Context, r *run) (string, error) {
	return "", r.stopTraffic(ctx, func() { r.executor.Routes.Forget(r.service) })
}

func (r *run) stopTraffic(ctx context.Context, unroute func()) error {
	err := r.passNoReturn(ctx, func(service *platform.Service) { service.IsServing = false })
	if err != nil {
		return err
	}
	unroute()
	r.flush(ctx)
	return nil
}

// routeAgain makes the route follow a switch that was kept before this claim: whether that was done, here, nobody may know. A
// restart made the route from the store, which a deletion is the exception of.
func (r *run) routeAgain(ctx context.Context) error {
	if r.operation.Type == platform.OperationDeleteService {
		r.executor.Routes.Forget(r.service)
	} else if err := r.supervisor.Reroute(ctx, r.service); err != nil {
		return fmt.Errorf("make the route again: %w", err)
	}
	r.flush(ctx)
	return nil
}

// flush waits until the route is in force. A data plane that does not answer gets the route when it is back, so that the
// operation need not fail for it; draining waits for it too.
func (r *run) flush(ctx context.Context) {
	waiting, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := r.executor.Router.Flush(waiting); err != nil && ctx.Err() == nil {
		r.logs.Event(r.service.ID, "The proxy does not answer; it gets the route as soon as it is back.")
		r.log.Error("switch the route", "service", r.service.ID, "error", err)
	}
}

// passNoReturn marks the operation as switched and edits the service, in one transaction. The step is done with that: after
// a crash the road goes on behind it.
func (r *run) passNoReturn(ctx context.Context, edit func(*platform.Service)) error {
	var switched platform.Service
	steps := slices.Clone(r.operation.Steps)
	r.operation.Progress.HasSwitched = true
	r.finish("", nil)
	err := r.save(ctx, func(service *platform.Service) {
		edit(service)
		switched = service.Clone()
	})
	if err != nil {
		r.operation.Progress.HasSwitched, r.operation.Steps = false, steps
		return err
	}
	r.service = switched
	failpoint.Pass(r.operation.Type, failpoint.Route, failpoint.Before)
	return nil
}

func drainOld(ctx context.Context, r *run) (string, error) {
	return drainFor(ctx, r, drainTimeout, "cut off after "+drainTimeout.String())
}

// drainBriefly waits for what most requests take. What takes longer, such as a WebSocket, goes on: the Supervisor drains what
// it is handed once more, and nobody has to wait for that to deploy again.
func drainBriefly(ctx context.Context, r *run) (string, error) {
	return drainFor(ctx, r, briefDrainTimeout, "going on for up to "+drainTimeout.String())
}

// drainFor drains the instances of earlier revisions; fate is what becomes of requests that are left then.
func drainFor(ctx context.Context, r *run, timeout time.Duration, fate string) (string, error) {
	old, err := r.executor.Unwanted(ctx, r.service.ID, r.servingRevision())
	if err != nil || len(old) == 0 {
		return "", err
	}
	draining, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	left := r.executor.Router.Drain(draining, old)
	switch {
	case errors.Is(context.Cause(ctx), errCancelled):
		return "cancelled with " + plural(left, "request") + " running", nil
	case left > 0 && ctx.Err() == nil:
		return plural(left, "request") + " " + fate, nil
	}
	return plural(len(old), "instance"), nil
}

// stopOld hands the drained instances to the Supervisor, which gives them time to end: nobody has to wait for an app
// that takes its time to stop, since it has no traffic any more. The Supervisor's pass after the operation finds them.
func stopOld(ctx context.Context, r *run) (string, error) {
	old, err := r.executor.Unwanted(ctx, r.service.ID, r.servingRevision())
	if err != nil || len(old) == 0 {
		return "", err
	}
	return plural(len(old), "instance") + " leaving", nil
}

func stopAll(ctx context.Context, r *run) (string, error) {
	all, err := r.every(ctx)
	if err != nil {
		return "", err
	}
	return plural(len(all), "instance"), r.executor.StopInstances(ctx, all, deploy.StopGrace)
}

func removeService(ctx context.Context, r *run) (string, error) {
	return "", r.executor.RemoveService(ctx, r.service.ID)
}

// drainTimeout is how long running requests may take to finish on instances that leave (App Runner: 120 s a request), and
// briefDrainTimeout how long an operation waits for them that replaces instances.
const (
	drainTimeout      = 120 * time.Second
	briefDrainTimeout = 10 * time.Second
)

// flushTimeout is how long a changed route is waited for; it takes milliseconds.
const flushTimeout = 10 * time.Second

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
