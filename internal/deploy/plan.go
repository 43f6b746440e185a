package deploy

import (
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// Observation is what is known about one service at one time.
type Observation struct {
	Service platform.Service
	// Instances are those the backend reported. They must have been listed before Service was read: then an instance of
	// a revision that is not active, while no operation is in progress, can only be a leftover.
	Instances []platform.Instance
	// Size is how many instances of the active revision should run while the service is serving.
	Size int
	// Routed says which instances answer requests now.
	Routed map[platform.InstanceID]bool
	// Admitting says which instances are waited for until they are healthy.
	Admitting map[platform.InstanceID]bool
	// Starting counts those of the active revision whose processes are being started, which Instances does not have.
	Starting int
	// Frozen says which instances are frozen.
	Frozen map[platform.InstanceID]bool
	// StartNotBefore is when the next replacement may start (backoff after failures).
	StartNotBefore time.Time
}

// Actions is what to do for one service. Each field is an instruction to the caller.
type Actions struct {
	// Bury are instances that ended: take them off the route, report how they ended, remove their remains.
	Bury []platform.Instance
	// Retire are instances that nobody wants any more, or that are too many: drain them and stop them.
	Retire []platform.Instance
	// Admit are running instances that should answer but do not yet: wait until they are healthy, then route to them.
	Admit []platform.Instance
	// Start is how many instances of the active revision are missing and may be started now.
	Start int
	// IsWaiting says that instances are missing that may not be started yet.
	IsWaiting bool
}

// Plan compares what should run with what runs.
//
// It never retires an instance that answers requests for the active revision, except those above the wanted size, and never so
// many that fewer than the size answer. It never starts more than are missing.
func Plan(now time.Time, seen Observation) Actions {
	var actions Actions
	isBusy := seen.Service.Status == platform.ServiceStatusOperationInProgress
	var routed, others []platform.Instance // those of the active revision that answer, and that could
	alive, size := seen.Starting, seen.Size
	if !seen.Service.IsServing {
		size = 0
	}
	for _, instance := range seen.Instances {
		isWanted := seen.isWanted(instance)
		switch {
		case isWanted && seen.Admitting[instance.ID]:
			alive++ // its admission tells how that ends, and decides whether it stays
		case isWanted && instance.State == platform.InstanceStateExited:
			actions.Bury = append(actions.Bury, instance)
		case isWanted && seen.Routed[instance.ID]:
			routed = append(routed, instance)
		case isWanted:
			others = append(others, instance)
		case isBusy:
			// The operation in progress owns it.
		default:
			actions.Retire = append(actions.Retire, instance)
		}
	}
	if surplus := len(routed) - size; surplus > 0 {
		slices.SortStableFunc(routed, seen.leavesFirst)
		actions.Retire = append(actions.Retire, routed[:surplus]...)
		routed = routed[surplus:]
	}
	alive += len(routed)
	for _, instance := range others {
		if alive >= size {
			actions.Retire = append(actions.Retire, instance)
			continue
		}
		alive++
		actions.Admit = append(actions.Admit, instance)
	}
	if missing := size - alive; missing > 0 {
		if actions.IsWaiting = now.Before(seen.StartNotBefore); !actions.IsWaiting {
			actions.Start = missing
		}
	}
	return actions
}

// isWanted says whether an instance is of the revision that serves.
func (o Observation) isWanted(instance platform.Instance) bool {
	return o.Service.IsServing && instance.RevisionID == o.Service.ActiveRevisionID
}

// population is what the Scaler is told of the service.
func (o Observation) population() (runs population) {
	for _, instance := range o.Instances {
		if o.isWanted(instance) {
			runs.all++
			if o.Routed[instance.ID] && instance.State != platform.InstanceStateExited {
				runs.ready++
			}
		}
	}
	return runs
}

// leavesFirst orders instances that answer by which are retired first: frozen ones have no request, and of the others the newest
// are the ones that a later scale-out brings back.
func (o Observation) leavesFirst(a, b platform.Instance) int {
	if o.Frozen[a.ID] != o.Frozen[b.ID] {
		if o.Frozen[a.ID] {
			return -1
		}
		return 1
	}
	return b.StartedAt.Compare(a.StartedAt)
}

// Backoff returns how long to wait before the next replacement after so many failures in a row: none before the first,
// then 1 s, 2 s, 4 s … up to a minute. jitter, from 0 to 1, spreads it by up to a quarter.
func Backoff(failures int, jitter float64) time.Duration {
	if failures <= 1 {
		return 0
	}
	wait := time.Second << min(failures-2, 6)
	wait = min(wait, time.Minute)
	return wait + time.Duration(jitter*float64(wait)/4)
}
