package autoscale

import (
	"math/rand/v2"
	"slices"
	"time"
)

// A simulation is one service under one trace of requests and one autoscaler: discrete events, no clock, the same outcome each time.
type simulation struct {
	scenario
	scaler   scaler
	requests *requestSource
	random   *rand.Rand
	events   eventQueue
	now      time.Duration

	instances []simInstance
	free      []int32 // numbers of instances that are gone
	starting  []int32 // in the order of their start
	ready     []int32
	room      []int32 // ready and not full
	waiting   fifo
	inFlight  int
	size      int
	sawStart  time.Duration
	tellAt    time.Duration // when the scaler is to be called

	meter   meter
	outcome outcome
}

// scenario is what both autoscalers are given.
type scenario struct {
	name      string
	trace     trace
	policy    Policy
	startTime time.Duration
	length    time.Duration
	// warmUp is how much of it at the begin is not measured.
	warmUp time.Duration
}

const (
	// simMaxWaiting and simDeadline bound what waits.
	simMaxWaiting = 10_000
	simDeadline   = 120 * time.Second
)

// scaler is an autoscaler as the simulation asks it.
type scaler interface {
	// tell is called when a request found no room (isShort), and whenever it has asked to be called; it returns a size, and when to be
	// called again.
	tell(now time.Duration, isShort bool, s *simulation) (size int, next time.Duration)
}

type simInstance struct {
	state      simState
	inFlight   int32
	generation int32
	roomAt     int32 // place in room, or -1
	since      time.Duration
}

type simState uint8

const (
	simGone simState = iota
	simStarting
	simReady
	simLeaving
)

// meter is what the data plane counts.
type meter struct {
	at       time.Duration
	integral float64 // of in flight and waiting, in seconds
	peak     int
	requests uint64
	last     time.Duration
}

// outcome is what a simulation measures.
type outcome struct {
	instanceHours float64
	waits         []float32 // seconds, of each request that was served
	refused       int       // by a full queue, or because the deadline came
	turns         int       // changes of direction of the size
	direction     int       // of the last change: up is 1, down is -1
	// These are of the whole run, not only of what is measured.
	came, served, lost, stillWaiting int
	mostSize                         int
	broken                           string // an invariant that did not hold
}

func (o *outcome) wait(percentile float64) time.Duration {
	if len(o.waits) == 0 {
		return 0
	}
	slices.Sort(o.waits)
	return time.Duration(float64(o.waits[int(percentile*float64(len(o.waits)-1))]) * float64(time.Second))
}

// simulate runs a scenario from its smallest size on.
func simulate(each scenario, by scaler, seed uint64) *outcome {
	s := &simulation{scenario: each, scaler: by, random: rand.New(rand.NewPCG(seed, 2)), requests: each.trace.source(seed)}
	for range max(each.policy.MinSize, 0) {
		s.start(0)
	}
	s.size = each.policy.MinSize
	s.events.add(event{at: s.requests.next.at, kind: onArrival})
	s.events.add(event{kind: onTell})
	for len(s.events.heap) > 0 {
		next := s.events.take()
		if next.at > each.length {
			break
		}
		s.now = next.at
		s.handle(next)
	}
	s.now = each.length
	s.outcome.came, s.outcome.stillWaiting = int(s.meter.requests), s.waiting.len()
	for i := range s.instances {
		if s.instances[i].state != simGone {
			s.pay(int32(i))
		}
	}
	return &s.outcome
}

func (s *simulation) handle(e event) {
	switch e.kind {
	case onArrival:
		s.arrive()
	case onDone:
		s.finish(e.who)
	case onReady:
		s.becomeReady(e.who, e.generation)
	case onTell:
		if e.at == s.tellAt { // it has not asked for another time since
			s.expire()
			s.tell(false)
		}
	}
}

func (s *simulation) tell(isShort bool) {
	s.measure()
	size, next := s.scaler.tell(s.now, isShort, s)
	if next > s.now {
		s.tellAt = next
		s.events.add(event{at: next, kind: onTell})
	}
	s.resize(size)
}

func (s *simulation) arrive() {
	request := s.requests.take()
	s.events.add(event{at: s.requests.next.at, kind: onArrival})
	s.measure()
	s.meter.requests++
	s.meter.last = s.now
	switch {
	case len(s.room) > 0 && s.waiting.len() == 0:
		s.serve(held{at: s.now, service: request.service})
	case s.waiting.len() >= simMaxWaiting:
		s.refuse()
	default:
		s.waiting.push(held{at: s.now, service: request.service})
	}
	s.meter.peak = max(s.meter.peak, s.inFlight+s.waiting.len())
	if s.waiting.len() > 0 {
		s.tell(true)
	}
}

// serve gives a request a place: the one with less in flight of two that have room.
func (s *simulation) serve(request held) {
	id := s.room[s.random.IntN(len(s.room))]
	if other := s.room[s.random.IntN(len(s.room))]; s.instances[other].inFlight < s.instances[id].inFlight {
		id = other
	}
	in := &s.instances[id]
	in.inFlight++
	s.inFlight++
	if int(in.inFlight) > s.policy.MaxConcurrency {
		s.outcome.broken = "an instance has more than MaxConcurrency requests"
	}
	if int(in.inFlight) == s.policy.MaxConcurrency {
		s.leaveRoom(id)
	}
	wait := s.now - request.at
	s.outcome.served++
	if wait > simDeadline {
		s.outcome.broken = "a request was held longer than its deadline"
	}
	if s.isMeasured() {
		s.outcome.waits = append(s.outcome.waits, float32(wait.Seconds()))
	}
	s.events.add(event{at: s.now + request.service, kind: onDone, who: id})
}

func (s *simulation) finish(id int32) {
	s.measure()
	in := &s.instances[id]
	in.inFlight--
	s.inFlight--
	s.meter.last = s.now
	switch {
	case in.state == simReady:
		s.enterRoom(id)
	case in.state == simLeaving && in.inFlight == 0:
		s.remove(id)
	}
	s.dispatch()
}

func (s *simulation) dispatch() {
	s.expire()
	for len(s.room) > 0 && s.waiting.len() > 0 {
		s.serve(s.waiting.pop())
	}
}

func (s *simulation) expire() {
	for s.waiting.len() > 0 && s.now-s.waiting.head().at > simDeadline {
		s.waiting.pop()
		s.refuse()
	}
}

func (s *simulation) refuse() {
	s.outcome.lost++
	if s.isMeasured() {
		s.outcome.refused++
	}
}

func (s *simulation) becomeReady(id, generation int32) {
	in := &s.instances[id]
	if in.generation != generation || in.state != simStarting {
		return
	}
	s.measure()
	in.state = simReady
	s.sawStart = s.now - in.since
	s.starting = s.starting[1:] // all take as long, so the first is the one
	s.ready = append(s.ready, id)
	s.enterRoom(id)
	s.dispatch()
}

func (s *simulation) resize(size int) {
	if size != s.size {
		direction := 1
		if size < s.size {
			direction = -1
		}
		if s.outcome.direction == -direction && s.isMeasured() {
			s.outcome.turns++
		}
		s.outcome.direction = direction
	}
	least, most := s.policy.bounds()
	if size < least || size > most {
		s.outcome.broken = "the size left its bounds"
	}
	s.size = size
	s.outcome.mostSize = max(s.outcome.mostSize, size)
	for len(s.starting)+len(s.ready) < size {
		s.start(s.startTime)
	}
	for len(s.starting)+len(s.ready) > size {
		s.retire()
	}
}

func (s *simulation) start(after time.Duration) {
	id := int32(len(s.instances))
	if last := len(s.free) - 1; last >= 0 {
		id = s.free[last]
		s.free = s.free[:last]
	} else {
		s.instances = append(s.instances, simInstance{})
	}
	in := &s.instances[id]
	*in = simInstance{state: simStarting, generation: in.generation + 1, roomAt: -1, since: s.now}
	s.starting = append(s.starting, id)
	s.events.add(event{at: s.now + after, kind: onReady, who: id, generation: in.generation})
}

// retire takes what starts before what serves.
func (s *simulation) retire() {
	if last := len(s.starting) - 1; last >= 0 {
		id := s.starting[last]
		s.starting = s.starting[:last]
		s.remove(id)
		return
	}
	last := len(s.ready) - 1
	id := s.ready[last]
	s.ready = s.ready[:last]
	s.leaveRoom(id)
	if s.instances[id].inFlight == 0 {
		s.remove(id)
		return
	}
	s.instances[id].state = simLeaving
}

func (s *simulation) remove(id int32) {
	s.pay(id)
	s.instances[id].state = simGone
	s.free = append(s.free, id)
}

func (s *simulation) pay(id int32) {
	s.outcome.instanceHours += max(0, s.now-max(s.instances[id].since, s.warmUp)).Hours()
}

func (s *simulation) isMeasured() bool { return s.now >= s.warmUp }

func (s *simulation) enterRoom(id int32) {
	in := &s.instances[id]
	if in.roomAt < 0 && int(in.inFlight) < s.policy.MaxConcurrency {
		in.roomAt = int32(len(s.room))
		s.room = append(s.room, id)
	}
}

func (s *simulation) leaveRoom(id int32) {
	in := &s.instances[id]
	if in.roomAt < 0 {
		return
	}
	last := len(s.room) - 1
	moved := s.room[last]
	s.room[in.roomAt] = moved
	s.instances[moved].roomAt = in.roomAt
	s.room = s.room[:last]
	in.roomAt = -1
}

func (s *simulation) measure() {
	s.meter.integral += float64(s.inFlight+s.waiting.len()) * (s.now - s.meter.at).Seconds()
	s.meter.at = s.now
}
