package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/apron-run/apron/test/apron"
)

// rawRequest is a request as no client sends it. What is empty is as clients have it.
type rawRequest struct {
	method, path, target, contentType, body string
	// edit changes the request after it was signed.
	edit func(*http.Request)
}

// send signs and sends a request, and returns what came back.
func (r rawRequest) send(t *testing.T, a *apron.Apron) (status int, header http.Header, body string) {
	t.Helper()
	keys, err := a.Keys()
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), or(r.method, http.MethodPost), a.Endpoint()+or(r.path, "/"), strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if target := or(r.target, "AppRunner.ListServices"); target != "none" {
		request.Header.Set("X-Amz-Target", target)
	}
	if kind := or(r.contentType, "application/x-amz-json-1.0"); kind != "none" {
		request.Header.Set("Content-Type", kind)
	}
	sum := sha256.Sum256([]byte(r.body))
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, request, hex.EncodeToString(sum[:]), "apprunner", a.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	if r.edit != nil {
		r.edit(request)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(read)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// What no client sends is refused with an error that every client can read, and apron goes on.
func TestRequestsThatNoClientSends(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	const unknown, unreadable, invalid = "UnknownOperationException", "SerializationException", "InvalidRequestException"
	const create = "AppRunner.CreateService"
	deep := `{"ServiceName":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`
	deepObject := strings.Repeat(`{"SourceConfiguration":`, 10_000) + `{}` + strings.Repeat("}", 10_000)
	for name, c := range map[string]struct {
		request rawRequest
		status  int
		code    string
	}{
		"no target":                         {rawRequest{target: "none", body: "{}"}, 400, unknown},
		"a target without its service":      {rawRequest{target: "ListServices", body: "{}"}, 400, unknown},
		"another service's target":          {rawRequest{target: "DynamoDB_20120810.ListTables", body: "{}"}, 400, unknown},
		"an action that there is not":       {rawRequest{target: "AppRunner.LaunchRocket", body: "{}"}, 400, unknown},
		"an action in lower case":           {rawRequest{target: "AppRunner.listservices", body: "{}"}, 400, unknown},
		"a very long target":                {rawRequest{target: "AppRunner." + strings.Repeat("x", 10_000), body: "{}"}, 400, unknown},
		"GET":                               {rawRequest{method: http.MethodGet}, 400, unknown},
		"PUT":                               {rawRequest{method: http.MethodPut, body: "{}"}, 400, unknown},
		"another path":                      {rawRequest{path: "/services", body: "{}"}, 400, unknown},
		"another version of the protocol":   {rawRequest{contentType: "application/x-amz-json-1.1", body: "{}"}, 415, "UnsupportedMediaTypeException"},
		"plain JSON":                        {rawRequest{contentType: "application/json", body: "{}"}, 415, "UnsupportedMediaTypeException"},
		"a form":                            {rawRequest{contentType: "application/x-www-form-urlencoded", body: "Action=ListServices"}, 415, "UnsupportedMediaTypeException"},
		"no content type":                   {rawRequest{contentType: "none", body: "{}"}, 415, "UnsupportedMediaTypeException"},
		"an empty body, which is no member": {rawRequest{}, 200, ""},
		"half a body":                       {rawRequest{body: `{"MaxResults":`}, 400, unreadable},
		"a list":                            {rawRequest{body: `[]`}, 400, unreadable},
		"a text":                            {rawRequest{body: `"services"`}, 400, unreadable},
		"null":                              {rawRequest{body: `null`}, 400, unreadable},
		"text after the body":               {rawRequest{body: `{}{}`}, 400, unreadable},
		"a comment":                         {rawRequest{body: `{/* all */}`}, 400, unreadable},
		"a comma too many":                  {rawRequest{body: `{"MaxResults":1,}`}, 400, unreadable},
		"a byte order mark":                 {rawRequest{body: "\ufeff{}"}, 400, unreadable},
		"a member that there is not":        {rawRequest{body: `{"Rocket":1}`}, 400, unreadable},
		"a member in lower case":            {rawRequest{body: `{"maxResults":1}`}, 400, unreadable},
		"a member twice":                    {rawRequest{body: `{"MaxResults":1,"MaxResults":2}`}, 400, unreadable},
		"a member twice, once escaped":      {rawRequest{body: `{"MaxResults":1,"\u004daxResults":2}`}, 400, unreadable},
		"text that is no UTF-8":             {rawRequest{body: "{\"NextToken\":\"\xff\xfe\"}"}, 400, unreadable},
		"half of a surrogate pair":          {rawRequest{body: `{"NextToken":"\ud800"}`}, 400, unreadable},
		"a number with a fraction":          {rawRequest{body: `{"MaxResults":2.5}`}, 400, unreadable},
		"a number that is too large":        {rawRequest{body: `{"MaxResults":99999999999999999999}`}, 400, unreadable},
		"a number as text":                  {rawRequest{body: `{"MaxResults":"3"}`}, 400, unreadable},
		"not a number":                      {rawRequest{body: `{"MaxResults":NaN}`}, 400, unreadable},
		"lists in lists":                    {rawRequest{target: create, body: deep}, 400, unreadable},
		"objects in objects":                {rawRequest{target: create, body: deepObject}, 400, unreadable},
		"a body of one megabyte and a byte": {rawRequest{target: create, body: strings.Repeat(" ", 1<<20) + "x"}, 413, "RequestEntityTooLargeException"},
		"a body of ten megabytes":           {rawRequest{target: create, body: strings.Repeat(" ", 10<<20)}, 413, "RequestEntityTooLargeException"},
		"no signature":                      {rawRequest{body: "{}", edit: func(r *http.Request) { r.Header.Del("Authorization") }}, 403, "MissingAuthenticationTokenException"},
		"half a signature":                  {rawRequest{body: "{}", edit: func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x") }}, 400, "IncompleteSignature"},
		"a signature of another action":     {rawRequest{body: "{}", edit: func(r *http.Request) { r.Header.Set("X-Amz-Target", "AppRunner.ListConnections") }}, 403, "InvalidSignatureException"},
		"a signature of another body":       {rawRequest{body: "{}", edit: replaceBody(`{"MaxResults":1}`)}, 403, "InvalidSignatureException"},
		"a null is no member":               {rawRequest{body: `{"MaxResults":null}`}, 200, ""},
		"white space around the body":       {rawRequest{body: " \r\n\t{ } \n"}, 200, ""},
		"a parameter of the content type":   {rawRequest{contentType: "application/x-amz-json-1.0; charset=utf-8", body: "{}"}, 200, ""},
		"an empty token is the first page":  {rawRequest{body: `{"NextToken":""}`}, 200, ""},
		"a token with a NUL":                {rawRequest{body: `{"NextToken":"a\u0000b"}`}, 400, invalid},
		"a token that is very long":         {rawRequest{body: `{"NextToken":"` + strings.Repeat("a", 60_000) + `"}`}, 400, invalid},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := c.request.send(t, a)
			if status != c.status {
				t.Fatalf("status %d, want %d: %.300s", status, c.status, body)
			}
			if c.code != "" {
				wantException(t, header, body, c.code)
			}
		})
	}
	if status, _, body := (rawRequest{body: "{}"}).send(t, a); status != http.StatusOK || body != `{"ServiceSummaryList":[]}` {
		t.Errorf("after all that a good request: %d %s", status, body)
	}
}

func replaceBody(body string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
		r.GetBody = nil
	}
}

// wantException fails the test unless an error is told in each of the ways in which clients look for it.
func wantException(t *testing.T, header http.Header, body, code string) {
	t.Helper()
	var told map[string]string
	if err := json.Unmarshal([]byte(body), &told); err != nil {
		t.Fatalf("the error %q: %v", body, err)
	}
	if told["__type"] != code || told["Message"] == "" || len([]rune(told["Message"])) > 600 {
		t.Errorf("the error is %s, want %s with a message of at most 600 characters", body, code)
	}
	for name, want := range map[string]string{"X-Amzn-Errortype": code, "Content-Type": "application/x-amz-json-1.0"} {
		if got := header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if header.Get("X-Amzn-Requestid") == "" || header.Get("Date") == "" {
		t.Errorf("there is no request id or no date: %v", header)
	}
}

// Answers have the form that the strictest client takes: bare names, a point in times, no null, an object when empty.
func TestAnswersHaveTheFormOfTheWire(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	_, header, body := (rawRequest{target: "AppRunner.CreateService", body: `{"ServiceName":"wire","SourceConfiguration":{"ImageRepository":{"ImageIdentifier":"wire:live","ImageRepositoryType":"ECR"}}}`}).send(t, a)
	if got := header.Get("Content-Type"); got != "application/x-amz-json-1.0" {
		t.Errorf("the content type is %q", got)
	}
	if header.Get("X-Amzn-Requestid") == "" || header.Get("Content-Length") == "" {
		t.Errorf("the header lacks a request id or a length: %v", header)
	}
	if strings.Contains(body, "null") || strings.Contains(body, "\n") || strings.Contains(body, `": `) {
		t.Errorf("the answer is not compact, or has nulls: %s", body)
	}
	var output struct {
		Service struct {
			ServiceArn           string
			CreatedAt, UpdatedAt json.Number
		}
	}
	if err := json.Unmarshal([]byte(body), &output); err != nil {
		t.Fatal(err)
	}
	for _, at := range []json.Number{output.Service.CreatedAt, output.Service.UpdatedAt} {
		if !strings.Contains(at.String(), ".") || strings.ContainsAny(at.String(), "eE") {
			t.Errorf("the time %s is no number with a point", at)
		}
	}
	tags, err := json.Marshal(object{"ResourceArn": output.Service.ServiceArn, "Tags": list{object{"Key": "a", "Value": ""}}})
	if err != nil {
		t.Fatal(err)
	}
	if status, _, body := (rawRequest{target: "AppRunner.TagResource", body: string(tags)}).send(t, a); status != http.StatusOK || body != "{}" {
		t.Errorf("an empty output is %d %q", status, body)
	}
}
