package build_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/platform"
)

// byDockerfile is a build of a folder by this Dockerfile.
func byDockerfile(t testing.TB, text string, tags map[string]string) (dir string, r build.Request) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, "Dockerfile", text)
	r = request(t, dir)
	r.Code.UsesConfigurationFile = false
	r.Tags = map[string]string{platform.TagBuild: platform.BuildDockerfile}
	for key, value := range tags {
		r.Tags[key] = value
	}
	return dir, r
}

const answering = `import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((open("/stamp").read() + " user %d" % os.getuid()).encode())
def stop(number, frame):
    print("stopped by", signal.Signals(number).name, flush=True)
    sys.exit(0)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, stop)
http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
`

func TestADockerfileIsBuiltAsItsTagsSay(t *testing.T) {
	w := openWorld(t)
	dir, r := byDockerfile(t, "", map[string]string{
		platform.TagDockerfile: "docker/web.Dockerfile", platform.TagTarget: "web", platform.TagBuildArg + "VERSION": "4.5 'x' $HOME",
	})
	write(t, dir, "docker/web.Dockerfile", `# syntax=docker/dockerfile:1
FROM apron.local/python311 AS web
ARG VERSION=none
COPY . /src
RUN printf '%s' "$VERSION" > /stamp && test -e /src/app.py && test ! -e /src/notes.txt
EXPOSE 9000
USER 1234
STOPSIGNAL SIGUSR1
CMD ["python3", "/src/app.py"]

FROM web AS later
RUN exit 9
`)
	write(t, dir, "app.py", answering)
	write(t, dir, "notes.txt", "not for the image")
	write(t, dir, ".dockerignore", "*.txt\n")
	made := w.mustBuild(t, r)
	if made.Process.Port != 9000 {
		t.Errorf("it listens on %d", made.Process.Port)
	}
	body, output := w.answerAndStop(t, made)
	if want := "4.5 'x' $HOME user 1234"; body != want {
		t.Errorf("the app answered %q, want %q", body, want)
	}
	if !strings.Contains(output, "stopped by SIGUSR1") {
		t.Errorf("the app was not stopped by its own signal:\n%s", output)
	}
}

func TestAFailedStepOfADockerfileIsToldWithItsLine(t *testing.T) {
	w := openWorld(t)
	for name, c := range map[string]struct{ text, want string }{
		"a command":                  {"FROM apron.local/python311\n\nRUN echo so far && exit 7\n", "(line 3) failed with exit code 7"},
		"a file that there is not":   {"FROM apron.local/python311\nCOPY nothing /\n", "(line 2)"},
		"an image that there is not": {"FROM registry.invalid/nothing\n", "(line 1)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, r := byDockerfile(t, c.text, nil)
			_, err := w.try(t, r)
			for began := time.Now(); errors.Is(err, platform.ErrUnavailable) && time.Since(began) < time.Minute; { // as such failures are said to be in containerd's first seconds
				time.Sleep(time.Second)
				_, err = w.try(t, r)
			}
			if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, c.want) {
				t.Errorf("it does not say %q: %v", c.want, err)
			}
			if testing.Verbose() {
				t.Log(err)
			}
		})
	}
}

func TestASecretOfABuildIsInNoLayerNoLogAndNoError(t *testing.T) {
	w := openWorld(t)
	const value = "s3cr3t-0f-the-build"
	_, r := byDockerfile(t, `FROM apron.local/python311
RUN --mount=type=secret,id=token,required=true sha256sum < /run/secrets/token > /stamp
RUN --mount=type=secret,id=token,env=TOKEN echo "it is $TOKEN"
CMD ["true"]
`, map[string]string{platform.TagBuildSecret + "token": "shop/token"})
	var asked []string
	r.Secret = func(_ context.Context, reference string) (string, error) {
		asked = append(asked, reference)
		return value, nil
	}
	made := w.mustBuild(t, r)
	if !slices.Equal(asked, []string{"shop/token"}) {
		t.Errorf("it asked for %q", asked)
	}
	if strings.Contains(made.log, value) || !strings.Contains(made.log, "it is ***") {
		t.Errorf("the log is:\n%s", made.log)
	}
	if where := w.find(t, value); where != "" {
		t.Errorf("the value is in %s", where)
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(value))); w.find(t, sum) == "" {
		t.Error("the layers were not looked at: what the step made of the value is nowhere")
	}

	_, failing := byDockerfile(t, `FROM apron.local/python311
RUN --mount=type=secret,id=token,env=TOKEN echo "it is $TOKEN" >&2; exit 3
`, map[string]string{platform.TagBuildSecret + "token": "shop/token"})
	failing.Secret = r.Secret
	failed, err := w.try(t, failing)
	explained := platform.AsExplained(err)
	if explained == nil || strings.Contains(failed.log+fmt.Sprint(err, explained.Err, explained.Evidence), value) {
		t.Errorf("the failure tells the value, or nothing: %v", explained)
	}

	failing.Secret = func(context.Context, string) (string, error) {
		return "", platform.Explain(nil, "there is no secret shop/token")
	}
	if _, err := w.try(t, failing); err == nil || !strings.Contains(err.Error(), "read the build's secret token: there is no secret shop/token") {
		t.Errorf("a missing secret: %v", err)
	}
}

// find returns a file of buildkitd's or containerd's that holds text: layers, as snapshots and as blobs, and what is known of
// them, such as cache keys.
func (w *world) find(t *testing.T, text string) string {
	t.Helper()
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	var found string
	err = filepath.WalkDir(w.dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || found != "" {
			return nil // what went away meanwhile
		}
		if info, err := entry.Info(); err != nil || info.Size() > 64<<20 {
			return nil // none of this test's
		}
		data, err := os.ReadFile(name)
		if err == nil && len(data) > 4 && string(data[:4]) == "\x28\xb5\x2f\xfd" { // a blob, compressed by zstd
			data, err = decoder.DecodeAll(data, nil)
		}
		if err == nil && strings.Contains(string(data), text) {
			found = name
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCacheMountsOfOneServiceAreNotAnothers(t *testing.T) {
	w := openWorld(t)
	const text = `# syntax=docker/dockerfile:1
FROM apron.local/python311
ARG WHO
RUN --mount=type=cache,id=shared,target=/cache cat /cache/who > /stamp 2>/dev/null || true; echo -n "$WHO" >> /cache/who; echo "before: [$(cat /stamp)]"
CMD ["true"]
`
	who := func(name string) map[string]string { return map[string]string{platform.TagBuildArg + "WHO": name} }
	_, first := byDockerfile(t, text, who("first"))
	if made := w.mustBuild(t, first); !strings.Contains(made.log, "before: []") {
		t.Errorf("a new cache has something in it:\n%s", made.log)
	}
	_, other := byDockerfile(t, text, who("first")) // the very same step
	if made := w.mustBuild(t, other); !strings.Contains(made.log, "before: []") {
		t.Errorf("the cache is another service's:\n%s", made.log)
	}
	_, again := byDockerfile(t, text, who("again"))
	again.ServiceID = first.ServiceID
	if made := w.mustBuild(t, again); !strings.Contains(made.log, "before: [first]") {
		t.Errorf("the cache is not the one of before:\n%s", made.log)
	}
}
