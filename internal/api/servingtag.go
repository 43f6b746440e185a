package api

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// checkServing refuses tags of traffic and scaling that contradict each other, or the auto scaling configuration.
func checkServing(tags map[string]string, scaling platform.AutoScaling) error {
	_, badTraffic := platform.ParseTraffic(tags)
	wanted, badScaling := platform.ParseScaling(tags)
	var rules []string
	if wrong := errors.Join(badTraffic, badScaling); wrong != nil {
		for _, err := range flatten(wrong) {
			rules = append(rules, err.Error())
		}
	}
	if wanted.MinSize != nil && *wanted.MinSize > scaling.MaxSize {
		rules = append(rules, fmt.Sprintf("the tag %s is %d, and MaxSize of the auto scaling configuration %d", platform.TagMinSize, *wanted.MinSize, scaling.MaxSize))
	}
	if len(rules) == 0 {
		return nil
	}
	return invalidRequest("The service's tags would not fit together: %s.", strings.Join(rules, "; "))
}

// keepServing is checkServing of a change. What did not fit together before may be repaired step by step.
func keepServing(before, after platform.Service) error {
	if checkServing(before.Tags, before.Configuration.AutoScaling) != nil {
		return nil
	}
	return checkServing(after.Tags, after.Configuration.AutoScaling)
}
