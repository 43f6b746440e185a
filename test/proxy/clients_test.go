package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/test/websocket"
)

// theFile is what the app has to download.
var theFile = func() []byte {
	content := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{}).Read(content)
	return content
}()

// usual is an app such as clients have to do with.
func usual(t testing.TB) platform.Endpoint {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		n, err := io.Copy(hash, r.Body)
		if err != nil {
			t.Errorf("%s of %s: %v", r.Method, r.UserAgent(), err)
		}
		answer := fmt.Sprintf("%x %d %s", hash.Sum(nil), n, r.Trailer.Get("X-Sum"))
		io.WriteString(w, strings.TrimSpace(answer))
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "file.bin", time.Unix(1e9, 0), bytes.NewReader(theFile))
	})
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-After")
		for range 3 {
			io.WriteString(w, "pieces")
			http.NewResponseController(w).Flush()
		}
		w.Header().Set("X-After", "all of it")
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/refuse", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})
	return handled(t, mux.ServeHTTP)
}

// command runs a client that the test did not write, and returns what it prints.
func command(t *testing.T, stdin []byte, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s on this machine", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	made := exec.CommandContext(ctx, path, args...)
	made.Stdin = bytes.NewReader(stdin)
	var complaint bytes.Buffer
	made.Stderr = &complaint
	output, err := made.Output()
	if err != nil {
		t.Errorf("%s %q: %v\n%s", name, args, err, complaint.Bytes())
	}
	return string(output)
}

func TestCurlIsAtHome(t *testing.T) {
	whole := fmt.Sprintf("%x %d", sha256.Sum256(theFile), len(theFile))
	for name, each := range map[string]struct {
		args  string
		stdin []byte
		want  string
	}{
		"a connection is kept":             {"-o /dev/null -o /dev/null -o /dev/null -w %{num_connects} @/hello @/sum @/stream", nil, "100"},
		"an upload in chunks":              {"-T - @/sum", theFile, whole},
		"an upload of a known length":      {"--data-binary @- @/sum", theFile, whole},
		"an upload that waits to be asked": {"-H Expect:100-continue --expect100-timeout 10 --data-binary @- @/sum", theFile, whole},
		"an upload at a limited rate":      {"--limit-rate 10M -T - @/sum", theFile, whole},
		"an upload that is refused":        {"-o /dev/null -w %{http_code} --data-binary @- @/refuse", theFile, "413"},
		"a form":                           {"-o /dev/null -w %{http_code} -F a=b -F file=@-;filename=x @/sum", theFile, "200"},
		"a download":                       {"@/file", nil, string(theFile)},
		"a download at a limited rate":     {"--limit-rate 10M @/file", nil, string(theFile)},
		"a part":                           {"-r 100-199 @/file", nil, string(theFile[100:200])},
		"the end":                          {"-r -10 @/file", nil, string(theFile[len(theFile)-10:])},
		"the rest of a download":           {"-C 5000000 @/file", nil, string(theFile[5_000_000:])},
		"what was not modified":            {"-w %{http_code} -z 20200101 @/file", nil, "304"},
		"HTTP/1.0":                         {"-0 @/hello", nil, "hello"},
		"HTTP/1.0 and an answer in pieces": {"-0 @/trailers", nil, "piecespiecespieces"},
		"a wish for HTTP/2":                {"--http2 @/hello @/hello", nil, "hellohello"},
		"chunks as they are":               {"--raw @/trailers", nil, "...pieces\r\n0\r\nX-After: all of it\r\n\r\n"},
		"trailers":                         {"-o /dev/null -w %header{x-after} @/trailers", nil, ""},
		"an event stream":                  {"-N @/stream", nil, "data: 0\n\ndata: 1\n\ndata: 2\n\n"},
		"HEAD":                             {"-I -o /dev/null -w %{http_code}/%{size_download}/%header{content-length} @/file", nil, "200/0/5242880"},
		"OPTIONS *":                        {"-X OPTIONS --request-target * -o /dev/null -w %{http_code} @/", nil, "200"},
		"a path as it is":                  {"--path-as-is -o /dev/null -w %{http_code} @/x/../hello", nil, "307"},
	} {
		t.Run(name, func(t *testing.T) {
			onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
				p.serve(usual(t))
				args := []string{"-sS", "--max-time", "15", "--connect-to", host + ":80:" + p.address}
				for _, arg := range strings.Fields(each.args) {
					if path, isURL := strings.CutPrefix(arg, "@/"); isURL {
						arg = "http://" + host + "/" + path
					}
					args = append(args, arg)
				}
				end, isEnd := strings.CutPrefix(each.want, "...")
				if got := command(t, each.stdin, "curl", args...); got != each.want && !(isEnd && strings.HasSuffix(got, end)) {
					t.Errorf("it prints %.300q (%d bytes), want %.300q", got, len(got), each.want)
				}
			})
		})
	}
}

func TestPythonIsAtHome(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		p.serve(usual(t))
		if got := command(t, nil, "python3", filepath.Join("testdata", "client.py"), p.address, host); got != "ok\n" {
			t.Errorf("it prints %q", got)
		}
	})
}

func TestNodeIsAtHome(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		p.serveAnywhere(usual(t))
		if got := command(t, nil, "node", filepath.Join("testdata", "client.js"), p.address, host); got != "ok\n" {
			t.Errorf("it prints %q", got)
		}
	})
}

// serveAnywhere also answers for the proxy's address, for clients that cannot ask one for another host.
func (p *running) serveAnywhere(instances ...platform.Endpoint) {
	route := routeTo(instances...)
	address, _, _ := net.SplitHostPort(p.address)
	route.Hosts = append(route.Hosts, address)
	p.SetRoutes([]platform.Route{route})
}

// TestTheWebSocketOfNodeIsAtHome has it talk with an app that sends each message back, and then sees the instance leave.
func TestTheWebSocketOfNodeIsAtHome(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil || exec.Command(node, "--experimental-websocket", "-e", "WebSocket").Run() != nil {
		t.Skip("there is no Node.js with WebSockets on this machine")
	}
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		instance := socketed(t, func(conn *net.TCPConn, reader *bufio.Reader) { websocket.SendBack(conn, reader) })
		p.serveAnywhere(instance)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		client := exec.CommandContext(ctx, node, "--experimental-websocket", "--no-warnings", filepath.Join("testdata", "socket.js"), p.address)
		client.Stderr = os.Stderr
		output, err := client.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		defer client.Wait()
		lines := bufio.NewScanner(output)
		if lines.Scan(); lines.Text() != "ready" {
			t.Fatalf("it prints %q", lines.Text())
		}
		p.EndTunnels(ctx, []platform.InstanceID{instance.InstanceID})
		if lines.Scan(); lines.Text() != "closed 1001 true" {
			t.Errorf("at the end it prints %q", lines.Text())
		}
	})
}
