package build_test

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
	"github.com/apron-run/apron/internal/build/recipe/recipetest"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/registry"
)

const imageCatalogue = `
runtimes:
  tool1:
    api: TOOL_1
    version: "1.0"
    build-image: docker.io/library/tool:build
    run-image: docker.io/library/tool:run
    environment: {FROM_CATALOGUE: both, REPLACED: by the catalogue}
    build-environment: {FROM_CATALOGUE_BUILD: build}
`

const serve = `#!/bin/sh
exec python3 -c '
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        names = ["PATH", "RUN_IMAGE", "BUILD_IMAGE", "FROM_CATALOGUE", "REPLACED"]
        lines = [name + "=" + os.environ.get(name, "none") for name in names]
        lines += [path + (" is there" if os.path.exists(path) else " is not there") for path in ("/usr/local/built", "/usr/local/compiler")]
        self.wfile.write("\n".join(lines).encode())
http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
'
`

const compile = `#!/bin/sh
set -e
test "$BUILD_IMAGE $FROM_CATALOGUE $FROM_CATALOGUE_BUILD" = "yes both build"
test -f /usr/local/compiler
echo made by the tool in $(dirname "$0") >/usr/local/built
`

// imageBuilder is a Builder whose runtime tool1 is two images of a registry on loopback that stands for Docker Hub. They
// have no bash.
func (w *world) imageBuilder(t *testing.T) (builder *build.Builder, push func(tag string, image v1.Image)) {
	t.Helper()
	server := httptest.NewServer(memory.New(memory.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	data, config := t.TempDir(), w.config
	write(t, data, "registries.yaml", fmt.Sprintf("registries:\n  docker.io: {mirrors: [%q]}\n", server.URL))
	write(t, data, "mine.yaml", imageCatalogue)
	config.Catalogue, config.Cache = filepath.Join(data, "mine.yaml"), filepath.Join(data, "cache")
	config.Images = registry.New(registry.Config{Data: data, Endpoint: source.NewEndpoint("127.0.0.1:1")})
	builder, err := build.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return builder, func(tag string, image v1.Image) {
		t.Helper()
		where, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/library/tool:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(where, image); err != nil {
			t.Fatal(err)
		}
	}
}

// pythonBase adds files to the image that the runtime python311 runs in.
func (w *world) pythonBase(t *testing.T, files map[string]string, environment ...string) v1.Image {
	t.Helper()
	dir := w.config.Cache
	if dir == "" {
		dir = "/var/cache/apron"
	}
	cache, err := recipe.Open(dir, func() host.Settings { return host.Discover(t.Context()) })
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
	files["usr/bin/.wh.bash"] = ""
	return recipetest.Image(t, cache.Content(), images.Run, files, environment)
}

func TestARuntimeOfImagesBuildsAndRunsInTheirEnvironment(t *testing.T) {
	w := openWorld(t)
	builder, push := w.imageBuilder(t)
	push("build", w.pythonBase(t, map[string]string{"opt/tool/bin/compile": compile, "usr/local/compiler": ""},
		"PATH=/opt/tool/bin:/usr/bin:/bin", "BUILD_IMAGE=yes"))
	push("run", w.pythonBase(t, map[string]string{"opt/run/bin/serve": serve},
		"PATH=/opt/run/bin:/usr/bin:/bin", "RUN_IMAGE=yes", "REPLACED=by nobody"))
	dir := t.TempDir()
	write(t, dir, "apprunner.yaml", `version: 1.0
runtime: tool1
build:
  commands:
    build: [compile]
run:
  pre-run: ['test "$(command -v serve)" = /opt/run/bin/serve', 'grep -q /opt/tool/bin /usr/local/built']
  command: serve
  network: {port: 8080}
`)
	imaged := &world{builder: builder, backend: w.backend}
	made := imaged.mustBuild(t, request(t, dir))
	answer := imaged.answer(t, made)
	for _, want := range []string{
		"PATH=/opt/run/bin:/usr/bin:/bin", "RUN_IMAGE=yes", "BUILD_IMAGE=none", "FROM_CATALOGUE=both", "REPLACED=by the catalogue",
		"/usr/local/built is there", "/usr/local/compiler is not there",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("the app does not tell %q:\n%s", want, answer)
		}
	}
	if !strings.Contains(made.log, "pulling docker.io/library/tool@sha256:") {
		t.Errorf("the build log does not tell of the pull:\n%s", made.log)
	}
	first := made.Runtimes["tool1"]
	if first == "" || len(made.Runtimes) != 1 {
		t.Errorf("the build is made of %v", made.Runtimes)
	}

	push("run", recipetest.AsDocker(w.pythonBase(t, map[string]string{"opt/run/bin/serve": serve},
		"PATH=/opt/run/bin:/usr/bin:/bin", "RUN_IMAGE=mended")))
	again := imaged.mustBuild(t, request(t, dir))
	if again.Runtimes["tool1"] != first {
		t.Error("a new image was taken without a refresh")
	}
	begun, err := builder.PrepareRuntime("tool1", true)
	if err != nil {
		t.Fatal(err)
	}
	awaitPreparation(t, builder, begun.ID)
	mended := imaged.mustBuild(t, request(t, dir))
	if mended.Runtimes["tool1"] == first || !strings.Contains(imaged.answer(t, mended), "RUN_IMAGE=mended") {
		t.Error("after a refresh the build is made of the old image")
	}

	write(t, dir, "Dockerfile", "FROM apron.local/tool1\nCMD [\"serve\"]\n")
	byDockerfile := request(t, dir)
	byDockerfile.Tags = map[string]string{platform.TagBuild: "dockerfile"}
	if docked := imaged.mustBuild(t, byDockerfile); docked.Runtimes["tool1"] != mended.Runtimes["tool1"] {
		t.Errorf("the build with a Dockerfile is made of %v", docked.Runtimes)
	}
}

func TestARuntimeThatCannotBePulledSaysWhatToTry(t *testing.T) {
	w := openWorld(t)
	builder, _ := w.imageBuilder(t)
	dir := t.TempDir()
	write(t, dir, "apprunner.yaml", "version: 1.0\nruntime: tool1\nbuild:\n  commands:\n    build: [compile]\nrun:\n  command: serve\n")
	_, err := (&world{builder: builder}).try(t, request(t, dir))
	why := platform.AsExplained(err)
	if why == nil {
		t.Fatalf("the error is %v", err)
	}
	for _, want := range []string{"the runtime tool1 could not be prepared", "library/tool", "`apron runtimes pull tool1`", "registries.yaml"} {
		if !strings.Contains(why.Error(), want) {
			t.Errorf("the failure does not tell %q: %v", want, why)
		}
	}
	runtime, err := builder.RuntimeNamed("tool1")
	if err != nil || runtime.State != platform.RuntimeFailed || !strings.Contains(runtime.Failure, "library/tool") {
		t.Errorf("the runtime is %+v, %v", runtime, err)
	}
}
