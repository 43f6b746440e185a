package operation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

// around returns what may happen beside the steps of the runs.
func (m *model) around(s modelState) (choices []choice) {
	add := func(label string, change func(next *modelState)) {
		next := s
		change(&next)
		choices = append(choices, choice{label, next})
	}
	isOpen := s.current >= 0 && !s.row.status.full().IsTerminal()
	for p := range s.aprons {
		a, name := s.aprons[p], string(rune('a'+p))
		isRunning := a.at != nowhereYet
		switch {
		case a.isDown:
			add(name+" starts again", func(next *modelState) {
				next.aprons[p] = modelApron{route: next.routed()}
				if isOpen && next.row.owner == int8(p+1) {
					next.row.owner, next.row.isValid = 0, false
				}
			})
			continue
		case !isRunning && isOpen && !s.row.isValid:
			add(name+" claims", func(next *modelState) {
				next.row.term++
				next.row.owner, next.row.isValid = int8(p+1), true
				next.aprons[p] = modelApron{
					route: a.route, at: atStart, operation: s.current, term: next.row.term, hasSwitched: s.row.hasSwitched,
					knowsOfCancel: s.row.cancelled > 0 && m.rules.tellsOfCancel, keep: s.routed(),
				}
			})
		case isRunning && !s.isHeld(&a):
			add(name+" learns that its lease is lost", func(next *modelState) { next.aprons[p].at = nowhereYet })
		case isRunning && !s.row.isValid && isOpen:
			add(name+" renews", func(next *modelState) { next.row.isValid = true })
		}
		if isRunning && s.isHeld(&a) && s.row.owner == int8(p+1) && s.row.cancelled > 0 && !a.knowsOfCancel && m.rules.tellsOfCancel {
			add(name+" learns of the cancel", func(next *modelState) { next.aprons[p].knowsOfCancel = true })
		}
		if isRunning && s.faults > 0 {
			add(name+" is killed", func(next *modelState) {
				next.faults--
				next.aprons[p] = modelApron{isDown: true, route: nobody}
			})
			add(name+" trusts its lease no more", func(next *modelState) {
				next.faults--
				next.aprons[p].at = nowhereYet
			})
		}
	}
	if isOpen && s.row.isValid && m.rules.expires {
		holder := s.aprons[s.row.owner-1]
		isLate := holder.at != nowhereYet && holder.operation == s.current && holder.term == s.row.term // it sleeps
		if !isLate || s.faults > 0 {
			add("the lease runs out", func(next *modelState) {
				next.row.isValid = false
				if isLate {
					next.faults--
				}
			})
		}
	}
	if isOpen && s.row.cancelled == 0 {
		add("a cancel is asked for", func(next *modelState) { next.row.cancelled = next.row.term + 1 })
	}
	hasActive := s.service.isServing && slices.Contains(s.instances[:], s.service.active)
	unwanted := func(revision int8) bool {
		return revision != nobody && (!s.service.isServing || revision != s.service.active)
	}
	if !isOpen && slices.ContainsFunc(s.instances[:], unwanted) {
		add("the Supervisor retires what nobody wants", func(next *modelState) {
			for i, revision := range next.instances {
				if unwanted(revision) {
					next.instances[i] = nobody
				}
			}
		})
	}
	if s.service.isServing && !hasActive {
		add("the Supervisor replaces an instance", func(next *modelState) {
			const fresh = things - 1 // an id that nobody has listed
			next.instances[fresh], next.condemned = next.service.active, next.condemned.without(fresh)
			for p := range next.aprons {
				next.aprons[p].listed = next.aprons[p].listed.without(fresh)
			}
		})
	}
	if n := int(s.current) + 1; !isOpen && n < len(m.kinds) && m.mayStart(s, m.kinds[n]) {
		add("the "+string(m.kinds[n])+" is asked for", func(next *modelState) {
			next.current++
			next.row = modelRow{status: smallStatus(platform.OperationStatusPending)}
			next.service.previous, next.service.status = next.service.status, smallServiceStatus(platform.ServiceStatusOperationInProgress)
		})
	}
	return choices
}

func (m *model) mayStart(s modelState, kind platform.OperationType) bool {
	return kind == platform.OperationCreateService || slices.Contains(allowedStatuses[kind], s.service.status.full())
}

// check says what must hold in each state, and from one to the next.
func (m *model) check(before, s modelState) {
	status := s.row.status.full()
	isBack := status == platform.OperationStatusRollbackInProgress || status == platform.OperationStatusRollbackSucceeded
	switch {
	case isBack && s.row.hasSwitched:
		m.fail("an operation goes back after its switch")
	case s.service.isServing && (!s.revisions.has(s.service.active) || !s.images.has(s.service.active)):
		m.fail("the revision that serves is gone")
	case before.current == s.current && before.current >= 0 && before.row.status.full().IsTerminal() && before.row != s.row:
		m.fail("the row of an operation changed after its end")
	}
}

// checkEnd says what must hold where nothing happens any more.
func (m *model) checkEnd(s modelState) {
	if !s.row.status.full().IsTerminal() || s.aprons[0].at != nowhereYet || s.aprons[1].at != nowhereYet {
		m.fail("nothing happens any more, and an operation is %s", s.row.status.full())
	}
	if s.service.status.full() == platform.ServiceStatusOperationInProgress {
		m.fail("nothing happens any more, and the service is in progress")
	}
	if s.revisions&^s.deployed != 0 {
		m.fail("a revision is left that never served")
	}
	for _, revision := range s.instances {
		if revision != nobody && (!s.service.isServing || revision != s.service.active) {
			m.fail("an instance is left that nobody wants")
		}
	}
	if s.service.isServing && !slices.Contains(s.instances[:], s.service.active) {
		m.fail("the service has no instance")
	}
}

// normal leaves out what nobody will ask for again, so that states that differ in nothing else are one: what an apron without a
// run believes, who held the lease of what has ended, and which of the two aprons is which.
func (s modelState) normal() modelState {
	for p := range s.aprons {
		if a := &s.aprons[p]; a.at == nowhereYet {
			*a = modelApron{isDown: a.isDown, route: unknown}
		}
	}
	if s.row.status.full().IsTerminal() {
		s.row.owner, s.row.isValid, s.row.cancelled = 0, false, 0
	}
	for i, revision := range s.instances {
		if revision == nobody {
			s.condemned = s.condemned.without(int8(i))
		}
	}
	if s.aprons[1].isBefore(s.aprons[0]) {
		s.aprons[0], s.aprons[1] = s.aprons[1], s.aprons[0]
		if s.row.owner != 0 {
			s.row.owner = 3 - s.row.owner
		}
	}
	return s
}

// isBefore is any order of aprons.
func (a modelApron) isBefore(b modelApron) bool {
	key := func(x modelApron) []int {
		bits := 0
		for _, is := range []bool{x.isDown, x.hasSwitched, x.knowsOfCancel} {
			bits <<= 1
			if is {
				bits++
			}
		}
		return []int{int(x.at), int(x.operation), int(x.term), int(x.step), int(x.route), int(x.keep), int(x.listed), bits}
	}
	if a.at != b.at {
		return a.at < b.at
	}
	return slices.Compare(key(a), key(b)) < 0
}

// explored is what an exploration found: how many states there are, and the way to the first violation.
type explored struct {
	states int
	trace  []string
}

// explore visits every state, nearest first, and stops at the first violation. Without faults no state may come again: then
// whatever happened, everything comes to an end once no more does.
func (m *model) explore(faults int8) explored {
	type visit struct {
		state  modelState
		parent int
		label  string
		// on are the states that follow without a fault.
		on []int32
	}
	first := m.initial(faults).normal()
	visits, index := []visit{{state: first, parent: -1}}, map[modelState]int{first: 0}
	trace := func(i int, last string) (lines []string) {
		for ; i > 0; i = visits[i].parent {
			lines = append(lines, visits[i].label)
		}
		slices.Reverse(lines)
		return append(lines, last)
	}
	for i := 0; i < len(visits); i++ {
		s := visits[i].state
		choices := m.around(s)
		for p := range s.aprons {
			choices = append(choices, m.run(s, p)...)
		}
		if len(choices) == 0 {
			m.checkEnd(s)
		}
		for _, one := range choices {
			one.next = one.next.normal()
			m.check(s, one.next)
			if m.violation != "" {
				return explored{len(visits), trace(i, one.label)}
			}
			if _, isKnown := index[one.next]; !isKnown {
				index[one.next] = len(visits)
				visits = append(visits, visit{state: one.next, parent: i, label: one.label})
			}
			if one.next.faults == s.faults {
				visits[i].on = append(visits[i].on, int32(index[one.next]))
			}
		}
		if m.violation != "" {
			return explored{len(visits), trace(i, "the end")}
		}
	}
	// A topological order: a state that never gets into it is on a circle, or behind one.
	ways := make([]int, len(visits))
	for i := range visits {
		for _, on := range visits[i].on {
			ways[on]++
		}
	}
	var ready []int
	for i, n := range ways {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	ordered := 0
	for ; len(ready) > 0; ordered++ {
		last := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for _, on := range visits[last].on {
			if ways[on]--; ways[on] == 0 {
				ready = append(ready, int(on))
			}
		}
	}
	if ordered < len(visits) {
		m.fail("%d states come again and again", len(visits)-ordered)
		i := slices.IndexFunc(ways, func(n int) bool { return n > 0 })
		return explored{len(visits), trace(i, "round and round")}
	}
	return explored{states: len(visits)}
}

// modelPairs are operations that follow each other.
var modelPairs = [][]platform.OperationType{
	{platform.OperationCreateService, platform.OperationUpdateService},
	{platform.OperationStartDeployment, platform.OperationStartDeployment},
	{platform.OperationUpdateService, platform.OperationPauseService},
	{platform.OperationPauseService, platform.OperationResumeService},
	{platform.OperationResumeService, platform.OperationStartDeployment},
	{platform.OperationStartDeployment, platform.OperationDeleteService},
	{platform.OperationDeleteService, platform.OperationDeleteService},
}

func pairName(pair []platform.OperationType) string { return fmt.Sprintf("%s, %s", pair[0], pair[1]) }

// modelFaults is how many crashes, sleeps, failures and lost answers there are in one story.
const modelFaults = 2

func TestTwoAndACrashAnywhereDoNoHarm(t *testing.T) {
	t.Parallel()
	total := 0
	for _, pair := range modelPairs {
		m := newModel(allRules(), pair...)
		found := m.explore(modelFaults)
		total += found.states
		t.Logf("%s: %d states", pairName(pair), found.states)
		if m.violation != "" {
			t.Errorf("%s: %s:\n%s", pairName(pair), m.violation, strings.Join(found.trace, "\n"))
		}
	}
	t.Logf("%d states in all", total)
}

// Each rule of the model is one of the program. Without it the exploration finds what goes wrong.
func TestWithoutARuleTheModelFindsTheHarm(t *testing.T) {
	t.Parallel()
	for name, drop := range map[string]func(*modelRules){
		"a save is refused to an old lease":               func(r *modelRules) { r.fences = false },
		"what is to be stopped is listed under the lease": func(r *modelRules) { r.confirms = false },
		"a failure is recorded before anything is undone": func(r *modelRules) { r.failsFirst = false },
		"a switch that was kept is not taken back":        func(r *modelRules) { r.keepsSwitch = false },
		"a claim tells of a cancel":                       func(r *modelRules) { r.tellsOfCancel = false },
		"a claim after the switch makes the route again":  func(r *modelRules) { r.routesAgain = false },
		"a revision is recorded in the name of the lease": func(r *modelRules) { r.fencesRevisions = false },
		"a lease runs out":                                func(r *modelRules) { r.expires = false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := allRules()
			drop(&rules)
			for _, pair := range modelPairs {
				m := newModel(rules, pair...)
				if found := m.explore(modelFaults); m.violation != "" {
					t.Logf("%s, after %d states of %s:\n%s", m.violation, found.states, pairName(pair), strings.Join(found.trace, "\n"))
					return
				}
			}
			t.Error("nothing goes wrong without it")
		})
	}
}
