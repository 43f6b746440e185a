package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// wish is what a round wants of a service, if its status allows that.
type wish string

const (
	wishDeploy   wish = "deploy"
	wishBreak    wish = "deploy what fails"
	wishTwice    wish = "deploy twice at once"
	wishUpdate   wish = "update"
	wishResize   wish = "resize"
	wishRollback wish = "roll back"
	wishPause    wish = "pause or resume"
	wishDelete   wish = "delete or create"
	wishTag      wish = "tag"
)

// menu is what plans are drawn from. What is there more often is drawn more often.
type menu struct {
	wishes  []wish
	victims []victim
}

// chaosMenu has everything.
var chaosMenu = menu{
	wishes: append(slices.Repeat([]wish{wishDelete}, 2), soakMenu.wishes...),
	victims: slices.Concat(
		slices.Repeat([]victim{victimApron}, 6), slices.Repeat([]victim{victimContainerd, victimShim}, 3),
		slices.Repeat([]victim{victimBuildkitd, victimProxy}, 2), slices.Repeat([]victim{victimInstance}, 4),
	),
}

// soakMenu has what happens on a machine all day long: apron and its daemons live on, and so do the services, because what
// is remembered of a deleted one stays for a day.
var soakMenu = menu{
	wishes: slices.Concat(
		slices.Repeat([]wish{wishDeploy}, 7), slices.Repeat([]wish{wishBreak}, 3), slices.Repeat([]wish{wishPause}, 4),
		slices.Repeat([]wish{wishUpdate, wishResize, wishRollback}, 2), []wish{wishTwice, wishTag},
	),
	victims: []victim{victimNobody, victimNobody, victimInstance},
}

// victim is what is killed.
type victim string

const (
	victimApron      victim = "apron"
	victimProxy      victim = "proxy"
	victimContainerd victim = "containerd"
	victimBuildkitd  victim = "buildkitd"
	victimShim       victim = "shim"
	victimInstance   victim = "instance"
	victimNobody     victim = "nobody"
)

const (
	// killWithin is when in a round the kills are: most operations take less.
	killWithin = 2500 * time.Millisecond
	// actWithin is when in a round the actions are called.
	actWithin = 600 * time.Millisecond
	// cancelWithin is how long after its call an operation that is to be cancelled is.
	cancelWithin = 1500 * time.Millisecond
	// downWithin is how long apron stays dead at most.
	downWithin = 700 * time.Millisecond
)

// act is one action on one service.
type act struct {
	slot  int
	wish  wish
	after time.Duration
	// isCancelled says that the operation is cancelled cancelAfter the call's answer.
	isCancelled bool
	cancelAfter time.Duration
	// pick chooses between variants of the action.
	pick int
}

// kill is the end of one process.
type kill struct {
	victim victim
	// slot and pick choose an instance; they mean nothing for daemons.
	slot, pick int
	after      time.Duration
	// downFor is how long apron stays dead.
	downFor time.Duration
}

// plan is what a round does. It depends on nothing but the menu, the seed and the round's number.
type plan struct {
	acts  []act
	kills []kill
}

// draw makes the plan of a round for so many slots.
func (m menu) draw(seed uint64, round, slots int) plan {
	random := rand.New(rand.NewPCG(seed, uint64(round)))
	within := func(most time.Duration) time.Duration {
		return time.Duration(random.Int64N(int64(most))).Truncate(time.Millisecond)
	}
	var p plan
	for _, slot := range random.Perm(slots)[:1+random.IntN(min(3, slots))] {
		p.acts = append(p.acts, act{
			slot: slot, wish: m.wishes[random.IntN(len(m.wishes))], after: within(actWithin),
			isCancelled: random.IntN(6) == 0, cancelAfter: within(cancelWithin), pick: random.IntN(1000),
		})
	}
	for range 1 + random.IntN(3) {
		p.kills = append(p.kills, kill{
			victim: m.victims[random.IntN(len(m.victims))], slot: random.IntN(slots), pick: random.IntN(1000),
			after: within(killWithin), downFor: within(downWithin),
		})
	}
	slices.SortStableFunc(p.kills, func(a, b kill) int { return cmp.Compare(a.after, b.after) })
	return p
}

// hasKill says whether the plan kills one of the victims.
func (p plan) hasKill(victims ...victim) bool {
	return slices.ContainsFunc(p.kills, func(k kill) bool { return slices.Contains(victims, k.victim) })
}

// hits says whether an instance of the slot, or its shim, is to be killed.
func (p plan) hits(slot int) bool {
	return slices.ContainsFunc(p.kills, func(k kill) bool {
		return k.slot == slot && (k.victim == victimShim || k.victim == victimInstance)
	})
}

func (k kill) String() string { return fmt.Sprintf("%s at %s", k.victim, k.after) }
