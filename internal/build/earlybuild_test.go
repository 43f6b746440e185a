package build_test

import (
	"strings"
	"testing"
)

// A command that runs before the source leaves what it made where the others look for it, and the shell as they expect it.
func TestWhatRunsEarlyIsThereAndNotRepeated(t *testing.T) {
	w := openWorld(t)
	dir := t.TempDir()
	write(t, dir, "apprunner.yaml", `version: 1.0
runtime: python311
build:
  commands:
    build:
      - cd web && python3 -m venv env
      - source env/bin/activate && python3 write.py
run:
  command: python3 web/app.py
`)
	write(t, dir, "web/write.py", "import sys\nopen('where.txt', 'w').write(sys.prefix)\n")
	write(t, dir, "web/app.py", `import http.server, os
body = open("web/where.txt", "rb").read() + b" one"
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
`)
	service := request(t, dir)
	w.mustBuild(t, service)
	text := "import sys\nopen('where.txt', 'w').write('again ' + sys.prefix)\n"
	write(t, dir, "web/write.py", text)
	made := w.mustBuild(t, service)
	if !strings.Contains(made.log, "unchanged, the earlier result is used: cd web; python3 -m venv env") {
		t.Errorf("after a change of source the log is:\n%s", made.log)
	}
	if got := w.answer(t, made); got != "again /app/web/env one" {
		t.Errorf("the app answers %q", got)
	}
}
