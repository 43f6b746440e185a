package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verdict is how a step ended with a client.
type Verdict string

const (
	// Passed is what was wanted.
	Passed Verdict = "passed"
	// Older is a client that does not know what the step calls.
	Older Verdict = "older than the action"
	// Refused is a client that refused the input itself, as it should.
	Refused Verdict = "refused by the client"
	// Failed is anything else.
	Failed Verdict = "failed"
)

// Result is how a step ended.
type Result struct {
	Step    Step
	Verdict Verdict
	// Why is what is wrong, for Failed.
	Why string
}

// runner runs steps by one client. Its variables are what steps have saved.
type runner struct {
	client    Client
	region    string
	variables object
	push      func(Push) error
}

// isNotThere begins what is wrong when the server does not have an action, which no waiting changes.
const isNotThere = "UnsupportedOperationException"

const (
	callTimeout = time.Minute
	pollEvery   = 300 * time.Millisecond
)

func (r *runner) run(ctx context.Context, step Step) Result {
	if step.Image != nil {
		if err := r.push(*step.Image); err != nil {
			return Result{step, Failed, err.Error()}
		}
		return Result{step, Passed, ""}
	}
	input, err := r.filled(step.Input)
	if err != nil {
		return Result{step, Failed, err.Error()}
	}
	encoded, err := json.Marshal(input)
	if err != nil {
		return Result{step, Failed, err.Error()}
	}
	deadline := time.Now().Add(step.Until)
	for {
		verdict, why := r.once(ctx, step, encoded)
		if verdict != Failed || time.Now().After(deadline) || strings.HasPrefix(why, isNotThere) {
			return Result{step, verdict, why}
		}
		select {
		case <-ctx.Done():
			return Result{step, Failed, context.Cause(ctx).Error()}
		case <-time.After(pollEvery):
		}
	}
}

// once calls once and compares.
func (r *runner) once(ctx context.Context, step Step, input json.RawMessage) (Verdict, string) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	output, failure := r.client.Call(ctx, step.Action, input)
	if failure != nil {
		return r.judgeFailure(step, failure)
	}
	if slices.Contains(step.Local, r.client.Name()) {
		return Failed, "the client sent what it should refuse itself"
	}
	if step.Error != "" {
		return Failed, fmt.Sprintf("it succeeded, want %s: %s", step.Error, output)
	}
	var got any
	if err := json.Unmarshal(output, &got); err != nil {
		return Failed, fmt.Sprintf("the output %q: %v", output, err)
	}
	if err := r.compare(step, got); err != nil {
		return Failed, err.Error()
	}
	for name, path := range step.Save {
		value := at(got, path)
		if value == nil {
			return Failed, fmt.Sprintf("the output has no %s to save: %s", path, output)
		}
		r.variables[name] = value
	}
	return Passed, ""
}

func (r *runner) judgeFailure(step Step, failure *APIError) (Verdict, string) {
	isLocal := failure.Code == ClientSide
	switch {
	case isLocal && slices.Contains(step.Local, r.client.Name()):
		return Refused, ""
	case isLocal && step.IsNew && isOld(r.client.Name()):
		return Older, ""
	case step.Error == "":
		return Failed, failure.Error()
	case !slices.Contains(strings.Split(step.Error, "|"), failure.Code):
		return Failed, fmt.Sprintf("%v, want %s", failure, step.Error)
	case !strings.Contains(failure.Message, step.Message):
		return Failed, fmt.Sprintf("%v, want a message that holds %q", failure, step.Message)
	case failure.HTTPStatus != 0 && failure.HTTPStatus != declaredStatuses[failure.Code]:
		return Failed, fmt.Sprintf("%v, want status %d", failure, declaredStatuses[failure.Code])
	}
	return Passed, ""
}

// declaredStatuses are those of the service's model.
var declaredStatuses = map[string]int{invalidRequest: 400, invalidState: 400, notFound: 400, quotaExceeded: 402, "SerializationException": 400}

func (r *runner) compare(step Step, got any) error {
	wants := []object{step.Want}
	if !isOld(r.client.Name()) {
		wants = append(wants, step.WantNew)
	}
	for _, want := range wants {
		if want == nil {
			continue
		}
		filled, err := r.filled(want)
		if err != nil {
			return err
		}
		if difference := match("output", filled, got, r.region); difference != "" {
			return errors.New(difference)
		}
	}
	return nil
}

var variable = regexp.MustCompile(`\$\{([^}]+)\}`)

// filled replaces the variables in the texts of a value.
func (r *runner) filled(value any) (any, error) {
	switch value := value.(type) {
	case object:
		filled := object{}
		for name, each := range value {
			one, err := r.filled(each)
			if err != nil {
				return nil, err
			}
			filled[name] = one
		}
		return filled, nil
	case list:
		filled, err := r.filledList(value)
		return filled, err
	case holds:
		filled, err := r.filledList(value)
		return holds(filled), err
	case lacks:
		filled, err := r.filledList(value)
		return lacks(filled), err
	case string:
		return r.filledText(value)
	default:
		return value, nil
	}
}

func (r *runner) filledList(values []any) ([]any, error) {
	filled := make([]any, len(values))
	for i, each := range values {
		var err error
		if filled[i], err = r.filled(each); err != nil {
			return nil, err
		}
	}
	return filled, nil
}

func (r *runner) filledText(text string) (string, error) {
	var missing error
	filled := variable.ReplaceAllStringFunc(text, func(reference string) string {
		path := variable.FindStringSubmatch(reference)[1]
		value, isText := at(r.variables, path).(string)
		if !isText {
			missing = fmt.Errorf("no earlier step has saved %s", path)
		}
		return value
	})
	return filled, missing
}

// at is the value at a path, such as List.0.Name; nil when there is none.
func at(value any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch each := value.(type) {
		case object:
			value = each[name]
		case list:
			position, err := strconv.Atoi(name)
			if err != nil || position >= len(each) {
				return nil
			}
			value = each[position]
		default:
			return nil
		}
	}
	return value
}
