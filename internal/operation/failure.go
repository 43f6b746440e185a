package operation

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
)

// failureFrom makes the record of a cause. What nobody explained is told as an internal error; its text is in apron's
// own log.
func failureFrom(cause error, operation platform.Operation, output []string) *platform.Failure {
	failure := &platform.Failure{}
	if steps := operation.Steps; len(steps) > 0 {
		failure.Step = steps[len(steps)-1].Name
	}
	if explained := platform.AsExplained(cause); explained != nil {
		failure.Cause, failure.Remedy = sentence(explained.Cause), sentence(explained.Remedy)
		failure.Observed, failure.Evidence = slices.Clone(explained.Observed), slices.Clone(explained.Evidence)
	} else {
		failure.Cause = fmt.Sprintf("The step %q failed for a reason that is apron's own.", failure.Step)
		failure.Remedy = fmt.Sprintf("Start the operation again. What happened is in serve.log of apron's data directory: `grep operation=%s serve.log`.", operation.ID)
	}
	if failure.Remedy == "" {
		failure.Remedy = "Start the operation again; if it fails again, its log says more."
	}
	if len(failure.Evidence) == 0 && !errors.Is(cause, errCancelled) {
		failure.Evidence = output
	}
	return failure
}

// plainWord is a first word that a sentence may begin with a capital letter of; a host or a file name is none.
var plainWord = regexp.MustCompile(`^[a-z]+ `)

// sentence makes one of a part of a sentence.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	if plainWord.MatchString(text) {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") {
		text += "."
	}
	return text
}

// reportFailure writes why the operation failed into the event log and into its own, in App Runner's words where it has
// some.
func (r *run) reportFailure(cause error) {
	id, failure := r.service.ID, r.operation.Failure
	reason := failure.Cause
	if explained := platform.AsExplained(cause); explained != nil && explained.Event != "" {
		r.logs.Event(id, "%s", explained.Event)
		if failure.Step == stepHealthCheck {
			reason = "Health check failed. " + strings.TrimPrefix(reason, deploy.HealthCheckFailed)
		}
	}
	what := title(r.operation.Type)
	_, isDeployment := triggers[r.operation.Type]
	if isDeployment {
		what = fmt.Sprintf("Deployment with ID : %s", r.operation.ID)
	}
	r.logs.Event(id, "%s failed. Failure reason : %s", what, reason)
	r.writeDeployment(r.lineFailed(isDeployment) + failure.Cause)
	for _, line := range failure.Observed {
		r.logs.Event(id, "Observed : %s", line)
		r.writeDeployment(line)
	}
	r.logs.Event(id, "What to try : %s", failure.Remedy)
	r.writeDeployment("What to try: " + failure.Remedy)
}

// lineFailed is what App Runner puts before a cause in the log of a deployment.
func (r *run) lineFailed(isDeployment bool) string {
	isCode := r.service.Configuration.Source.Code != nil
	switch step := r.operation.Failure.Step; {
	case !isDeployment:
		return ""
	case isCode && (step == stepFetch || step == stepBuild):
		return "Failed to build your application source code. Reason: "
	case isCode:
		return "Failed to deploy your application source code. Reason: "
	case step == stepResolve, step == stepPull:
		return "Failed to pull your application image. Reason: "
	}
	return "Failed to deploy your application image. Reason: "
}
