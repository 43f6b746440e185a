package proxy

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// sampleEvery is how often the services are looked at that have requests.
	sampleEvery = 100 * time.Millisecond
	// reportEvery is how often there is a report while something changes, shortEvery how often at most where requests found no room.
	reportEvery = time.Second
	shortEvery  = 50 * time.Millisecond
)

// gauges measure the services that have requests. The others cost nothing, and a request no more than a look at isNoted.
type gauges struct {
	// isShort says that a service is short of room, which is to be told at once.
	isShort atomic.Bool
	// wake has a token when there is something to do at once.
	wake chan struct{}

	mu         sync.Mutex // guards the members below, and the samples of each gauge
	active     []*service
	reportedAt time.Duration
	latest     platform.LoadReport
	newer      chan struct{} // closed when another report takes the place of latest
}

// gauge is what is measured of one service.
type gauge struct {
	// isNoted says that the service is among the active ones.
	isNoted atomic.Bool
	// isShort says that a request has found no room since the last report.
	isShort atomic.Bool
	// instances are those that are not forgotten; the slice is never changed. forgotten are the claims of the others.
	instances atomic.Pointer[[]*instance]
	forgotten atomic.Uint64

	// held are the seconds that requests have spent here in the covered time since the last report; sampledAt is until when.
	held, covered float64
	sampledAt     time.Duration
	reportedAt    time.Duration
	peak          int
	requests      uint64 // at the last sample
	isBusy        bool   // since the last report
	lastRequestAt time.Time
}

func (g *gauges) init() {
	g.wake, g.newer = make(chan struct{}, 1), make(chan struct{})
	g.latest.Serial = 1
}

// add counts an instance's requests from now on. Callers hold Proxy.mu.
func (g *gauge) add(in *instance) {
	next := append(slices.Clone(g.all()), in)
	g.instances.Store(&next)
}

// remove counts an instance's requests no more but those that were. Callers hold Proxy.mu.
func (g *gauge) remove(in *instance) {
	g.forgotten.Add(in.claims.Load())
	next := slices.DeleteFunc(slices.Clone(g.all()), func(each *instance) bool { return each == in })
	g.instances.Store(&next)
}

func (g *gauge) all() []*instance {
	if all := g.instances.Load(); all != nil {
		return *all
	}
	return nil
}

// note has a service measured for as long as it has requests. A request is counted before the look at isNoted.
func (g *gauges) note(q *service) {
	if q.gauge.isNoted.Load() || q.gauge.isNoted.Swap(true) {
		return
	}
	g.mu.Lock()
	q.gauge.sampledAt = uptime()
	g.active = append(g.active, q)
	g.mu.Unlock()
	g.wakeUp()
}

// short tells at once that a request has found no room.
func (g *gauges) short(q *service) {
	if q.gauge.isShort.Load() || q.gauge.isShort.Swap(true) {
		return
	}
	g.note(q)
	g.isShort.Store(true)
	g.wakeUp()
}

func (g *gauges) wakeUp() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// measure samples and reports until ctx ends.
func (p *Proxy) measure(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		if wait := p.gauges.step(); wait > 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.gauges.wake:
		}
	}
}

// step samples the active services, reports when it is time, and returns how long nothing is to be done; 0 until somebody wakes it.
func (g *gauges) step() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.active) == 0 {
		return 0
	}
	now, clock := uptime(), time.Now()
	for _, each := range g.active {
		each.sample(now, clock)
	}
	due := g.reportedAt + reportEvery
	if g.isShort.Load() {
		due = g.reportedAt + shortEvery
	}
	if g.reportedAt == 0 || now >= due {
		g.report(now, clock)
		due = now + sampleEvery
	}
	if len(g.active) == 0 {
		return 0
	}
	return max(min(due-now, sampleEvery), time.Millisecond)
}

// report tells about the active services, and lets those go that were quiet since the report before. Callers hold mu.
func (g *gauges) report(now time.Duration, clock time.Time) {
	g.isShort.Store(false) // before the look at each of them
	next := platform.LoadReport{Serial: g.latest.Serial + 1, At: clock}
	g.active = slices.DeleteFunc(g.active, func(each *service) bool {
		load := each.load(now)
		load.IsShort = each.gauge.isShort.Swap(false) || load.Waiting > 0
		next.Services = append(next.Services, load)
		isQuiet := !each.gauge.isBusy
		each.gauge.reportedAt, each.gauge.held, each.gauge.covered, each.gauge.peak, each.gauge.isBusy = now, 0, 0, 0, false
		return isQuiet && each.rest()
	})
	g.reportedAt, g.latest = now, next
	close(g.newer)
	g.newer = make(chan struct{})
}

// rest has a service measured no more, unless it has got a request in this moment. Callers hold gauges.mu.
func (q *service) rest() bool {
	g := &q.gauge
	g.isNoted.Store(false)
	inFlight, waiting, requests := q.count()
	return inFlight+waiting == 0 && requests == g.requests && !g.isShort.Load() || g.isNoted.Swap(true)
}

// count returns how many requests there are, and how many there ever were.
func (q *service) count() (inFlight, waiting int, requests uint64) {
	waiting = int(q.waiting.Load())
	requests = q.gauge.forgotten.Load() + q.refused.Load() + uint64(waiting)
	for _, in := range q.gauge.all() {
		inFlight += int(in.inFlight.Load())
		requests += in.claims.Load()
	}
	return inFlight, waiting, requests
}

// sample looks at a service. Callers hold gauges.mu.
func (q *service) sample(now time.Duration, clock time.Time) {
	g := &q.gauge
	inFlight, waiting, requests := q.count()
	atOnce, passed := inFlight+waiting, max(now-g.sampledAt, 0).Seconds()
	g.held, g.covered, g.sampledAt, g.peak = g.held+float64(atOnce)*passed, g.covered+passed, now, max(g.peak, atOnce)
	if atOnce > 0 || requests != g.requests {
		g.isBusy, g.lastRequestAt = true, clock
	}
	g.requests = requests
}

// load is what is known of a service. Callers hold gauges.mu.
func (q *service) load(now time.Duration) platform.Load {
	g := &q.gauge
	inFlight, waiting, requests := q.count()
	load := platform.Load{
		ServiceID: q.id, InFlight: inFlight, Waiting: waiting, Average: float64(inFlight + waiting), Peak: max(g.peak, inFlight+waiting),
		Requests: requests, Refused: q.refused.Load(), IsShort: g.isShort.Load() || waiting > 0, LastRequestAt: g.lastRequestAt,
	}
	// Before a service was noted it had no request. Without that time, the first moments of a burst would count for a second.
	if over := max(g.covered, min(now-g.reportedAt, reportEvery).Seconds()); over > 0 {
		load.Average = g.held / over
	}
	for _, in := range g.all() {
		if in.warmth.Load() == isFrozen {
			load.Frozen = append(load.Frozen, in.InstanceID)
		}
	}
	return load
}

// Load waits for the report that follows the one with the serial, and returns it. When after is 0, and when more reports than one have
// followed, the report is of all services and comes at once. ok is false when ctx has ended first.
func (p *Proxy) Load(ctx context.Context, after uint64) (report platform.LoadReport, ok bool) {
	g := &p.gauges
	for {
		g.mu.Lock()
		latest, newer := g.latest, g.newer
		g.mu.Unlock()
		switch {
		case after != 0 && after == latest.Serial:
		case after != 0 && after+1 == latest.Serial:
			return latest, true
		default:
			return p.everyLoad(), true
		}
		select {
		case <-newer:
		case <-ctx.Done():
			return platform.LoadReport{}, false
		}
	}
}

// everyLoad is the latest report, but of all services.
func (p *Proxy) everyLoad() platform.LoadReport {
	p.mu.Lock()
	services := make([]*service, 0, len(p.services))
	for _, each := range p.services {
		services = append(services, each)
	}
	p.mu.Unlock()
	p.gauges.mu.Lock()
	defer p.gauges.mu.Unlock()
	now := uptime()
	report := platform.LoadReport{Serial: p.gauges.latest.Serial, At: time.Now()}
	for _, each := range services {
		report.Services = append(report.Services, each.load(now))
	}
	return report
}
