package build_test

import (
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/platform"
)

// byItsFiles is a build of a repository of these files, which say nothing of their build.
func byItsFiles(t testing.TB, files map[string]string) build.Request {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	r := request(t, dir)
	r.Tags = map[string]string{platform.TagBuild: platform.BuildAuto}
	return r
}

const (
	nodeLock = `{"lockfileVersion":3,"packages":{"":{"dependencies":{"left-pad":"1.3.0"}},"node_modules/left-pad":{"version":"1.3.0",` +
		`"integrity":"sha512-XI5MPzVNApjAyhQzphX8BkmKsKUxD4LdyK24iZeQGinBN9yTQT3bFlCBy/aVx2HrNcqQGsdot8ghrjyrvMCoEA=="}}}`
	nodeServer = `const http = require('http')
http.createServer((request, response) => response.end(process.env.NODE_ENV + ' ' + require('left-pad')('5', 3, '0') + ' ' + process.env.STAGE)).listen(process.env.PORT)
`
	// By package net alone, which is compiled in a part of the time of net/http.
	goServer = `package main

import (
	"io"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", ":"+os.Getenv("PORT"))
	if err != nil {
		panic(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\nfrom Go")
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
		conn.Close()
	}
}
`
	pythonServer = `import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"from Python")
http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
`
)

func TestARepositoryIsBuiltByWhatItsFilesAre(t *testing.T) {
	w := openWorld(t)
	for name, c := range map[string]struct {
		files  map[string]string
		change func(r *build.Request)
		want   string
		log    []string
	}{
		"Node.js": {
			files: map[string]string{
				"package.json":      `{"scripts":{"start":"node server.js"},"engines":{"node":"22"},"dependencies":{"left-pad":"1.3.0"}}`,
				"package-lock.json": nodeLock, "server.js": nodeServer,
			},
			change: func(r *build.Request) {
				r.Code.UsesConfigurationFile = false
				r.Code.Values = &platform.CodeValues{Runtime: "PYTHON_311", Environment: map[string]string{"STAGE": "test"}}
			},
			want: "production 005 test", log: []string{"This is a Node.js app (package.json).", "    runtime: nodejs22\n", "      - npm ci\n"},
		},
		"Go": {
			files: map[string]string{"go.mod": "module example.org/shop\n\ngo 1.24\n", "cmd/shopd/main.go": goServer},
			want:  "from Go", log: []string{"go build -o bin/shopd ./cmd/shopd"},
		},
		"Python": {
			files: map[string]string{"server.py": pythonServer, ".python-version": "3.11\n"},
			want:  "from Python", log: []string{"command: python3 server.py"},
		},
		"a static site": {
			files: map[string]string{"index.html": "<h1>a site</h1>\n"},
			want:  "<h1>a site</h1>\n", log: []string{"This is a static site (index.html)."},
		},
		"a Dockerfile": {
			files: map[string]string{
				"Dockerfile": "FROM apron.local/python311\nCOPY server.py /\nCMD [\"python3\", \"/server.py\"]\n", "server.py": pythonServer,
			},
			want: "from Python", log: []string{"This is an app with a Dockerfile."},
		},
		"apprunner.yaml": {
			files: map[string]string{
				"apprunner.yaml": strings.Replace(configuration, "COMMAND", "mv server.py app.py", 1),
				"server.py":      pythonServer, "package.json": "{}",
			},
			want: "from Python",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := byItsFiles(t, c.files)
			if c.change != nil {
				c.change(&r)
			}
			made := w.mustBuild(t, r)
			for _, want := range c.log {
				if !strings.Contains(made.log, want) {
					t.Errorf("the log does not say %q:\n%s", want, made.log)
				}
			}
			if body := w.answer(t, made); body != c.want {
				t.Errorf("the app answered %q, want %q", body, c.want)
			}
		})
	}
}

func TestARepositoryThatSaysNothingIsToldHowToBeBuilt(t *testing.T) {
	r := byItsFiles(t, map[string]string{"package.json": `{"scripts":{"start":"node server.js"}}`})
	r.Tags = nil
	builder, err := build.New(build.Config{Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := builder.Build(t.Context(), r); err == nil || !strings.Contains(err.Error(), "apron:build=auto") {
		t.Errorf("without the tag: %v", err)
	}
	empty := byItsFiles(t, map[string]string{"README.md": ""})
	if _, err := builder.Build(t.Context(), empty); platform.AsExplained(err) == nil || !strings.Contains(err.Error(), "nothing says what app this is") {
		t.Errorf("of an empty repository: %v", err)
	}
}
