package deploy

import (
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
	// StartNotBefore is when the next replacement may start (backoff after failures).
	StartNotBefore time.Time
}

// Actions is what to do for one service. Each field is an instruction to the caller.
type Actions struct {
	// Bury are instances that ended: take them off the route, report how they ended, remove their remains.
	Bury []platform.Instance
	// Retire are instances that nobody wants any more: drain them and stop them.
	Retire []platform.Instance
	// Admit are running instances that should answer but do not yet: wait until they are healthy, then route to them.
	Admit []platform.Instance
	// Start is how many instances of the active revision are missing and may be started now.
	Start int
}

// Plan compares what should run with what runs.
//
// It never retires an instance that answers requests for the active revision, except those above the wanted size, and
// never starts more than are missing.
func Plan(now time.Time, seen Observation) Actions {
	var actions Actions
	service := seen.Service
	isBusy := service.Status == platform.ServiceStatusOperationInProgress
	alive, size := 0, seen.Size
	if !service.IsServing {
		size = 0
	}
	for _, instance := range seen.Instances {
		isWanted := service.IsServing && instance.RevisionID == service.ActiveRevisionID
		switch {
		case seen.Admitting[instance.ID]:
			// Its admission tells how that ends, and decides whether it stays.
			if isWanted {
				alive++
			}
		case isWanted && instance.State == platform.InstanceStateExited:
			actions.Bury = append(actions.Bury, instance)
		case isWanted && alive >= size && !seen.Routed[instance.ID]:
			actions.Retire = append(actions.Retire, instance)
		case isWanted:
			alive++
			if !seen.Routed[instance.ID] {
				actions.Admit = append(actions.Admit, instance)
			}
		case isBusy:
			// The operation in progress owns it.
		default:
			actions.Retire = append(actions.Retire, instance)
		}
	}
	if missing := size - alive; missing > 0 && !now.Before(seen.StartNotBefore) {
		actions.Start = missing
	}
	return actions
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
