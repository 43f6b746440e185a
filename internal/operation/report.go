package operation

import (
	"fmt"
	"slices"

	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
)

// What App Runner calls a deployment's trigger in its event log.
var triggers = map[platform.OperationType]string{
	platform.OperationCreateService:   "SERVICE_CREATE",
	platform.OperationUpdateService:   "SERVICE_UPDATE",
	platform.OperationStartDeployment: "SERVICE_DEPLOY",
}

// What apron itself writes into an operation's log, in App Runner's words.
const (
	lineDeploySource = "Starting to deploy your application source code."
	lineDeployImage  = "Starting to deploy your application image."
	lineBuild        = "Starting to build your application source code."
	lineBuilt        = "Successfully built your application source code."
	linePull         = "Starting to pull your application image."
	linePulled       = "Successfully pulled your application image from ECR."
)

var ownLines = []string{lineDeploySource, lineDeployImage, lineBuild, lineBuilt, linePull, linePulled}

// output returns the last lines that others wrote into the operation's log since apron itself did last: those of the
// step that runs.
func (r *run) output() []string {
	lines := r.logs.LastLines(r.service.ID, "deployment/"+string(r.operation.ID), evidenceLines)
	for i, line := range slices.Backward(lines) {
		if slices.Contains(ownLines, line) {
			return lines[i+1:]
		}
	}
	return lines
}

// evidenceLines is how much of what a step printed goes into a failure that carries no evidence of its own.
const evidenceLines = 10

// announce writes the beginning of an operation into the service's event log, in App Runner's words.
func (r *run) announce() {
	id := r.service.ID
	r.logs.Event(id, "Service status is set to OPERATION_IN_PROGRESS.")
	trigger, isDeployment := triggers[r.operation.Type]
	if !isDeployment {
		r.logs.Event(id, "%s started.", title(r.operation.Type))
		return
	}
	r.logs.Event(id, "Deployment with ID : %s started. Triggering event : %s", r.operation.ID, trigger)
	if r.operation.Trigger != "" {
		r.logs.Event(id, "The deployment is automatic (%s).", r.operation.Trigger)
	}
	if r.operation.RollsBackTo != "" {
		r.logs.Event(id, "The service goes back to revision %s.", r.operation.RollsBackTo)
	}
	source := r.service.Configuration.Source
	if code := source.Code; code != nil {
		r.logs.Event(id, "Deployment Artifact: [Repo Type: Source], [Repository: %s], [Branch: %s], [SourceDirectory: %s]",
			deploy.RedactURL(code.RepositoryURL), code.Branch, code.Directory)
		r.writeDeployment(lineDeploySource)
		return
	}
	r.logs.Event(id, "Deployment Artifact: [Repo Type: ECR], [Image URL: %s]", source.Image.Identifier)
	r.writeDeployment(lineDeployImage)
}

// report writes the end of an operation into the service's event log. It comes before the record of the end: what is told
// twice after a crash does less harm than what is never told.
func (r *run) report(status platform.ServiceStatus) {
	id, succeeded := r.service.ID, r.operation.Status == platform.OperationStatusSucceeded
	switch r.operation.Type {
	case platform.OperationCreateService:
		if succeeded {
			r.logs.Event(id, "Service creation completed successfully.")
		} else {
			r.logs.Event(id, "Service creation failed. %s", r.operation.Failure.Cause)
		}
	case platform.OperationUpdateService:
		if succeeded {
			r.logs.Event(id, "Service update completed successfully. New configuration is deployed.")
		} else {
			r.logs.Event(id, "Service update failed. For details, see service logs.")
		}
	case platform.OperationStartDeployment:
		switch {
		case succeeded:
			r.logs.Event(id, "Deployment completed successfully.")
		case r.hasNeverServed():
			r.logs.Event(id, "Deployment failed. The service has no version that could serve.")
		default:
			r.logs.Event(id, "Deployment failed. The previous version goes on serving.")
		}
	case platform.OperationDeleteService:
		if succeeded {
			return // its logs are gone
		}
		fallthrough
	default:
		if succeeded {
			r.logs.Event(id, "%s completed successfully.", title(r.operation.Type))
		} // reportFailure has told the rest
	}
	r.logs.Event(id, "Service status is set to %s.", status)
}

// writeDeployment adds a line to the operation's own log.
func (r *run) writeDeployment(line string) {
	log := r.logs.Deployment(r.service.ID, r.operation.ID)
	defer log.Close()
	fmt.Fprintln(log, line)
}

func title(kind platform.OperationType) string {
	switch kind {
	case platform.OperationPauseService:
		return "Service pause"
	case platform.OperationResumeService:
		return "Service resume"
	case platform.OperationDeleteService:
		return "Service deletion"
	default:
		return string(kind)
	}
}
