package apprunner

// maxErrorMessage is the model's bound of a message, in characters.
const maxErrorMessage = 600

// ErrorCode is the name of an exception, as in __type.
type ErrorCode string

// The service's own exceptions.
const (
	CodeInvalidRequest       ErrorCode = "InvalidRequestException"
	CodeInvalidState         ErrorCode = "InvalidStateException"
	CodeResourceNotFound     ErrorCode = "ResourceNotFoundException"
	CodeServiceQuotaExceeded ErrorCode = "ServiceQuotaExceededException"
	CodeInternalServiceError ErrorCode = "InternalServiceErrorException"
)

// Exception is an error of the service: one of the five types below, or an UnknownOperationError.
type Exception interface {
	error
	Code() ErrorCode
	// HTTPStatus is what the answer carries.
	HTTPStatus() int
	// text closes the sum: no other package adds to it.
	text() *ErrorMessage
}

// InvalidRequestException: the request is wrong as it is.
type InvalidRequestException struct{ Message *ErrorMessage }

// InvalidStateException: the resource's state does not allow the action now.
type InvalidStateException struct{ Message *ErrorMessage }

// ResourceNotFoundException: the ARN names nothing.
type ResourceNotFoundException struct{ Message *ErrorMessage }

// ServiceQuotaExceededException: there are as many of these as may be.
type ServiceQuotaExceededException struct{ Message *ErrorMessage }

// InternalServiceErrorException: the service failed.
type InternalServiceErrorException struct{ Message *ErrorMessage }

// UnknownOperationError is an error that the action does not declare: authentication, throttling, or one of a newer
// service.
type UnknownOperationError struct {
	Name   ErrorCode
	Status int
	// Body is the answer as it came; empty when the error was made here.
	Body    string
	Message *ErrorMessage
}

func (*InvalidRequestException) Code() ErrorCode       { return CodeInvalidRequest }
func (*InvalidStateException) Code() ErrorCode         { return CodeInvalidState }
func (*ResourceNotFoundException) Code() ErrorCode     { return CodeResourceNotFound }
func (*ServiceQuotaExceededException) Code() ErrorCode { return CodeServiceQuotaExceeded }
func (*InternalServiceErrorException) Code() ErrorCode { return CodeInternalServiceError }
func (e *UnknownOperationError) Code() ErrorCode       { return e.Name }

func (*InvalidRequestException) HTTPStatus() int       { return 400 }
func (*InvalidStateException) HTTPStatus() int         { return 400 }
func (*ResourceNotFoundException) HTTPStatus() int     { return 400 }
func (*ServiceQuotaExceededException) HTTPStatus() int { return 402 }
func (*InternalServiceErrorException) HTTPStatus() int { return 500 }
func (e *UnknownOperationError) HTTPStatus() int       { return e.Status }

func (e *InvalidRequestException) text() *ErrorMessage       { return e.Message }
func (e *InvalidStateException) text() *ErrorMessage         { return e.Message }
func (e *ResourceNotFoundException) text() *ErrorMessage     { return e.Message }
func (e *ServiceQuotaExceededException) text() *ErrorMessage { return e.Message }
func (e *InternalServiceErrorException) text() *ErrorMessage { return e.Message }
func (e *UnknownOperationError) text() *ErrorMessage         { return e.Message }

func (e *InvalidRequestException) Error() string       { return describe(e) }
func (e *InvalidStateException) Error() string         { return describe(e) }
func (e *ResourceNotFoundException) Error() string     { return describe(e) }
func (e *ServiceQuotaExceededException) Error() string { return describe(e) }
func (e *InternalServiceErrorException) Error() string { return describe(e) }
func (e *UnknownOperationError) Error() string         { return describe(e) }

func describe(e Exception) string {
	message := e.text()
	switch {
	case message == nil:
		return string(e.Code())
	case e.Code() == "": // the answer of something that is not App Runner
		return string(*message)
	}
	return string(e.Code()) + ": " + string(*message)
}

// NewException returns the exception of that code. Characters of the message beyond the model's bound are cut off. status
// matters only for a code that the model does not have.
func NewException(code ErrorCode, status int, message string) Exception {
	text := new(ErrorMessage(cutMessage(message)))
	switch code {
	case CodeInvalidRequest:
		return &InvalidRequestException{text}
	case CodeInvalidState:
		return &InvalidStateException{text}
	case CodeResourceNotFound:
		return &ResourceNotFoundException{text}
	case CodeServiceQuotaExceeded:
		return &ServiceQuotaExceededException{text}
	case CodeInternalServiceError:
		return &InternalServiceErrorException{text}
	default:
		return &UnknownOperationError{Name: code, Status: status, Message: text}
	}
}

// queryCodes are the codes that the service model gives its exceptions in the Query protocol, misspelling included.
var queryCodes = map[string]ErrorCode{
	"InvalidRequest":       CodeInvalidRequest,
	"InvalidState":         CodeInvalidState,
	"ResourceNotfound":     CodeResourceNotFound,
	"ServiceQuotaExceeded": CodeServiceQuotaExceeded,
	"InternalServiceError": CodeInternalServiceError,
}

// EncodeException returns an exception's JSON body. Its __type is the bare name, which is what the strictest client takes.
func EncodeException(e Exception) []byte {
	body := append([]byte(`{"__type":`), appendString(nil, string(e.Code()))...)
	if message := e.text(); message != nil {
		body = append(body, `,"Message":`...)
		body = appendString(body, string(*message))
	}
	return append(body, '}')
}

// cutMessage keeps a message within the model's bound, and shows where it was cut.
func cutMessage(message string) string {
	count, cut := 0, 0
	for i := range message {
		if count == maxErrorMessage-1 {
			cut = i
		}
		if count++; count > maxErrorMessage {
			return message[:cut] + "…"
		}
	}
	return message
}
