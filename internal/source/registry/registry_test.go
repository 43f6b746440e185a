package registry_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/registry"
	"github.com/apron-run/apron/internal/source/registryserver"
)

var _ deploy.ImageResolver = (*registry.Registry)(nil)

var keys = source.KeyPair{ID: "AKIDEXAMPLE", Secret: "s3cr+t/slash"}

// quick are limits for tests: the same tries, without the waits.
var quick = registry.Limits{Retries: []time.Duration{time.Millisecond, time.Millisecond}}

// newRegistry returns a Registry over a data directory of its own.
func newRegistry(t *testing.T, limits registry.Limits) (r *registry.Registry, data string) {
	t.Helper()
	data = t.TempDir()
	return registry.New(registry.Config{Data: data, Endpoint: source.NewEndpoint("127.0.0.1:1"), Limits: limits}), data
}

// serve starts handler and returns its host:port.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// newMemory returns a registry that keeps its images in memory.
func newMemory() http.Handler { return memory.New(memory.Logger(log.New(io.Discard, "", 0))) }

// imageFor returns a random image built for a platform.
func imageFor(t *testing.T, os, architecture string) v1.Image {
	t.Helper()
	image, err := random.Image(10<<10, 2)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = os, architecture
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// push pushes an image and returns its digest.
func push(t *testing.T, tag string, image v1.Image, options ...remote.Option) string {
	t.Helper()
	parsed, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(parsed, image, options...); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func wantResolved(t *testing.T, r *registry.Registry, identifier, want string) {
	t.Helper()
	got, err := r.ResolveImage(deadline(t), identifier)
	if err != nil {
		t.Fatalf("%s: %v\n%q", identifier, err, evidence(err))
	}
	if got != want {
		t.Errorf("%s is %s, want %s", identifier, got, want)
	}
}

func wantCause(t *testing.T, err error, parts ...string) {
	t.Helper()
	explained := platform.AsExplained(err)
	if explained == nil {
		t.Fatalf("not explained: %v", err)
	}
	if explained.Remedy == "" {
		t.Errorf("%q does not say what to try", explained)
	}
	for _, part := range parts {
		if !strings.Contains(explained.Error(), part) {
			t.Errorf("it says %q\nwithout %q; evidence %q", explained, part, explained.Evidence)
		}
	}
}

func evidence(err error) []string {
	if explained := platform.AsExplained(err); explained != nil {
		return explained.Evidence
	}
	return nil
}

func writeFile(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestATagBecomesADigest(t *testing.T) {
	host := serve(t, newMemory())
	r, _ := newRegistry(t, quick)
	image := imageFor(t, "linux", "amd64")
	digest := push(t, host+"/team/app:v1", image)
	push(t, host+"/team/app:latest", image)
	want := host + "/team/app@" + digest
	for _, identifier := range []string{"/team/app:v1", "/team/app", "/team/app@" + digest, "/team/app:other@" + digest} {
		wantResolved(t, r, host+identifier, want)
	}
	moved := push(t, host+"/team/app:v1", imageFor(t, "linux", "amd64"))
	wantResolved(t, r, host+"/team/app:v1", host+"/team/app@"+moved)
}

// What may mean something else tomorrow is looked at with one request that is no pull.
func TestATagIsLookedAtWithoutPullingIt(t *testing.T) {
	var asked []string
	memory := newMemory()
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			asked = append(asked, r.Method)
		}
		memory.ServeHTTP(w, r)
	}))
	r, _ := newRegistry(t, quick)
	want := push(t, host+"/team/app:v1", imageFor(t, "linux", "amd64"))
	asked = nil
	got, err := r.Digest(deadline(t), host+"/team/app:v1")
	if err != nil || got != want || len(asked) != 1 || asked[0] != http.MethodHead {
		t.Errorf("the digest is %s, %v, want %s; asked by %v", got, err, want, asked)
	}
	_, err = r.Digest(deadline(t), host+"/team/app:v2")
	wantCause(t, err, "has no tag v2")

	for identifier, want := range map[string]string{
		host + "/team/app:v1": "v1", host + "/team/app": "latest", "ghcr.io/team/app:live": "live", host + "/team/app@" + got: "",
		"127.0.0.1:1/team/app:v1": "", "no image": "",
	} {
		if tag := r.TagElsewhere(t.Context(), identifier); tag != want {
			t.Errorf("the tag elsewhere of %s is %q, want %q", identifier, tag, want)
		}
	}
}

func TestTheImageForThisPlatformIsChosenFromAnIndex(t *testing.T) {
	host := serve(t, newMemory())
	r, _ := newRegistry(t, quick)
	amd := imageFor(t, "linux", "amd64")
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: imageFor(t, "linux", "arm64"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}},
		mutate.IndexAddendum{Add: imageFor(t, "unknown", "unknown"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}},
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
	)
	pushIndex(t, host+"/app:latest", index)
	digest, _ := amd.Digest()
	wantResolved(t, r, host+"/app", host+"/app@"+digest.String())

	silent := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: imageFor(t, "linux", "arm64")}, mutate.IndexAddendum{Add: amd})
	pushIndex(t, host+"/silent:latest", silent)
	wantResolved(t, r, host+"/silent", host+"/silent@"+digest.String())

	nested := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})
	pushIndex(t, host+"/nested:latest", nested)
	wantResolved(t, r, host+"/nested", host+"/nested@"+digest.String())
}

func pushIndex(t *testing.T, tag string, index v1.ImageIndex) {
	t.Helper()
	parsed, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(parsed, index); err != nil {
		t.Fatal(err)
	}
}

func TestAnImageForOtherPlatformsIsExplained(t *testing.T) {
	host := serve(t, newMemory())
	r, _ := newRegistry(t, quick)
	push(t, host+"/single:latest", imageFor(t, "linux", "arm64"))
	_, err := r.ResolveImage(deadline(t), host+"/single")
	wantCause(t, err, "is for linux/arm64, and this machine needs linux/amd64", "--platform linux/amd64")

	pushIndex(t, host+"/several:latest", mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: imageFor(t, "windows", "amd64"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "windows", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: imageFor(t, "linux", "arm"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}}},
	))
	_, err = r.ResolveImage(deadline(t), host+"/several")
	wantCause(t, err, "is for linux/arm/v7, windows/amd64")
}

func TestWhatIsNoImageIsExplained(t *testing.T) {
	host := serve(t, newMemory())
	r, _ := newRegistry(t, quick)
	artifact := mutate.ConfigMediaType(imageFor(t, "linux", "amd64"), "application/vnd.cncf.helm.config.v1+json")
	push(t, host+"/chart:latest", artifact)
	_, err := r.ResolveImage(deadline(t), host+"/chart")
	wantCause(t, err, "is not a container image")
}

func TestAMissingTagIsExplainedWithTheOnesThereAre(t *testing.T) {
	host := serve(t, newMemory())
	r, _ := newRegistry(t, quick)
	image := imageFor(t, "linux", "amd64")
	for i := range 12 {
		push(t, fmt.Sprintf("%s/app:v1.%d", host, i), image)
	}
	_, err := r.ResolveImage(deadline(t), host+"/app:1.4")
	wantCause(t, err, "has no tag 1.4 of app: it has v1.4, ", "and 2 more")
	_, err = r.ResolveImage(deadline(t), host+"/missing:1.4")
	wantCause(t, err, "has no image missing")
	_, err = r.ResolveImage(deadline(t), host+"/app@sha256:"+strings.Repeat("0", 64))
	wantCause(t, err, "nothing with the digest sha256:0000")
}

func TestIdentifiersThatNameNoImageAreExplained(t *testing.T) {
	r, _ := newRegistry(t, quick)
	for identifier, want := range map[string]string{
		"":                               "is not the name of an image",
		"team/Case":                      "in lower case",
		"app:":                           "is not the name of an image",
		"app@sha256:12":                  "is not the name of an image",
		"https://u:pa55@example.org/app": "without a scheme",
		strings.Repeat("a", 5000):        "is not the name of an image",
		"app\nname":                      "is not the name of an image",
	} {
		_, err := r.ResolveImage(deadline(t), identifier)
		wantCause(t, err, want)
		if strings.Contains(err.Error(), "pa55") || len(err.Error()) > 500 {
			t.Errorf("said too much: %v", err)
		}
	}
}

// newEmbedded starts apron's own registry and returns it with a Registry that knows it.
func newEmbedded(t *testing.T) (r *registry.Registry, host string) {
	t.Helper()
	server := registryserver.New(registryserver.Config{Dir: t.TempDir(), Keys: keys})
	host = serve(t, server)
	return registry.New(registry.Config{
		Data: t.TempDir(), Endpoint: source.NewEndpoint(host), Keys: keys, Embedded: server, Limits: quick,
	}), host
}

func TestNamesThatWerePushedToApronAreFoundThere(t *testing.T) {
	r, host := newEmbedded(t)
	auth := remote.WithAuth(&authn.Basic{Username: keys.ID, Password: keys.Secret})
	image := imageFor(t, "linux", "amd64")
	digest := push(t, host+"/hello:latest", image, auth)
	push(t, host+"/team/app:v1", image, auth)
	_, port, _ := net.SplitHostPort(host)
	for identifier, repository := range map[string]string{
		"hello":                              "hello",
		"hello:latest":                       "hello",
		"hello@" + digest:                    "hello",
		"team/app:v1":                        "team/app",
		host + "/hello":                      "hello",
		"localhost:" + port + "/team/app:v1": "team/app",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:v1":     "team/app",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app:v1": "team/app",
		"public.ecr.aws/team/app:v1":                                   "team/app",
	} {
		wantResolved(t, r, identifier, host+"/"+repository+"@"+digest)
		if tag := r.TagElsewhere(t.Context(), identifier); tag != "" {
			t.Errorf("%s is elsewhere, with the tag %q", identifier, tag)
		}
	}
	_, err := r.ResolveImage(deadline(t), "hello:v2")
	wantCause(t, err, "apron's registry has no tag v2 of hello: it has latest")
	_, err = r.ResolveImage(deadline(t), host+"/missing")
	wantCause(t, err, "apron's registry has no image missing")
}

func TestANameThatWasNotPushedToApronIsExplainedWithHowToPushIt(t *testing.T) {
	server := registryserver.New(registryserver.Config{Dir: t.TempDir(), Keys: keys})
	host := serve(t, server)
	noTime := registry.Limits{Resolve: time.Nanosecond} // nobody outside is asked
	r := registry.New(registry.Config{Data: t.TempDir(), Endpoint: source.NewEndpoint(host), Keys: keys, Embedded: server, Limits: noTime})
	const ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
	for identifier, want := range map[string]string{
		"shop:v2": "apron's registry has no repository shop, and the registry docker.io did not answer in time about docker.io/library/shop:v2: " +
			"push it with `docker push " + host + "/shop:v2`, if that is meant, or check that it is up, and deploy again",
		ecr + "/team/shop": "apron's registry has no repository team/shop, and the registry " + ecr + " did not answer in time about " + ecr + "/team/shop:latest: " +
			"push it with `docker push " + host + "/team/shop:latest`, if that is meant, or check that it is up, and deploy again",
		"docker.io/shop": "the registry docker.io did not answer",
	} {
		_, err := r.ResolveImage(deadline(t), identifier)
		if explained := platform.AsExplained(err); explained == nil || !strings.HasPrefix(explained.Error(), want) || len(explained.Evidence) == 0 {
			t.Errorf("%s: %v\nwant %s", identifier, err, want)
		}
	}
}

func TestOtherShortNamesAreAtDockerHubThroughItsMirror(t *testing.T) {
	mirror := serve(t, newMemory())
	r, data := newRegistry(t, quick)
	writeFile(t, data, "registries.yaml", "registries:\n  docker.io:\n    mirrors: [\"http://"+mirror+"\"]\n")
	digest := push(t, mirror+"/library/hello:latest", imageFor(t, "linux", "amd64"))
	for _, identifier := range []string{"hello", "docker.io/hello", "docker.io/library/hello:latest", "index.docker.io/hello"} {
		wantResolved(t, r, identifier, "docker.io/library/hello@"+digest)
	}
}

func TestAMirrorThatDoesNotWorkIsPassedOver(t *testing.T) {
	broken := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	without := serve(t, newMemory())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := listener.Addr().String()
	listener.Close()
	host := serve(t, newMemory())
	digest := push(t, host+"/app:latest", imageFor(t, "linux", "amd64"))
	r, data := newRegistry(t, quick)
	writeFile(t, data, "registries.yaml", fmt.Sprintf("registries:\n  %q:\n    mirrors: [http://%s, http://%s, http://%s/path]\n", host, broken, gone, without))
	wantResolved(t, r, host+"/app", host+"/app@"+digest)
}

func TestBrokenSettingsAreExplained(t *testing.T) {
	for content, want := range map[string]string{
		"registries: [":                                        "cannot be read",
		"registries:\n  a:\n    mirors: [x]\n":                 "cannot be read",
		"registries:\n  a:\n    mirrors: [example.org]\n":      "is not a URL like https://HOST",
		"registries:\n  127.0.0.1:\n    ca: missing.pem\n":     "holds no certificate",
		"registries:\n  127.0.0.1:\n    ca: registries.yaml\n": "holds no certificate",
	} {
		r, data := newRegistry(t, quick)
		writeFile(t, data, "registries.yaml", content)
		_, err := r.ResolveImage(deadline(t), "127.0.0.1/app")
		wantCause(t, err, want, "registries.yaml")
	}
}
