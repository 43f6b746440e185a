package apprunner

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
)

// ErrorFromJSON reads the body of an answer that is no success. name is the exception's, as the header X-Amzn-ErrorType
// or the body's __type gives it; what stands before a # or after a : in it is not part of the name. An exception that the
// action does not declare is an *UnknownOperationError with the body as it came.
func (e Endpoint[I, O, E]) ErrorFromJSON(name string, status int, body []byte) E {
	var fields struct {
		Type         string `json:"__type"`
		Message      string
		LowerMessage string `json:"message"`
	}
	// What is no JSON object has no members: the body as it came says the rest.
	_ = json.Unmarshal(body, &fields)
	if name == "" {
		name = fields.Type
	}
	if fields.Message == "" {
		fields.Message = fields.LowerMessage
	}
	return e.makeError(bareName(name), status, fields.Message, body)
}

// ErrorFromXML reads an error of the Query and REST-XML protocols: an Error element with a Code and a Message, alone or in
// an ErrorResponse.
func (e Endpoint[I, O, E]) ErrorFromXML(status int, body []byte) E {
	var fields struct {
		Code, Message string
		Error         struct{ Code, Message string }
	}
	_ = xml.Unmarshal(body, &fields)
	if fields.Code == "" {
		fields.Code, fields.Message = fields.Error.Code, fields.Error.Message
	}
	code := bareName(fields.Code)
	if declared, isKnown := queryCodes[string(code)]; isKnown {
		code = declared
	}
	return e.makeError(code, status, fields.Message, body)
}

// ErrorToJSON is the inverse of ErrorFromJSON.
func (e Endpoint[I, O, E]) ErrorToJSON(err E) []byte {
	exception := any(err).(Exception)
	if unknown, isUnknown := exception.(*UnknownOperationError); isUnknown && unknown.Body != "" {
		return []byte(unknown.Body)
	}
	return EncodeException(exception)
}

func (e Endpoint[I, O, E]) makeError(code ErrorCode, status int, message string, body []byte) E {
	var exception Exception
	if e.Declares(code) {
		exception = NewException(code, status, message)
	} else {
		if message == "" {
			message = fmt.Sprintf("HTTP status %d", status)
		}
		exception = &UnknownOperationError{Name: code, Status: status, Body: string(body), Message: new(ErrorMessage(cutMessage(message)))}
	}
	sum, isMember := exception.(E)
	if !isMember {
		panic(fmt.Sprintf("apprunner: %s declares %s, and its sum of errors does not hold it", e.Name, code))
	}
	return sum
}

func bareName(name string) ErrorCode {
	if i := strings.LastIndexByte(name, '#'); i >= 0 {
		name = name[i+1:]
	}
	name, _, _ = strings.Cut(name, ":")
	return ErrorCode(strings.TrimSpace(name))
}
