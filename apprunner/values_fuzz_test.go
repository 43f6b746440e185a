package apprunner

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"
)

// FuzzFromString checks for every scalar that a text never breaks its reader, that what is taken keeps to the scalar's
// limits, and that it is written so that it is read again as the same.
func FuzzFromString(f *testing.F) {
	for _, seed := range []string{
		"", "0", "-0", "007", "2147483648", "-2147483648", "1e3", "true", "TRUE", "2020-05-15T12:00:00Z", "2020-05-15T12:00:00.123456789+14:00",
		"0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1.5", "-62135596800", "999999999999.999999999", "1 vCPU", "arn:aws:apprunner:us-east-1:123456789012:service/a/b",
		"\xff", "aws:", "aw\ns", "GITHUB", "8fe1e10304f84fd2b0df550fe98a71fa",
	} {
		f.Add(seed)
	}
	var scalars []*shape
	for _, s := range everyShape() {
		if s.isScalar() {
			scalars = append(scalars, s)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range scalars {
			value, problem := s.parseText(text)
			if problem != "" {
				continue
			}
			again, problem := s.parseText(scalarText(value))
			if problem != "" || s.kind == kindString && scalarText(value) != text {
				t.Fatalf("%s: %q is read as %v, and that as %v (%s)", s.goType, text, value, again, problem)
			}
		}
		checkFromString[Memory](t, text)
		checkFromString[AppRunnerResourceARN](t, text)
		checkFromString[HealthCheckInterval](t, text)
		checkFromString[Timestamp](t, text)
		checkFromString[Boolean](t, text)
		checkFromString[ProviderType](t, text)
	})
}

func checkFromString[T any](t *testing.T, text string) {
	t.Helper()
	_, err := FromString[T](text)
	var refused *ValidationError
	if err != nil && (!errors.As(err, &refused) || len(refused.Violations) != 1 || len(err.Error()) > 1000) {
		t.Fatalf("%q: %v, want one short violation", text, err)
	}
}

// FuzzErrors checks that whatever a service answers to refuse, there is an error of the action, with a message within the
// model's bound; and that JSON which we write of it says the same.
func FuzzErrors(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"__type":"x#InvalidRequestException:y","message":"no"}`, `{"__type":5}`, `{"Message":"\ud800"}`, "null", "[", "<Error/>",
		"<Error><Code>ResourceNotfound</Code><Message>no</Message></Error>", "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>",
		`<!DOCTYPE a [<!ENTITY b "c">]><Error><Code>&b;</Code></Error>`, "<a><a><a>", "\xff",
	} {
		f.Add("", []byte(seed))
		f.Add("ResourceNotFoundException", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		for _, refused := range []StartDeploymentError{
			StartDeployment.ErrorFromJSON(name, 400, body), StartDeployment.ErrorFromXML(400, body),
		} {
			if refused == nil || refused.text() == nil || utf8.RuneCountInString(string(*refused.text())) > maxErrorMessage {
				t.Fatalf("%q is no error: %v", body, refused)
			}
			written := StartDeployment.ErrorToJSON(refused)
			if unknown, isUnknown := refused.(*UnknownOperationError); isUnknown {
				if unknown.Body != string(body) || len(body) > 0 && !bytes.Equal(written, body) {
					t.Fatalf("%q is kept as %q", body, unknown.Body)
				}
				continue
			}
			if !json.Valid(written) {
				t.Fatalf("%q becomes %q, which is no JSON", body, written)
			}
			if again := StartDeployment.ErrorFromJSON("", refused.HTTPStatus(), written); again.Code() != refused.Code() {
				t.Fatalf("%v becomes %v", refused, again)
			}
		}
	})
}

// FuzzDecodeAnswer checks that an answer is read as DecodeJSON reads it, and more than that only where there are members
// that are not known.
func FuzzDecodeAnswer(f *testing.F) {
	for _, seed := range []string{fullServiceJSON, `{"Newer":{"a":[1,null,{"b":"\u00e9"}]}}`, `{"Newer":[[[[`, `{"Newer":01}`, `{"Status":"NEWER"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		strict, lenient := new(Service), new(Service)
		strictErr, lenientErr := DecodeJSON(body, strict), DecodeAnswer(body, lenient)
		var refused *DecodeError
		errors.As(strictErr, &refused)
		switch {
		case strictErr == nil && lenientErr != nil:
			t.Fatalf("what DecodeJSON takes is refused: %v", lenientErr)
		case strictErr == nil && !bytes.Equal(EncodeJSON(strict), EncodeJSON(lenient)):
			t.Fatal("the two differ")
		case lenientErr == nil && !json.Valid(body):
			t.Fatalf("took what is no JSON: %q", body)
		case lenientErr == nil && refused != nil && refused.Problem != ProblemUnknownMember:
			t.Fatalf("took what DecodeJSON refuses: %v", strictErr)
		}
	})
}
