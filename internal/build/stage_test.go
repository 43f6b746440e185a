package build_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

// stagedFile notes below /app/seen what each stage sees, and app.py tells all of it.
const stagedFile = `version: 1.0
runtime: python311
build:
  commands:
    pre-build:
      - cd ..
      - mkdir seen
      - pwd > seen/1-pre-build
    build:
      - pwd > /app/seen/2-build
      - echo "$STAGE ${MODE-none} ${PASSWORD-none}" > /app/seen/3-build-sees
      - echo kept > /usr/local/share/from-build
      - echo lost > /opt/from-build
    post-build:
      - cat /opt/from-build
      - echo post > /app/seen/9-post-build
      - echo post > /usr/local/share/from-post-build
  env:
    - {name: STAGE, value: "build ${NOT} expanded"}
run:
  pre-run:
    - pwd > /app/seen/4-pre-run
    - echo "$STAGE ${MODE-none}" > /app/seen/5-pre-run-sees
    - echo "$(cat /usr/local/share/from-build) $(ls /opt)" > /app/seen/6-pre-run-finds
    - echo system > /opt/from-pre-run
  command: cd .. && python3 api/app.py $PORT
  network: {port: 8000, env: APP_PORT}
  env:
    - {name: MODE, value: "prod $HOME"}
`

const stagedApp = `import http.server, os, sys
def tell():
    for name in sorted(os.listdir("/app/seen")):
        yield name + ": " + open("/app/seen/" + name).read().strip()
    yield "the app starts in " + os.getcwd()
    yield "the app sees " + os.environ["MODE"] + ", " + os.environ.get("STAGE", "none") + ", " + os.environ["APP_PORT"]
    yield "the app finds " + " ".join(os.listdir("/opt")) + " and " + str(os.path.exists("/usr/local/share/from-post-build"))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write("\n".join(tell()).encode())
http.server.HTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
`

func TestEachStageSeesWhatIsItsOwn(t *testing.T) {
	w := openWorld(t)
	dir := t.TempDir()
	write(t, dir, "api/apprunner.yaml", stagedFile)
	write(t, dir, "api/app.py", stagedApp)
	r := request(t, dir)
	r.Code.Directory = "/api"
	got := strings.Split(w.answer(t, w.mustBuild(t, r)), "\n")
	want := []string{
		"1-pre-build: /app", "2-build: /app/api", "3-build-sees: build ${NOT} expanded none none",
		"4-pre-run: /app/api", "5-pre-run-sees: build ${NOT} expanded none", "6-pre-run-finds: kept",
		"the app starts in /app", "the app sees prod $HOME, none, 8000", "the app finds from-pre-run and False",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPostBuildThatFailsFailsTheBuild(t *testing.T) {
	w := openWorld(t)
	dir := t.TempDir()
	write(t, dir, "apprunner.yaml", strings.Replace(configuration, "COMMAND", "echo built\n    post-build:\n      - cat /nowhere", 1))
	_, err := w.try(t, request(t, dir))
	if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, "post-build") {
		t.Errorf("the build: %v", err)
	}
	write(t, dir, "apprunner.yaml", strings.Replace(configuration, "COMMAND", "cat /nowhere\n    post-build:\n      - echo built", 1))
	made, err := w.try(t, request(t, dir))
	if ran := strings.Count(made.log, "+ cat /nowhere"); err == nil || ran != 1 {
		t.Errorf("the build: %v, and it ran %d times", err, ran)
	}
}

// A file as people write it: a list of commands, a runtime in other letters, sudo, packages installed by the build alone,
// and a program of one of them that is started by its bare name.
const kindFile = `runtime: Python3.11
build:
  - cd greeter
  - sudo -H pip install --no-index --no-build-isolation .
run:
  start_command: greeter --port ${PORT:-80}
  port: 8000
  env:
    GREETING: hello
`

func TestAFileAsPeopleWriteItBuildsAndAnswers(t *testing.T) {
	w := openWorld(t)
	dir := t.TempDir()
	write(t, dir, "apprunner.yaml", kindFile)
	write(t, dir, "greeter/setup.py", `import setuptools
setuptools.setup(name="greeter", version="1", py_modules=["greeter"], entry_points={"console_scripts": ["greeter = greeter:main"]})
`)
	write(t, dir, "greeter/greeter.py", `import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((os.environ["GREETING"] + " from " + sys.argv[0] + ", process " + str(os.getpid())).encode())
def main():
    http.server.HTTPServer(("", int(sys.argv[2])), Handler).serve_forever()
`)
	made := w.mustBuild(t, request(t, dir))
	if body := w.answer(t, made); !strings.HasPrefix(body, "hello from /usr/local/bin/greeter") {
		t.Errorf("the app answers %q", body)
	}
	for _, want := range []string{"warning: ", "version is missing", `runtime "Python3.11" is read as python311`, "build is a list", "start_command is read as command"} {
		if !strings.Contains(made.log, want) {
			t.Errorf("the log does not say %q:\n%s", want, made.log)
		}
	}
}

func TestTheTagNamesTheRuntime(t *testing.T) {
	w := openWorld(t)
	dir := t.TempDir()
	write(t, dir, "apprunner.yaml", strings.Replace(configuration, "COMMAND", "node --version", 1))
	r := request(t, dir)
	r.Tags = map[string]string{platform.TagRuntime: "nodejs22"}
	made := w.mustBuild(t, r)
	if !strings.Contains(made.log, "[Build] v22.") || !strings.Contains(made.log, "tag apron:runtime=nodejs22 counts") {
		t.Errorf("the log:\n%s", made.log)
	}
	r.Code.UsesConfigurationFile = false
	r.Code.Values = &platform.CodeValues{Runtime: "PYTHON_311", BuildCommand: "node --version", StartCommand: "node"}
	if made := w.mustBuild(t, r); !strings.Contains(made.log, "warning: Runtime PYTHON_311 of CodeConfigurationValues is ignored") {
		t.Errorf("the log:\n%s", made.log)
	}
}

func TestNothingOutsideTheRepositoryIsReadAsItsFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "outside/apprunner.yaml", configuration)
	inside := filepath.Join(dir, "inside")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../outside/apprunner.yaml", filepath.Join(inside, "apprunner.yaml")); err != nil {
		t.Fatal(err)
	}
	w := openWorld(t)
	if _, err := w.try(t, request(t, inside)); platform.AsExplained(err) == nil {
		t.Errorf("the build: %v", err)
	}
}
