package autoscale

import (
	"math"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// reportEvery is how often the data plane tells of a service while its load changes.
	reportEvery = time.Second
	// levelOver, rateOver and serviceOver are how much of the past counts.
	levelOver   = 2 * time.Second
	rateOver    = 2 * time.Second
	serviceOver = 10 * time.Second
	// priorService is how long a request is taken to last until any is done, and weighs as much as one that was.
	priorService = time.Second
	// fewDone is how many requests are few to know the time of one by.
	fewDone = 10
	// patience is how long requests may wait for others to end before there are more instances.
	patience = 100 * time.Millisecond
	// Requests that come by chance, as Poisson's do, vary by about the square root of their mean. So many of these roots beside the mean
	// are kept, and so many are made: what lies between keeps a steady service at its size.
	keptRoots, madeRoots = 2, 1
)

// demand is what is known of a service's requests: a few means over the last seconds, each of which counts the less the older it is.
type demand struct {
	at   time.Time
	load platform.Load
	// level is how many requests were in instances at once, and rate how many came in a second.
	level, rate float64
	// The level is the mean of two halves: the former, which is whole, and one that has come to held request-seconds in so many seconds.
	former, held, seconds float64
	// busy are the seconds that requests have spent in instances, done how many have ended.
	busy, done float64
}

// observe takes a sample of at most reportEvery, in which at most places requests could be in instances.
func (d *demand) observe(at time.Time, load platform.Load, places float64) {
	before := d.load
	passed := max(at.Sub(d.at).Seconds(), 0)
	if d.at.IsZero() {
		passed, d.former = 0, min(load.Average, places)
	}
	busy := min(load.Average, places) * passed
	d.hold(busy, passed)
	// Before the first sample that counts any, and when the data plane has begun anew, nobody knows how many came since.
	if before.Requests > 0 && load.Requests >= before.Requests {
		came := float64(load.Requests - before.Requests)
		ended := max(0, came-(float64(load.Refused)-float64(before.Refused))-float64(atOnce(load)-atOnce(before)))
		if passed == 0 {
			d.rate += came / rateOver.Seconds()
		} else {
			d.rate = blend(d.rate, came/passed, passed, rateOver)
		}
		if busy > 0 || ended > 0 { // an idle time says nothing of requests
			keep := math.Exp(-passed / serviceOver.Seconds())
			d.busy, d.done = d.busy*keep+busy, d.done*keep+ended
		}
	}
	d.at, d.load = latest(d.at, at), load
}

// hold is how the level follows. It is no exponential mean, because what lasts for levelOver is to count as a whole.
func (d *demand) hold(busy, passed float64) {
	half := levelOver.Seconds() / 2
	d.held, d.seconds = d.held+busy, d.seconds+passed
	d.level = (d.former*half + d.held) / (half + d.seconds)
	if d.seconds >= half {
		d.former, d.held, d.seconds = d.held/d.seconds, 0, 0
	}
}

// pass takes it that nothing has changed until now.
func (d *demand) pass(now time.Time, places float64) {
	if !d.at.IsZero() && now.After(d.at) {
		same := d.load
		same.Average = float64(atOnce(same))
		d.observe(now, same, places)
	}
}

// service is how long a request takes in an instance, in seconds.
func (d *demand) service() float64 {
	prior := priorService.Seconds()
	return (d.busy + prior) / (d.done + 1)
}

// usual is how many places the requests of the last seconds need, with some roots for what chance adds.
func (d *demand) usual(roots float64) float64 { return d.level + roots*math.Sqrt(d.level) }

// pressing is how many places are needed so that what waits is served soon, where there are places so far, and new ones come after
// startTime. It is none as long as the wait is short. What instances have above their places, as after a change of MaxConcurrency, counts
// as if it waited.
func (d *demand) pressing(places float64, startTime time.Duration) float64 {
	inFlight := min(float64(d.load.InFlight), places)
	waiting := float64(atOnce(d.load)) - inFlight
	if waiting == 0 {
		return 0
	}
	service := d.service()
	if places >= d.rate*service && waiting*service <= patience.Seconds()*places {
		return 0
	}
	// Instances do not show more than they have places, so what comes is taken from its rate. The time of a request is taken for rather
	// too short while few are done.
	coming := d.rate * d.busy / (d.done + fewDone)
	// What waits is not to wait much longer than an instance takes to start; with few places for that, when starting takes longer
	// than a request.
	soon := max(service, startTime.Seconds()/4)
	// Requests that came all at once are no rate, and each is counted already: more than there are now never press. If more do come, the
	// next report tells.
	return min(max(inFlight, coming)+waiting*service/soon, inFlight+waiting)
}

func atOnce(load platform.Load) int { return load.InFlight + load.Waiting }

// blend moves a mean towards a value that held for some seconds.
func blend(mean, value, seconds float64, over time.Duration) float64 {
	return value + (mean-value)*math.Exp(-seconds/over.Seconds())
}
