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
	"slices"
	"strings"
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
	"Sends invalid connection preface":                                                               "without TLS the port speaks HTTP/1.1 too, and answers 400 by that",
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
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
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
					for _, part := range []string{
						" 103", "link: </style.css>", "x-sum: right", strings.ToLower(fmt.Sprintf("%s %s %d <nil> %s", authority, path, sent, scheme)),
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

// flood opens a connection of HTTP/2 and writes frames until the other side ends it.
func (w *world) flood(t *testing.T, write func(framer *http2.Framer, i int) error) {
	t.Helper()
	conn, err := net.Dial("tcp", w.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	ended := make(chan error, 1)
	framer := http2.NewFramer(conn, conn)
	go func() {
		for {
			frame, err := framer.ReadFrame()
			if away, isAway := frame.(*http2.GoAwayFrame); err != nil || isAway && away.ErrCode != http2.ErrCodeNo {
				ended <- err
				return
			}
		}
	}()
	io.WriteString(conn, http2.ClientPreface)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	for i := range 200_000 {
		if err := write(framer, i); err != nil {
			break
		}
	}
	select {
	case err := <-ended:
		if isTimeout, ok := err.(net.Error); ok && isTimeout.Timeout() {
			t.Error("the flood goes on")
		}
	case <-time.After(20 * time.Second):
		t.Error("the flood goes on")
	}
}

func TestFloodsOfFramesEndTheirConnection(t *testing.T) {
	w := newWorld(t, proxy.Config{})
	w.serve("flood.test", platform.AppProtocolHTTP1, app(t, platform.AppProtocolHTTP1, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "flood.test"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	head := bytes.Clone(block.Bytes())
	t.Run("rapid reset", func(t *testing.T) {
		w.flood(t, func(framer *http2.Framer, i int) error {
			stream := uint32(2*i + 1)
			if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head, EndHeaders: true, EndStream: true}); err != nil {
				return err
			}
			return framer.WriteRSTStream(stream, http2.ErrCodeCancel)
		})
	})
	t.Run("continuation", func(t *testing.T) {
		junk := bytes.Repeat([]byte{0x00, 1, 'a', 1, 'b'}, 3000) // a field without an index, again and again
		w.flood(t, func(framer *http2.Framer, i int) error {
			if i == 0 {
				return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head})
			}
			return framer.WriteContinuation(1, false, junk)
		})
	})
	t.Run("pings whose answers are never read", func(t *testing.T) {
		conn, err := net.Dial("tcp", w.plain)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		var many bytes.Buffer
		framer := http2.NewFramer(&many, nil)
		for range 1000 {
			if err := framer.WritePing(false, [8]byte{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, err = io.WriteString(conn, http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err == nil; { // no settings
			_, err = conn.Write(many.Bytes())
		}
		if isTimeout, ok := err.(net.Error); ok && isTimeout.Timeout() {
			t.Error("the flood goes on")
		}
	})
}
