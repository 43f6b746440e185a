package proxy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// wantRefusal fails the test unless an answer is the proxy's own with this status, in the form that accept asks for.
func wantRefusal(t *testing.T, what string, response *http.Response, status int, accept string) {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if response.StatusCode != status || !response.Close || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s is answered %d with %v", what, response.StatusCode, response.Header)
	}
	var said struct {
		Status  int
		Message string
	}
	switch kind := response.Header.Get("Content-Type"); accept {
	case "text/html":
		if kind != "text/html; charset=utf-8" || !strings.HasPrefix(string(body), "<!DOCTYPE html>") {
			t.Errorf("%s: a browser gets %s %q", what, kind, body)
		}
	default:
		if err := json.Unmarshal(body, &said); err != nil || kind != "application/json" || said.Status != status || said.Message == "" {
			t.Errorf("%s: a program gets %s %q", what, kind, body)
		}
	}
}

func TestARequestThatCannotBeReadIsRefusedInTheFormThatTheClientAsksFor(t *testing.T) {
	const good = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"
	shapes := map[string]struct {
		head   string // %s is where the Accept header stands
		status int
	}{
		"no Host":                      {"GET / HTTP/1.1\r\n%s\r\n", 400},
		"a bad line before Accept":     {"GET / HTTP/1.1\r\nHost: app.test\r\nA B: c\r\n%s\r\n", 400},
		"a bad line behind Accept":     {"GET / HTTP/1.1\r\nHost: app.test\r\n%sA B: c\r\n\r\n", 400},
		"no request line":              {"GET /\r\nHost: app.test\r\n%s\r\n", 400},
		"a bare LF":                    {"GET / HTTP/1.1\nHost: app.test\n%s\r\n", 400},
		"two lengths":                  {"POST / HTTP/1.1\r\nHost: app.test\r\n%sContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		"another version":              {"GET / HTTP/1.9\r\nHost: app.test\r\n%s\r\n", 400},
		"too long":                     {"GET / HTTP/1.1\r\nHost: app.test\r\n%sX-Long: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", 431},
		"a line of a body is no chunk": {"POST / HTTP/1.1\r\nHost: app.test\r\n%sTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
	}
	log := &accessLog{}
	app := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			io.WriteString(w, "app")
		}
	})
	fast, standard, secure := start(t, proxy.Config{AccessLog: log}), start(t, proxy.StandardOnly(proxy.Config{})), startTLS(t, proxy.Config{})
	to := route(app)
	to.Hosts = append(to.Hosts, "example.com")
	for _, p := range []*running{fast, standard, secure.running} {
		p.serve(to)
	}
	for road, send := range map[string]func(text string) io.Reader{
		"fast":     func(text string) io.Reader { return strings.NewReader(fast.raw(t, text)) },
		"standard": func(text string) io.Reader { return strings.NewReader(standard.raw(t, text)) },
		"TLS": func(text string) io.Reader {
			conn, err := secure.dial(t, "example.com", &tls.Config{})
			if err != nil {
				t.Fatal(err)
			}
			go io.WriteString(conn, text)
			return conn
		},
	} {
		for name, shape := range shapes {
			for _, accept := range []string{"", "text/html"} {
				field := ""
				if accept != "" {
					field = "Accept: " + accept + "\r\n"
				}
				what := fmt.Sprintf("%s road, %s, Accept %q", road, name, accept)
				bad := fmt.Sprintf(shape.head, field)
				response, err := http.ReadResponse(bufio.NewReader(send(bad)), nil)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				wantRefusal(t, what, response, shape.status, accept)

				answers := bufio.NewReader(send(good + bad))
				if first, err := http.ReadResponse(answers, nil); err != nil || first.StatusCode != 200 {
					t.Errorf("%s behind a good request: that one is answered %v (%v)", what, first, err)
				} else if body, err := io.ReadAll(first.Body); err != nil || string(body) != "app" {
					t.Errorf("%s behind a good request: that one gets %q (%v)", what, body, err)
				}
				if response, err = http.ReadResponse(answers, nil); err != nil {
					t.Errorf("%s behind a good request: %v", what, err)
					continue
				}
				wantRefusal(t, what+", behind a good request", response, shape.status, accept)
			}
		}
	}
	if answer := fast.raw(t, "HEAD / HTTP/1.1\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 400 ") || !strings.HasSuffix(answer, "\r\n\r\n") {
		t.Errorf("a HEAD that cannot be read is answered %q", answer)
	}
}

// What an app says is its own, even when it looks like an answer of the server's.
func TestAnAppMaySayWhatTheServerSaysToABadRequest(t *testing.T) {
	const text = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
	p := start(t, proxy.StandardOnly(proxy.Config{}))
	p.serve(route(backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(1+len(text)))
		for _, piece := range []string{"x", text} {
			io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
	})))
	for range 2 {
		if response, body := p.get(t, "http://app.test/"); response.StatusCode != 200 || body != "x"+text {
			t.Errorf("the answer is %d %q", response.StatusCode, body)
		}
	}
}

func TestWhoSpeaksPlainHTTPToThePortOfHTTPSIsToldSoInTheFormThatHeAsksFor(t *testing.T) {
	s := startTLS(t, proxy.Config{})
	s.SetRoutes([]platform.Route{{ServiceID: "a", Hosts: []string{"example.com"}, State: platform.RouteStateServing}})
	for _, accept := range []string{"application/json", "text/html"} {
		request, err := http.NewRequest(http.MethodGet, "http://"+s.https, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Long", strings.Repeat("x", 2<<10))
		request.Header["accept"] = []string{accept} // in small letters it is sent last
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		wantRefusal(t, "plain HTTP", response, http.StatusBadRequest, accept)
	}
}
