package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// gitHost is a Git server on loopback, by git's own program, with the repository app.
type gitHost struct {
	work *sample.Repository
	bare string
	// url is the repository's.
	url string
}

func startGitHost(t *testing.T, files map[string]string) *gitHost {
	t.Helper()
	core, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	host := &gitHost{work: sample.NewRepository(t, files), bare: filepath.Join(dir, "app.git")}
	host.work.Git("clone", "--quiet", "--bare", host.work.Dir, host.bare)
	host.work.Git("--git-dir="+host.bare, "config", "uploadpack.allowFilter", "true")
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME=/nonexistent"},
	})
	t.Cleanup(server.Close)
	host.url = server.URL + "/app.git"
	return host
}

// push commits files and pushes them, and returns the commit.
func (h *gitHost) push(files map[string]string, flags ...string) string {
	h.work.Commit("Go on", files)
	h.work.Git(append([]string{"push", "--quiet", h.bare, "main"}, flags...)...)
	return h.work.Head()
}

// gitHubCall is a push as GitHub tells of it.
func gitHubCall(t *testing.T, url, secret string, push map[string]any) (status int, answer string) {
	t.Helper()
	push["ref"], push["pusher"] = "refs/heads/main", map[string]string{"name": "ada"}
	body, err := json.Marshal(push)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-GitHub-Event", "push")
	request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// awaitEvent waits until the service's event log has a text so many times.
func awaitEvent(t *testing.T, service *apron.Service, text string, times int) {
	t.Helper()
	apron.Until(t, time.Minute, text, func() (bool, error) {
		events := strings.Join(service.Lines(t, "events"), "\n")
		return strings.Count(events, text) == times, errors.New(events)
	})
}

// A host that apron knows nothing of tells of pushes by its webhook: what they bring is deployed at once and once, and only
// where it touches the app's folder.
func TestAWebhookDeploysWhatWasPushedElsewhere(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "hooked-base:live", sample.Variant{Version: "base"})
	app := func(version string) map[string]string {
		return map[string]string{"web/Dockerfile": "FROM " + a.API + "/hooked-base:live\nENV VERSION=" + version + "\nEXPOSE 8080\n", "other/file": version}
	}
	host := startGitHost(t, app("one"))
	input := fromCode("hooked", host.url)
	input.SourceConfiguration.AutoDeploymentsEnabled = ptr(true)
	input.SourceConfiguration.CodeRepository.SourceDirectory = ptr("/web")
	input.Tags = []types.Tag{{Key: ptr("apron:build"), Value: ptr("dockerfile")}}
	service := a.MustCreate(t, input)
	var hook struct{ URL, Secret string }
	a.CommandJSON(t, &hook, "webhook", "hooked")
	if printed := a.MustCommand(t, "webhook", "hooked", "--host", "github"); !strings.Contains(printed, hook.URL) || !strings.Contains(printed, "Secret: "+hook.Secret) {
		t.Errorf("apron webhook prints\n%s", printed)
	}
	tell := func(push map[string]any) {
		t.Helper()
		if status, answer := gitHubCall(t, hook.URL, hook.Secret, push); status != http.StatusAccepted {
			t.Errorf("the webhook answers %d %s", status, answer)
		}
	}

	commit := host.push(app("two"))
	begun := time.Now()
	tell(map[string]any{"after": commit})
	apron.Until(t, time.Minute, "the deployment", func() (bool, error) {
		ids, _ := deployments(t, a, service)
		return len(ids) > 0, nil
	})
	t.Logf("from the webhook to the operation: %s", time.Since(begun))
	operation := wantDeployments(t, a, service, 1)
	a.WantBody(t, service.URL, "/", "two")
	trigger := fmt.Sprintf("push of main by ada, commit %.7s, webhook from GitHub", commit)
	wantEvent(t, service, "The deployment is automatic ("+trigger+").")
	if printed := a.MustCommand(t, "operation", operation.ID); !strings.Contains(printed, "Automatic: "+trigger) {
		t.Errorf("apron operation prints\n%s", printed)
	}

	if printed := a.MustCommand(t, "operations", "hooked"); !strings.Contains(printed, "↳ automatic: "+trigger) {
		t.Errorf("apron operations prints\n%s", printed)
	}

	// What touches another folder is told.
	tell(map[string]any{"after": host.push(map[string]string{"other/file": "three"})})
	awaitEvent(t, service, "because nothing has changed in /web", 1)
	wantDeployments(t, a, service, 1)

	host.work.Git("reset", "--quiet", "--hard", "HEAD~2")
	forced := host.push(app("forced"), "--force")
	tell(map[string]any{"after": forced, "forced": true})
	wantDeployments(t, a, service, 2)
	a.WantBody(t, service.URL, "/", "forced")
	awaitEvent(t, service, fmt.Sprintf("The deployment is automatic (forced push of main by ada, commit %.7s, webhook from GitHub).", forced), 1)

	for range 3 { // a repeated call is nothing new
		tell(map[string]any{"after": forced, "forced": true})
	}
	if answer := a.MustCommand(t, "webhook", "hooked", "--test"); !strings.Contains(answer, "apron looks what the branch main means now") {
		t.Errorf("the test of the webhook prints %q", answer)
	}
	if status, _ := gitHubCall(t, hook.URL, "guessed", map[string]any{"after": forced}); status != http.StatusUnauthorized {
		t.Errorf("a call with another secret: %d", status)
	}
	var rotated struct{ URL, Secret string }
	a.CommandJSON(t, &rotated, "webhook", "hooked", "--rotate")
	if status, _ := gitHubCall(t, hook.URL, hook.Secret, map[string]any{"after": forced}); status != http.StatusUnauthorized {
		t.Errorf("a call with the secret of before: %d", status)
	}
	hook = rotated
	host.work.Git("push", "--quiet", host.bare, "main:kept")
	host.work.Git("--git-dir="+host.bare, "update-ref", "-d", "refs/heads/main")
	tell(map[string]any{"after": strings.Repeat("0", 40), "deleted": true})
	awaitEvent(t, service, "Nothing is deployed, and the service goes on as it is (", 1)
	wantDeployments(t, a, service, 2)
	a.WantBody(t, service.URL, "/", "forced")
}

// Where no webhook reaches, apron looks by itself: also after a start, and not again at what has failed.
func TestASourceElsewhereIsLookedAt(t *testing.T) {
	t.Parallel()
	a := apron.Start(t, "--poll=1s", "--deadline=health-check=5s")
	registry := serveImage(t, sample.Image(t, sample.Variant{Version: "one"}), nil)
	pushImage := func(variant sample.Variant) {
		t.Helper()
		reference, err := name.ParseReference(registry + "/app:live")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(reference, sample.Image(t, variant)); err != nil {
			t.Fatal(err)
		}
	}
	input := fromImage("looked-at", registry+"/app:live", nil)
	input.SourceConfiguration.AutoDeploymentsEnabled = ptr(true)
	service := a.MustCreate(t, input)
	pushImage(sample.Variant{Version: "two"})
	wantDeployments(t, a, service, 1)
	a.WantBody(t, service.URL, "/", "two")
	wantEvent(t, service, "The deployment is automatic (polling found digest ")

	pushImage(sample.Variant{Version: "broken", Environment: map[string]string{"LISTEN": "1"}}) // where nobody looks
	var failed string
	apron.Until(t, time.Minute, "the deployment that fails", func() (bool, error) {
		ids, isAtRest := deployments(t, a, service)
		failed = ids[0]
		return isAtRest && len(ids) == 2, nil
	})
	service.WantOperation(t, failed, "ROLLBACK_SUCCEEDED")
	a.Stop(t)
	pushImage(sample.Variant{Version: "three"})
	a.Restart(t)
	wantDeployments(t, a, service, 3)
	a.WantBody(t, service.URL, "/", "three")
}
