package operation

import (
	"fmt"
	"slices"

	"github.com/apron-run/apron/internal/platform"
)

// The model is two operations of one service, one after the other, and two aprons that share the store and the backend: each
// runs an operation, or sleeps, or is down. Being asleep needs no state of its own: whoever does not move sleeps. What the
// model has of the program are its roads (roadFor), edges (CanBecome) and allowedStatuses; the table obeys the rules that
// package store documents; a run is drive, cut where something else may come in between.

// Revisions and instances by who makes them: 0 is before the first operation.
const (
	unknown = -2
	nobody  = -1
	before  = 0
	firstOp = 1
	things  = 4 // instance 3 is the Supervisor's
)

// world of the model: all that is shared. It is comparable, so that a state is its own key.
type modelState struct {
	row     modelRow
	current int8 // which operation is in the row, from 0
	service modelService
	// revisions and images are there or not; instances have a revision, or nobody's.
	revisions, images set
	// deployed are the revisions that have served.
	deployed  set
	instances [things]int8
	// condemned are instances that somebody with the lease was about to stop: they may end at any time from then on.
	condemned set
	aprons    [2]modelApron
	// faults is how many more may come.
	faults int8
}

// modelRow is the operation's row.
type modelRow struct {
	status                        modelStatus
	term, owner                   int8 // owner is 0, or the apron's number and one
	isValid, hasSwitched, hasFail bool
	// cancelled is the term in which the cancel was asked for, and one.
	cancelled int8
}

// set is a small set of revisions or instances.
type set uint8

func (s set) has(i int8) bool    { return i >= 0 && s&(1<<i) != 0 }
func (s set) with(i int8) set    { return s | 1<<i }
func (s set) without(i int8) set { return s &^ (1 << i) }

type modelService struct {
	status    modelServiceStatus
	previous  modelServiceStatus
	active    int8
	isServing bool
}

// modelApron is a process with what it believes.
type modelApron struct {
	isDown bool
	// route is the revision that its proxy routes to, or nobody.
	route int8
	// at is where its run is; nowhereYet without one.
	at point
	// step is the index in the road, before and after as one.
	step                       int8
	operation, term            int8
	hasSwitched, knowsOfCancel bool
	keep                       int8 // the revision whose instances a rollback leaves alone
	listed                     set
}

type point int8

const (
	nowhereYet point = iota
	atStart
	atRoute
	atBegin
	atEffect
	atRecord
	atSwitchRoute
	atConfirm
	atStop
	atFail
	atUndo
	atUndoConfirm
	atUndoStop
	atDiscard
	atEnd
	atEndFailed
)

var pointNames = [...]string{
	"", "starts", "makes the route again", "begins the step", "", "records the revision", "switches the route", "makes sure of its lease",
	"stops what it listed", "records the failure", "lists what to undo", "makes sure of its lease", "stops what it listed",
	"discards the revision", "ends", "ends as failed",
}

// Statuses are kept as their place in these lists, so that a state is small.
var (
	modelStatuses = []platform.OperationStatus{
		platform.OperationStatusPending, platform.OperationStatusInProgress, platform.OperationStatusSucceeded, platform.OperationStatusFailed,
		platform.OperationStatusRollbackInProgress, platform.OperationStatusRollbackSucceeded, platform.OperationStatusRollbackFailed,
	}
	modelServiceStatuses = []platform.ServiceStatus{
		"", platform.ServiceStatusOperationInProgress, platform.ServiceStatusRunning, platform.ServiceStatusPaused,
		platform.ServiceStatusCreateFailed, platform.ServiceStatusDeleted, platform.ServiceStatusDeleteFailed,
	}
)

type (
	modelStatus        int8
	modelServiceStatus int8
)

func smallStatus(status platform.OperationStatus) modelStatus {
	return modelStatus(slices.Index(modelStatuses, status))
}

func smallServiceStatus(status platform.ServiceStatus) modelServiceStatus {
	return modelServiceStatus(slices.Index(modelServiceStatuses, status))
}

func (s modelStatus) full() platform.OperationStatus      { return modelStatuses[s] }
func (s modelServiceStatus) full() platform.ServiceStatus { return modelServiceStatuses[s] }

// rules can be switched off, one at a time, to see that each is needed.
type modelRules struct {
	fences, confirms, failsFirst, keepsSwitch, tellsOfCancel, routesAgain, fencesRevisions, expires bool
}

func allRules() modelRules { return modelRules{true, true, true, true, true, true, true, true} }

// model is two operations and their roads.
type model struct {
	rules modelRules
	kinds []platform.OperationType
	roads []road
	// violation is the first thing that must not be.
	violation string
}

func newModel(rules modelRules, kinds ...platform.OperationType) *model {
	m := &model{rules: rules, kinds: kinds}
	configuration := platform.DefaultConfiguration()
	configuration.Source.Image = &platform.ImageSource{}
	service := platform.Service{Configuration: configuration, ActiveRevisionID: "active"}
	for _, kind := range kinds {
		operation := platform.Operation{Type: kind, Previous: &platform.Before{Status: platform.ServiceStatusRunning, Configuration: configuration}}
		m.roads = append(m.roads, roadFor(operation, service))
	}
	return m
}

func (m *model) initial(faults int8) modelState {
	s := modelState{current: -1, faults: faults}
	for i := range s.instances {
		s.instances[i] = nobody
	}
	s.service = modelService{status: smallServiceStatus(platform.ServiceStatusRunning), active: before, isServing: true}
	switch m.kinds[0] {
	case platform.OperationCreateService:
		s.service = modelService{active: nobody}
	case platform.OperationResumeService:
		s.service.status, s.service.isServing = smallServiceStatus(platform.ServiceStatusPaused), false
	}
	if s.service.active == before {
		s.revisions, s.images, s.deployed = s.revisions.with(before), s.images.with(before), s.deployed.with(before)
	}
	if s.service.isServing {
		s.instances[before] = before
	}
	for i := range s.aprons {
		s.aprons[i].route = s.routed()
	}
	return s
}

// routed is what the routes should say.
func (s *modelState) routed() int8 {
	if s.service.isServing {
		return s.service.active
	}
	return nobody
}

func (m *model) fail(format string, args ...any) {
	if m.violation == "" {
		m.violation = fmt.Sprintf(format, args...)
	}
}

// revisionOf is what an operation brings up.
func (m *model) revisionOf(s *modelState, operation int8) int8 {
	if m.kinds[operation] == platform.OperationResumeService {
		return s.service.active
	}
	return operation + firstOp
}

// step returns the step that a run is at, whether it is after the switch, and false when there is none left.
func (m *model) step(a *modelApron) (s step, isAfter, ok bool) {
	r := m.roads[a.operation]
	if int(a.step) < len(r.before) {
		return r.before[a.step], false, true
	}
	if i := int(a.step) - len(r.before); i < len(r.after) {
		return r.after[i], true, true
	}
	return step{}, true, false
}

// isHeld says whether the run's lease holds, as SaveOperation asks.
func (s *modelState) isHeld(a *modelApron) bool {
	return a.operation == s.current && a.term == s.row.term && s.row.owner != 0
}

// save is SaveOperation: it writes if it may, and says whether it did. Otherwise the run has ended.
func (m *model) save(s *modelState, a *modelApron, status platform.OperationStatus, edit func()) bool {
	isOld := a.operation != s.current || a.term != s.row.term
	is := s.row.status.full()
	mayMove := is == status && !status.IsTerminal() || is.CanBecome(status)
	if !mayMove || m.rules.fences && !s.isHeld(a) || m.rules.keepsSwitch && s.row.hasSwitched && !a.hasSwitched {
		a.at = nowhereYet
		return false
	}
	switch {
	case isOld:
		m.fail("a writer with an old lease wrote")
	case s.row.hasSwitched && !a.hasSwitched:
		m.fail("a switch was taken back")
	}
	s.row.status = smallStatus(status)
	if edit != nil {
		edit()
	}
	return true
}

// choose is how a run goes on where more than one way is open.
type choice struct {
	label string
	next  modelState
}

// run returns how the run of apron p may go on.
func (m *model) run(s modelState, p int) []choice {
	a := &s.aprons[p]
	if a.at == nowhereYet {
		return nil
	}
	name := fmt.Sprintf("%c %s", 'a'+p, pointNames[a.at])
	kind := m.kinds[a.operation]
	road := m.roads[a.operation]
	status := platform.OperationStatusInProgress
	switch a.at {
	case atStart:
		switch {
		case s.row.hasFail && a.operation == s.current && a.hasSwitched:
			a.at = atEndFailed
		case s.row.hasFail && a.operation == s.current:
			a.at = atUndo
		case a.hasSwitched && m.rules.routesAgain:
			a.at, a.step = atRoute, int8(len(road.before))
		case a.hasSwitched:
			a.at, a.step = atBegin, int8(len(road.before))
		default:
			a.at, a.step = atBegin, 0
		}
	case atRoute:
		a.route, a.at = s.routed(), atBegin
	case atBegin:
		current, isAfter, ok := m.step(a)
		switch {
		case !ok:
			a.at = atEnd
		case a.knowsOfCancel && !isAfter:
			if m.save(&s, a, status, nil) {
				a.at = atFail
			}
		case m.save(&s, a, status, nil):
			name += " " + current.name
			if a.at = atEffect; slices.Contains(effectless, current.name) {
				return m.effect(s, p)
			}
		}
	case atEffect:
		return m.effect(s, p)
	case atRecord:
		if s.isHeld(a) && !s.row.hasFail || !m.rules.fencesRevisions {
			s.revisions = s.revisions.with(a.operation + firstOp)
			a.at, a.step = atBegin, a.step+1
		} else {
			a.at = nowhereYet
		}
	case atSwitchRoute:
		a.route, a.at, a.step = s.routed(), atBegin, a.step+1
	case atConfirm, atUndoConfirm:
		next := atStop
		if a.at == atUndoConfirm {
			next, status = atUndoStop, s.row.status.full()
		}
		if holds := s.isHeld(a); !m.rules.confirms || m.save(&s, a, status, nil) {
			if a.at = next; holds {
				s.condemned |= a.listed
			}
		}
	case atStop, atUndoStop:
		m.stop(&s, a)
		if a.at == atUndoStop {
			a.at = atDiscard
		} else {
			a.at, a.step = atBegin, a.step+1
		}
		a.listed = 0
	case atFail:
		next := platform.OperationStatusInProgress
		isNew := kind == platform.OperationCreateService || kind != platform.OperationDeleteService &&
			s.service.previous.full() == platform.ServiceStatusCreateFailed
		if !isNew && !a.hasSwitched {
			next = platform.OperationStatusRollbackInProgress
		}
		isKept := m.rules.failsFirst || next == platform.OperationStatusRollbackInProgress
		if !isKept {
			a.at = atUndo
		} else if m.save(&s, a, next, func() { s.row.hasFail = true }) {
			a.at = atUndo
			if a.hasSwitched {
				a.at = atEndFailed
			}
		}
	case atUndo:
		for i, revision := range s.instances {
			if revision != nobody && (a.keep == nobody || revision != a.keep) {
				a.listed = a.listed.with(int8(i))
			}
		}
		if a.at = atUndoConfirm; a.listed == 0 {
			a.at = atDiscard
		}
	case atDiscard:
		made := a.operation + firstOp
		s.revisions, s.images = s.revisions.without(made), s.images.without(made)
		a.at = atEndFailed
	case atEnd:
		ends := map[platform.OperationType]platform.ServiceStatus{
			platform.OperationPauseService: platform.ServiceStatusPaused, platform.OperationDeleteService: platform.ServiceStatusDeleted,
		}
		end := platform.ServiceStatusRunning
		if other, ok := ends[kind]; ok {
			end = other
		}
		if m.save(&s, a, platform.OperationStatusSucceeded, func() { s.service.status = smallServiceStatus(end) }) {
			if a.route != s.routed() {
				m.fail("an operation has succeeded, and its apron routes to %d instead of %d", a.route, s.routed())
			}
			a.at = nowhereYet
		}
	case atEndFailed:
		end, service := platform.OperationStatusRollbackSucceeded, s.service.previous.full()
		if s.row.status.full() == platform.OperationStatusInProgress {
			end, service = platform.OperationStatusFailed, platform.ServiceStatusCreateFailed
			if kind == platform.OperationDeleteService {
				service = platform.ServiceStatusDeleteFailed
			}
		}
		if m.save(&s, a, end, func() { s.service.status = smallServiceStatus(service) }) {
			a.at = nowhereYet
		}
	}
	return []choice{{name, s}}
}

// fallible are the steps that may fail by themselves.
var fallible = []string{stepResolve, stepPull, stepReuse, stepStart, stepHealthCheck, stepStop, stepRemove}

// effectless are the steps that only look, so that nothing could come between their beginning and their end.
var effectless = []string{stepResolve, stepHealthCheck, stepDrain}

// effect does what a step is for.
func (m *model) effect(s modelState, p int) []choice {
	a := &s.aprons[p]
	current, isAfter, _ := m.step(a)
	label := fmt.Sprintf("%c does %q", 'a'+p, current.name)
	kind, made := m.kinds[a.operation], a.operation+firstOp
	failed := func() choice {
		next := s
		b := &next.aprons[p]
		switch {
		case !isAfter || kind == platform.OperationDeleteService:
			b.at = atFail
		default:
			b.at, b.step = atBegin, b.step+1
		}
		return choice{label + " and fails", next}
	}
	var choices []choice
	if s.faults > 0 && slices.Contains(fallible, current.name) {
		one := failed()
		one.next.faults--
		choices = append(choices, one)
	}
	next := s
	b := &next.aprons[p]
	forward := func() { b.at, b.step = atBegin, b.step+1 }
	switch current.name {
	case stepPull, stepReuse:
		if next.images, b.at = next.images.with(made), atRecord; next.revisions.has(made) {
			forward()
		}
	case stepStart:
		revision := m.revisionOf(&next, a.operation)
		if revision == nobody || !next.revisions.has(revision) || !next.images.has(revision) {
			return append(choices, failed())
		}
		if next.instances[made] == nobody {
			next.condemned = next.condemned.without(made)
		}
		next.instances[made] = revision
		forward()
	case stepSwitch, stepSwitchOff:
		b.hasSwitched = true
		hadSwitched, cancelled := next.row.hasSwitched, next.row.cancelled
		isKept := m.save(&next, b, platform.OperationStatusInProgress, func() {
			next.row.hasSwitched = true
			next.service.isServing = current.name == stepSwitch
			if next.service.isServing {
				next.service.active = m.revisionOf(&next, a.operation)
				b.keep = next.service.active
				next.deployed = next.deployed.with(made)
			} else {
				b.keep = nobody
			}
		})
		if !isKept {
			break
		}
		switch {
		case hadSwitched:
			m.fail("an operation switched twice")
		case s.row.hasFail:
			m.fail("an operation switched after it had failed")
		case cancelled > 0 && cancelled <= a.term:
			m.fail("an operation switched that was claimed after its cancel")
		}
		b.at = atSwitchRoute
		if next.faults > 0 { // it is kept, and the answer and then the lease are lost
			lost := next
			lost.faults--
			lost.aprons[p].at = nowhereYet
			choices = append(choices, choice{label + " and is not told", lost})
			lost.aprons[p].at, lost.aprons[p].hasSwitched, lost.aprons[p].keep = atFail, false, s.aprons[p].keep
			choices = append(choices, choice{label + ", is not told and fails", lost})
		}
	case stepStop:
		if kind == platform.OperationStartDeployment || kind == platform.OperationUpdateService || kind == platform.OperationCreateService {
			forward() // the Supervisor stops them
			break
		}
		for i, revision := range next.instances {
			if revision != nobody {
				b.listed = b.listed.with(int8(i))
			}
		}
		if b.at = atConfirm; b.listed == 0 {
			forward()
		}
	case stepRemove:
		if next.service.isServing {
			m.fail("the revisions of a service that serves are removed")
		}
		next.revisions, next.images = 0, 0
		forward()
	default: // resolve, health check, drain: nothing that stays
		forward()
	}
	return append(choices, choice{label, next})
}

// stop stops what the run has listed, if it is still there.
func (m *model) stop(s *modelState, a *modelApron) {
	for i := range s.instances {
		if !a.listed.has(int8(i)) || s.instances[i] == nobody {
			continue
		}
		if s.service.isServing && s.instances[i] == s.service.active && !s.condemned.has(int8(i)) {
			m.fail("an operation stopped the instance %d, which serves", i)
		}
		s.instances[i] = nobody
	}
}
