package protocols

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// command runs a program and returns what it prints.
func command(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%v: `make packages bin/h2spec` installs what is missing", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput()
	if err != nil && filepath.Base(name) != "h2spec" { // which fails with its tests
		t.Fatalf("%s: %v\n%s", name, err, output)
	}
	return string(output)
}

// deviations are what h2spec finds, and why it is as it should be.
var deviations = map[string]string{
	"Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                          "the library takes repeated settings for an attack",
	"Sends a HEADERS frame that contains the connection-specific header field":                       "it is answered 400 (RFC 9113, 8.1.1)",
	"Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"": "it is answered 400 (RFC 9113, 8.1.1)",
	"Sends invalid connection preface":                                                               "the port speaks HTTP/1.1 too, and answers 400 by that",
}

func TestH2specFindsNothingThatIsNotKnown(t *testing.T) {
	program, err := filepath.Abs("../../../bin/h2spec")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, proxy.Config{})
	w.serve("127.0.0.1", platform.AppProtocolHTTP1, app(t, platform.AppProtocolHTTP1, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	}))
	failed := regexp.MustCompile(`× \d+: (.*)`)
	for name, arguments := range map[string][]string{"tls": {w.encrypted, "-t", "-k"}, "h2c": {w.plain}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			host, port, err := net.SplitHostPort(arguments[0])
			if err != nil {
				t.Fatal(err)
			}
			output := command(t, program, append([]string{"-h", host, "-p", port, "-o", "2"}, arguments[1:]...)...)
			if !regexp.MustCompile(`14\d tests, 1[34]\d passed, 0 skipped`).MatchString(output) {
				t.Errorf("h2spec has not run:\n%s", output)
			}
			_, failures, _ := strings.Cut(output, "Failures:")
			for _, found := range failed.FindAllStringSubmatch(failures, -1) {
				if deviations[found[1]] == "" {
					t.Errorf("it fails: %s\n%s", found[1], failures)
				}
			}
		})
	}
}

func TestCurlSpeaksEachProtocolWithEachApp(t *testing.T) {
	each(t, func(t *testing.T, protocol platform.AppProtocol) {
		w := newWorld(t, proxy.Config{})
		const host = "curl.us-east-1." + domain
		w.serve(host, protocol, app(t, protocol, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/refuses" {
				w.WriteHeader(http.StatusTeapot) // without a look at the body
				return
			}
			if r.URL.Path != "/upload" { // the library forgets the 100 after this one
				w.Header().Set("Link", "</style.css>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
			}
			n, err := io.Copy(io.Discard, r.Body)
			w.Header().Set("Trailer", "X-Sum")
			fmt.Fprintf(w, "%s %s %d %v %s", r.Host, r.RequestURI, n, err, r.Header.Get("X-Forwarded-Proto"))
			w.Header().Set("X-Sum", "right")
		}))
		body := filepath.Join(t.TempDir(), "body")
		if err := os.WriteFile(body, bytes.Repeat([]byte("x"), 3<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		_, tlsPort, _ := net.SplitHostPort(w.encrypted)
		_, plainPort, _ := net.SplitHostPort(w.plain)
		secure, plain := "https://"+net.JoinHostPort(host, tlsPort), "http://"+net.JoinHostPort(host, plainPort)
		for name, arguments := range map[string][]string{
			"https 1.1": {"--http1.1", secure}, "https 2": {"--http2", secure}, "h2c": {"--http2-prior-knowledge", plain}, "http 1.1": {plain},
		} {
			t.Run(name, func(t *testing.T) {
				flags := []string{"-sS", "-i", "-m", "20", "--cacert", w.root, "--path-as-is"}
				flags = append(flags, "--resolve", host+":"+tlsPort+":127.0.0.1", "--resolve", host+":"+plainPort+":127.0.0.1")
				base := arguments[len(arguments)-1]
				scheme, authority, _ := strings.Cut(base, "://")
				flags = append(flags, arguments[:len(arguments)-1]...)
				for path, more := range map[string][]string{
					"/a/../b%2fc//?q=%20": nil, "//x": {"-d", "hello"}, "/upload": {"-T", body, "-H", "Expect: 100-continue"},
				} {
					sent := map[string]int{"//x": 5, "/upload": 3 << 20}[path]
					got := strings.ToLower(command(t, "curl", append(slices.Concat(flags, more), base+path)...))
					if isInformed := strings.Contains(got, " 103") && strings.Contains(got, "link: </style.css>"); !isInformed && path != "/upload" {
						t.Errorf("%s is answered:\n%s", path, got)
					}
					for _, part := range []string{
						"x-sum: right", strings.ToLower(fmt.Sprintf("%s %s %d <nil> %s", authority, path, sent, scheme)),
					} {
						if !strings.Contains(got, part) {
							t.Errorf("%s has no %q:\n%s", path, part, got)
						}
					}
				}
				if got := command(t, "curl", append(flags, "-d", "hello", base+"/refuses")...); !strings.Contains(got, " 418") {
					t.Errorf("it got:\n%s", got)
				}
			})
		}
	})
}

func TestTrailersOfRequestsReachTheApp(t *testing.T) {
	each(t, func(t *testing.T, protocol platform.AppProtocol) {
		w := newWorld(t, proxy.Config{})
		w.serve(h3Host, protocol, app(t, protocol, func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, r.Trailer.Get("X-Sum"), " ", err)
		}))
		by2 := &http.Transport{TLSClientConfig: w.tls(h3Host), ForceAttemptHTTP2: true}
		defer by2.CloseIdleConnections()
		for name, client := range map[string]*http.Client{"HTTP/2": {Transport: by2}, "HTTP/3": w.h3(t)} {
			request := w.request(t, t.Context(), http.MethodPost, "/", io.MultiReader(strings.NewReader("hello")))
			request.Trailer = http.Header{"X-Sum": {"5"}}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			response.Body.Close()
			if string(got) != "5 <nil>" || err != nil {
				t.Errorf("by %s it got %q, %v", name, got, err)
			}
		}
	})
}

func TestH2loadSeesNoRequestFail(t *testing.T) {
	each(t, func(t *testing.T, protocol platform.AppProtocol) {
		w := newWorld(t, proxy.Config{})
		w.serve("127.0.0.1", protocol, app(t, protocol, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
		body := filepath.Join(t.TempDir(), "body")
		if err := os.WriteFile(body, bytes.Repeat([]byte("x"), 100_000), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, base := range []string{"https://" + w.encrypted, "http://" + w.plain} {
			for _, more := range [][]string{{"-n", "1000"}, {"-n", "200", "-d", body}} {
				got := command(t, "h2load", append(more, "-c", "10", "-m", "20", base+"/")...)
				if !strings.Contains(got, " 0 failed, 0 errored, 0 timeout") || !strings.Contains(got, "status codes: "+more[1]+" 2xx") {
					t.Errorf("%s %q:\n%s", base, more, got)
				}
			}
		}
	})
}

// flood writes pieces over a connection of HTTP/2, whose answers are never read, until the other side ends it or time is over. Meanwhile and
// afterwards others must be answered.
func (w *world) flood(t *testing.T, piece func(framer *http2.Framer, i int) error) {
	t.Helper()
	conn, err := net.Dial("tcp", w.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := io.WriteString(conn, http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00") // no settings
		framer := http2.NewFramer(conn, nil)
		for i := 0; err == nil; i++ {
			err = piece(framer, i)
		}
	}()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for last := false; !last; {
		select {
		case <-ended:
			last = true
		case <-time.After(100 * time.Millisecond):
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.plain+"/quick", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "flood.test"
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.HeapAlloc > 64<<20 {
		t.Errorf("the process holds %d bytes", memory.HeapAlloc)
	}
}

func TestFloodsOfFramesHaveBounds(t *testing.T) {
	w := newWorld(t, proxy.Config{})
	var now, most atomic.Int64
	w.serve("flood.test", platform.AppProtocolHTTP1, app(t, platform.AppProtocolHTTP1, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			return
		}
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		<-r.Context().Done()
	}))
	var head bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "flood.test"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	fields := bytes.Repeat([]byte{0x00, 1, 'a', 1, 'b'}, 3000) // one without an index, again and again
	for name, piece := range map[string]func(framer *http2.Framer, i int) error{
		"rapid reset": func(framer *http2.Framer, i int) error {
			stream := uint32(2*i + 1)
			if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
				return err
			}
			return framer.WriteRSTStream(stream, http2.ErrCodeCancel)
		},
		"continuation": func(framer *http2.Framer, i int) error {
			if i == 0 {
				return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes()})
			}
			return framer.WriteContinuation(1, false, fields)
		},
		"pings":    func(framer *http2.Framer, _ int) error { return framer.WritePing(false, [8]byte{}) },
		"settings": func(framer *http2.Framer, _ int) error { return framer.WriteSettings() },
	} {
		t.Run(name, func(t *testing.T) { w.flood(t, piece) })
	}
	if n := most.Load(); n > 1000 {
		t.Errorf("the app had %d requests at a time", n)
	}
}
