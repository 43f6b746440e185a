package autoscale

import (
	"math"
	"math/rand/v2"
	"time"
)

// trace is how requests come and how long they take.
type trace struct {
	name string
	// rate is how many come in a second, at a time, and most its maximum.
	rate func(at time.Duration) float64
	most float64
	// service is how long one takes, in seconds.
	service func(random *rand.Rand) float64
	// burst is how many come at the same time; nil means one.
	burst func(random *rand.Rand) int
}

type request struct{ at, service time.Duration }

// requestSource tells the requests of a trace one after another; what it tells depends on the seed alone.
type requestSource struct {
	trace  trace
	random *rand.Rand
	next   request
	more   int // of the same burst
}

func (t trace) source(seed uint64) *requestSource {
	source := &requestSource{trace: t, random: rand.New(rand.NewPCG(seed, 1))}
	source.take()
	return source
}

// take returns the next request and makes the one after it: a Poisson process whose rate varies, by thinning.
func (s *requestSource) take() request {
	taken := s.next
	at := s.next.at
	if s.more > 0 {
		s.more--
	} else {
		for {
			at += time.Duration(s.random.ExpFloat64() / s.trace.most * float64(time.Second))
			if s.random.Float64()*s.trace.most <= s.trace.rate(at) {
				break
			}
		}
		if s.trace.burst != nil {
			s.more = s.trace.burst(s.random) - 1
		}
	}
	s.next = request{at: at, service: time.Duration(s.trace.service(s.random) * float64(time.Second))}
	return taken
}

func exponential(mean float64) func(*rand.Rand) float64 {
	return func(random *rand.Rand) float64 { return random.ExpFloat64() * mean }
}

// pareto has a heavy tail for shapes below 2: then its variance is infinite. Nothing takes longer than the deadline of a request.
func pareto(mean, shape float64) func(*rand.Rand) float64 {
	least := mean * (shape - 1) / shape
	return func(random *rand.Rand) float64 {
		return min(least/math.Pow(1-random.Float64(), 1/shape), simDeadline.Seconds())
	}
}

func steady(rate float64) trace {
	return trace{name: "steady", most: rate, rate: func(time.Duration) float64 { return rate }, service: exponential(.2)}
}

// diurnal is a day of a length: quiet at its begin, busy in the middle.
func diurnal(rate float64, day time.Duration) trace {
	return trace{name: "diurnal", most: rate, service: exponential(.2), rate: func(at time.Duration) float64 {
		return rate * (.05 + .95*math.Pow(math.Sin(math.Pi*at.Seconds()/day.Seconds()), 2))
	}}
}

// spike is thirty times as much for a minute in every ten.
func spike(rate float64) trace {
	return trace{name: "spike", most: rate, service: exponential(.2), rate: func(at time.Duration) float64 {
		if minute := at % (10 * time.Minute); minute >= 4*time.Minute && minute < 5*time.Minute {
			return rate
		}
		return rate / 30
	}}
}

// sawtooth grows for four minutes and falls at once.
func sawtooth(rate float64) trace {
	return trace{name: "sawtooth", most: rate, service: exponential(.2), rate: func(at time.Duration) float64 {
		return rate * (.05 + .95*(at%(4*time.Minute)).Seconds()/240)
	}}
}

// heavyTailed has bursts and times of Pareto's.
func heavyTailed(rate float64) trace {
	sizes := pareto(5, 1.3)
	return trace{
		name: "heavy-tailed", most: rate / 5, rate: func(time.Duration) float64 { return rate / 5 }, service: pareto(.2, 1.5),
		burst: func(random *rand.Rand) int { return max(1, min(1000, int(math.Round(sizes(random))))) },
	}
}

// rare is one request in some minutes.
func rare() trace {
	return trace{name: "rare", most: 1. / 300, rate: func(time.Duration) float64 { return 1. / 300 }, service: exponential(.2)}
}
