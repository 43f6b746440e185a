package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"

	"github.com/apron-run/apron/internal/platform"
)

// Operation is an operation with its steps, as Apron.DescribeOperation tells it.
type Operation struct {
	ID        string   `json:"Id"`
	Type      string   `json:"Type"`
	Status    string   `json:"Status"`
	TargetARN string   `json:"TargetArn"`
	StartedAt Time     `json:"StartedAt"`
	EndedAt   *Time    `json:"EndedAt,omitempty"`
	Steps     []Step   `json:"Steps"`
	Failure   *Failure `json:"Failure,omitempty"`
	// Commit is the Git commit that a deployment is of, ImageReference the resolved image; empty until they are known.
	Commit         string `json:"Commit,omitempty"`
	ImageReference string `json:"ImageReference,omitempty"`
	// Trigger is what asked for a deployment by itself, WaitingTrigger what did for one that the service still waits for.
	Trigger        string `json:"Trigger,omitempty"`
	WaitingTrigger string `json:"WaitingTrigger,omitempty"`
}

// Place says for what the operation waits before it begins; "" when it does not.
func (o Operation) Place() string {
	if o.Status != "PENDING" || len(o.Steps) == 0 {
		return ""
	}
	return o.Steps[len(o.Steps)-1].Detail
}

// IsOver says whether the operation will not change any more.
func (o Operation) IsOver() bool {
	switch o.Status {
	case "PENDING", "IN_PROGRESS", "ROLLBACK_IN_PROGRESS":
		return false
	}
	return true
}

// Record is the operation as what shows it takes it.
func (o Operation) Record() platform.Operation {
	record := platform.Operation{
		ID: platform.OperationID(o.ID), ServiceARN: o.TargetARN, Type: platform.OperationType(o.Type),
		Status: platform.OperationStatus(o.Status), StartedAt: o.StartedAt.Time, EndedAt: o.EndedAt.time(), Trigger: platform.Trigger(o.Trigger),
	}
	for _, step := range o.Steps {
		record.Steps = append(record.Steps, platform.StepRecord{
			Name: step.Name, State: platform.StepState(step.State), StartedAt: step.StartedAt.Time, EndedAt: step.EndedAt.time(), Detail: step.Detail,
		})
	}
	if o.Failure != nil {
		failure := platform.Failure(*o.Failure)
		record.Failure = &failure
	}
	return record
}

// HasSucceeded says whether the operation did what it was for.
func (o Operation) HasSucceeded() bool { return o.Status == "SUCCEEDED" }

// Step is a unit of an operation.
type Step struct {
	Name      string `json:"Name"`
	State     string `json:"State"`
	StartedAt Time   `json:"StartedAt"`
	EndedAt   *Time  `json:"EndedAt,omitempty"`
	Detail    string `json:"Detail,omitempty"`
}

// Failure is why an operation failed.
type Failure struct {
	Step  string `json:"Step"`
	Cause string `json:"Cause"`
	// Remedy is what to try; empty when an older apron recorded the failure.
	Remedy string `json:"Remedy,omitempty"`
	// Observed is what apron itself saw of the instance that failed, Evidence the last lines of output.
	Observed []string `json:"Observed,omitempty"`
	Evidence []string `json:"Evidence,omitempty"`
}

// Revision is something deployed that can be gone back to.
type Revision struct {
	ID          string `json:"Id"`
	Number      int    `json:"Number"`
	IsActive    bool   `json:"IsActive"`
	CreatedAt   Time   `json:"CreatedAt"`
	ImageDigest string `json:"ImageDigest"`
	// Commit is the Git commit that it was built from, ImageIdentifier what it was pulled by.
	Commit          string `json:"Commit,omitempty"`
	ImageIdentifier string `json:"ImageIdentifier,omitempty"`
}

// LogLine is one line of a log.
type LogLine struct {
	Timestamp Time   `json:"Timestamp"`
	Stream    string `json:"Stream"`
	Message   string `json:"Message"`
}

// Instance is one running copy of a service.
type Instance struct {
	ID         string `json:"Id"`
	RevisionID string `json:"RevisionId"`
	State      string `json:"State"`
	Address    string `json:"Address"`
	StartedAt  Time   `json:"StartedAt"`
}

// Time is a time on the wire: seconds since 1970 with a fraction.
type Time struct{ time.Time }

func (t *Time) time() *time.Time {
	if t == nil {
		return nil
	}
	return &t.Time
}

// UnmarshalJSON reads a number.
func (t *Time) UnmarshalJSON(raw []byte) error {
	var seconds float64
	if err := json.Unmarshal(raw, &seconds); err != nil {
		return err
	}
	t.Time = time.UnixMicro(int64(seconds * 1e6))
	return nil
}

// ServiceName is the name of the service that the operation is of.
func (o Operation) ServiceName() string {
	_, rest, _ := strings.Cut(o.TargetARN, ":service/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// DescribeOperation returns one operation with its steps. arn may be empty: the id alone names it.
func (c *Client) DescribeOperation(ctx context.Context, arn, id string) (Operation, error) {
	input := map[string]any{"OperationId": id}
	if arn != "" {
		input["ServiceArn"] = arn
	}
	var output struct {
		Operation      Operation
		WaitingTrigger string
	}
	err := c.call(ctx, "DescribeOperation", input, &output)
	output.Operation.WaitingTrigger = output.WaitingTrigger
	return output.Operation, err
}

// CancelOperation asks for the end of an operation, or of the one in progress when id is empty, and returns it.
func (c *Client) CancelOperation(ctx context.Context, arn, id string) (Operation, error) {
	input := map[string]any{"ServiceArn": arn}
	if id != "" {
		input["OperationId"] = id
	}
	var output struct{ Operation Operation }
	err := c.call(ctx, "CancelOperation", input, &output)
	return output.Operation, err
}

// Scaling is how many instances a service has, and why.
type Scaling struct {
	Size, MinSize, MaxSize    int
	InFlight, Waiting, Frozen int
	Reason                    string `json:",omitempty"`
	ChangedAt                 Time   `json:",omitzero"`
}

// Scaling returns how many instances a service has, and why.
func (c *Client) Scaling(ctx context.Context, arn string) (Scaling, error) {
	var output struct{ Scaling Scaling }
	err := c.call(ctx, "DescribeScaling", map[string]any{"ServiceArn": arn}, &output)
	return output.Scaling, err
}

// Revisions returns what was deployed of a service and is kept, newest first.
func (c *Client) Revisions(ctx context.Context, arn string) ([]Revision, error) {
	var output struct{ Revisions []Revision }
	err := c.call(ctx, "ListRevisions", map[string]any{"ServiceArn": arn}, &output)
	return output.Revisions, err
}

// RollbackService goes back to a revision by its number, or to the one before the active one for 0, and returns the
// operation's id.
func (c *Client) RollbackService(ctx context.Context, arn string, number int) (string, error) {
	input := map[string]any{"ServiceArn": arn}
	if number != 0 {
		input["RevisionNumber"] = number
	}
	var output struct {
		OperationID string `json:"OperationId"`
	}
	err := c.call(ctx, "RollbackService", input, &output)
	return output.OperationID, err
}

// ReadLogs returns lines of a stream (events, deployment/ID, instance/ID, application) and the token to go on with. An
// empty token means the last lines, "start" the first.
func (c *Client) ReadLogs(ctx context.Context, arn, stream, token string, limit int) (lines []LogLine, next string, err error) {
	input := map[string]any{"ServiceArn": arn, "Stream": stream, "Limit": limit}
	if token != "" {
		input["NextToken"] = token
	}
	var output struct {
		Lines     []LogLine
		NextToken string
	}
	err = c.call(ctx, "ReadLogs", input, &output)
	return output.Lines, output.NextToken, err
}

// Instances returns the instances of a service.
func (c *Client) Instances(ctx context.Context, arn string) ([]Instance, error) {
	var output struct{ Instances []Instance }
	err := c.call(ctx, "ListInstances", map[string]any{"ServiceArn": arn}, &output)
	return output.Instances, err
}

// maxAnswerBytes bounds what an answer may hold: 10,000 log lines fit.
const maxAnswerBytes = 64 << 20

// call sends one of apron's own actions, signed as the SDK signs App Runner's.
func (c *Client) call(ctx context.Context, action string, input, output any) error {
	body, err := json.Marshal(input)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "Apron."+action)
	sum := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: c.config.KeyID, SecretAccessKey: c.config.Secret, SessionToken: c.config.SessionToken}
	err = v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), "apprunner", c.config.Region, time.Now())
	if err != nil {
		return fmt.Errorf("sign %s: %w", action, err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return fmt.Errorf("read the answer to %s: %w", action, err)
	}
	if response.StatusCode != http.StatusOK {
		return answeredError(response.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, output); err != nil {
		return fmt.Errorf("read the answer to %s: %w", action, err)
	}
	return nil
}

// answeredError makes an answer that is no success the kind of error that the SDK makes.
func answeredError(status int, answer []byte) error {
	var body struct {
		Type    string `json:"__type"`
		Message string
	}
	if json.Unmarshal(answer, &body) != nil || body.Type == "" {
		body.Type, body.Message = fmt.Sprintf("HTTP%d", status), http.StatusText(status)
	}
	return &smithy.GenericAPIError{Code: body.Type, Message: body.Message}
}
