package protocols

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

const h3Host = "three.us-east-1." + domain

// h3 returns a client of HTTP/3.
func (w *world) h3(t *testing.T) *http.Client {
	t.Helper()
	transport := &http3.Transport{TLSClientConfig: w.tls(h3Host)}
	t.Cleanup(func() { transport.Close() })
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// request makes one for the service behind w's UDP port.
func (w *world) request(t *testing.T, ctx context.Context, method, path string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, "https://"+w.encrypted+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = h3Host
	return request
}

func TestHTTP3ReachesEachApp(t *testing.T) {
	each(t, func(t *testing.T, protocol platform.AppProtocol) {
		w := newWorld(t, proxy.Config{})
		w.serve(h3Host, protocol, app(t, protocol, func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			w.Header().Set("Trailer", "X-Sum")
			fmt.Fprintf(w, "%s %s %s %d of %d %v %s", r.Method, r.Host, r.RequestURI, n, r.ContentLength, err, r.Header.Get("X-Forwarded-Proto"))
			w.Header().Set("X-Sum", "right")
		}))
		client := w.h3(t)
		for _, one := range []struct {
			method string
			body   io.Reader
			want   string
		}{
			{"GET", nil, "GET " + h3Host + " /a//b%2fc?q 0 of 0 <nil> https"},
			{"POST", strings.NewReader("hello"), "POST " + h3Host + " /a//b%2fc?q 5 of 5 <nil> https"},
			{"PUT", io.MultiReader(bytes.NewReader(make([]byte, 3<<20))), fmt.Sprintf("PUT %s /a//b%%2fc?q %d of -1 <nil> https", h3Host, 3<<20)},
			{"GET", io.MultiReader(strings.NewReader("odd")), "GET " + h3Host + " /a//b%2fc?q 3 of -1 <nil> https"},
			{"HEAD", nil, ""},
		} {
			response, err := client.Do(w.request(t, t.Context(), one.method, "/a//b%2fc?q", one.body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			response.Body.Close()
			if string(got) != one.want || err != nil || response.ProtoMajor != 3 || response.Header.Get("Alt-Svc") != "" {
				t.Errorf("it got %q, %v by %s with %v", got, err, response.Proto, response.Header)
			}
			if sum := response.Trailer.Get("X-Sum"); one.method != "HEAD" && sum != "right" {
				t.Errorf("%s got the trailers %v", one.method, response.Trailer)
			}
		}
		response, err := client.Do(w.request(t, t.Context(), "CONNECT", "/", nil))
		if err == nil {
			response.Body.Close()
			if response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("CONNECT is answered %s", response.Status)
			}
		}
	})
}

func TestHTTP3StreamsAndCancelsBothWays(t *testing.T) {
	each(t, func(t *testing.T, protocol platform.AppProtocol) {
		w := newWorld(t, proxy.Config{})
		gone := make(chan struct{})
		w.serve(h3Host, protocol, app(t, protocol, func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			switch r.URL.Path {
			case "/events":
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "data: 1\n\n")
				_ = control.Flush()
				<-r.Context().Done()
				close(gone)
			case "/cut":
				io.WriteString(w, "half")
				_ = control.Flush()
				panic(http.ErrAbortHandler)
			}
		}))
		client := w.h3(t)
		ctx, cancel := context.WithCancel(t.Context())
		response, err := client.Do(w.request(t, ctx, "GET", "/events", nil))
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 9)
		if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "data: 1\n\n" {
			t.Errorf("the event is %q, %v", first, err)
		}
		cancel()
		response.Body.Close()
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Error("the app goes on when its client is gone")
		}
		response, err = client.Do(w.request(t, t.Context(), "GET", "/cut", nil))
		if err != nil {
			return // what comes last may come first
		}
		defer response.Body.Close()
		if got, err := io.ReadAll(response.Body); err == nil {
			t.Errorf("an answer that was cut is %q", got)
		}
	})
}

func TestHTTP3IsToldToClientsAndKnowsPublicHostsOnly(t *testing.T) {
	w := newWorld(t, proxy.Config{})
	address := app(t, platform.AppProtocolHTTP1, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "private") })
	w.SetRoutes([]platform.Route{{
		ServiceID: "service", PrivateHosts: []string{h3Host}, State: platform.RouteStateServing,
		Endpoints: []platform.Endpoint{{InstanceID: "instance", Address: address}},
	}})
	response, err := w.h3(t).Do(w.request(t, t.Context(), "GET", "/", nil))
	if err == nil {
		response.Body.Close()
		t.Errorf("a private host is answered %s", response.Status)
	}
	w.serve(h3Host, platform.AppProtocolHTTP1, address)
	transport := &http.Transport{TLSClientConfig: w.tls(h3Host), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, err = transport.RoundTrip(w.request(t, t.Context(), "GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	_, port, _ := strings.Cut(w.encrypted, ":")
	if got := response.Header.Get("Alt-Svc"); got != `h3=":`+port+`"; ma=86400` || response.ProtoMajor != 2 {
		t.Errorf("%s has Alt-Svc %q", response.Proto, got)
	}
}

func TestAProxyThatLeavesOrStopsFinishesRequestsByHTTP3(t *testing.T) {
	for name, end := range map[string]func(*world){
		"leaves": func(w *world) { w.Leave() },
		"stops":  func(w *world) { w.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, proxy.Config{IdleTimeout: 5 * time.Second})
			began, finish := make(chan struct{}), make(chan struct{})
			w.serve(h3Host, platform.AppProtocolHTTP1, app(t, platform.AppProtocolHTTP1, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					close(began)
					<-finish
				}
				io.WriteString(w, "whole")
			}))
			ask := func(within time.Duration, path string) error {
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				response, err := w.h3(t).Do(w.request(t, ctx, "GET", path, nil))
				if err != nil {
					return err
				}
				defer response.Body.Close()
				text, err := io.ReadAll(response.Body)
				if string(text) != "whole" {
					err = errors.Join(err, fmt.Errorf("it got %q", text))
				}
				return err
			}
			answered := make(chan error, 1)
			go func() { answered <- ask(20*time.Second, "/slow") }()
			<-began
			end(w)
			for deadline := time.Now().Add(10 * time.Second); ask(time.Second, "/") == nil; {
				if time.Now().After(deadline) {
					t.Error("it goes on to take connections")
					break
				}
			}
			close(finish)
			if err := <-answered; err != nil {
				t.Error(err)
			}
		})
	}
}
