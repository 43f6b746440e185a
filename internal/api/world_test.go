package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/operation"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/secret"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/connection"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/webhook"
	"github.com/apron-run/apron/internal/store/sqlite"
	"github.com/apron-run/apron/internal/store/sqlstore"
	"github.com/apron-run/apron/internal/telemetry"
)

const (
	region    = "us-east-1"
	account   = "123456789012"
	keyID     = "AKIAEXAMPLE"
	secretKey = "an example of a secret"
)

// world is the API over a real store and the real starter of operations. Nobody runs the operations; settle ends them.
type world struct {
	t       testing.TB
	handler *api.Handler
	store   *sqlstore.Store
	// dirs are the folders in which anything is kept.
	dirs []string
	path string // of the database
}

func newWorld(t testing.TB, edits ...func(*api.Config)) *world {
	t.Helper()
	dir, data := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "apron.db")
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	box, err := secret.New(make([]byte, secret.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	repositories := git.New(git.Config{Data: data, Endpoint: source.NewEndpoint("127.0.0.1:8700")})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	logs := telemetry.NewLogs(t.TempDir())
	config := api.Config{
		Store: db, Operations: operation.NewStarter(db, logs, func() {}), Logs: logs, Instances: nobody{}, Scales: nobody{},
		Connections: connection.New(connection.Config{
			Secrets: box, As: func(access *source.Access) connection.Repositories { return repositories.As(access) },
		}),
		Webhooks: webhook.Secrets{Seal: box.Seal, Open: box.Open, Keep: db.KeepWebhook}, WebhookBase: "https://deploy.test/",
		Secrets: &secret.Vault{Box: box, Store: db, ARN: func(path string) string { return "arn:aws:apprunner:us-east-1:123456789012:" + path }, Now: time.Now},
		Keys:    source.KeyPair{ID: keyID, Secret: secretKey}, Region: region, Account: account, Domain: "apron.test", Listeners: platform.Listeners{HTTPPort: 8080, HTTPSPort: 8443},
		TokenKey: []byte("a key"), Runtimes: func() []string { return []string{"PYTHON_311"} },
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, edit := range edits {
		edit(&config)
	}
	handler := api.New(config)
	if err := handler.EnsureDefaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &world{t, handler, db, []string{dir, data}, path}
}

type nobody struct{}

func (nobody) List(context.Context, ...platform.ServiceID) ([]platform.Instance, error) {
	return nil, nil
}

func (nobody) Of(platform.Service) platform.Scale {
	return platform.Scale{
		Size: 3, Min: 1, Max: 5, Load: platform.Load{InFlight: 12, Waiting: 2, Frozen: []platform.InstanceID{"one"}},
		Reason: "14 requests", ChangedAt: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// send signs and sends a request as a client does. edit, when not nil, changes it after it was signed.
func (w *world) send(target, body string, edit func(*http.Request)) answer {
	w.t.Helper()
	received := w.request(target, body, edit)
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, received)
	return answer{recorder.Code, recorder.Header(), recorder.Body.String()}
}

// request is a signed request as the server receives it.
func (w *world) request(target, body string, edit func(*http.Request)) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://127.0.0.1:8700/", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	if target != "" {
		r.Header.Set("X-Amz-Target", target)
	}
	sum := sha256.Sum256([]byte(body))
	keys := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secretKey}
	if err := v4.NewSigner().SignHTTP(r.Context(), keys, r, hex.EncodeToString(sum[:]), "apprunner", region, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	if edit != nil {
		edit(r)
	}
	received := httptest.NewRequest(r.Method, r.URL.RequestURI(), r.Body)
	received.Host, received.Header, received.ContentLength = r.URL.Host, r.Header, r.ContentLength
	return received
}

// targetOf is the target of an action of App Runner's, or of one that has its prefix already.
func targetOf(action string) string {
	if strings.Contains(action, ".") {
		return action
	}
	return "AppRunner." + action
}

// call sends an action that must succeed, and reads its answer.
func (w *world) call(action, body string) map[string]any {
	w.t.Helper()
	got := w.send(targetOf(action), body, nil)
	if got.status != http.StatusOK {
		w.t.Fatalf("%s %s answers %d %s", action, body, got.status, got.body)
	}
	var read map[string]any
	if err := json.Unmarshal([]byte(got.body), &read); err != nil {
		w.t.Fatalf("%s answers %q: %v", action, got.body, err)
	}
	return read
}

// refused sends an action that must be refused, and returns the message.
func (w *world) refused(action, body, code string, status int) string {
	w.t.Helper()
	got := w.send(targetOf(action), body, nil)
	var read struct {
		Type string `json:"__type"`
		// Both forms are read by some client.
		Message string `json:"Message"`
	}
	if err := json.Unmarshal([]byte(got.body), &read); err != nil {
		w.t.Fatalf("%s answers %q: %v", action, got.body, err)
	}
	if got.status != status || read.Type != code || got.header.Get("X-Amzn-Errortype") != code {
		w.t.Errorf("%s %.200s answers %d %s (%s), want %d %s", action, body, got.status, got.body, got.header.Get("X-Amzn-Errortype"), status, code)
	}
	if read.Message == "" || len(read.Message) > 600 {
		w.t.Errorf("%s %.200s: the message has %d characters, want 1 to 600", action, body, len(read.Message))
	}
	return read.Message
}

const imageSource = `{"ImageRepository":{"ImageIdentifier":"web:1","ImageRepositoryType":"ECR"}}`

// create makes a service from an image and returns its ARN. Its operation goes on.
func (w *world) create(name string) string {
	w.t.Helper()
	made := w.call("CreateService", fmt.Sprintf(`{"ServiceName":%q,"SourceConfiguration":%s}`, name, imageSource))
	return made["Service"].(map[string]any)["ServiceArn"].(string)
}

// running makes a service that is RUNNING.
func (w *world) running(name string) string {
	w.t.Helper()
	arn := w.create(name)
	w.settle(arn, platform.ServiceStatusRunning)
	return arn
}

// settle ends the service's operation as a worker would, with a status.
func (w *world) settle(arn string, status platform.ServiceStatus, edits ...func(*platform.Service)) {
	w.t.Helper()
	now := time.Now().UTC()
	claimed, err := w.store.ClaimOperation(w.t.Context(), "test", now, now.Add(time.Minute))
	if err != nil {
		w.t.Fatal(err)
	}
	claimed.Status = platform.OperationStatusInProgress
	if err := w.store.SaveOperation(w.t.Context(), claimed, nil); err != nil {
		w.t.Fatal(err)
	}
	claimed.Status, claimed.EndedAt = platform.OperationStatusSucceeded, &now
	if status == platform.ServiceStatusCreateFailed || status == platform.ServiceStatusDeleteFailed {
		claimed.Status = platform.OperationStatusFailed
	}
	err = w.store.SaveOperation(w.t.Context(), claimed, func(service *platform.Service) {
		if service.ARN != arn {
			w.t.Errorf("the operation is of %s, want %s", service.ARN, arn)
		}
		service.Status = status
		if status == platform.ServiceStatusDeleted {
			service.DeletedAt = &now
		}
		for _, edit := range edits {
			edit(service)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// arnOf is a body that names a service.
func arnOf(arn string) string { return fmt.Sprintf(`{"ServiceArn":%q}`, arn) }

// masked replaces what differs from run to run.
func masked(text string) string {
	for pattern, with := range map[string]string{
		`[0-9a-f]{32}`: "ID", `"[a-z][a-z0-9]{9}\.us-east-1`: `"SUBDOMAIN.us-east-1`, `:1[0-9]{9}\.[0-9]+`: ":TIME",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	return text
}

func body(text string) *bytes.Reader { return bytes.NewReader([]byte(text)) }
