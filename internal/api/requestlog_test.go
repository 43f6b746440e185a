package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/api"
)

// logOf makes a world whose log is read.
func logOf(t *testing.T) (w *world, lines func() []map[string]any) {
	t.Helper()
	var log bytes.Buffer
	w = newWorld(t, func(c *api.Config) { c.Log = slog.New(slog.NewJSONHandler(&log, nil)) })
	return w, func() []map[string]any {
		t.Helper()
		var read []map[string]any
		for line := range strings.Lines(log.String()) {
			one := map[string]any{}
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Fatal(err)
			}
			read = append(read, one)
		}
		return read
	}
}

func TestEachRequestIsInTheLogWithWhatItCameTo(t *testing.T) {
	w, lines := logOf(t)
	cases := []struct {
		target, body         string
		edit                 func(*http.Request)
		action, caller, code string
		status               int
	}{
		{"AppRunner.ListServices", "{}", nil, "ListServices", keyID, "", 200},
		{"AppRunner.CreateService", fmt.Sprintf(`{"ServiceName":"web1","SourceConfiguration":%s}`, imageSource), nil, "CreateService", keyID, "", 200},
		{"AppRunner.DescribeService", arnOf("arn:aws:apprunner:us-east-1:1:x"), nil, "DescribeService", keyID, "InvalidRequestException", 400},
		{"AppRunner.Nothing", "{}", nil, "", keyID, "UnknownOperationException", 400},
		{"AppRunner.ListServices", "{}", func(r *http.Request) { r.Header.Del("Authorization") }, "", "192.0.2.1", "MissingAuthenticationTokenException", 403},
	}
	for _, c := range cases {
		got := w.send(c.target, c.body, c.edit)
		all := lines()
		line := all[len(all)-1]
		want := map[string]any{
			"time": line["time"], "level": "INFO", "msg": "request", "action": c.action, "request": got.header.Get("X-Amzn-Requestid"),
			"caller": c.caller, "duration": line["duration"], "status": float64(c.status),
		}
		if c.code != "" {
			want["code"] = c.code
		}
		if fmt.Sprint(line) != fmt.Sprint(want) || got.status != c.status || line["duration"] == nil {
			t.Errorf("%s leaves %v, want %v", c.target, line, want)
		}
	}
}

func TestNoSecretIsInTheLog(t *testing.T) {
	w, lines := logOf(t)
	const hidden = "hunter2"
	source := fmt.Sprintf(`{"ImageRepository":{"ImageIdentifier":"web:1","ImageRepositoryType":"ECR","ImageConfiguration":{
		"StartCommand":"run %[1]s","RuntimeEnvironmentVariables":{"KEY":%[1]q}}}}`, hidden)
	w.call("CreateService", fmt.Sprintf(`{"ServiceName":"web1","SourceConfiguration":%s,"Tags":[{"Key":"k","Value":%q}]}`, source, hidden))
	w.create("web2")
	token := w.call("ListServices", `{"MaxResults":1}`)["NextToken"].(string)
	w.send("AppRunner.ListServices", fmt.Sprintf(`{"NextToken":%q}`, token), nil)
	w.send("AppRunner.ListServices", fmt.Sprintf(`{"NextToken":%q}`, token+hidden), nil)
	w.send("AppRunner.CreateService", fmt.Sprintf(`{"ServiceName":%q,"SourceConfiguration":{"X":%[1]q}`, hidden), nil)
	w.send(hidden, "{}", nil)
	var authorizations []string
	for _, change := range []func(*http.Request){
		func(r *http.Request) {},
		func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", hidden) },
		func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=" + hidden },
		func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+hidden) },
	} {
		w.send("AppRunner.ListServices", "{}", func(r *http.Request) {
			authorizations = append(authorizations, r.Header.Get("Authorization"))
			change(r)
		})
	}
	secrets := []string{hidden, token, secretKey}
	for _, authorization := range authorizations {
		_, signature, _ := strings.Cut(authorization, "Signature=")
		secrets = append(secrets, signature)
	}
	log := fmt.Sprint(lines())
	for _, secret := range secrets {
		if secret == "" || strings.Contains(log, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	if got := len(lines()); got != 11 {
		t.Errorf("%d lines, want 11", got)
	}
}

func TestManyReadsLeaveFewLinesAndTheNumberOfTheRest(t *testing.T) {
	w, lines := logOf(t)
	const reads = 2_000
	for range reads {
		w.call("ListServices", "{}")
	}
	logged, unlogged := 0, 0
	for _, line := range lines() {
		logged++
		if n, isThere := line["unlogged"]; isThere {
			unlogged += int(n.(float64))
		}
	}
	if logged < 100 || logged > reads/2 || logged+unlogged > reads {
		t.Errorf("%d reads left %d lines that tell of %d more", reads, logged, unlogged)
	}
	// What changes something is not crowded out.
	w.create("web1")
	all := lines()
	if last := all[len(all)-1]; last["action"] != "CreateService" {
		t.Errorf("the last line is %v, want the creation", last)
	}
}
