package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

var (
	// errSilent says that a registry sent nothing for too long.
	errSilent = errors.New("the registry went silent")
	// errUnreachable says that no connection to a registry came about in time.
	errUnreachable = errors.New("the registry cannot be reached")
)

// busyError says that a registry answered "not now" to every try.
type busyError struct{ status int }

func (e *busyError) Error() string {
	return fmt.Sprintf("the registry answered %d %s to every try", e.status, http.StatusText(e.status))
}

// connectTime bounds the making of a connection, and of TLS on it.
const connectTime = 15 * time.Second

// transport returns the connections to a host, shared by all sessions while its settings stay the same.
func (r *Registry) transport(host string, settings HostSettings) (http.RoundTripper, error) {
	config, err := r.tlsConfig(host, settings)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s %q %v %v", host, settings.CA, settings.SkipVerify, settings.HTTP)
	r.mu.Lock()
	defer r.mu.Unlock()
	// A file of authorities may have changed under the same name: such connections are not shared.
	if known, ok := r.transports[key]; ok && settings.CA == "" {
		return known, nil
	}
	var transport http.RoundTripper = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTime, KeepAlive: connectTime}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   connectTime,
		ResponseHeaderTimeout: r.config.Limits.Silence,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true,
	}
	if docker.IsLocalhost(host) && settings.CA == "" && !settings.SkipVerify {
		// As Docker does: a registry on this machine may speak plain HTTP.
		transport = docker.NewHTTPFallback(transport)
	}
	transport = &patientTransport{next: transport, limits: r.config.Limits}
	if settings.CA == "" {
		r.transports[key] = transport
	}
	return transport, nil
}

// patientTransport tries again what may pass by itself, and gives up on silence.
type patientTransport struct {
	next   http.RoundTripper
	limits Limits
}

// maxRetryAfter bounds the wait that a registry may ask for.
const maxRetryAfter = 20 * time.Second

func (t *patientTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	isRepeatable := (request.Method == http.MethodGet || request.Method == http.MethodHead) && request.Body == nil
	for try := 0; ; try++ {
		response, err := t.once(request)
		if err == nil && !isBusy(response.StatusCode) {
			return response, nil
		}
		if err != nil && (!isBroken(err) || request.Context().Err() != nil) || !isRepeatable {
			return response, err
		}
		if try == len(t.limits.Retries) {
			if err != nil {
				return nil, err
			}
			// As an error, because our callers would start over on such a status.
			discard(response)
			return nil, &busyError{response.StatusCode}
		}
		wait := t.limits.Retries[try]
		wait += time.Duration(rand.Int64N(int64(wait)/4 + 1))
		if err == nil {
			wait = max(wait, retryAfter(response, time.Now()))
			discard(response)
		}
		if until, ok := request.Context().Deadline(); ok && err == nil && time.Until(until) < wait {
			return nil, &busyError{response.StatusCode} // there is no time for another try, and this says more than that
		}
		timer := time.NewTimer(wait)
		select {
		case <-request.Context().Done():
			timer.Stop()
			return nil, context.Cause(request.Context())
		case <-timer.C:
		}
	}
}

// once sends the request. Time-outs come back as errSilent or errUnreachable, which say what they mean and which
// nobody repeats.
func (t *patientTransport) once(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	response, err := t.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, timeoutMeaning(request.Context(), err)
	}
	timer := time.AfterFunc(t.limits.Silence, func() { cancel(errSilent) })
	timer.Stop() // it runs while a Read waits
	response.Body = &watchedBody{body: response.Body, cancel: cancel, idle: t.limits.Silence, timer: timer}
	return response, nil
}

func timeoutMeaning(ctx context.Context, err error) error {
	var network net.Error
	var lookup *net.DNSError // it says what it means itself
	if ctx.Err() != nil || !errors.As(err, &network) || !network.Timeout() || errors.As(err, &lookup) {
		return err
	}
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Op == "dial" {
		return fmt.Errorf("%w: no connection within %s", errUnreachable, connectTime)
	}
	return fmt.Errorf("%w: %s", errSilent, err.Error())
}

// isBusy says whether a status asks to come again.
func isBusy(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// isBroken says whether a connection broke in use.
func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// retryAfter is the wait that the registry asks for, within reason.
func retryAfter(response *http.Response, now time.Time) time.Duration {
	value := response.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return min(time.Duration(min(seconds, 3600))*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, min(at.Sub(now), maxRetryAfter))
	}
	return 0
}

// discard reads a little of what is left, so that the connection can be used again.
func discard(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	_ = response.Body.Close()
}

// watchedBody ends the request when a Read waits too long. Silence and broken connections in the middle come back as
// io.ErrUnexpectedEOF, which containerd takes as the request to go on from there with a new connection.
type watchedBody struct {
	body   io.ReadCloser
	cancel context.CancelCauseFunc
	idle   time.Duration
	timer  *time.Timer
	close  sync.Once
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.idle)
	n, err := b.body.Read(p)
	if !b.timer.Stop() && err != nil && err != io.EOF || err != nil && err != io.EOF && isBroken(err) {
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *watchedBody) Close() (err error) {
	b.close.Do(func() {
		b.timer.Stop()
		err = b.body.Close()
		b.cancel(nil)
	})
	return err
}
