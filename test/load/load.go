// Package load sends requests to a service without a break, and tells afterwards which of them were lost and which were
// answered wrongly.
//
// The service is the sample application, which says in every answer which version gave it. The test tells the load
// which versions it has set in motion and which have settled; from that follows, for each request, which versions may
// have answered it. Beyond that, versions never go back: a request that is sent after an answer of a version is
// never answered by an older one.
package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"
)

// Load is a stream of requests at a steady rate.
type Load struct {
	serviceURL string
	rate       int
	// keeping uses connections again, newClient makes another client for each request on a new one.
	keeping   *http.Client
	newClient func() *http.Client
	cancel    context.CancelFunc
	requests  sync.WaitGroup
	begun     time.Time

	mu       sync.Mutex // guards what follows
	timeline timeline
	records  []record
}

// kinds are the requests that are sent in turn.
var kinds = []struct {
	name, method, path string
	isFresh            bool
	// hasLength says that the body's length is told at the beginning.
	hasLength bool
}{
	{"GET", http.MethodGet, "/", false, true},
	{"POST", http.MethodPost, "/sum", false, true},
	{"GET on a new connection", http.MethodGet, "/", true, true},
	{"POST in chunks on a new connection", http.MethodPost, "/sum", true, false},
	{"slow GET", http.MethodGet, "/slow?for=150ms", false, true},
	{"POST in chunks", http.MethodPost, "/sum", false, false},
}

// Start begins to send rate requests a second to the service, which answers with the version now. client makes clients
// that reach the service, by plain HTTP unless serviceURL begins with another scheme.
func Start(t testing.TB, client func() *http.Client, serviceURL, version string, rate int) *Load {
	t.Helper()
	if !strings.Contains(serviceURL, "://") {
		serviceURL = "http://" + serviceURL
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{
		serviceURL: serviceURL, rate: rate, keeping: client(), newClient: client, cancel: cancel, begun: time.Now(),
		timeline: timeline{versions: []allowance{{version: version}}},
	}
	l.requests.Go(func() { l.send(ctx) })
	t.Cleanup(l.end)
	return l
}

// Expect says that a deployment of version is about to start.
func (l *Load) Expect(version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timeline.versions = append(l.timeline.versions, allowance{version: version, from: time.Now()})
}

// Settled says that the deployment of the version expected last has succeeded: no other may answer what is sent from now
// on.
func (l *Load) Settled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for i := range l.timeline.versions[:len(l.timeline.versions)-1] {
		if each := &l.timeline.versions[i]; each.until.IsZero() {
			each.until = now
		}
	}
}

// Refused says that the deployment of the version expected last has failed: it may never have answered.
func (l *Load) Refused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timeline.versions = l.timeline.versions[:len(l.timeline.versions)-1]
}

// Pausing says that the service is about to be paused: until Resumed, 503 with Retry-After is a right answer too.
func (l *Load) Pausing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timeline.pauses = append(l.timeline.pauses, span{from: time.Now()})
}

// Resumed says that the service runs again.
func (l *Load) Resumed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timeline.pauses[len(l.timeline.pauses)-1].until = time.Now()
}

// Sent is how many requests have been answered or lost so far.
func (l *Load) Sent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.records)
}

// Request is one request and what came of it, for a test that judges by more than versions.
type Request struct {
	Kind           string
	Sent, Answered time.Time
	// Version is which version answered; empty when none did.
	Version string
	// IsRefused says that the answer was the proxy's 503 with Retry-After.
	IsRefused bool
	// Trouble is empty for a good answer and for a refusal.
	Trouble string
}

// Take returns what has ended since it was called last. No report counts that any more.
func (l *Load) Take() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := make([]Request, len(l.records))
	for i, r := range l.records {
		taken[i] = Request{r.kind, r.sent, r.answered, r.version, r.isPaused, r.trouble}
	}
	l.records = nil
	return taken
}

// Stop ends the load, waits for the answers that are due, and reports.
func (l *Load) Stop() Report {
	sending := time.Since(l.begun)
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	return report(l.records, l.timeline, sending)
}

func (l *Load) end() {
	l.cancel()
	l.requests.Wait()
	leave(l.keeping)
}

// leave closes what a client has open.
func leave(client *http.Client) {
	client.CloseIdleConnections()
	if transport, ok := client.Transport.(io.Closer); ok {
		_ = transport.Close() // it tells about connections that broke, which their requests have told
	}
}

// maxInFlight bounds what waits for an answer at a time; beyond it the service is too slow to be told from one that is
// gone.
const maxInFlight = 1000

// send keeps to the rate whatever the answers take: users do not wait for each other.
func (l *Load) send(ctx context.Context) {
	slots := make(chan struct{}, maxInFlight)
	ticker := time.NewTicker(time.Second / time.Duration(l.rate))
	defer ticker.Stop()
	for sent := 0; ; {
		for due := int(time.Since(l.begun).Seconds() * float64(l.rate)); sent < due; sent++ {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			kind := sent % len(kinds)
			l.requests.Go(func() {
				defer func() { <-slots }()
				l.one(kind)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// one sends one request and records what came of it. It is not ended with the load: what was sent is to be answered.
func (l *Load) one(kind int) {
	made := record{kind: kinds[kind].name, sent: time.Now()}
	made.version, made.isPaused, made.trouble = l.ask(kind)
	made.answered = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, made)
}

func (l *Load) ask(kind int) (version string, isPaused bool, trouble string) {
	k := kinds[kind]
	var body []byte
	var reader io.Reader
	if k.method == http.MethodPost {
		body = bytes.Repeat([]byte{byte(rand.Int())}, 1+rand.IntN(48<<10))
		reader = bytes.NewReader(body)
		if !k.hasLength {
			reader = struct{ io.Reader }{reader}
		}
	}
	connections := 0
	traced := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connections++ },
	})
	request, err := http.NewRequestWithContext(traced, k.method, l.serviceURL+k.path, reader)
	if err != nil {
		return "", false, err.Error()
	}
	if body != nil && !k.hasLength {
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	client := l.keeping
	if k.isFresh {
		client = l.newClient()
		defer leave(client)
		if transport, ok := client.Transport.(*http.Transport); ok {
			transport.DisableKeepAlives = true
		}
	}
	response, err := client.Do(request)
	if err != nil {
		return "", false, err.Error()
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	version = response.Header.Get("X-Version")
	switch {
	case err != nil:
		return version, false, "the answer broke off: " + err.Error()
	case connections > 1 && response.ProtoMajor == 1:
		// net/http sends again by itself what it may; another client would have shown an error. By the later protocols a server
		// says of each request whether it has seen it.
		return version, false, "the connection broke before an answer came"
	case response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") != "" && version == "":
		return "", true, ""
	case response.StatusCode != http.StatusOK:
		return version, false, fmt.Sprintf("status %d: %.200s", response.StatusCode, answer)
	}
	want := version
	if k.method == http.MethodPost {
		sum := sha256.Sum256(body)
		want = fmt.Sprintf("%s %s %d", version, hex.EncodeToString(sum[:]), len(body))
	}
	if got := strings.TrimSpace(string(answer)); got != want {
		return version, false, fmt.Sprintf("the body is %.200q, want %.200q", got, want)
	}
	return version, false, ""
}
