package deploy

import (
	"github.com/apron-run/apron/internal/freezer"
	"github.com/apron-run/apron/internal/platform"
)

// isFrozen says whether the data plane has frozen an instance, which answers no health check then and is well all the same.
func isFrozen(instance platform.Instance) bool {
	if instance.Freezer == "" {
		return false
	}
	frozen, err := freezer.Files{}.IsFrozen(instance.Freezer)
	return err == nil && frozen
}

// thaw lets an instance answer health checks that a data plane may have left frozen. No route names it, so that nobody freezes it.
func thaw(instance platform.Instance) {
	if instance.Freezer != "" {
		_ = freezer.Files{}.Thaw(instance.Freezer) // if it cannot, the health check tells
	}
}
