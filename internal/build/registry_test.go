package build_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	memory "github.com/google/go-containerregistry/pkg/registry"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/platform"
)

// A registry that asks for a password and has a certificate authority of its own, by basic and by bearer authentication.
func TestADockerfilesImageComesFromAPrivateRegistry(t *testing.T) {
	w := openWorld(t)
	const password = "pl4nted-passw0rd"
	images := memory.New(memory.Logger(log.New(io.Discard, "", 0)))
	open := httptest.NewServer(images)
	t.Cleanup(open.Close)
	image, err := crane.Image(map[string][]byte{"secret": []byte("of the company")})
	if err != nil {
		t.Fatal(err)
	}
	if err := crane.Push(image, strings.TrimPrefix(open.URL, "http://")+"/base:1"); err != nil {
		t.Fatal(err)
	}
	protect := func(challenge func(host string) string, isAllowed func(*http.Request) bool) *httptest.Server {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, given, _ := r.BasicAuth()
			switch {
			case r.URL.Path == "/token" && user == "ada" && given == password:
				fmt.Fprint(w, `{"token":"t0ken"}`)
			case r.URL.Path != "/token" && isAllowed(r):
				images.ServeHTTP(w, r)
			default:
				w.Header().Set("WWW-Authenticate", challenge(r.Host))
				w.WriteHeader(http.StatusUnauthorized)
			}
		}))
		t.Cleanup(server.Close)
		return server
	}
	servers := map[string]*httptest.Server{
		"basic": protect(func(string) string { return `Basic realm="test"` }, func(r *http.Request) bool {
			user, given, _ := r.BasicAuth()
			return user == "ada" && given == password
		}),
		"bearer": protect(func(host string) string {
			return `Bearer realm="https://` + host + `/token",service="test",scope="repository:base:pull"`
		}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer t0ken" }),
	}
	given := password
	with := w.with(t, func(config *build.Config) {
		config.Registries = map[string]build.Registry{}
		for name, server := range servers {
			authority := filepath.Join(t.TempDir(), name+".pem")
			encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			if err := os.WriteFile(authority, encoded, 0o600); err != nil {
				t.Fatal(err)
			}
			config.Registries[server.Listener.Addr().String()] = build.Registry{CA: authority}
		}
		config.Credentials = func(_ context.Context, host string) (string, string, error) { return "ada", given, nil }
	})
	if err := with.builder.Ensure(t.Context()); err != nil { // which starts buildkitd with these registries
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.builder.Ensure(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	for name, server := range servers {
		from := "FROM " + server.Listener.Addr().String() + "/base:1 AS base\nFROM apron.local/python311\n" +
			"COPY --from=base /secret /secret\nRUN echo " + name + " && cat /secret\nCMD [\"true\"]\n"
		if made := with.mustBuild(t, dockerfile(t, from)); !strings.Contains(made.log, "of the company") {
			t.Errorf("%s: the build does not have the image:\n%s", name, made.log)
		}
		given = "wr0ng-passw0rd"
		_, err := with.try(t, dockerfile(t, strings.Replace(from, "base:1", "base:other", 1)))
		explained := platform.AsExplained(err)
		if explained == nil || strings.Contains(fmt.Sprint(explained, explained.Evidence), given) {
			t.Errorf("%s, with a wrong password: %v", name, err)
		}
		given = password
	}
	if found, _ := exec.Command("grep", "-rlaF", password, w.dir).Output(); len(found) > 0 {
		t.Errorf("the password is in\n%s", found)
	}
}
