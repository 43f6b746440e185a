package api

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// checkServing refuses tags of traffic and scaling that contradict each other, or the auto scaling configuration.
func checkServing(tags map[string]string, scaling platform.AutoScaling) error {
	return refuseServing(servingProblems(tags, scaling), "")
}

func servingProblems(tags map[string]string, scaling platform.AutoScaling) []error {
	_, badTraffic := platform.ParseTraffic(tags)
	wanted, badScaling := platform.ParseScaling(tags)
	var problems []error
	if wrong := errors.Join(badTraffic, badScaling); wrong != nil {
		problems = flatten(wrong)
	}
	if wanted.MinSize != nil && *wanted.MinSize > scaling.MaxSize {
		problems = append(problems, fmt.Errorf("the tag %s is %d, and MaxSize of the auto scaling configuration %d", platform.TagMinSize, *wanted.MinSize, scaling.MaxSize))
	}
	return problems
}

// refuseServing is nil without problems. advice follows them.
func refuseServing(problems []error, advice string) error {
	if len(problems) == 0 {
		return nil
	}
	rules := make([]string, len(problems))
	for i, problem := range problems {
		rules[i] = problem.Error()
	}
	return invalidRequest("The service's tags would not fit together: %s.%s", strings.Join(rules, "; "), advice)
}

// keepServing is checkServing of a change. What did not fit together before may be repaired step by step.
func keepServing(before, after platform.Service) error {
	if checkServing(before.Tags, before.Configuration.AutoScaling) != nil {
		return nil
	}
	problems, advice := servingProblems(after.Tags, after.Configuration.AutoScaling), ""
	for _, problem := range problems {
		var wrong *platform.TagError
		if errors.As(problem, &wrong) && wrong.Other != "" {
			advice += adviseOn(wrong, before.Tags, after.Tags)
		}
	}
	return refuseServing(problems, advice)
}

// adviseOn says how to get rid of a tag that was there already: together with the other one, or before that is changed.
func adviseOn(wrong *platform.TagError, before, after map[string]string) string {
	_, wasThere := before[wrong.Tag]
	_, isOtherThere := after[wrong.Other]
	switch {
	case !wasThere:
		return ""
	case !isOtherThere:
		return fmt.Sprintf(" Remove both tags in one call: %s and %s.", wrong.Other, wrong.Tag)
	}
	return fmt.Sprintf(" Remove the tag %s first.", wrong.Tag)
}
