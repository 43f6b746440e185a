package e2e

import (
	"strings"
	"testing"
)

const bareApp = `import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((os.environ.get("GREETING", "none") + " " + (open("/stamp").read() if os.path.exists("/stamp") else "bare")).encode())
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
`

// The story of a folder that says nothing of its build, and gets a Dockerfile later, whose steps are given a secret.
func TestStoryOfAFolderThatSaysNothingOfItsBuild(t *testing.T) {
	t.Parallel()
	a := shared(t)
	folder := t.TempDir()
	write(t, folder, map[string]string{"server.py": bareApp, ".python-version": "3.11\n"})

	printed := a.MustCommand(t, "deploy", folder, "--name", "bare", "--env", "GREETING=hello", "--cpu", "0.25", "--memory", "0.5", "--ask")
	if !strings.Contains(printed, "hello bare") {
		t.Errorf("apron deploy prints %q", printed)
	}
	if logs := a.MustCommand(t, "logs", "bare", "--build"); !strings.Contains(logs, "This is a Python app (server.py).") || !strings.Contains(logs, "command: python3 server.py") {
		t.Errorf("apron logs --build prints %q", logs)
	}

	const value = "t0p-of-the-b1ll"
	if stored := a.CommandReading(t, value, "secret", "put", "bare/token"); stored.Code != 0 {
		t.Fatalf("apron secret put: %+v", stored)
	}
	write(t, folder, map[string]string{"Dockerfile": `FROM apron.local/python311 AS web
ARG WHO=nobody
RUN --mount=type=secret,id=token,env=TOKEN echo "it is $TOKEN"; echo -n "$WHO ${#TOKEN}" > /stamp
COPY server.py /
USER 1000
CMD ["python3", "/server.py"]
FROM web
RUN false
`})
	printed = a.MustCommand(t, "deploy", folder, "--name", "bare", "--target", "web", "--build-arg", "WHO=somebody", "--build-secret", "token=bare/token", "--ask")
	if !strings.Contains(printed, "hello somebody 15") {
		t.Errorf("apron deploy prints %q", printed)
	}
	if logs := a.MustCommand(t, "logs", "bare", "--build"); strings.Contains(logs, value) || !strings.Contains(logs, "it is ***") {
		t.Errorf("apron logs --build prints %q", logs)
	}
	a.MustCommand(t, "delete", "bare")
	a.MustCommand(t, "secret", "delete", "bare/token")
}
