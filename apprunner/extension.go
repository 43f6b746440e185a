package apprunner

import (
	"log/slog"
	"time"
)

// Shapes of the extension actions: what App Runner's own actions have no words for. Their target prefix is "Apron.", and
// they are signed like the others.

// StreamName is one log of a service: "events", "deployment/OPERATION_ID", "instance/INSTANCE_ID", "application" for all
// instances together, or "access" for its requests, whose lines are JSON.
type StreamName string

// Limit bounds the lines of one answer.
type Limit int32

// GitSecret is a token or a private key. It prints as ***.
type GitSecret string

func (GitSecret) String() string       { return "***" }
func (GitSecret) GoString() string     { return "***" }
func (GitSecret) LogValue() slog.Value { return slog.StringValue("***") }

type DescribeOperationRequest struct {
	// ServiceARN may be left out: the id alone names an operation.
	ServiceARN  *AppRunnerResourceARN `api:"ServiceArn"`
	OperationID *UUID                 `api:"OperationId,required"`
}

type DescribeOperationResponse struct {
	Operation *Operation `api:",required"`
	// WaitingTrigger is what asked for a deployment that begins once the service allows it: when its operation has ended,
	// or when it is resumed. Absent when none waits.
	WaitingTrigger *String
}

// Operation is an OperationSummary with what was done and why it failed.
type Operation struct {
	ID        *UUID                 `api:"Id,required"`
	Type      *OperationType        `api:",required"`
	Status    *OperationStatus      `api:",required"`
	TargetARN *AppRunnerResourceARN `api:"TargetArn,required"`
	StartedAt *time.Time            `api:",required"`
	EndedAt   *time.Time
	UpdatedAt *time.Time `api:",required"`
	// Steps are those begun so far, in order.
	Steps []Step `api:",required"`
	// Failure is the first cause; absent unless the operation failed or was rolled back.
	Failure *Failure
	// Commit is the Git commit, or ImageReference the resolved image, that a deployment is of.
	Commit         *String
	ImageReference *String
	// Trigger is what asked for a deployment instead of a client: "push of main". Absent for all others.
	Trigger *String
}

// Step is a unit of an operation.
type Step struct {
	Name *String `api:",required"`
	// State is RUNNING, SUCCEEDED or FAILED.
	State     *String    `api:",required"`
	StartedAt *time.Time `api:",required"`
	EndedAt   *time.Time
	Detail    *String
}

// Failure says why an operation failed, for a person.
type Failure struct {
	Step  *String `api:",required"`
	Cause *String `api:",required"`
	// Remedy is what to try.
	Remedy *String
	// Observed is what apron itself saw of the instance that failed, with times since its start, oldest first.
	Observed []String
	// Evidence is the last lines of the output that led to it, oldest first.
	Evidence []String `api:",required"`
}

type ReadLogsRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
	Stream     *StreamName           `api:",required"`
	// NextToken goes on after an earlier answer. Absent: the newest lines; "start": the oldest.
	NextToken *String
	Limit     *Limit
}

type ReadLogsResponse struct {
	// Lines are oldest first.
	Lines []LogLine `api:",required"`
	// NextToken is always there: asking again with it gives the lines written since.
	NextToken *String `api:",required"`
}

// LogLine is one line of a log.
type LogLine struct {
	// Timestamp is absent for a line that carries none.
	Timestamp *time.Time
	// Stream is stdout or stderr for an instance's output, else events, deployment or access.
	Stream  *String
	Message *String `api:",required"`
}

type ListInstancesRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
}

type ListInstancesResponse struct {
	Instances []Instance `api:",required"`
}

// Instance is one running copy of a revision.
type Instance struct {
	ID         *UUID `api:"Id,required"`
	RevisionID *UUID `api:"RevisionId,required"`
	// State is RUNNING, FROZEN or EXITED.
	State *String `api:",required"`
	// Address is host:port where the app listens; absent once it exited.
	Address   *String
	StartedAt *time.Time
	Exit      *InstanceExit
}

// InstanceExit is how an instance ended.
type InstanceExit struct {
	Code          *Integer   `api:",required"`
	At            *time.Time `api:",required"`
	IsOutOfMemory *bool      `api:",required"`
	IsOverStorage *bool      `api:",required"`
}

// AuthorizeConnectionRequest gives a connection its credentials: one of a token, an SSH key and an app.
type AuthorizeConnectionRequest struct {
	// ConnectionName or ConnectionARN names the connection.
	ConnectionName *ConnectionName
	ConnectionARN  *AppRunnerResourceARN `api:"ConnectionArn"`
	// RepositoryURL is read with the credentials before they are kept. Absent: the repository of a service that uses the
	// connection.
	RepositoryURL *String `api:"RepositoryUrl"`
	// Token goes with UserName; absent, the user is the host's own for tokens.
	Token    *GitSecret
	UserName *String
	// SSHPrivateKey is a key without a passphrase.
	SSHPrivateKey *GitSecret `api:"SshPrivateKey"`
	App           *GitApp
}

// GitApp is an app of GitHub's, on github.com or a host of one's own.
type GitApp struct {
	ID *String `api:"Id,required"`
	// InstallationID is of the app's installation in the organisation.
	InstallationID *String    `api:"InstallationId,required"`
	PrivateKey     *GitSecret `api:",required"`
}

type AuthorizeConnectionResponse struct {
	Connection *Connection `api:",required"`
	// RepositoryURL is what was read with the credentials, without a password that it carried.
	RepositoryURL *String `api:"RepositoryUrl,required"`
}
