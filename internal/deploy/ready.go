package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

// HealthCheckFailed begins the cause of a health check over HTTP that failed.
const HealthCheckFailed = "The health check failed: "

// awaitHealthy waits until one instance is ready; the error is the plain reason why it is not.
func (e *Executor) awaitHealthy(ctx context.Context, service platform.Service, revision platform.Revision, instance platform.Instance) error {
	seen := newSightings(instance.StartedAt)
	if instance.Exit != nil { // already when it was started: it has no address to ask at
		return e.explainExit(service, revision, instance.ID, instance.Exit, seen)
	}
	thaw(instance)
	probing, cancel := context.WithTimeout(ctx, e.HealthTimeout)
	defer cancel()
	ended := make(chan *platform.Exit, 1)
	go e.watchExit(probing, instance.ID, ended)

	healthy := make(chan error, 1)
	go func() { healthy <- e.probe(probing, instance.Address, revision.Configuration.HealthCheck, seen) }()
	var probe error
	select {
	case probe = <-healthy:
	case exit := <-ended:
		cancel()
		<-healthy
		return e.explainExit(service, revision, instance.ID, exit, seen)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// The last moment counts: an app that ended just now is told as an end, neither as health nor as silence.
	if now, err := e.Backend.Inspect(ctx, instance.ID); err == nil && now.Exit != nil {
		return e.explainExit(service, revision, instance.ID, now.Exit, seen)
	}
	if probe == nil {
		return nil
	}
	return e.explainSilence(service, revision, instance.ID, probe, seen)
}

// probe asks again and again until check.HealthyThreshold answers in a row were good. When ctx ends first it returns the
// last reason.
func (e *Executor) probe(ctx context.Context, address string, check platform.HealthCheck, seen *sightings) error {
	var last error
	for good, wait := 0, probeFirst; ; wait = min(wait+wait/2, probeEvery) {
		err := e.Prober.Probe(ctx, address, check)
		switch {
		case err == nil:
			seen.add(time.Now(), "it answered well")
			if good++; good >= check.HealthyThreshold {
				return nil
			}
		case ctx.Err() == nil || last == nil && !errors.Is(ctx.Err(), context.Canceled): // a probe that was broken off says nothing
			seen.add(time.Now(), err.Error())
			good, last = 0, err
		}
		select {
		case <-ctx.Done():
			if last == nil {
				last = fmt.Errorf("%s answered well %d of %d times in a row before the time was over", address, good, check.HealthyThreshold)
			}
			return last
		case <-time.After(wait):
		}
	}
}

// watchExit sends how the instance ended, if it does before ctx ends.
func (e *Executor) watchExit(ctx context.Context, id platform.InstanceID, ended chan<- *platform.Exit) {
	told, forget := e.ends.watch(id)
	defer forget()
	for wait := probeEvery; ; wait = min(2*wait, inspectEvery) {
		instance, err := e.Backend.Inspect(ctx, id)
		if err == nil && instance.Exit != nil {
			ended <- instance.Exit
			return
		}
		if errors.Is(err, compute.ErrNotFound) {
			ended <- nil
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-told:
			told, wait = nil, probeEvery // how it ended may be told a moment later
		case <-time.After(wait):
		}
	}
}

// ends passes on that instances have ended, to those who wait for that.
type ends struct {
	mu       sync.Mutex // guards watchers
	watchers map[platform.InstanceID]chan struct{}
}

// watch returns what is closed when the instance ends. The release must be called.
func (e *ends) watch(id platform.InstanceID) (told <-chan struct{}, forget func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.watchers == nil {
		e.watchers = map[platform.InstanceID]chan struct{}{}
	}
	ended := make(chan struct{})
	e.watchers[id] = ended
	return ended, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.watchers[id] == ended {
			delete(e.watchers, id)
		}
	}
}

func (e *ends) tell(id platform.InstanceID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if watcher, ok := e.watchers[id]; ok {
		close(watcher)
		delete(e.watchers, id)
	}
}

func (e *Executor) explainExit(service platform.Service, revision platform.Revision, id platform.InstanceID, exit *platform.Exit, seen *sightings) error {
	end := endOf(exit, revision.Configuration.Instance.MemoryMiB)
	event := platform.EventStopped
	at := time.Now()
	if exit != nil && !exit.IsLost {
		event += fmt.Sprintf("  Container exit code: %d", exit.Code) // two spaces, as App Runner has
		at = exit.At
	}
	seen.add(at, "it "+end.how)
	output := e.lastOutput(service.ID, id)
	explained := platform.Explain(nil, "The application %s; %s.", end.how, lastWords(output)).Try("%s", end.remedy).WithEvidence(output...)
	explained.Observed, explained.Event = seen.lines(), event
	return explained
}

func (e *Executor) explainSilence(service platform.Service, revision platform.Revision, id platform.InstanceID, probe error, seen *sightings) error {
	check, port := revision.Configuration.HealthCheck, revision.Process.Port
	within := fmt.Sprintf("within %g s", e.HealthTimeout.Seconds())
	output := e.lastOutput(service.ID, id)
	const more = "Give a slow start more time with `apron serve --deadline health-check=DURATION`."
	explained := platform.Explain(probe, "The application listened on no port: nothing answered on %d %s; %s.", port, within, lastWords(output)).
		Try("Let it listen on 0.0.0.0 at the port of the variable PORT, or name its port: `apron deploy --port`, or Port in the service's configuration. " + more)
	protocol := "`TCP`"
	if check.Protocol == platform.HealthCheckHTTP {
		explained = platform.Explain(probe, HealthCheckFailed+"GET %s on port %d was not answered well %s (%s); %s.", check.Path, port, within,
			strings.TrimPrefix(probe.Error(), "GET "+check.Path+" "), lastWords(output)).
			Try("Let the app listen on port %d and answer GET %s with a status from 200 to 399, or change HealthCheckConfiguration. "+more, port, check.Path)
		protocol = fmt.Sprintf("`HTTP`[Path: '%s'],", check.Path)
	}
	seen.add(time.Now(), "the time for the health check was over")
	explained.Observed = seen.lines()
	explained.Event = fmt.Sprintf("Health check failed on protocol %s [Port: '%d']. Check your configured port number. "+
		"For more information, see the application logs.", protocol, port)
	return explained.WithEvidence(output...)
}

func (e *Executor) lastOutput(service platform.ServiceID, id platform.InstanceID) []string {
	return e.Logs.LastLines(service, "instance/"+string(id), evidenceLines)
}

// lastWords is the end of an app's output for a sentence.
func lastWords(output []string) string {
	const most = 200
	if len(output) == 0 {
		return "it printed nothing"
	}
	last := output[len(output)-1]
	if len(last) > most {
		last = strings.ToValidUTF8(last[:most], "") + "…"
	}
	return `its last output was "` + last + `"`
}
