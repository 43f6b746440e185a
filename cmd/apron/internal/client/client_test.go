package client

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// writeCounter counts the writes to a connection.
type writeCounter struct {
	net.Conn
	writes *atomic.Int32
}

func (c writeCounter) Write(content []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(content)
}

// A body that is sent on its own can be closed by the SDK while net/http still reads it, because a near apron has answered
// by then; net/http then gives up the connection with the answer on it.
func TestARequestIsSentInOnePiece(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "{}" {
			t.Errorf("the server got the body %q, %v; want {}", body, err)
		}
		io.WriteString(w, `{"ServiceSummaryList":[]}`)
	}))
	defer server.Close()
	client, err := New(Config{Endpoint: server.URL, Region: "us-east-1", KeyID: "key", Secret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	var writes atomic.Int32
	client.http.Transport.(inOnePiece).next.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return writeCounter{conn, &writes}, err
	}
	if _, err := client.Services(t.Context()); err != nil {
		t.Fatal(err)
	}
	if writes.Load() != 1 {
		t.Errorf("the request was sent in %d pieces, want 1", writes.Load())
	}
}
