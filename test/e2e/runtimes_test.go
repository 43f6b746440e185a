package e2e

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apron-run/apron/internal/app"
	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
	"github.com/apron-run/apron/internal/build/recipe/recipetest"
	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// operatorsRuntimes is what an operator adds: two images of a registry that this machine reaches by a mirror.
const operatorsRuntimes = `
runtimes:
  php81: null
  tool1:
    api: TOOL_1
    version: "1.0"
    build-image: registry.corp.example/tools/tool:build
    run-image: registry.corp.example/tools/tool:run
`

// toolApp is an app for it. It is started by a program that only the run image has.
var toolApp = map[string]string{
	"apprunner.yaml": "version: 1.0\nruntime: tool1\nbuild:\n  commands:\n    build: [compile]\nrun:\n  command: serve\n",
	"README":         "nothing to see\n",
}

const serveTool = `#!/bin/sh
cd /app && exec python3 -c '
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((os.environ["TOOL"] + ", " + open("/app/compiled").read().strip()).encode())
http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
'
`

// closedRegistry is a registry on loopback with a certificate authority of its own, for those who have its password.
type closedRegistry struct {
	*httptest.Server
	auth authn.Authenticator
}

func newClosedRegistry(t *testing.T) *closedRegistry {
	t.Helper()
	const user, password = "builder", "open sesame"
	images := memory.New(memory.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, word, _ := r.BasicAuth(); name != user || word != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="tools"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return &closedRegistry{server, &authn.Basic{Username: user, Password: password}}
}

func (r *closedRegistry) host() string { return strings.TrimPrefix(r.URL, "https://") }

func (r *closedRegistry) push(t *testing.T, tag string, image v1.Image) {
	t.Helper()
	where, err := name.NewTag(r.host() + "/tools/tool:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(where, image, remote.WithAuth(r.auth), remote.WithTransport(r.Client().Transport)); err != nil {
		t.Fatal(err)
	}
}

// trust makes the registry the mirror of registry.corp.example for an apron, with its authority and its password.
func (r *closedRegistry) trust(t *testing.T, data string) {
	t.Helper()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	credentials, err := r.auth.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	auths, err := json.Marshal(map[string]any{"auths": map[string]any{r.host(): map[string]string{
		"username": credentials.Username, "password": credentials.Password,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{
		"corp.pem":        string(authority),
		"registries.json": string(auths),
		"registries.yaml": fmt.Sprintf("registries:\n  registry.corp.example: {mirrors: [%q]}\n  %q: {ca: corp.pem}\n", r.URL, r.host()),
	} {
		if err := os.WriteFile(filepath.Join(data, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// toolImage is what python311 runs in, with files and variables added.
func toolImage(t *testing.T, files map[string]string, environment ...string) v1.Image {
	t.Helper()
	cache, err := recipe.Open(app.Default().CacheDir, func() host.Settings { return host.Discover(t.Context()) })
	if err != nil {
		t.Fatal(err)
	}
	runtimes, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	python, _ := runtimes.ByName("python311")
	images, err := cache.Images(t.Context(), runtimes, python, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(images.Release)
	return recipetest.Image(t, cache.Content(), images.Run, files, environment)
}

// The story of an operator's own runtime: pulled from a closed registry, built for, refreshed, and brought to the service by
// its next deployment.
func TestAnOperatorsRuntimeIsPulledBuiltForRefreshedAndDeployedAgain(t *testing.T) {
	t.Parallel()
	registry := newClosedRegistry(t)
	const path = "PATH=/opt/tool/bin:/usr/bin:/bin"
	registry.push(t, "build", toolImage(t, map[string]string{
		"opt/tool/bin/compile": "#!/bin/sh\necho compiled with $TOOL >/app/compiled\n",
	}, path, "TOOL=the compiler"))
	runImage := func(tool string) v1.Image {
		return toolImage(t, map[string]string{"opt/tool/bin/serve": serveTool}, path, "TOOL="+tool)
	}
	registry.push(t, "run", runImage("the first"))

	mine := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(mine, []byte(operatorsRuntimes), 0o600); err != nil {
		t.Fatal(err)
	}
	a := apron.Start(t, "--runtimes="+mine, "--cache="+filepath.Join(t.TempDir(), "cache"))
	wantRuntime(t, a, "tool1", "not made")
	if listed := a.MustCommand(t, "runtimes"); strings.Contains(listed, "php81") {
		t.Errorf("a runtime that the operator has taken away is listed:\n%s", listed)
	}
	if failed := a.Command(t, "runtimes", "pull", "tool1"); failed.Code != 1 || !strings.Contains(failed.Err, "registry.corp.example") {
		t.Errorf("without a mirror the pull ends with %+v", failed)
	}
	wantRuntime(t, a, "tool1", "failed")

	registry.trust(t, a.Data)
	repository := sample.NewRepository(t, toolApp)
	pushCode(t, a, repository, "tool")
	service := a.MustCreate(t, fromCode("tool", a.Endpoint()+"/git/tool.git")) // pulls it
	a.WantBody(t, service.URL, "/", "the first, compiled with the compiler")
	if told := a.MustCommand(t, "logs", "tool", "--build"); !strings.Contains(told, "pulled registry.corp.example/tools/tool:run") {
		t.Errorf("the build's log does not tell of the pull:\n%s", told)
	}
	wantRuntime(t, a, "tool1", "ready")
	if again := a.Command(t, "runtimes", "pull", "tool1", "--refresh"); again.Code != 0 || !strings.Contains(again.Out, "tool1 is unchanged") {
		t.Errorf("a refresh without a change: %+v", again)
	}

	registry.push(t, "run", runImage("the second"))
	refreshed := a.Command(t, "runtimes", "build", "tool1", "--refresh") // the other verb does the same
	for _, want := range []string{"tool1 is an image", "pulling registry.corp.example/tools/tool@sha256:", "tool1 is ready", "1 service runs on an older one: tool"} {
		if !strings.Contains(refreshed.Err+refreshed.Out, want) || refreshed.Code != 0 {
			t.Errorf("the refresh does not tell %q: %+v", want, refreshed)
		}
	}
	a.WantBody(t, service.URL, "/", "the first, compiled with the compiler")
	service.MustDeploy(t)
	a.WantBody(t, service.URL, "/", "the second, compiled with the compiler")
	if listed := a.MustCommand(t, "runtimes"); strings.Contains(listed, "older one") {
		t.Errorf("after the deployment a service counts as outdated:\n%s", listed)
	}
}

func wantRuntime(t *testing.T, a *apron.Apron, name, state string) {
	t.Helper()
	listed := a.MustCommand(t, "runtimes")
	for line := range strings.Lines(listed) {
		if strings.HasPrefix(line, name+" ") && strings.Contains(line, " "+state+" ") {
			return
		}
	}
	t.Errorf("%s is not %s:\n%s", name, state, listed)
}
