package sample

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Repository is a Git repository on this machine, with a working tree.
type Repository struct {
	t testing.TB
	// Dir is the working tree.
	Dir string
}

// NewRepository returns a repository with one commit of files, on the branch main.
func NewRepository(t testing.TB, files map[string]string) *Repository {
	t.Helper()
	r := &Repository{t, t.TempDir()}
	r.Git("init", "--quiet", "--initial-branch=main")
	r.Commit("Begin", files)
	return r
}

// Commit writes files (one with no content is removed) and commits them.
func (r *Repository) Commit(message string, files map[string]string) {
	r.t.Helper()
	r.Write(files)
	r.Git("add", "--all")
	r.Git("commit", "--quiet", "--message", message)
}

// Write writes files without committing them.
func (r *Repository) Write(files map[string]string) {
	r.t.Helper()
	for path, content := range files {
		path = filepath.Join(r.Dir, path)
		if content == "" {
			if err := os.RemoveAll(path); err != nil {
				r.t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

// Head is the id of the newest commit.
func (r *Repository) Head() string {
	r.t.Helper()
	return strings.TrimSpace(r.Git("rev-parse", "HEAD"))
}

// Git runs git in the working tree and returns what it prints.
func (r *Repository) Git(args ...string) string {
	r.t.Helper()
	command := exec.Command("git", args...)
	command.Dir = r.Dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com")
	var output, complaint bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaint
	if err := command.Run(); err != nil {
		r.t.Fatalf("git %s: %v\n%s", args[0], err, complaint.Bytes())
	}
	return output.String()
}

// PythonApp is an application for PYTHON_311 that needs nothing but the language. It answers GET / with the version and
// GET /env?NAME with a variable's value.
func PythonApp(version string) map[string]string {
	return map[string]string{
		"app.py": fmt.Sprintf(`import http.server, os, urllib.parse

VERSION = %q


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        text = os.environ.get(url.query, "") if url.path == "/env" else VERSION
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


print("version", VERSION, "begins", flush=True)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
`, version),
		"apprunner.yaml": `version: 1.0
runtime: python311
build:
  commands:
    build:
      - python3 -m compileall -q .
run:
  command: python3 app.py
  network:
    port: 8000
  env:
    - name: GREETING
      value: from the file
`,
	}
}

// ServerApp is a repository with the program of the images, for PYTHON_311: the sample application from source code. command
// is what its build runs.
func ServerApp(t testing.TB, version, command string) map[string]string {
	t.Helper()
	content, err := server()
	if err != nil {
		t.Fatalf("make the repository of version %s: %v", version, err)
	}
	return map[string]string{
		"app": string(content),
		"apprunner.yaml": fmt.Sprintf(`version: 1.0
runtime: python311
build:
  commands:
    build:
      - chmod +x app
      - %s
run:
  command: ./app
  env:
    - name: VERSION
      value: %q
`, command, version),
	}
}
