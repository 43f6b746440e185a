package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy/http2"
)

// Prober asks instances whether they are ready. The zero value is ready to use.
type Prober struct{}

// Probe asks once, for at most the check's timeout: TCP wants the port to accept a connection, HTTP wants GET of the
// path to answer with a status from 200 to 399; no redirect is followed. An app that does not answer in HTTP/1.1 is asked again by
// HTTP/2 in clear text, which is all that some speak. The error says what happened in words.
func (Prober) Probe(ctx context.Context, address string, check platform.HealthCheck) error {
	timeout := time.Duration(check.TimeoutSeconds) * time.Second
	if timeout <= 0 {
		timeout = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return describeDial(err, address, timeout)
	}
	defer conn.Close()
	if check.Protocol != platform.HealthCheckHTTP {
		return nil
	}
	by1 := &http.Transport{MaxResponseHeaderBytes: maxResponseHeaderBytes, DisableCompression: true, DisableKeepAlives: true}
	by1.DialContext = func(context.Context, string, string) (net.Conn, error) { return &frameWatch{conn}, nil }
	err = get(ctx, by1, address, check.Path, timeout)
	if !errors.As(err, new(*noHTTPError)) {
		return err
	}
	by2 := newH2CTransport()
	defer by2.CloseIdleConnections()
	again := get(ctx, by2, address, check.Path, timeout)
	switch isHTTP := !errors.As(again, new(*noHTTPError)); {
	case again == nil:
		return nil
	case isHTTP || errors.Is(err, errSpeaksHTTP2):
		return fmt.Errorf("%w, by HTTP/2: an app that speaks that alone needs the %s, and one of gRPC a health check by TCP", again, needsH2C)
	}
	return err
}

// frameWatch is a connection that fails as soon as an answer begins in HTTP/2, after which nothing may come.
type frameWatch struct{ net.Conn }

func (c *frameWatch) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if http2.IsFirst(p[:n]) { // no head of HTTP/1.1 has the zero with which this begins, and its body does not matter
		return 0, errSpeaksHTTP2
	}
	return n, err
}

// noHTTPError says that there was an answer, or an end of the connection, and no HTTP.
type noHTTPError struct{ error }

// describeDial says why no connection was made.
func describeDial(err error, address string, timeout time.Duration) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens on %s", address)
	case isTimeout(err), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not accept a connection within %s", address, timeout)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Errorf("%s cannot be reached: there is no way to it", address)
	}
	return fmt.Errorf("%s cannot be reached: %w", address, err)
}

// get sends one request and looks at the status of its answer. The head of an answer is all that is read, so a body of any
// length does no harm.
func get(ctx context.Context, transport *http.Transport, address, path string, timeout time.Duration) error {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return fmt.Errorf("the health check's path %q is no path: %w", path, err)
	}
	request.Header.Set("User-Agent", "apron-health-check")
	response, err := transport.RoundTrip(request)
	switch {
	case isTimeout(err), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("GET %s was not answered within %s", path, timeout)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &noHTTPError{fmt.Errorf("GET %s got no answer: the connection was closed", path)}
	case err != nil:
		return &noHTTPError{fmt.Errorf("GET %s got no answer: %w", path, err)}
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 399 {
		return fmt.Errorf("GET %s answered %d %s", path, response.StatusCode, http.StatusText(response.StatusCode))
	}
	return nil
}
