package registry_test

import (
	"encoding/base64"
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

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apron-run/apron/internal/platform"
)

// withBasic asks for user and password.
func withBasic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "ada" || password != "pa55word" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withBearer sends those who ask to a token server, which asks for user and password.
func withBearer(t *testing.T, next http.Handler) http.Handler {
	tokens := serve(t, withBasic(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"token":"t0ken for %s"}`, r.FormValue("scope"))
	})))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer t0ken for repository:app:pull") {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+tokens+`/token",service="test",scope="repository:app:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func TestCredentialsComeFromTheFile(t *testing.T) {
	for kind, protect := range map[string]func(http.Handler) http.Handler{
		"basic": withBasic, "bearer": func(next http.Handler) http.Handler { return withBearer(t, next) },
	} {
		t.Run(kind, func(t *testing.T) {
			images := newMemory()
			digest := push(t, serve(t, images)+"/app:latest", imageFor(t, "linux", "amd64"))
			host := serve(t, protect(images))
			r, data := newRegistry(t, quick)

			_, err := r.ResolveImage(deadline(t), host+"/app")
			wantCause(t, err, "only to those who log in", "put credentials for "+host+" into "+filepath.Join(data, "registries.json"))

			entry := func(password string) string {
				return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("ada:"+password)))
			}
			writeFile(t, data, "registries.json", entry("wr0ng"))
			_, err = r.ResolveImage(deadline(t), host+"/app")
			wantCause(t, err, "refused the credentials that "+filepath.Join(data, "registries.json"))
			if text := fmt.Sprint(err, evidence(err), platform.AsExplained(err).Err); strings.Contains(text, "wr0ng") || strings.Contains(text, "YWRhOn") {
				t.Errorf("the error shows the password: %s", text)
			}

			writeFile(t, data, "registries.json", entry("pa55word"))
			wantResolved(t, r, host+"/app", host+"/app@"+digest)
		})
	}
}

func TestCredentialsComeFromAHelper(t *testing.T) {
	images := newMemory()
	digest := push(t, serve(t, images)+"/app:latest", imageFor(t, "linux", "amd64"))
	host := serve(t, withBasic(images))
	programs := t.TempDir()
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	helper := func(script string) {
		if err := os.WriteFile(filepath.Join(programs, "docker-credential-test"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r, data := newRegistry(t, quick)
	for _, file := range []string{fmt.Sprintf(`{"credHelpers":{%q:"test"}}`, host), `{"credsStore":"test"}`} {
		writeFile(t, data, "registries.json", file)
		helper(`read host; test "$host" = "` + host + `" || exit 1; echo '{"ServerURL":"","Username":"ada","Secret":"pa55word"}'`)
		wantResolved(t, r, host+"/app", host+"/app@"+digest)
		helper("echo credentials not found in native keychain; exit 1")
		_, err := r.ResolveImage(deadline(t), host+"/app")
		wantCause(t, err, "only to those who log in")
		helper("echo the secret is pa55word; exit 1")
		_, err = r.ResolveImage(deadline(t), host+"/app")
		wantCause(t, err, "docker-credential-test", "failed")
		if strings.Contains(fmt.Sprint(err, evidence(err)), "pa55word") {
			t.Errorf("the error shows what the helper printed: %v", err)
		}
	}
	writeFile(t, data, "registries.json", `{"credsStore":"missing"}`)
	_, err := r.ResolveImage(deadline(t), host+"/app")
	wantCause(t, err, "docker-credential-missing", "is not installed")
	writeFile(t, data, "registries.json", `{"credsStore":"../../tmp/evil"}`)
	_, err = r.ResolveImage(deadline(t), host+"/app")
	wantCause(t, err, "is not the name of a credential helper")
	writeFile(t, data, "registries.json", `{"auths": "pa55word"`)
	_, err = r.ResolveImage(deadline(t), host+"/app")
	wantCause(t, err, "registries.json cannot be read")
	if strings.Contains(fmt.Sprint(err, evidence(err)), "pa55word") {
		t.Errorf("the error shows the file: %v", err)
	}
}

func TestDockerHubsCredentialsAreFoundUnderTheNameDockerGivesThem(t *testing.T) {
	r, data := newRegistry(t, quick)
	for _, key := range []string{"https://index.docker.io/v1/", "docker.io"} {
		writeFile(t, data, "registries.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, key, base64.StdEncoding.EncodeToString([]byte("ada:pa55word"))))
		user, password, err := r.Credentials(deadline(t), "registry-1.docker.io")
		if user != "ada" || password != "pa55word" || err != nil {
			t.Errorf("under %s: %q, %v", key, user, err)
		}
	}
	writeFile(t, data, "registries.json", `{"auths":{"example.org":{"identitytoken":"t0ken"}}}`)
	if user, token, err := r.Credentials(deadline(t), "example.org"); user != "" || token != "t0ken" || err != nil {
		t.Errorf("identity token: %q, %v", user, err)
	}
	if user, password, err := r.Credentials(deadline(t), "127.0.0.1:1"); user != "" || password != "" || err != nil {
		t.Errorf("apron itself without keys: %q %q %v", user, password, err)
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	server := httptest.NewUnstartedServer(newMemory())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")
	parsed, err := name.NewTag(host + "/app:latest")
	if err != nil {
		t.Fatal(err)
	}
	image := imageFor(t, "linux", "amd64")
	if err := remote.Write(parsed, image, remote.WithTransport(server.Client().Transport)); err != nil {
		t.Fatal(err)
	}
	digest, _ := image.Digest()
	r, data := newRegistry(t, quick)
	_, err = r.ResolveImage(deadline(t), host+"/app")
	wantCause(t, err, "certificate of the registry "+host+" is not trusted", "registries.yaml")

	writeFile(t, data, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	writeFile(t, data, "registries.yaml", fmt.Sprintf("registries:\n  %q:\n    ca: ca.pem\n", host))
	wantResolved(t, r, host+"/app", host+"/app@"+digest.String())
	writeFile(t, data, "registries.yaml", fmt.Sprintf("registries:\n  %q:\n    skip-verify: true\n", host))
	wantResolved(t, r, host+"/app", host+"/app@"+digest.String())

	plain := serve(t, newMemory())
	push(t, plain+"/app:latest", image)
	writeFile(t, data, "registries.yaml", fmt.Sprintf("registries:\n  %q:\n    ca: ca.pem\n", plain))
	_, err = r.ResolveImage(deadline(t), plain+"/app")
	wantCause(t, err, "does not speak TLS", "http: true")
	writeFile(t, data, "registries.yaml", fmt.Sprintf("registries:\n  %q:\n    http: true\n", plain))
	wantResolved(t, r, plain+"/app", plain+"/app@"+digest.String())
}
