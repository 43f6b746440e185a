package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/api/sigv4"
)

// Error refuses a request. Its message is for the caller; its code decides the status.
type Error struct {
	Code    apprunner.ErrorCode
	Message string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Codes common to all actions, beside the service's own five.
const (
	codeIncompleteSignature  apprunner.ErrorCode = "IncompleteSignature"
	codeInvalidSignature     apprunner.ErrorCode = "InvalidSignatureException"
	codeMissingToken         apprunner.ErrorCode = "MissingAuthenticationTokenException"
	codeRequestTooLarge      apprunner.ErrorCode = "RequestEntityTooLargeException"
	codeRequestTimeout       apprunner.ErrorCode = "RequestTimeoutException"
	codeSerialization        apprunner.ErrorCode = "SerializationException"
	codeUnknownOperation     apprunner.ErrorCode = "UnknownOperationException"
	codeUnrecognizedClient   apprunner.ErrorCode = "UnrecognizedClientException"
	codeUnsupportedMediaType apprunner.ErrorCode = "UnsupportedMediaTypeException"
)

// statuses is the one table of what an error's code means to HTTP.
var statuses = map[apprunner.ErrorCode]int{
	apprunner.CodeInvalidRequest:       http.StatusBadRequest,
	apprunner.CodeInvalidState:         http.StatusBadRequest,
	apprunner.CodeResourceNotFound:     http.StatusBadRequest,
	apprunner.CodeServiceQuotaExceeded: http.StatusPaymentRequired,
	apprunner.CodeInternalServiceError: http.StatusInternalServerError,

	codeIncompleteSignature:  http.StatusBadRequest,
	codeInvalidSignature:     http.StatusForbidden,
	codeMissingToken:         http.StatusForbidden,
	codeRequestTooLarge:      http.StatusRequestEntityTooLarge,
	codeRequestTimeout:       http.StatusRequestTimeout,
	codeSerialization:        http.StatusBadRequest,
	codeUnknownOperation:     http.StatusBadRequest,
	codeUnrecognizedClient:   http.StatusForbidden,
	codeUnsupportedMediaType: http.StatusUnsupportedMediaType,
}

func invalidRequest(format string, args ...any) *Error {
	return &Error{apprunner.CodeInvalidRequest, fmt.Sprintf(format, args...)}
}

// invalidState is for a status that does not allow action. Where the model does not let the action say so, the request
// is invalid.
func invalidState(action apprunner.Action, format string, args ...any) *Error {
	if !action.Declares(apprunner.CodeInvalidState) {
		return invalidRequest(format, args...)
	}
	return &Error{apprunner.CodeInvalidState, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *Error {
	return &Error{apprunner.CodeResourceNotFound, fmt.Sprintf(format, args...)}
}

func quotaExceeded(format string, args ...any) *Error {
	return &Error{apprunner.CodeServiceQuotaExceeded, fmt.Sprintf(format, args...)}
}

// internalError tells what is wrong where that is no secret of apron's: fault is a sentence, or empty.
func internalError(requestID, fault string) *Error {
	if fault == "" {
		fault = "The request failed for a reason inside apron."
	}
	return &Error{apprunner.CodeInternalServiceError, fault + " apron's log has the cause under the request id " + requestID + "."}
}

func requestTooLarge() *Error {
	return &Error{codeRequestTooLarge, fmt.Sprintf("The request's body is larger than %d bytes, the most that is accepted.", maxBody)}
}

func requestTimeout(limit time.Duration) *Error {
	return &Error{codeRequestTimeout, fmt.Sprintf("The request's body did not arrive whole within %s.", limit)}
}

func serialization(format string, args ...any) *Error {
	return &Error{codeSerialization, fmt.Sprintf(format, args...)}
}

func unknownOperation(format string, args ...any) *Error {
	return &Error{codeUnknownOperation, fmt.Sprintf(format, args...)}
}

func unsupportedMediaType(format string, args ...any) *Error {
	return &Error{codeUnsupportedMediaType, fmt.Sprintf(format, args...)}
}

// signatureCodes says what each refusal of a signature is to App Runner.
var signatureCodes = map[sigv4.Problem]apprunner.ErrorCode{
	sigv4.ProblemMissing:    codeMissingToken,
	sigv4.ProblemIncomplete: codeIncompleteSignature,
	sigv4.ProblemUnknownKey: codeUnrecognizedClient,
	sigv4.ProblemInvalid:    codeInvalidSignature,
}

func badSignature(err *sigv4.Error) *Error { return &Error{signatureCodes[err.Problem], err.Text} }

// violated names the broken members of a shape.
func violated(err *apprunner.ValidationError) *Error {
	texts := make([]string, len(err.Violations))
	for i, violation := range err.Violations {
		texts[i] = violation.String()
	}
	return brokenMembers(texts)
}

// asOne refuses with everything that errors.Join put together, so that the caller hears of it at once. An error that is
// not about a member of the request comes alone.
func asOne(joined error) error {
	if joined == nil {
		return nil
	}
	var texts []string
	for _, err := range flatten(joined) {
		var refused *Error
		if !errors.As(err, &refused) || refused.Code != apprunner.CodeInvalidRequest {
			return err
		}
		texts = append(texts, strings.TrimSuffix(refused.Message, "."))
	}
	if len(texts) < 2 {
		return joined
	}
	return brokenMembers(texts)
}

func flatten(err error) []error {
	joined, isJoined := err.(interface{ Unwrap() []error }) // not errors.As: an error around a joined one stays whole
	if !isJoined {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, flatten(one)...)
	}
	return all
}

// brokenMembers names every broken member that fits into a message, and how many do not.
func brokenMembers(texts []string) *Error {
	const room = 540 // of 600 characters, for the members
	total := len(texts)
	var text strings.Builder
	if total > 1 {
		fmt.Fprintf(&text, "%d members are not valid: ", total)
	}
	for i, one := range texts {
		if i > 0 && text.Len()+len(one) > room {
			fmt.Fprintf(&text, "; and %d more", total-i)
			break
		}
		if i > 0 {
			text.WriteString("; ")
		}
		text.WriteString(one)
	}
	return invalidRequest("%s.", text.String())
}

// renamed is err where an action calls a member otherwise than most.
func renamed(err error, member, name string) error {
	var refused *Error
	if !errors.As(err, &refused) {
		return err
	}
	if rule, isAbout := strings.CutPrefix(refused.Message, member+": "); isAbout {
		return &Error{refused.Code, name + ": " + rule}
	}
	return err
}
