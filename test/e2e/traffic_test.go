package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// accessLine is what a test reads of a line of the access log.
type accessLine struct {
	Time                                              time.Time
	Service, Revision, Instance, Client, Method, Host string
	Path, Protocol, Problem                           string
	ServiceID                                         string `json:"service_id"`
	TraceID                                           string `json:"trace_id"`
	Agent                                             string `json:"user_agent"`
	Status, Attempts                                  int
	RequestBytes                                      int64   `json:"request_bytes"`
	ResponseBytes                                     int64   `json:"response_bytes"`
	Duration                                          float64 `json:"duration_ms"`
	Queue                                             float64 `json:"queue_ms"`
	Upstream                                          float64 `json:"upstream_ms"`
}

// tagsActAtOnce tags a running service by the AWS CLI, and looks at what becomes of its requests, also after a restart.
func tagsActAtOnce(t *testing.T, a *apron.Apron) {
	push(t, a, "tagged:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("tagged", "tagged:live", nil))
	before := service.WantOneInstance(t)
	wantStatus := func(path string, want int) apron.Answer {
		t.Helper()
		var answer apron.Answer
		apron.Until(t, 10*time.Second, "another treatment of "+path, func() (bool, error) {
			answer = a.Get(t, service.URL, path)
			return answer.Status == want, nil
		})
		return answer
	}
	tag := func(tags ...string) {
		t.Helper()
		a.AWS(t, nil, append([]string{"tag-resource", "--resource-arn", service.ARN, "--tags"}, tags...)...)
	}
	if answer := a.Get(t, service.URL, "/slow?for=1500ms"); answer.Status != 200 {
		t.Fatalf("before it is tagged: %d %s", answer.Status, answer.Body)
	}
	tag("Key=apron:request-timeout,Value=1s", "Key=apron:path-rules,Value=deny:/env deny:/read", "Key=apron:compression,Value=on")
	denied := wantStatus("/env?name=PATH", http.StatusForbidden)
	if !strings.HasPrefix(denied.Header.Get("Content-Type"), "application/json") {
		t.Errorf("a program is told %q as %s", denied.Body, denied.Header.Get("Content-Type"))
	}
	late := func() {
		t.Helper()
		if answer := a.Get(t, service.URL, "/slow?for=20s"); answer.Status != http.StatusGatewayTimeout || !strings.Contains(answer.Body, "within 1s") {
			t.Errorf("a slow request: %d %s", answer.Status, answer.Body)
		}
	}
	late()
	if answer := a.Get(t, service.URL, "/x/..%2fEnv?name=PATH"); answer.Status != http.StatusForbidden {
		t.Errorf("another spelling: %d %s", answer.Status, answer.Body)
	}
	for _, complaint := range []string{
		a.AWSFails(t, "tag-resource", "--resource-arn", service.ARN, "--tags", "Key=apron:request-timeout,Value=soon"),
		a.AWSFails(t, "tag-resource", "--resource-arn", service.ARN, "--tags", "Key=apron:freeze,Value=off", "Key=apron:freeze-after,Value=5m"),
	} {
		if !strings.Contains(complaint, "InvalidRequestException") || !strings.Contains(complaint, "apron:") {
			t.Errorf("a tag that is wrong: %s", complaint)
		}
	}

	a.Stop(t)
	a.Restart(t)
	if answer := a.Get(t, service.URL, "/env?name=PATH"); answer.Status != http.StatusForbidden {
		t.Errorf("after a restart: %d %s", answer.Status, answer.Body)
	}
	late()
	wantAccessLines(t, a, service, before)
	a.AWS(t, nil, "untag-resource", "--resource-arn", service.ARN, "--tag-keys", "apron:request-timeout", "apron:path-rules")
	wantStatus("/env?name=PATH", http.StatusOK)
	if after := service.WantOneInstance(t); after.ID != before.ID {
		t.Errorf("the instance is %+v, and was %+v before the tags", after, before)
	}
}

// wantAccessLines sends one request more and looks for it, and for those before, in the access log.
func wantAccessLines(t *testing.T, a *apron.Apron, service *apron.Service, instance apron.Instance) {
	t.Helper()
	const trace = "0af7651916cd43dd8448eb211c80319c"
	request, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+service.URL+"/sum?key=secret", strings.NewReader("four"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	request.Header.Set("User-Agent", `probe/1 "x"`)
	answer, err := a.Do(request)
	if err != nil || answer.Status != 200 {
		t.Fatalf("%+v, %v", answer, err)
	}
	var lines []accessLine
	apron.Until(t, 10*time.Second, "the lines of the access log", func() (bool, error) {
		lines = nil
		for text := range strings.Lines(a.MustCommand(t, "logs", service.Name, "--access", "-o", "json")) {
			var line accessLine
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				return false, err
			}
			lines = append(lines, line)
		}
		return len(lines) > 0 && lines[len(lines)-1].TraceID == trace, nil
	})
	last := lines[len(lines)-1]
	if last.Service != service.Name || len(last.ServiceID) != 32 || last.Revision == "" || last.Instance != instance.ID || last.Client != "127.0.0.1" ||
		last.Method != "POST" || !strings.HasPrefix(service.URL, last.Host) && !strings.HasPrefix(last.Host, service.URL) || last.Path != "/sum" || last.Protocol != "HTTP/1.1" ||
		last.Status != 200 || last.RequestBytes != 4 || last.ResponseBytes != int64(len(answer.Body)) || last.Attempts != 1 || last.Agent != `probe/1 "x"` ||
		last.Problem != "" || last.Duration <= 0 || last.Upstream <= 0 || last.Upstream > last.Duration || time.Since(last.Time) > time.Minute {
		t.Errorf("the line is %+v", last)
	}
	isLate := func(line accessLine) bool {
		return line.Status == 504 && line.Path == "/slow" && line.Problem != "" && line.Duration >= 1000
	}
	isDenied := func(line accessLine) bool { return line.Status == 403 && line.Path == "/env" && line.Instance == "" }
	if !slices.ContainsFunc(lines, isLate) || !slices.ContainsFunc(lines, isDenied) {
		t.Errorf("of the requests before there is %+v", lines)
	}
	if text := a.MustCommand(t, "logs", service.Name, "--access"); !strings.Contains(text, "200 POST /sum") || !strings.Contains(text, "504 GET /slow") {
		t.Errorf("for a person it is\n%s", text)
	}
}
