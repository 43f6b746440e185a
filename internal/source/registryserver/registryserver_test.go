package registryserver_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/registryserver"
)

var keys = source.KeyPair{ID: "AKIDEXAMPLE", Secret: "s3cr+t/slash"}

var auth = remote.WithAuth(&authn.Basic{Username: keys.ID, Password: keys.Secret})

// pushes collects what OnPush was told.
type pushes struct {
	mu   sync.Mutex // guards list
	list []registryserver.Push
}

func (p *pushes) add(_ context.Context, push registryserver.Push) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, push)
}

func (p *pushes) take() []registryserver.Push {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.list
	p.list = nil
	return list
}

// serve starts a server over dir and returns its host:port.
func serve(t *testing.T, config registryserver.Config) (host string, server *registryserver.Server) {
	t.Helper()
	config.Keys = keys
	server = registryserver.New(config)
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return strings.TrimPrefix(listener.URL, "http://"), server
}

func tag(t *testing.T, format string, args ...any) name.Tag {
	t.Helper()
	tag, err := name.NewTag(fmt.Sprintf(format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func randomImage(t *testing.T, size int64) v1.Image {
	t.Helper()
	image, err := random.Image(size, 2)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestAnImagePushedIsPulledBackAlsoAfterARestart(t *testing.T) {
	dir := t.TempDir()
	seen := &pushes{}
	host, server := serve(t, registryserver.Config{Dir: dir, OnPush: seen.add})
	if has, err := server.Has(t.Context(), "team/app"); has || err != nil {
		t.Errorf("the repository is there before the push: %v, %v", has, err)
	}
	image := randomImage(t, 100<<10)
	if err := remote.Write(tag(t, "%s/team/app:v1", host), image, auth); err != nil {
		t.Fatal(err)
	}
	digest, _ := image.Digest()
	if diff := cmp.Diff([]registryserver.Push{{Repository: "team/app", Tag: "v1", Digest: digest.String()}}, seen.take()); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
	again, server := serve(t, registryserver.Config{Dir: dir})
	for _, host := range []string{host, again} {
		pulled, err := remote.Image(tag(t, "%s/team/app:v1", host), auth)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(pulled); err != nil {
			t.Error(err)
		}
		if got, _ := pulled.Digest(); got != digest {
			t.Errorf("pulled %s, want %s", got, digest)
		}
	}
	if has, err := server.Has(t.Context(), "team/app"); !has || err != nil {
		t.Errorf("the repository is not there after the push: %v, %v", has, err)
	}
}

func TestATagThatMeansWhatItMeantIsNotAnnounced(t *testing.T) {
	seen := &pushes{}
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir(), OnPush: seen.add})
	first, second := randomImage(t, 1<<10), randomImage(t, 1<<10)
	for _, step := range []struct {
		tag         string
		image       v1.Image
		isAnnounced bool
	}{{"v1", first, true}, {"v1", first, false}, {"v2", first, true}, {"v1", second, true}, {"v1", first, true}} {
		if err := remote.Write(tag(t, "%s/app:%s", host, step.tag), step.image, auth); err != nil {
			t.Fatal(err)
		}
		if got := seen.take(); len(got) == 1 != step.isAnnounced {
			t.Errorf("a push to %s: announced %v, want %v", step.tag, got, step.isAnnounced)
		}
	}
}

// A crash between a push and its announcement does not keep the push a secret.
func TestATagThatWasNotAnnouncedIsAnnouncedAtTheNextStart(t *testing.T) {
	seen, left, dir := &pushes{}, t.TempDir(), t.TempDir()
	records := filepath.Join(dir, "pushes")
	config := registryserver.Config{Dir: dir, OnPush: func(context.Context, registryserver.Push) { // a crash would leave what there is now
		_ = os.CopyFS(left, os.DirFS(records))
	}}
	host, _ := serve(t, config)
	image := randomImage(t, 1<<10)
	if err := remote.Write(tag(t, "%s/team/app:v1", host), image, auth); err != nil {
		t.Fatal(err)
	}
	config.OnPush = seen.add
	_, server := serve(t, config)
	recover := func() []registryserver.Push {
		t.Helper()
		if err := server.Recover(t.Context()); err != nil {
			t.Error(err)
		}
		return seen.take()
	}
	if got := recover(); len(got) != 0 {
		t.Errorf("announced without a crash: %+v", got)
	}
	if err := os.CopyFS(records, os.DirFS(left)); err != nil {
		t.Fatal(err)
	}
	digest, _ := image.Digest()
	if diff := cmp.Diff([]registryserver.Push{{Repository: "team/app", Tag: "v1", Digest: digest.String()}}, recover()); diff != "" {
		t.Errorf("announced after a crash (-want +got):\n%s", diff)
	}
	if got := recover(); len(got) != 0 {
		t.Errorf("announced again: %+v", got)
	}
}

func TestAnIndexIsAnnouncedOnce(t *testing.T) {
	seen := &pushes{}
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir(), OnPush: seen.add})
	index, err := random.Index(1<<10, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag(t, "%s/app:latest", host), index, auth); err != nil {
		t.Fatal(err)
	}
	digest, _ := index.Digest()
	if diff := cmp.Diff([]registryserver.Push{{Repository: "app", Tag: "latest", Digest: digest.String()}}, seen.take()); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
}

func TestConcurrentPushesOfSharedLayersAllArrive(t *testing.T) {
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir()})
	image := randomImage(t, 200<<10)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if err := remote.Write(tag(t, "%s/app%d:latest", host, i%2), image, auth); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for i := range 2 {
		pulled, err := remote.Image(tag(t, "%s/app%d:latest", host, i), auth)
		if err == nil {
			err = validate.Image(pulled)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func TestTagsAreListedAndDeleted(t *testing.T) {
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir()})
	image := randomImage(t, 1<<10)
	for _, version := range []string{"v1", "v2"} {
		if err := remote.Write(tag(t, "%s/app:%s", host, version), image, auth); err != nil {
			t.Fatal(err)
		}
	}
	if err := remote.Delete(tag(t, "%s/app:v1", host), auth); err != nil {
		t.Fatal(err)
	}
	tags, err := remote.List(tag(t, "%s/app:v2", host).Repository, auth)
	if diff := cmp.Diff([]string{"v2"}, tags); diff != "" || err != nil {
		t.Errorf("tags (-want +got):\n%s%v", diff, err)
	}
}

func TestWithoutTheKeyPairNothingIsAnswered(t *testing.T) {
	dir := t.TempDir()
	host, _ := serve(t, registryserver.Config{Dir: dir})
	for _, credentials := range [][]string{nil, {keys.ID, "wrong"}, {"wrong", keys.Secret}, {"", ""}, {keys.ID, ""}} {
		for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/app/manifests/latest", "/v2/app/blobs/uploads/"} {
			request, err := http.NewRequest(http.MethodGet, "http://"+host+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if credentials != nil {
				request.SetBasicAuth(credentials[0], credentials[1])
			}
			status, header, body := do(t, request)
			if status != http.StatusUnauthorized || header.Get("WWW-Authenticate") != `Basic realm="apron"` {
				t.Errorf("GET %s as %v: %d %v", path, credentials, status, header)
			}
			var answer struct {
				Errors []struct{ Code, Message string }
			}
			if err := json.Unmarshal(body, &answer); err != nil || len(answer.Errors) != 1 || answer.Errors[0].Code != "UNAUTHORIZED" {
				t.Errorf("body %s: %v", body, err)
			}
		}
	}
	err := remote.Write(tag(t, "%s/app:latest", host), randomImage(t, 1<<10))
	var refusal *transport.Error
	if !errors.As(err, &refusal) || refusal.StatusCode != http.StatusUnauthorized {
		t.Errorf("pushed without credentials: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("refused requests made %v", entries)
	}
}

func TestALayerThatIsNotWhatItsDigestSaysIsRefused(t *testing.T) {
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir()})
	location := startUpload(t, host)
	request := newRequest(t, http.MethodPut, location+"&digest=sha256:"+strings.Repeat("0", 64), strings.NewReader("not zeros"))
	if status, _, body := do(t, request); status != http.StatusBadRequest || !strings.Contains(string(body), "DIGEST_INVALID") {
		t.Errorf("%d %s", status, body)
	}
}

func TestAManifestWhoseLayersAreMissingIsRefused(t *testing.T) {
	seen := &pushes{}
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir(), OnPush: seen.add})
	raw, err := randomImage(t, 1<<10).RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	request := newRequest(t, http.MethodPut, "http://"+host+"/v2/app/manifests/latest", bytes.NewReader(raw))
	request.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
	if status, _, body := do(t, request); status/100 != 4 || !strings.Contains(string(body), "MANIFEST_BLOB_UNKNOWN") {
		t.Errorf("%d %s", status, body)
	}
	if got := seen.take(); len(got) != 0 {
		t.Errorf("announced %v", got)
	}
}

func TestWhatIsNoManifestIsRefusedAsTheClientsFault(t *testing.T) {
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir()})
	for _, kind := range []string{
		"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
	} {
		for _, manifest := range []string{
			"{}", "[]", "", `{"schemaVersion":2}`, `{"schemaVersion":1,"config":{}}`, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q}`, kind),
			fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"digest":"x"},"layers":[],"manifests":[{"digest":"sha256:1"}]}`, kind),
			strings.Repeat(" ", 5<<20),
		} {
			request := newRequest(t, http.MethodPut, "http://"+host+"/v2/app/manifests/latest", strings.NewReader(manifest))
			request.Header.Set("Content-Type", kind)
			if status, _, body := do(t, request); status != http.StatusBadRequest || !strings.Contains(string(body), "MANIFEST_INVALID") {
				t.Errorf("%s %.100s: %d %s", kind, manifest, status, body)
			}
		}
	}
}

func TestAnUploadThatStallsIsToldSo(t *testing.T) {
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir(), IdleTimeout: 50 * time.Millisecond})
	location, err := url.Parse(startUpload(t, host))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	credentials := base64.StdEncoding.EncodeToString([]byte(keys.ID + ":" + keys.Secret))
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Length: 100\r\n\r\nbegun", location.RequestURI(), host, credentials)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("answered %s", response.Status)
	}
}

func TestAnUploadGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	host, _ := serve(t, registryserver.Config{Dir: dir})
	location := startUpload(t, host)
	status, header, body := do(t, newRequest(t, http.MethodPatch, location, strings.NewReader("first half, ")))
	if status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	again, _ := serve(t, registryserver.Config{Dir: dir})
	location = strings.Replace(header.Get("Location"), host, again, 1)
	digest, _, err := v1.SHA256(strings.NewReader("first half, second half"))
	if err != nil {
		t.Fatal(err)
	}
	request := newRequest(t, http.MethodPut, location+"&digest="+digest.String(), strings.NewReader("second half"))
	if status, _, body := do(t, request); status != http.StatusCreated {
		t.Errorf("%d %s", status, body)
	}
}

func TestALayerOverTheLimitIsRefused(t *testing.T) {
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir(), MaxLayerBytes: 64 << 10})
	err := remote.Write(tag(t, "%s/app:latest", host), randomImage(t, 100<<10), auth)
	if err == nil {
		t.Error("a layer of 100 KiB was taken")
	}
	// Announced, in parts, and unannounced.
	big := strings.Repeat("x", 65<<10)
	announced := newRequest(t, http.MethodPatch, startUpload(t, host), strings.NewReader(big))
	if status, _, body := do(t, announced); status != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), "at most 65536 bytes") {
		t.Errorf("announced: %d %s", status, body)
	}
	part := newRequest(t, http.MethodPatch, startUpload(t, host), strings.NewReader("x"))
	part.Header.Set("Content-Range", "65536-65537")
	if status, _, body := do(t, part); status != http.StatusRequestEntityTooLarge {
		t.Errorf("in parts: %d %s", status, body)
	}
	chunked := newRequest(t, http.MethodPatch, startUpload(t, host), io.MultiReader(strings.NewReader(big)))
	if status, _, body := do(t, chunked); status < 400 {
		t.Errorf("unannounced: %d %s", status, body)
	}
}

func TestUploadsNobodyFinishedAreRemoved(t *testing.T) {
	dir := t.TempDir()
	host, server := serve(t, registryserver.Config{Dir: dir})
	do(t, newRequest(t, http.MethodPatch, startUpload(t, host), strings.NewReader("never finished")))
	count := func() int {
		found, err := filepath.Glob(filepath.Join(dir, "docker/registry/v2/repositories/app/_uploads/*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	server.CleanUp(t.Context(), time.Hour)
	if count() != 1 {
		t.Errorf("%d uploads after cleaning up older ones, want 1", count())
	}
	server.CleanUp(t.Context(), -time.Hour)
	if count() != 0 {
		t.Errorf("%d uploads after cleaning up, want 0", count())
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	_, server := serve(t, registryserver.Config{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("still running")
	}
}

func TestLogsGoThroughSlogWithoutSecrets(t *testing.T) {
	var lines lockedBuffer
	logger := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir(), Log: logger})
	if err := remote.Write(tag(t, "%s/app:latest", host), randomImage(t, 1<<10), auth); err != nil {
		t.Fatal(err)
	}
	request := newRequest(t, http.MethodGet, "http://"+host+"/v2/app/manifests/missing", nil)
	do(t, request)
	got := lines.String()
	for _, want := range []string{`msg="image pushed" repository=app tag=latest`, "repository=app", "status=404"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log lacks %q:\n%s", want, got)
		}
	}
	for _, secret := range []string{keys.Secret, request.Header.Get("Authorization")} {
		if strings.Contains(got, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if strings.Contains(got, "level=ERROR") || strings.Contains(got, "level=WARN") {
		t.Errorf("routine is logged as trouble:\n%s", got)
	}
}

func FuzzHas(f *testing.F) {
	dir := f.TempDir()
	// What a careless join would reach.
	if err := os.MkdirAll(filepath.Join(dir, "docker/registry/v2/_manifests"), 0o755); err != nil {
		f.Fatal(err)
	}
	server := registryserver.New(registryserver.Config{Dir: dir, Keys: keys})
	for _, seed := range []string{"app", "team/app", "..", "../", "a/../..", "", "/", "A", "a//b", "a\x00b", "_manifests/.."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, repository string) {
		if has, err := server.Has(context.Background(), repository); has || err != nil && !errors.Is(err, os.ErrInvalid) && len(repository) < 255 {
			t.Errorf("%q: %v, %v", repository, has, err)
		}
	})
}

// lockedBuffer is a buffer for many writers.
type lockedBuffer struct {
	mu     sync.Mutex // guards buffer
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// startUpload begins an upload to the repository app and returns where it goes on.
func startUpload(t *testing.T, host string) string {
	t.Helper()
	status, header, body := do(t, newRequest(t, http.MethodPost, "http://"+host+"/v2/app/blobs/uploads/", nil))
	if status != http.StatusAccepted {
		t.Fatalf("start an upload: %d %s", status, body)
	}
	return header.Get("Location")
}

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(keys.ID, keys.Secret)
	return request
}

func do(t *testing.T, request *http.Request) (status int, header http.Header, body []byte) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, body
}
