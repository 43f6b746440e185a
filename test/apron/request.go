package apron

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Answer is what came back for a request.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Client returns an HTTP client that reaches every service of this apron by its ServiceUrl, whatever the machine's
// resolver says about the name.
func (a *Apron) Client() *http.Client { return clientOf(a.HTTP) }

// PrivateClient returns an HTTP client that reaches the private hosts.
func (a *Apron) PrivateClient() *http.Client { return clientOf(a.Private) }

// clientOf returns a client that connects to address, whatever host is asked.
func clientOf(address string) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{
		Timeout: 2 * time.Minute,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			},
			MaxIdleConnsPerHost: 64, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Get asks a service for a path.
func (a *Apron) Get(t testing.TB, serviceURL, path string) Answer {
	t.Helper()
	answer, err := a.TryGet(t.Context(), serviceURL, path)
	if err != nil {
		t.Fatalf("GET %s%s: %v", serviceURL, path, err)
	}
	return answer
}

// TryGet is Get that returns its error.
func (a *Apron) TryGet(ctx context.Context, serviceURL, path string) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+serviceURL+path, nil)
	if err != nil {
		return Answer{}, err
	}
	return a.Do(request)
}

// GetPrivate asks the private listener for a path of a host.
func (a *Apron) GetPrivate(t testing.TB, host, path string) Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := do(a.PrivateClient(), request)
	if err != nil {
		t.Fatalf("GET %s%s privately: %v", host, path, err)
	}
	return answer
}

// Do sends a request and reads the answer to its end.
func (a *Apron) Do(request *http.Request) (Answer, error) { return do(a.Client(), request) }

func do(client *http.Client, request *http.Request) (Answer, error) {
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, string(body)}, err
}

// WantBody fails the test unless the service answers GET path with 200 and the body.
func (a *Apron) WantBody(t testing.TB, serviceURL, path, want string) {
	t.Helper()
	answer := a.Get(t, serviceURL, path)
	if answer.Status != http.StatusOK || strings.TrimSpace(answer.Body) != want {
		t.Fatalf("GET %s%s: status %d, body %q, want 200 and %q", serviceURL, path, answer.Status, answer.Body, want)
	}
}
