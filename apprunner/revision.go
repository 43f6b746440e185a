package apprunner

import "time"

// Shapes of the extension actions about an operation's end and a service's revisions.

// RevisionNumber counts a service's revisions from 1.
type RevisionNumber int32

type CancelOperationRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
	// OperationID is the operation to cancel; absent: the one in progress.
	OperationID *UUID `api:"OperationId"`
}

type CancelOperationResponse struct {
	Operation *Operation `api:",required"`
}

type ListRevisionsRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
}

type ListRevisionsResponse struct {
	// Revisions are newest first: those whose images are kept.
	Revisions []Revision `api:",required"`
}

// Revision is an image with the configuration that it was deployed with.
type Revision struct {
	ID     *UUID           `api:"Id,required"`
	Number *RevisionNumber `api:",required"`
	// IsActive says that this revision serves, or served before the service was paused.
	IsActive    *bool      `api:",required"`
	CreatedAt   *time.Time `api:",required"`
	ImageDigest *String    `api:",required"`
	// Commit is the Git commit that it was built from, ImageIdentifier what it was pulled by.
	Commit          *String
	ImageIdentifier *String
}

type RollbackServiceRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
	// RevisionNumber is the revision to go back to; absent: the one before the active one.
	RevisionNumber *RevisionNumber
}

type RollbackServiceResponse struct {
	Service     *Service `api:",required"`
	OperationID *UUID    `api:"OperationId,required"`
}
