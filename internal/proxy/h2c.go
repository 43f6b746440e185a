package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"

	"github.com/apron-run/apron/internal/platform"
)

// maxUnreadPerStream bounds what an app may send of one answer before the client takes it.
const maxUnreadPerStream = 256 << 10

// needsH2C is what a service lacks whose app answers HTTP/1.1 in HTTP/2.
const needsH2C = "tag " + platform.TagProtocol + "=" + string(platform.AppProtocolH2C)

// errSpeaksHTTP2 is why an app's answer is none that a client could get.
var errSpeaksHTTP2 = errors.New("the app answered HTTP/1.1 in HTTP/2: the service needs the " + needsH2C)

// streams returns what sends requests to the instance by HTTP/2 in clear text, many at a time over one connection.
func (u *upstream) streams() *http.Transport {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.h2c == nil {
		u.h2c = newH2CTransport()
		u.h2c.IdleConnTimeout, u.h2c.ExpectContinueTimeout = idlePerInstance, continueTimeout
		u.h2c.DialContext = u.dial
		// Only one stream has a bound: whoever reads a slow one must not hold up the others.
		u.h2c.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: maxUnreadPerStream}
	}
	return u.h2c
}

// newH2CTransport returns a transport that begins with HTTP/2, as apps expect that speak nothing else.
func newH2CTransport() *http.Transport {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{Protocols: protocols, DisableCompression: true, MaxResponseHeaderBytes: maxResponseHeaderBytes}
}

// dial connects to the instance. A failure is errNothingSent.
func (u *upstream) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, u.dialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.address)
	if err != nil {
		return nil, errors.Join(errNothingSent, err)
	}
	return conn, nil
}

// sendStream sends a request by HTTP/2 and returns the head of its answer, which may come before the request's body was sent.
// A connection that the app has closed is replaced; a request that the app says it has not seen is sent again, but for one
// of whose body something was sent.
func (u *upstream) sendStream(ctx context.Context, out *outgoing) (*reply, error) {
	ctx, cancel := context.WithCancel(ctx)
	interim := &interim{inform: out.inform}
	request := (&http.Request{
		Method: out.method, Host: out.host, Header: out.header.Clone(),
		URL: &url.URL{Scheme: "http", Host: u.address, Opaque: out.target},
	}).WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: interim.got}))
	if strings.HasPrefix(out.target, "//") { // which alone would begin a host
		request.URL.Opaque = "//" + out.host + out.target
	}
	for _, name := range []string{"Connection", "Upgrade"} { // there is no upgrade in HTTP/2
		delete(request.Header, name)
	}
	if request.Header["User-Agent"] == nil {
		request.Header["User-Agent"] = []string{""} // or the library would send its own
	}
	if out.body != nil {
		body := &streamBody{out.body, http.Header{}}
		for _, name := range out.body.announced {
			body.trailer[name] = nil
		}
		request.Body, request.ContentLength, request.Trailer = body, out.contentLength, body.trailer
	}
	response, err := u.streams().RoundTrip(request) //nolint:bodyclose // the reply closes it
	interim.end()
	if err == nil && (response.StatusCode < 200 || response.StatusCode > 999) {
		response.Body.Close()
		err = fmt.Errorf("the answer has the status %d", response.StatusCode)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &reply{response: response, endStream: func() {
		cancel()
		response.Body.Close()
		if out.body != nil {
			out.body.end()
		}
	}}, nil
}

// streamBody is a request's body whose trailers follow it.
type streamBody struct {
	*requestBody
	trailer http.Header
}

func (b *streamBody) Read(p []byte) (int, error) {
	n, err := b.requestBody.Read(p)
	if errors.Is(err, io.EOF) {
		for name, values := range b.requestBody.trailer() {
			b.trailer[name] = values
		}
	}
	return n, err
}

// Close does nothing: whoever answers the request ends its body.
func (b *streamBody) Close() error { return nil }

// maxInterim bounds the interim answers that wait for a client that reads slowly. More are left out: they are hints.
const maxInterim = 16

// interim passes interim answers on until the last answer has come, or the request has failed. It does so beside the reader of the app's
// connection, which has other clients' streams too and must not wait for this one's.
type interim struct {
	inform func(status int, header http.Header)

	mu      sync.Mutex // guards the members below
	waiting []interimAnswer
	isBusy  bool // with passing them on
	isEnded bool
	passing sync.WaitGroup
}

type interimAnswer struct {
	status int
	header http.Header
}

func (i *interim) got(code int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	isNone := code == http.StatusContinue || code == http.StatusSwitchingProtocols // which HTTP/2 does not have (RFC 9113, 8.6)
	if isNone || i.isEnded || len(i.waiting) == maxInterim {
		return nil
	}
	i.waiting = append(i.waiting, interimAnswer{code, http.Header(header)})
	if !i.isBusy {
		i.isBusy = true
		i.passing.Go(i.pass)
	}
	return nil
}

func (i *interim) pass() {
	for {
		i.mu.Lock()
		if len(i.waiting) == 0 {
			i.isBusy = false
			i.mu.Unlock()
			return
		}
		next := i.waiting[0]
		i.waiting = i.waiting[1:]
		i.mu.Unlock()
		i.inform(next.status, next.header)
	}
}

// end returns when all are passed on.
func (i *interim) end() {
	i.mu.Lock()
	i.isEnded = true
	i.mu.Unlock()
	i.passing.Wait()
}
