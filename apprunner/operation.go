package apprunner

import "time"

type StartDeploymentRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
}

type StartDeploymentResponse struct {
	OperationID *UUID `api:"OperationId,required"`
}

type ListOperationsRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
	NextToken  *String
	MaxResults *ListOperationsMaxResults
}

// ListOperationsResponse has a list that the model does not require; the server sends it always, empty or not.
type ListOperationsResponse struct {
	OperationSummaryList OperationSummaryList
	NextToken            *String
}

type OperationSummaryList []OperationSummary

// OperationSummary is the asynchronous record behind an OperationId.
type OperationSummary struct {
	ID        *UUID `api:"Id"`
	Type      *OperationType
	Status    *OperationStatus
	TargetARN *AppRunnerResourceARN `api:"TargetArn"`
	StartedAt *time.Time
	EndedAt   *time.Time
	UpdatedAt *time.Time
}
