package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/sample"
)

// Each of these images starts once, and then a version is deployed that cannot work: the operation says why, and the
// service goes on as it was.
func TestAnImageThatCannotRunSaysWhyAndTheOldOneAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		broken sample.Variant
		want   []string
	}{
		"exits": {
			sample.Variant{Environment: map[string]string{"MODE": "exit", "EXIT_CODE": "3"}},
			[]string{"exit code 3", "the configuration has no DATABASE_URL"},
		},
		"exits without a fault": {sample.Variant{Environment: map[string]string{"MODE": "exit"}}, []string{"exit code 0"}},
		"out of memory": {
			sample.Variant{Environment: map[string]string{"MODE": "eat"}}, []string{"512 MB of memory", "loading everything into memory"},
		},
		"listens on no port": {
			sample.Variant{Environment: map[string]string{"MODE": "silent"}},
			[]string{"the application listened on no port", "nothing answered on 8080 within 60 s", "its last output was", "still waiting for the database"},
		},
		"listens on another port": {
			sample.Variant{Environment: map[string]string{"LISTEN": "9999"}},
			[]string{"the application listened on no port", "nothing answered on 8080", "listens on :9999"},
		},
		"another architecture": {sample.Variant{Architecture: "arm64"}, []string{"arm64", "amd64"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := shared(t)
			tag := "broken-" + strings.ReplaceAll(name, " ", "-")
			push(t, a, tag+":live", sample.Variant{Version: "good"})
			service := a.MustCreate(t, fromImage(tag, tag+":live", nil))
			process := a.Get(t, service.URL, "/id").Body
			c.broken.Version = "broken"
			push(t, a, tag+":live", c.broken)
			operation := service.WantOperation(t, service.Deploy(t), "ROLLBACK_SUCCEEDED")
			wantFailure(t, operation, c.want...)
			if last := operation.Steps[len(operation.Steps)-1]; last.Name != "roll back" || !strings.HasSuffix(last.Detail, "revision 1 goes on serving") {
				t.Errorf("the last step is %+v", last)
			}
			a.WantBody(t, service.URL, "/id", process)
			service.WantStatus(t, types.ServiceStatusRunning)
			service.WantOneInstance(t)
		})
	}
}

func TestAnImageThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "there:v1", sample.Variant{Version: "one"})
	for name, c := range map[string]struct {
		image string
		want  []string
	}{
		"no-repository": {a.API + "/nowhere:v1", []string{"nowhere"}},
		"no-tag":        {a.API + "/there:v2", []string{"no tag v2", "v1"}},
		"no-host":       {"registry.invalid/there:v1", []string{"registry.invalid", "does not exist or cannot be looked up"}},
	} {
		service, id := a.Create(t, fromImage("missing-"+name, c.image, nil))
		operation := service.WantOperation(t, id, "FAILED")
		if operation.Failure.Step != "resolve" {
			t.Errorf("it failed in %s, want resolve", operation.Failure.Step)
		}
		wantFailure(t, operation, c.want...)
		service.WantStatus(t, types.ServiceStatusCreateFailed)
	}
}

func TestRegistryCredentialsThatAreRefusedAreNamed(t *testing.T) {
	t.Parallel()
	a := shared(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	file := filepath.Join(a.Data, "registries.json")

	service, id := a.Create(t, fromImage("private-none", host+"/private:v1", nil))
	wantFailure(t, service.WantOperation(t, id, "FAILED"), host, "credentials", file)

	config := `{"auths":{"` + host + `":{"username":"somebody","password":"opensesame"}}}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	service, id = a.Create(t, fromImage("private-wrong", host+"/private:v1", nil))
	operation := service.WantOperation(t, id, "FAILED")
	wantFailure(t, operation, host, "refused the credentials")
	if strings.Contains(operation.String()+a.LogTail(10000), "opensesame") {
		t.Error("the password is told")
	}
}
