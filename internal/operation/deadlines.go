package operation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// Deadlines says how long each step, each operation on its way to the switch, and a rollback may take. Steps are named as
// people see them, with dashes for spaces; operations by their type, in lower case and with dashes.
type Deadlines map[string]time.Duration

// rollback is the removal of what a failed operation had started; what is left then is the Supervisor's.
const rollback = "rollback"

// DefaultDeadlines are patient with builds and with slow registries, and with nothing else. An operation's own counts from
// the moment that its work begins, or goes on after a crash, and ends with the switch: from there on the new revision serves.
func DefaultDeadlines() Deadlines {
	return Deadlines{
		stepResolve: 2 * time.Minute, stepFetch: 10 * time.Minute, stepBuild: 40 * time.Minute, stepPull: 20 * time.Minute,
		nameOf(stepReuse): time.Minute, nameOf(stepStart): 2 * time.Minute, nameOf(stepHealthCheck): time.Minute,
		nameOf(stepSwitch): time.Minute, nameOf(stepSwitchOff): time.Minute, nameOf(stepStop): time.Minute,
		stepRemove: 5 * time.Minute, rollback: 2 * time.Minute,

		nameOf(platform.OperationCreateService): time.Hour, nameOf(platform.OperationStartDeployment): time.Hour,
		nameOf(platform.OperationUpdateService): time.Hour, nameOf(platform.OperationResumeService): 20 * time.Minute,
		nameOf(platform.OperationPauseService): 5 * time.Minute, nameOf(platform.OperationDeleteService): 5 * time.Minute,
	}
}

// nameOf is a step or a type of operation as the settings write it.
func nameOf[T ~string](name T) string {
	return strings.ToLower(strings.NewReplacer(" ", "-", "_", "-").Replace(string(name)))
}

// Set reads "NAME=DURATION".
func (d Deadlines) Set(text string) error {
	name, value, _ := strings.Cut(text, "=")
	if _, known := d[name]; !known {
		return fmt.Errorf("deadline %q: want NAME=DURATION with one of %s", text, strings.Join(slices.Sorted(maps.Keys(d)), ", "))
	}
	duration, err := time.ParseDuration(value)
	if err != nil || duration <= 0 {
		return fmt.Errorf("deadline %q: want %s=DURATION, such as %s=90s or %s=2h", text, name, name, name)
	}
	d[name] = duration
	return nil
}

// HealthCheck is how long new instances have to become ready.
func (d Deadlines) HealthCheck() time.Duration { return d[nameOf(stepHealthCheck)] }
