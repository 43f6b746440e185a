package platform

import (
	"slices"
	"strings"
	"time"
)

// OperationType is what an Operation does.
type OperationType string

const (
	OperationCreateService   OperationType = "CREATE_SERVICE"
	OperationStartDeployment OperationType = "START_DEPLOYMENT"
	OperationUpdateService   OperationType = "UPDATE_SERVICE"
	OperationPauseService    OperationType = "PAUSE_SERVICE"
	OperationResumeService   OperationType = "RESUME_SERVICE"
	OperationDeleteService   OperationType = "DELETE_SERVICE"
)

// Trigger is what asks for a deployment by itself, in words for people: "push of main".
type Trigger string

// OperationStatus is the status that ListOperations shows.
type OperationStatus string

const (
	OperationStatusPending            OperationStatus = "PENDING"
	OperationStatusInProgress         OperationStatus = "IN_PROGRESS"
	OperationStatusSucceeded          OperationStatus = "SUCCEEDED"
	OperationStatusFailed             OperationStatus = "FAILED"
	OperationStatusRollbackInProgress OperationStatus = "ROLLBACK_IN_PROGRESS"
	OperationStatusRollbackSucceeded  OperationStatus = "ROLLBACK_SUCCEEDED"
	OperationStatusRollbackFailed     OperationStatus = "ROLLBACK_FAILED"
)

// operationEdges are the moves an OperationStatus may make.
var operationEdges = map[OperationStatus][]OperationStatus{
	OperationStatusPending:            {OperationStatusInProgress, OperationStatusFailed},
	OperationStatusInProgress:         {OperationStatusSucceeded, OperationStatusFailed, OperationStatusRollbackInProgress},
	OperationStatusRollbackInProgress: {OperationStatusRollbackSucceeded, OperationStatusRollbackFailed},
}

// CanBecome says whether an operation may move from s to next. A terminal status never changes.
func (s OperationStatus) CanBecome(next OperationStatus) bool {
	return slices.Contains(operationEdges[s], next)
}

// IsTerminal says whether s never changes again.
func (s OperationStatus) IsTerminal() bool { return len(operationEdges[s]) == 0 }

// Operation is the durable record of asynchronous work on one Service.
type Operation struct {
	ID        OperationID
	ServiceID ServiceID
	// ServiceARN is the API's TargetArn.
	ServiceARN string
	Type       OperationType
	Status     OperationStatus
	StartedAt  time.Time
	UpdatedAt  time.Time
	EndedAt    *time.Time

	// Previous is how the Service was before, to go back to when the operation fails; nil for a creation.
	Previous *Before `json:",omitempty"`
	// RollsBackTo is the earlier Revision whose image an update takes, and whose configuration the Service got; empty for
	// everything else.
	RollsBackTo RevisionID
	// Trigger is what asked for a deployment instead of a client of the API; empty for everything else.
	Trigger Trigger
	// Steps are those begun so far, in order.
	Steps []StepRecord
	// Progress is what the steps found out, so that a step after a crash need not ask again.
	Progress Progress
	// Failure is the first cause; nil unless the operation failed or was rolled back.
	Failure *Failure `json:",omitempty"`
	// CancelAskedAt is when somebody asked for this operation to be given up; nil when nobody did. Only the store sets it.
	CancelAskedAt *time.Time
	// LeaseTerm counts the claims of this operation. A writer with an older term is refused (store.ErrConflict).
	LeaseTerm int
}

// Before is how a Service was when an Operation began.
type Before struct {
	Status        ServiceStatus
	Configuration Configuration
}

// StepState is how far one Step came.
type StepState string

const (
	StepStateRunning   StepState = "RUNNING"
	StepStateSucceeded StepState = "SUCCEEDED"
	StepStateFailed    StepState = "FAILED"
)

// StepRecord is the outcome of one Step.
type StepRecord struct {
	Name      string
	State     StepState
	StartedAt time.Time
	EndedAt   *time.Time
	// Detail is one short line for people: "commit 1a2b3c4", "2 instances on 2 addresses".
	Detail string `json:",omitempty"`
}

// Progress is what the steps of an Operation found out.
type Progress struct {
	Commit string `json:",omitempty"`
	// ImageReference is the resolved reference with its digest, for a pull.
	ImageReference string `json:",omitempty"`
	// Revision is the one being deployed, once it is complete.
	RevisionID RevisionID `json:",omitempty"`
	// HasSwitched says that the route points to the new Revision: from here on there is no going back.
	HasSwitched bool `json:",omitempty"`
}

// Found is the commit, or the digest, that a deployment found its source to mean; empty until then.
func (p Progress) Found() string {
	if p.Commit != "" {
		return p.Commit
	}
	_, digest, _ := strings.Cut(p.ImageReference, "@")
	return digest
}

// Failure is why an Operation failed, for a person.
type Failure struct {
	// Step is the name of the step that failed.
	Step string
	// Cause is one plain sentence without secrets, Remedy what to try.
	Cause  string
	Remedy string `json:",omitempty"`
	// Observed is what apron itself saw on the way, oldest first: the probes of an instance, and how it ended.
	Observed []string `json:",omitempty"`
	// Evidence is the last lines of the output that led to it, oldest first.
	Evidence []string `json:",omitempty"`
}
